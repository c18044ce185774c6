"""Laboratory of CKKS key recovery: clients, a key, a coordinator that receives the decrypted sum, remedies as switches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import tenseal.sealapi as sealapi

from hefl_core.attacks.view import RETURNED, Doubles, Held, Message, Public, View
from hefl_core.errors import ParameterError
from hefl_core.ids import client_name, digest
from hefl_core.learning.models import dense_model
from hefl_core.schemes.base import CiphertextVector, PublicKey, SecretShare
from hefl_core.schemes.presets import CKKSPreset, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import seal, threshold
from hefl_core.terms import messages as m

Returned = Literal["float64", "float32", "10 decimals", "flooded", "preset flooding", "nothing"]
RETURNED_AS: tuple[Returned, ...] = ("float64", "float32", "10 decimals", "flooded", "preset flooding", "nothing")


@dataclass(frozen=True)
class KeyRecovery:
    """How the decryption is returned. ``noise``: standard deviation of the flooding on each published number.

    ``answers``: requests for the same sum. ``cached``: the same request returns the same noise. ``rotated``: the updates to be
    opened were encrypted under the next key.
    """

    scheme: str = "ckks-lean"
    clients: int = 3
    parameters: int | None = None
    returned: Returned = "float64"
    noise: float = 1e-9
    answers: int = 1
    cached: bool = True
    rotated: bool = False
    seed: int = 7


@dataclass(frozen=True)
class KeyRecoveryTruth:
    """The updates as the clients encrypted them."""

    updates: tuple[Doubles, ...]


def stage(recovery: KeyRecovery) -> tuple[View, KeyRecoveryTruth]:
    """Encrypt, add, decrypt at a client, return. The coordinator's view, and the truth for the scorer.

    Raises: ParameterError for a scheme that is not CKKS.
    """
    preset = load_preset(recovery.scheme)
    if not isinstance(preset, CKKSPreset):
        raise ParameterError(f"key heist: expected a CKKS preset, found {recovery.scheme}", "try ckks-lean")
    if recovery.returned == "preset flooding" and not preset.collective:
        raise ParameterError(f"{recovery.scheme}: floods nothing, its key is held individually", "take ckks-threshold")
    scheme = open_scheme(recovery.scheme)
    d = recovery.parameters or preset.degree + 64
    rng = np.random.default_rng(recovery.seed)
    updates = tuple(rng.normal(scale=0.01, size=d) for _ in range(recovery.clients))
    together = recovery.returned == "preset flooding"
    quorum = Quorum(2 if together else 1, recovery.clients)
    key, shares = scheme.keygen(quorum)
    vectors = [_encrypted(recovery, key, shares, update) for update in updates]
    running = scheme.accumulator(key)
    for vector in vectors:
        running.add(vector)
    total = running.total()
    held = _returned(recovery, key, shares, total)
    if recovery.rotated:
        key, shares = scheme.keygen(quorum, epoch=2)
        vectors = [_encrypted(recovery, key, shares, update) for update in updates]
    messages = [Message(m.UPDATE, client_name(k), 1, v.to_bytes()) for k, v in enumerate(vectors, 1)]
    messages.append(Message("total", "coordinator", 1, total.to_bytes()))
    model = dense_model("heist", (1, d))
    public = Public(model, model.init(digest(b"heist")), 0.1, 1, recovery.clients)
    return View("coordinator", public, tuple(messages), tuple(held), public_key=key), KeyRecoveryTruth(updates)


def _encrypted(
    recovery: KeyRecovery, key: PublicKey, shares: tuple[SecretShare, ...], update: Doubles
) -> CiphertextVector:
    scheme = open_scheme(recovery.scheme)
    by = shares[0] if scheme.preset.symmetric else key
    return scheme.encrypt(by, update, bound=1.0, max_terms=recovery.clients, integers=(1, 1))


def _returned(
    recovery: KeyRecovery, key: PublicKey, shares: tuple[SecretShare, ...], total: CiphertextVector
) -> list[Held]:
    """A client's decryption as it is returned: every slot of every chunk."""
    if recovery.returned == "nothing":
        return []
    if key.quorum.collective:
        return [_together(shares, key, total)]
    rng = np.random.default_rng()
    scheme = open_scheme(recovery.scheme)
    partial = scheme.partial_decrypt(shares[0], total, (shares[0].index,))
    slots = np.concatenate([np.frombuffer(block, dtype="<f8") for block in partial.blocks])
    once = rng.normal(scale=recovery.noise, size=len(slots))
    return [
        Held(
            RETURNED,
            1,
            _as_returned(
                recovery, slots, once if recovery.cached else rng.normal(scale=recovery.noise, size=len(slots))
            ),
        )
        for _ in range(recovery.answers)
    ]


def _as_returned(recovery: KeyRecovery, slots: Doubles, noise: Doubles) -> Doubles:
    if recovery.returned == "float32":
        return np.asarray(slots.astype(np.float32).astype(np.float64))
    if recovery.returned == "10 decimals":
        return np.asarray(np.round(slots, 10))
    return slots + noise if recovery.returned == "flooded" else slots


def _together(shares: tuple[SecretShare, ...], key: PublicKey, total: CiphertextVector) -> Held:
    """Two holders decrypt with the preset's own flooding and return every slot of every chunk."""
    preset = cast(CKKSPreset, load_preset(total.key_id.preset))
    ring, active = seal.open_ring(preset), shares[: key.quorum.threshold]
    members = tuple(share.index for share in active)
    scheme = open_scheme(preset.name)
    partials = [scheme.partial_decrypt(share, total, members) for share in active]
    decryptor, encoder = threshold.opener(ring), sealapi.CKKSEncoder(ring.context)
    slots = []
    for ciphertext in threshold.combine(preset, ring, key, total, partials):
        plaintext = sealapi.Plaintext()
        decryptor.decrypt(ciphertext, plaintext)
        slots.append(np.array(encoder.decode_double(plaintext), dtype=np.float64))
    return Held(RETURNED, 1, np.concatenate(slots))
