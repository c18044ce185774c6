"""For real against SoftHSM2: the key-encryption key is made in the token and never leaves it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hefl_core.errors import KeyUseError, RuntimeUnavailable
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.token import Token
from hefl_core.keys.vault.unlock import KeyFile, Passphrase

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
SOFTHSM_MODULES = (
    os.environ.get("HEFL_PKCS11_MODULE", ""),
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
MODULE = next((path for path in SOFTHSM_MODULES if path and Path(path).exists()), None)
if MODULE is None or shutil.which("softhsm2-util") is None:
    pytest.skip("SoftHSM2 is not installed (Debian: apt-get install softhsm2)", allow_module_level=True)
PIN = "135790"


@pytest.fixture(scope="module", autouse=True)
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """SoftHSM2 reads its configuration when the library is loaded, once per process."""
    home = tmp_path_factory.mktemp("softhsm")
    (home / "tokens").mkdir()
    (home / "softhsm2.conf").write_text(f"directories.tokendir = {home / 'tokens'}\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(home / "softhsm2.conf")
    for label in ("hefl", "other"):
        arguments = ["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "24680"]
        subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)
    for label in ("hefl", "other"):
        Token.create(MODULE or "", label, PIN)
    yield
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


def token(label: str = "hefl") -> Token:
    return Token(MODULE or "", label, PIN)


def test_a_store_opens_with_its_token_only(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, token()) as store:
        store.put("t", "a", b"a secret that must not be found")
    with KeyStore(path, token()) as store:
        assert store.get("t", "a") == b"a secret that must not be found"
    assert b"must not be found" not in path.read_bytes()
    for wrong in (token("other"), Passphrase(PIN, cost_bits=4), KeyFile.create(tmp_path / "k")):
        with pytest.raises(KeyUseError):
            KeyStore(path, wrong)


def test_the_key_cannot_leave_the_token() -> None:
    with token()._session() as session:
        key = session.get_key(label="hefl-key-encryption-key")
        assert key[pkcs11.Attribute.SENSITIVE] and not key[pkcs11.Attribute.EXTRACTABLE]
        with pytest.raises(pkcs11.PKCS11Error):
            key[pkcs11.Attribute.VALUE]


def test_a_changed_blob_is_refused() -> None:
    blob = token().wrap(b"k" * 32)
    assert token().unwrap(blob) == b"k" * 32
    assert blob != token().wrap(b"k" * 32)
    for changed in (blob[:-1] + bytes([blob[-1] ^ 1]), blob[:-1], b""):
        with pytest.raises(KeyUseError):
            token().unwrap(changed)


def test_wrong_pin_token_key_or_module() -> None:
    with pytest.raises(KeyUseError):
        Token(MODULE or "", "hefl", "999999")
    with pytest.raises(KeyUseError):
        Token(MODULE or "", "hefl", PIN, key_label="none")
    with pytest.raises(KeyUseError):
        Token.create(MODULE or "", "hefl", PIN)
    with pytest.raises(RuntimeUnavailable):
        Token(MODULE or "", "missing", PIN)
    with pytest.raises(RuntimeUnavailable):
        Token("/nowhere/libpkcs11.so", "hefl", PIN)


def test_the_pin_does_not_show() -> None:
    assert repr(token()) == "Token(hefl/hefl-key-encryption-key, hidden)"
