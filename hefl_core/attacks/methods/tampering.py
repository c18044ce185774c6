"""The tampering desk: what a coordinator can do to a sum without a key, and which check detects it.

Without checks every forgery decrypts without an error: additive ciphertexts can be scaled and shifted by design. The
forger adds encryptions of its own until the hidden count is right again, so the count alone detects nothing.

Source: malleability of additive schemes, Paillier 1999, section 8; the checks are docs/protocol.md, steps 6 to 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from hefl_core.attacks.view import Doubles
from hefl_core.errors import IntegrityError, ParameterError
from hefl_core.ids import client_name
from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import CiphertextVector, Opened, PublicKey, SecretShare, Tag
from hefl_core.schemes.presets import RingPreset, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, rlwe, seal
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.schemes.ring.seal import Ring
from hefl_core.wire.envelope import Position

FORGERIES = ("scale", "shift", "drop", "duplicate", "replay", "one as the sum")
RE_ADDING, COUNT, TAG = "re-adding by the auditor", "count of contributors", "tag"
CHECKS = (RE_ADDING, COUNT, TAG)
FACTOR, SHIFT, AT = -10, 0.5, 3
_EXPERIMENT = "tampering desk"


@dataclass(frozen=True)
class Desk:
    """One round's ciphertexts at the coordinator. ``updates``: what the clients sent, for the picture."""

    scheme: str
    public_key: PublicKey
    uploads: tuple[CiphertextVector, ...]
    earlier: CiphertextVector
    updates: tuple[Doubles, ...]
    examples: int
    tag_key: TagKey | None
    share: SecretShare


@dataclass(frozen=True)
class ForgeryVerdict:
    """Result of one forgery. ``caught_by``: every active check that rejected it; empty: it passed unnoticed.

    ``mean``: what the clients would apply; ``error``: its distance from the true mean.
    """

    forgery: str
    caught_by: tuple[str, ...]
    mean: Doubles
    error: float


def set_desk(scheme_name: str = "bfv-lean", clients: int = 4, seed: int = 7, *, times: float = 1.0) -> Desk:
    """Keys, two rounds of uploads; client 1 sends ``times`` its update.

    CKKS updates fill their block: a decoder that looks at unused slots would see the noise of a scaled sum.
    Raises: ParameterError for a scheme without ring ciphertexts.
    """
    preset = load_preset(scheme_name)
    if not isinstance(preset, RingPreset):
        raise ParameterError(f"tampering desk: expected a BFV or CKKS preset, found {scheme_name}", "try bfv-lean")
    parameters = preset.degree // 2 - 2 if preset.family == "ckks" else 64
    scheme = open_scheme(scheme_name)
    key, shares = scheme.keygen(Quorum(1, clients))
    tag_key = TagKey() if scheme.preset.tagged else None
    rng = np.random.default_rng(seed)
    rounds = []
    for number in (1, 2):
        updates = tuple(np.clip(rng.normal(scale=0.02, size=parameters), -0.1, 0.1) for _ in range(clients))
        updates = (updates[0] * times, *updates[1:])
        uploads = tuple(
            scheme.encrypt(
                shares[0] if scheme.preset.symmetric else key,
                update,
                bound=1.0,
                max_terms=2 * clients,
                integers=(1, 1),
                tag=_tag(tag_key, number, client),
            )
            for client, update in enumerate(updates, 1)
        )
        rounds.append((updates, uploads))
    (_, before), (updates, uploads) = rounds
    return Desk(scheme_name, key, uploads, _sum(scheme_name, key, before), updates, clients, tag_key, shares[0])


def _tag(key: TagKey | None, round_: int, client: int) -> Tag | None:
    return None if key is None else key.for_message(_EXPERIMENT, 1, round_, 1, client_name(client))


def _sum(scheme: str, key: PublicKey, vectors: Sequence[CiphertextVector]) -> CiphertextVector:
    running = open_scheme(scheme).accumulator(key)
    for vector in vectors:
        running.add(vector)
    return running.total()


def honest(desk: Desk) -> CiphertextVector:
    """The honest sum: ⊞ of the uploads."""
    return _sum(desk.scheme, desk.public_key, desk.uploads)


