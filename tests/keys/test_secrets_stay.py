"""No secret class can be pickled, copied, encoded, printed or logged."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import re
import traceback
from pathlib import Path

import pytest

from hefl_core.errors import SecretKeyEscape
from hefl_core.ids import KeyId
from hefl_core.keys.custody import ShareHolder
from hefl_core.keys.identity import Identity
from hefl_core.keys.prekeys import Prekeys
from hefl_core.keys.sealing import pack_share
from hefl_core.keys.secret import SecretBytes
from hefl_core.keys.sum_tag import TagKey, expose_tag_key
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile, Passphrase, ProcessKey
from hefl_core.schemes.base import SecretShare
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import decode, encode

MARK = b"\xde\xad\xbe\xef" * 8


def secrets(tmp_path: Path) -> list[tuple[object, list[bytes]]]:
    """Each secret object, and byte strings that must not show."""
    identity, client = Identity("auditor", "auditor"), Identity("client-1", "client")
    prekeys = Prekeys(client, "experiment-1")
    prekeys.offer(1)
    sealing_key = prekeys.key(1)
    _, _, signing, sealing = decode(identity._export(), tuple[str, str, bytes, bytes])
    tag = TagKey()
    share = SecretShare(KeyId("plaintext", "plaintext", 1, "0" * 64), Quorum(2, 3), 1, MARK)
    holder = ShareHolder("client-1")
    holder.take(share)
    key_file = KeyFile.create(tmp_path / "k")
    passphrase = Passphrase("correct horse battery", cost_bits=4)
    store = KeyStore()
    store.put("t", "n", MARK)
    return [
        (identity, [signing, sealing]),
        (client, [decode(client._export(), tuple[str, str, bytes, bytes])[2]]),
        (sealing_key, [sealing_key._export()]),
        (prekeys, [sealing_key._export()]),
        (tag, [expose_tag_key(tag)[:32], expose_tag_key(tag)[32:]]),
        (holder, [MARK]),
        (key_file, [(tmp_path / "k").read_bytes()]),
        (passphrase, [b"correct horse battery"]),
        (ProcessKey(), []),
        (SecretBytes(MARK), [MARK]),
        (store, [MARK]),
    ]


def forms(secret: bytes) -> list[str]:
    return [secret.hex(), repr(secret)[2:-1], secret.decode("latin-1")]


def test_nothing_serialises(tmp_path: Path) -> None:
    for secret, _ in secrets(tmp_path):
        attempts = [
            pickle.dumps,
            copy.copy,
            copy.deepcopy,
            lambda s: pickle.dumps({"a": [s]}),
            lambda s: s.__getstate__(),
        ]
        for attempt in attempts:
            with pytest.raises(SecretKeyEscape):
                attempt(secret)
        with pytest.raises(TypeError):
            encode(secret)


def told_by_a_traceback(secret: object) -> str:
    try:
        raise ValueError(secret)
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def test_nothing_prints(tmp_path: Path) -> None:
    for secret, hidden in secrets(tmp_path):
        stream = io.StringIO()
        logger = logging.Logger("probe")
        logger.addHandler(logging.StreamHandler(stream))
        logger.warning("%s %r", secret, secret)
        told = "".join([repr(secret), str(secret), f"{secret}", stream.getvalue(), told_by_a_traceback(secret)])
        assert "hidden" in repr(secret)
        for form in (form for one in hidden for form in forms(one)):
            assert form not in told
        assert not hasattr(secret, "__dict__")


def test_the_world_does_not_print_or_pickle(world) -> None:  # type: ignore[no-untyped-def]
    for secret in (world.kms, world.enrolled(world.clients[0])):
        assert "hidden" in repr(secret)
        with pytest.raises(SecretKeyEscape):
            pickle.dumps(secret)


CALLERS = {
    "expose_secret": {"keys/sealing.py", "classroom/bridge.py"},  # to the share's own phone, which has no Python
    "expose_tag_key": {"keys/sealing.py", "keys/sum_tag.py", "keys/private_forms.py"},
    "pack_share": {
        "keys/sealing.py",
        "keys/kms/issuer.py",
        "keys/custody.py",
        "checks/damage/ciphertexts.py",  # damages throw-away keys of its own
        "checks/damage/messages.py",
    },
    "_export": {"keys/identity.py", "keys/kms/records.py", "keys/prekeys.py", "keys/private_forms.py"},
}


def test_who_touches_secret_bytes() -> None:
    root = Path(__file__).parents[2] / "hefl_core"
    for name, allowed in CALLERS.items():
        found = {
            path.relative_to(root).as_posix()
            for path in root.rglob("*.py")
            if re.search(r"(?<!\w)" + re.escape(name) + r"(?!\w)", path.read_text(encoding="utf-8"))
        }
        assert {f for f in found if not f.startswith("schemes/")} <= allowed, name


def test_a_packed_share_is_only_bytes() -> None:
    share = SecretShare(KeyId("plaintext", "plaintext", 1, "0" * 64), Quorum(2, 3), 1, MARK)
    assert MARK in pack_share(share, TagKey())


def test_only_the_lab_leaves_rules_out() -> None:
    root = Path(__file__).parents[2] / "hefl_core"
    users = {p.relative_to(root).as_posix() for p in root.rglob("*.py") if "INSECURE_without" in p.read_text("utf-8")}
    assert {u for u in users if not u.startswith("attacks/")} == {"keys/custody.py", "keys/decryption_policy.py"}
