"""Are a run's ciphertexts uniform? Tests of residues by their size and by all their bits, of uploads and between them.

With fresh masks a ring ciphertext's residues are uniform modulo each prime, and a Paillier ciphertext is uniform modulo n.
So is the difference (the quotient) of any two uploads; a reused mask shows there. Headers and compressed bytes are not
uniform: only the residues in them are tested.

Passing is no proof. Failing is: the family of tests raises a false alarm with probability ``alpha`` at most (Bonferroni).
Source: Pearson 1900 (χ²); Lyubashevsky, Peikert, Regev 2010 and Paillier 1999 for what is uniform.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, cast

import gmpy2
import numpy as np
import numpy.typing as npt

from hefl_core.federation.record.transcript import Transcript
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.onetime.scheme import OneTimeScheme
from hefl_core.schemes.paillier.keys import open_public
from hefl_core.schemes.presets import OneTimePreset, PaillierPreset, RingPreset
from hefl_core.schemes.registry import load_preset, open_scheme
from hefl_core.schemes.ring import blocks, rlwe, seal
from hefl_core.terms import messages as m
from hefl_core.wire.canonical import decode

FAMILY_ALPHA: Final = 1e-9
"""Every run, lesson and test asks: at 1e-3 one honest run in a thousand would raise a false alarm."""
BINS: Final = 256
SMALLEST_EXPECTED: Final = 8
"""Expected count per bin; fewer bins where there are fewer numbers."""
MOST_UPLOADS: Final = 60
MOST_RING_BLOCKS, MOST_NUMBERS = 4, 64
"""Drawn of each upload: a ring block has thousands of residues, and a quotient of Paillier's numbers takes time."""
MOST_BITS: Final = 64
"""Of Paillier's numbers of thousands of bits the low ones; a ring's residues have fewer."""
MOD_N, DIV_N = "c mod n", "c div n"

T = TypeVar("T")
Numbers = npt.NDArray[Any]
"""uint64, or Python integers in an object array."""


@dataclass(frozen=True)
class CiphertextRow:
    """The numbers of one kind modulo ``modulus``, an array per upload in the order of sending."""

    label: str
    modulus: int
    uploads: tuple[Numbers, ...]
    by_quotient: bool = False

    def between(self, a: int, b: int) -> Numbers:
        """The difference, or the quotient: it cancels a common mask."""
        x, y, q = self.uploads[a], self.uploads[b], self.modulus
        if self.by_quotient:
            return _integers([left * gmpy2.invert(right, q) % q for left, right in zip(x, y, strict=True)])
        return np.where(x >= y, x - y, x + (np.uint64(q) - y))  # uint64 would wrap below zero


@dataclass(frozen=True, slots=True)
class Trial:
    """One χ² test against the uniform distribution."""

    name: str
    numbers: int
    bins: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Uniformity:
    """A family of tests. ``holds``: none of them is below its share of ``alpha``."""

    uploads: int
    alpha: float
    tests: tuple[Trial, ...]

    @property
    def holds(self) -> bool:
        """Whether no test fails."""
        return bool(self.tests) and self.smallest_p >= self.alpha / len(self.tests)

    @property
    def smallest_p(self) -> float:
        """The smallest p-value of all tests; 0 where there was nothing to test."""
        return min((test.p_value for test in self.tests), default=0.0)

    @property
    def p_text(self) -> str:
        """The smallest p as text: a float underflows to 0."""
        return f"= {self.smallest_p:.2g}" if self.smallest_p else "< 1e-300"

    @property
    def numbers(self) -> int:
        """Numbers tested, summed over the tests."""
        return sum(test.numbers for test in self.tests)


def rows_of(
    transcript: Transcript, most: int = MOST_UPLOADS, epoch: int | None = None
) -> tuple[tuple[str, ...], tuple[CiphertextRow, ...]]:
    """(senders, rows) of at most ``most`` uploads under one key, by default the newest; of more, in every attempt, as many drawn.

    The record's digest decides the draw, which came after every upload. Raises: WireError for bytes that are no ciphertext.
    """
    sent = [one for one in transcript.sent if one.step == m.UPDATE and transcript.content(one) is not None]
    if not sent:
        return (), ()
    sent = [one for one in sent if one.position.epoch == (epoch or sent[-1].position.epoch)]
    sent = _drawn(sent, most, transcript.tail[1])
    vectors = [decode(transcript.content(one) or b"", CiphertextVector) for one in sent]
    announced = [decode(transcript.body(one), EpochAnnouncement) for one in transcript.sent if one.step == "epoch"]
    key = next(one.public_key for one in reversed(announced) if one.public_key.id == vectors[0].key_id)
    return tuple(one.sender for one in sent), tuple(read_rows(key, vectors, transcript.tail[1]))