def forge(desk: Desk, forgery: str) -> CiphertextVector:
    """A "sum" that the coordinator makes with the public key alone, labelled as the sum of all.

    Raises: ParameterError for an unknown forgery.
    """
    clients, first, last = len(desk.uploads), desk.uploads[0], desk.uploads[-1]
    whole, nothing, nobody = honest(desk), _own(desk, 0.0, 1), _own(desk, 0.0, 0)
    # Counted in uploads, each recipe's factors add up to n: so do the hidden counts and the quantiser's offsets.
    recipes: dict[str, list[tuple[int, CiphertextVector]]] = {
        "scale": [(FACTOR, whole), ((1 - FACTOR) * clients, nothing)],
        "shift": [(1, whole), (clients, _own(desk, SHIFT, 0)), (-clients, nobody)],
        "drop": [(1, whole), (-1, last), (1, nothing)],
        "duplicate": [(1, whole), (-1, last), (1, first)],
        "replay": [(1, desk.earlier)],
        "one as the sum": [(clients, first)],
    }
    if forgery not in recipes:
        raise ParameterError(f"forgery: expected one of {', '.join(FORGERIES)}, found {forgery!r}")
    return _combined(desk, recipes[forgery])


def _combined(desk: Desk, recipe: Sequence[tuple[int, CiphertextVector]]) -> CiphertextVector:
    """Σ factor · ciphertext modulo each prime, labelled as an honest sum: the plaintexts combine alike."""
    preset = cast(RingPreset, load_preset(desk.scheme))
    ring = seal.open_ring(preset)
    made = []
    for at in range(len(desk.uploads[0].blocks)):
        words = np.zeros((2, len(rlwe.data_primes(ring)), ring.degree), dtype=np.uint64)
        for factor, vector in recipe:
            fresh = vector.terms == 1  # an upload may carry a seed in place of c1, a sum never
            words = _plus_times(ring, words, blocks.read(preset, ring, vector.blocks[at], "sum", fresh=fresh), factor)
        made.append(blocks.write(preset, ring, words))
    return replace(honest(desk), blocks=tuple(made))


def _plus_times(ring: Ring, words: Residues, other: Residues, factor: int) -> Residues:
    rows = [
        [
            rlwe.plus(mine, rlwe.multiply(row, rlwe.fix(np.array([factor % p], np.uint64), p), p), p)
            for mine, row, p in zip(kept, part, rlwe.data_primes(ring), strict=True)
        ]
        for kept, part in zip(words, other, strict=True)
    ]
    return np.array(rows, dtype=np.uint64)


def _own(desk: Desk, shift: float, count: int) -> CiphertextVector:
    """The coordinator's own encryption: ``shift`` on one weight, and ``count`` contributors."""
    scheme = open_scheme(desk.scheme)
    values = np.zeros(len(desk.updates[0]))
    values[AT] = shift
    by = desk.share if scheme.preset.symmetric else desk.public_key
    tag = (lambda words, modulus: 0) if scheme.preset.tagged else None
    most = desk.uploads[0].max_terms
    return scheme.encrypt(by, values, bound=1.0, max_terms=most, integers=(count, count), tag=tag)


def judge(desk: Desk, forgery: str, checks: Sequence[str] = CHECKS) -> ForgeryVerdict:
    """Run these checks on a forged sum: the auditor's first, then those after decryption.

    In a run, a sum that the auditor rejects is never decrypted. Here every check runs, to show what each one detects.
    """
    total = forge(desk, forgery) if forgery != "none" else honest(desk)
    caught = []
    if RE_ADDING in checks and honest(desk).blocks != total.blocks:
        caught.append(RE_ADDING)
    scheme = open_scheme(desk.scheme)
    partial = scheme.partial_decrypt(desk.share, total, (desk.share.index,))
    opened = scheme.open(desk.public_key, total, [partial], bound=1.0)
    caught += [check for check in (COUNT, TAG) if check in checks and _refuses(check, desk, opened)]
    mean = opened.values / opened.integers[0]
    return ForgeryVerdict(forgery, tuple(caught), mean, float(np.max(np.abs(mean - np.mean(desk.updates, axis=0)))))


def _refuses(check: str, desk: Desk, opened: Opened) -> bool:
    if check == COUNT:
        return opened.integers[1] != len(desk.uploads)
    if desk.tag_key is None:
        return False
    try:
        names = [client_name(k) for k in range(1, len(desk.uploads) + 1)]
        desk.tag_key.check(opened, names, _EXPERIMENT, Position(1, 2))
    except IntegrityError:
        return True
    return False
