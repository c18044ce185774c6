"""Benches for the homomorphic schemes' inputs: updates, sums, keys, shares and partial decryptions.

The damage is done *behind* the signature, as if a party had signed it. If a preset has a tag, the tag must reveal it; if it
has none (CKKS, plaintext), another valid ciphertext is a lie of its sender that no receiver can see.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np

from hefl_core.checks.damage.mutation import Mutant, mutate, zstd_bomb
from hefl_core.checks.damage.outcomes import AcceptedWrong, Bench, Special, alike
from hefl_core.errors import HeflError, IntegrityError
from hefl_core.ids import KeyId, client_name, digest
from hefl_core.keys.epochs import fingerprint
from hefl_core.keys.sealing import pack_share, unpack_share
from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import CiphertextVector, Opened, PartialDecryption, PublicKey, Vector
from hefl_core.schemes.presets import PaillierPreset, RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring.seal import HEADER_BYTES, ZSTD, header
from hefl_core.terms.admission import check_agreed, read_ciphertext
from hefl_core.terms.messages import RoundPlan
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import NO_DIGEST, Header, Position

BOUND = 0.5
MAX_TERMS = 5
EXPERIMENT = "corruption"
PLACE = Position(1, 1)
EXAMPLES = 3


class World:
    """One preset under one quorum: keys, a tag key, and one update of each of three clients."""

    def __init__(self, preset: str, threshold: int) -> None:
        self.scheme = open_scheme(preset)
        self.preset = self.scheme.preset
        self.quorum = Quorum(threshold, 3)
        self.key, self.shares = self.scheme.keygen(self.quorum)
        self.tag_key = TagKey()
        length = 6 if isinstance(self.preset, PaillierPreset) else 30
        rng = np.random.default_rng(11)
        self.clients = tuple(client_name(number) for number in (1, 2, 3))
        self.updates = [rng.uniform(-BOUND, BOUND, length) for _ in self.clients]
        self.vectors = [self._encrypt(x, name) for x, name in zip(self.updates, self.clients, strict=True)]
        self.plan = RoundPlan(NO_DIGEST, NO_DIGEST, self.clients, 3, BOUND, MAX_TERMS, EXAMPLES, length, theta_0=None)
        self.total = self.sum(self.vectors[:2])

    def _encrypt(self, x: Vector, client: str) -> CiphertextVector:
        tag = self.tag_key.for_message(EXPERIMENT, 1, 1, 1, client) if self.preset.tagged else None
        maker = self.shares[0] if self.preset.symmetric else self.key
        return self.scheme.encrypt(maker, x, bound=BOUND, max_terms=MAX_TERMS, integers=(EXAMPLES, 1), tag=tag)

    def sum(self, vectors: list[CiphertextVector]) -> CiphertextVector:
        """With the public key alone."""
        running = self.scheme.accumulator(self.key)
        for vector in vectors:
            running.add(vector)
        return running.total()

    def parts(self, total: CiphertextVector) -> list[PartialDecryption]:
        """The first t holders' partial decryptions."""
        holders = self.shares[: self.quorum.threshold]
        active = {share.index for share in holders}
        return [self.scheme.partial_decrypt(share, total, active) for share in holders]

    def open(
        self,
        total: CiphertextVector,
        parts: list[PartialDecryption],
        clients: tuple[str, ...],
        tag_key: TagKey | None = None,
    ) -> tuple[tuple[int, ...], Vector]:
        """Open a sum as a client does: combine, and compare count and tag."""
        opened: Opened = self.scheme.open(self.key, total, parts, bound=BOUND)
        if opened.integers[1:] != (len(clients),):
            raise IntegrityError(f"count: expected {len(clients)}, found {opened.integers}")
        if self.preset.tagged:
            (tag_key or self.tag_key).check(opened, clients, EXPERIMENT, PLACE)
        return opened.integers, opened.values

    def meaning(self, *which: int) -> tuple[tuple[int, ...], Vector]:
        """The true sum of these clients' updates."""
        total: Vector = np.sum([self.updates[n] for n in which], axis=0)
        return (EXAMPLES * len(which), len(which)), total

    def same(self, found: Any, expected: Any) -> bool:
        """Equal integers, and values within the scheme's stated error."""
        (integers, values), (exact, wanted) = found, expected
        error = self.scheme.sum_error(BOUND, exact[1], MAX_TERMS)
        return integers == exact and len(values) == len(wanted) and float(np.max(np.abs(values - wanted))) <= error

    def bench(self, inputs: tuple[bytes, ...], door: Any, expected: tuple[Any, ...], *specials: Special) -> Bench:
        """A bench in this world."""
        return Bench(
            inputs,
            door,
            expected,
            same=self.same,
            specials=specials if isinstance(self.preset, RingPreset) else (),
            unsealed=not self.preset.tagged,
        )


@lru_cache(maxsize=1)
def world(preset: str, threshold: int) -> World:
    """The last world is kept: neighbouring targets share it."""
    return World(preset, threshold)