def _drawn(found: Sequence[T], most: int, seed: bytes) -> list[T]:
    """So many of these, in their order, chosen by the seed."""
    if len(found) <= most:
        return list(found)
    chosen = np.random.default_rng(list(seed)).choice(len(found), most, replace=False)
    return [found[at] for at in sorted(chosen)]


def read_rows(key: PublicKey, vectors: Sequence[CiphertextVector], seed: bytes = b"") -> Iterator[CiphertextRow]:
    """The numbers inside ciphertexts; of many blocks those that the seed draws, the same of each. Raises: WireError."""
    number = _drawn(range(min((len(vector.blocks) for vector in vectors), default=0)), MOST_NUMBERS, seed)
    ringed = _drawn(number, MOST_RING_BLOCKS, seed)
    preset = load_preset(key.id.preset)
    if isinstance(preset, RingPreset):
        ring = seal.open_ring(preset)
        read = [
            np.stack(
                [
                    blocks.read(preset, ring, block, "block", fresh=vector.terms == 1)
                    for block in (vector.blocks[at] for at in ringed)
                ]
            )
            for vector in vectors
        ]
        for at, prime in enumerate(rlwe.data_primes(ring)):
            for part in (0, 1):
                yield CiphertextRow(f"c{part} mod q_{at + 1}", prime, tuple(one[:, part, at].ravel() for one in read))
    elif isinstance(preset, OneTimePreset):
        yield from _one_time_rows(cast(OneTimeScheme, open_scheme(preset.name)), key, vectors, seed)
    elif isinstance(preset, PaillierPreset):
        modulus = open_public(preset, key.material)
        numbers = [modulus.read(tuple(vector.blocks[at] for at in number)) for vector in vectors]
        residues = tuple(_integers([c % modulus.n for c in one]) for one in numbers)
        yield CiphertextRow(MOD_N, int(modulus.n), residues, by_quotient=True)
        yield CiphertextRow(DIV_N, int(modulus.n), tuple(_integers([c // modulus.n for c in one]) for one in numbers))
    else:
        yield CiphertextRow(
            "bytes", 256, tuple(np.frombuffer(b"".join(v.blocks), np.uint8).astype(np.uint64) for v in vectors)
        )


def _one_time_rows(
    scheme: OneTimeScheme, key: PublicKey, vectors: Sequence[CiphertextVector], seed: bytes
) -> Iterator[CiphertextRow]:
    """The short part's two polynomials, of c0 what is sent, and the long part, in which a retry must repeat its body: once."""
    transport = scheme.transport(key.quorum)
    read = [scheme.read(key, vector) for vector in vectors]
    for at, prime in enumerate(transport.primes):
        yield CiphertextRow(f"c0 mod q_{at + 1}", prime, tuple(short[0, at, : transport.used] for short, _ in read))
        yield CiphertextRow(f"c1 mod q_{at + 1}", prime, tuple(short[1, at] for short, _ in read))
    drawn = _drawn(range(min((len(rows) for _, rows in read), default=0)), MOST_RING_BLOCKS, seed)
    bodies, known = list[Numbers](), set[bytes]()
    for vector, (_, rows) in zip(vectors, read, strict=True):
        lasting = scheme.lasting(vector)
        bodies.append(np.concatenate([rows[at] for at in drawn])[: 0 if lasting in known else None])
        known.add(lasting)
    yield CiphertextRow("b mod q", scheme.body.prime, tuple(bodies))


def compare(senders: Sequence[str], rows: Sequence[CiphertextRow], alpha: float = FAMILY_ALPHA) -> Uniformity:
    """Every row of all uploads together and of each alone, and between each upload and the next one, of all and of the same
    client; each by size and bits.
    """
    tests: list[Trial] = []
    for row in rows:
        there = [at for at, one in enumerate(row.uploads) if len(one)]
        tests += _trials(row.label, row.modulus, row.uploads)
        if len(there) > 1:  # one client's bad masks would drown in the good ones of many
            for at in there:
                tests += _trials(f"{row.label}, {senders[at]}'s upload {at + 1}", row.modulus, [row.uploads[at]])
        if row.label == DIV_N:
            continue  # a quotient has a meaning modulo n only
        for name, same in (("next", False), ("same client's next", True)):
            if pairs := _next(senders, there, same=same):
                found = [row.between(a, b) for a, b in pairs]
                tests += _trials(f"{row.label}, to the {name} upload", row.modulus, found)
    return Uniformity(len(senders), alpha, tuple(tests))


def _integers(numbers: Sequence[Any]) -> Numbers:
    return np.array([int(number) for number in numbers], dtype=np.object_)


def _next(senders: Sequence[str], there: Sequence[int], *, same: bool) -> list[tuple[int, int]]:
    pairs, last = [], dict[str, int]()
    for at in there:
        sender = senders[at]
        before = last.get(sender if same else "")
        if before is not None:
            pairs.append((before, at))
        last[sender if same else ""] = at
    return pairs


def _trials(name: str, modulus: int, uploads: Sequence[Numbers]) -> Iterator[Trial]:
    """The numbers by their size, which the high bits decide, and by every run of bits below."""
    total = sum(len(one) for one in uploads)
    width = max(1, min(BINS.bit_length() - 1, (total // SMALLEST_EXPECTED).bit_length() - 1, modulus.bit_length() - 1))
    bins = 1 << width
    yield _chi_square(name, [_by_size(one, modulus, bins) for one in uploads], np.full(bins, 1 / bins))
    for low in range(0, min(modulus.bit_length() - width, MOST_BITS), width):
        chosen = [((one >> low) % bins).astype(np.int64) for one in uploads]
        yield _chi_square(f"{name}, bits {low} to {low + width - 1}", chosen, _shares(modulus, low, bins))


def _shares(modulus: int, low: int, bins: int) -> npt.NDArray[np.float64]:
    """How often the bits from ``low`` on have each value in the numbers below the modulus, as shares."""
    whole, rest = divmod(modulus, bins << low)
    counts = [(whole << low) + min(max(rest - (value << low), 0), 1 << low) for value in range(bins)]
    return np.array([count / modulus for count in counts])


def _by_size(numbers: Numbers, modulus: int, bins: int) -> npt.NDArray[np.int64]:
    if numbers.dtype == object:
        return np.array([value * bins // modulus for value in numbers.tolist()], dtype=np.int64)
    # Rounding in float64 may reach the bin past the last.
    return np.minimum((numbers * (bins / modulus)).astype(np.int64), bins - 1)


def _chi_square(name: str, uploads: Sequence[npt.NDArray[np.int64]], shares: npt.NDArray[np.float64]) -> Trial:
    """``uploads``: the bin of each number. ``shares``: of the bins, where the numbers are uniform."""
    from scipy.stats import chi2  # takes a third of a second to import; most callers never test anything

    bins, total = len(shares), sum(len(one) for one in uploads)
    counts = np.zeros(bins, dtype=np.int64)
    for one in uploads:
        counts += np.bincount(one, minlength=bins)
    expected = total * shares
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    return Trial(name, total, bins, float(chi2.sf(statistic, bins - 1)))


# -- controls: the same run's ciphertexts, from a broken scheme ------------------------------------------------


def unmasked(rows: Sequence[CiphertextRow], seed: int = 0) -> tuple[CiphertextRow, ...]:
    """Control: ciphertexts without a mask: c1 = 0 and a plaintext in c0; (1 + n)^m."""
    rng = np.random.default_rng(seed)
    return tuple(_without_mask(row, rng) for row in rows)


def _without_mask(row: CiphertextRow, rng: np.random.Generator) -> CiphertextRow:
    def plain(like: Numbers) -> Numbers:
        if like.dtype == object:
            return _integers([1 if row.by_quotient else word for word in _plaintexts(len(like), rng)])
        return (
            np.zeros_like(like) if row.label.startswith("c1") else _plaintexts(len(like), rng) % np.uint64(row.modulus)
        )

    return replace(row, uploads=tuple(plain(one) for one in row.uploads))


def same_mask(rows: Sequence[CiphertextRow], seed: int = 0) -> tuple[CiphertextRow, ...]:
    """Control: every upload has the first one's mask: only the plaintexts differ."""
    rng = np.random.default_rng(seed)
    return tuple(_with_one_mask(row, rng) for row in rows)


def _with_one_mask(row: CiphertextRow, rng: np.random.Generator) -> CiphertextRow:
    first = row.uploads[0]
    if first.dtype == object or row.label.startswith("c1"):
        return replace(row, uploads=(first,) * len(row.uploads))  # (1 + n)^m changes nothing modulo n
    moved = tuple(
        (first + _plaintexts(len(first), rng) % np.uint64(row.modulus)) % np.uint64(row.modulus) for _ in row.uploads
    )
    return replace(row, uploads=moved)


def _plaintexts(count: int, rng: np.random.Generator) -> npt.NDArray[np.uint64]:
    """Quantised entries of an update: small numbers around an offset."""
    return (2**15 + np.rint(rng.normal(0, 300, count))).astype(np.uint64)