def updates(preset: str, threshold: int = 1) -> Bench:
    """A client's upload, as coordinator and auditor read it; then added to an honest one, opened, checked."""
    w = world(preset, threshold)
    one = w.vectors[0]
    head = _header(w.key.id, one)

    def door(data: bytes) -> Any:
        vector = read_ciphertext(data, head, w.scheme, w.key)
        check_agreed(vector, w.plan, w.preset.tagged, "update")
        total = w.sum([vector, w.vectors[2]])
        return w.open(total, w.parts(total), (w.clients[0], w.clients[2]))

    inputs = (one.to_bytes(),)
    lenders = (*inputs, w.vectors[1].to_bytes())
    bench = w.bench(inputs, door, (w.meaning(0, 2),), _bomb)
    return replace(bench, damage=lambda rng, _, which: mutate(rng, lenders, which))


def sums(preset: str, threshold: int = 1) -> Bench:
    """The coordinator's sum, as holders and clients read it."""
    w = world(preset, threshold)

    def door(data: bytes) -> Any:
        total = decode(data, CiphertextVector)
        check_agreed(total, w.plan, w.preset.tagged, "sum")
        if total.terms != 2:
            raise IntegrityError(f"sum: expected 2 terms, found {total.terms}")
        return w.open(total, w.parts(total), w.clients[:2])

    return w.bench((w.total.to_bytes(),), door, (w.meaning(0, 1),), _bomb)


def partials(preset: str, threshold: int) -> Bench:
    """A holder's partial decryption, as the clients combine it with the others'."""
    w = world(preset, threshold)
    first, *others = w.parts(w.total)

    def door(data: bytes) -> Any:
        return w.open(w.total, [PartialDecryption.from_bytes(data), *others], w.clients[:2])

    return w.bench((first.to_bytes(),), door, (w.meaning(0, 1),))


def shares(preset: str, threshold: int = 1) -> Bench:
    """A share and the tag key, as a client reads them after opening the KMS's message."""
    w = world(preset, threshold)
    others = w.shares[1 : w.quorum.threshold]

    def door(data: bytes) -> Any:
        share, tag_key = unpack_share(data)
        active = {one.index for one in (share, *others)}
        parts = [w.scheme.partial_decrypt(one, w.total, active) for one in (share, *others)]
        return w.open(w.total, parts, w.clients[:2], tag_key or TagKey())

    return w.bench((pack_share(w.shares[0], w.tag_key),), door, (w.meaning(0, 1),))


def public_keys(preset: str, threshold: int = 1) -> Bench:
    """A public key, used to encrypt and decrypt."""
    w = world(preset, threshold)

    def door(data: bytes) -> Any:
        key = PublicKey.from_bytes(data)
        if w.preset.symmetric:
            w.scheme.check(key, w.vectors[0])
            return w.open(w.total, w.parts(w.total), w.clients[:2])
        vector = w.scheme.encrypt(key, w.updates[0], bound=BOUND, max_terms=MAX_TERMS, integers=(EXAMPLES, 1))
        opened = w.scheme.open(key, vector, w.parts(vector), bound=BOUND)
        return opened.integers, opened.values

    expected = w.meaning(0, 1) if w.preset.symmetric else w.meaning(0)
    return w.bench((w.key.to_bytes(),), door, (expected,))


def key_material(preset: str, threshold: int = 1) -> Bench:
    """A lying KMS's public key: other material under its right fingerprint. Its users must survive it."""
    w = world(preset, threshold)

    def door(data: bytes) -> Any:
        key = PublicKey(replace(w.key.id, fingerprint=_fingerprint(w.key, data)), w.quorum, data)
        w.scheme.encrypt(key, w.updates[0], bound=BOUND, max_terms=MAX_TERMS, integers=(EXAMPLES, 1))
        if data != w.key.material:
            raise AcceptedWrong("another key that encrypts")

    bench = w.bench((w.key.material,), door, (None,), lambda rng, data: Mutant("bomb", bomb_block()))
    return replace(bench, unsealed=True, same=alike)


def _fingerprint(key: PublicKey, material: bytes) -> str:
    return fingerprint(replace(key, material=material))


def _header(key_id: KeyId, vector: CiphertextVector) -> Header:
    """A header with only the fields that are compared with the content."""
    return Header(
        kind="update",
        experiment=EXPERIMENT,
        position=PLACE,
        key_id=str(key_id),
        sender=client_name(1),
        recipients=(),
        sequence=0,
        previous=NO_DIGEST,
        plan=NO_DIGEST,
        state=NO_DIGEST,
        commitments=NO_DIGEST,
        length=vector.length,
        blocks=len(vector.blocks),
        content_nbytes=0,
        content_digest=digest(),
        sealed=True,
    )


@lru_cache(maxsize=1)
def bomb_block() -> bytes:
    """SEAL's header over a zstd stream that unpacks to a gibibyte."""
    body = zstd_bomb()
    block = bytearray(header(HEADER_BYTES + len(body)) + body)
    block[5] = ZSTD
    return bytes(block)


def _bomb(rng: Random, data: bytes) -> Mutant | None:
    """The bomb in place of a block, properly labelled."""
    try:
        vector = decode(data, CiphertextVector)
    except HeflError:
        return None
    place = rng.randrange(len(vector.blocks))
    blocks = (*vector.blocks[:place], bomb_block(), *vector.blocks[place + 1 :])
    return Mutant("bomb", encode(replace(vector, blocks=blocks)))
