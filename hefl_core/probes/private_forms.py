"""Secrets that no keyless party may have, in every form that they take in memory: updates, sums, models, records.

Entropy is estimated from below: the Shannon entropy of a vector's own entries, which cannot exceed log2 of its length,
times the entries of a piece. Pieces of equal or zero entries (a pixel that is always black) are not taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from hefl_core.errors import KeyNotActive, RoundError
from hefl_core.federation.client import Client, Observation, Private
from hefl_core.keys.private_forms import identity_forms, sealing_forms, tag_forms
from hefl_core.schemes.base import Vector
from hefl_core.schemes.fixed_point import FixedPoint, pack_words
from hefl_core.schemes.paillier.words import PaillierWords
from hefl_core.schemes.presets import BFVPreset, FieldPreset, OneTimePreset, PaillierPreset
from hefl_core.schemes.private_forms import one_time_forms, share_forms
from hefl_core.schemes.registry import load_preset, open_scheme
from hefl_core.terms.adaptive_bound import FieldScheme
from hefl_core.terms.experiment import Manifest
from hefl_core.wire.fingerprint import ANCHOR_BYTES, SMALLEST_BITS, Fingerprint, Form, Salt

UPDATE, AGGREGATE, MODEL, RECORD = "plaintext update", "aggregate", "model after θ_0", "training records"
Stages: TypeAlias = tuple[tuple[str, Vector], ...]
"""Names and values of what an update was before."""
FLOATS = ("<f4", "<f8", ">f4", ">f8")
TRIES = 64
"""Places that are tried for a piece."""
SPARE = 4
"""Extra entries beyond what the entropy needs, since some are equal or zero."""
KEY_PIECES = 8
"""Pieces of each form of a key."""


@dataclass(frozen=True)
class Numbers:
    """How a run quantises a vector into fields and words."""

    scheme: str
    max_terms: int

    @property
    def fields(self) -> FixedPoint | None:
        """The quantiser, None where the scheme has none (CKKS, plaintext)."""
        preset = load_preset(self.scheme)
        if not isinstance(preset, FieldPreset) or not preset.field_bits:
            return None
        return cast(FieldScheme, open_scheme(self.scheme)).fields(self.max_terms)


def vector_forms(kind: str, name: str, vector: Vector, count: int, seed: int) -> Iterator[Form]:
    """``count`` pieces of a vector of real numbers in each form: float32 and float64, both byte orders."""
    for order in FLOATS:
        yield from _pieces(kind, f"{name}, {order}", vector.astype(order), _entropy(vector), count, seed)


def field_forms(
    kind: str, name: str, fields: npt.NDArray[np.uint64], offset: int, numbers: Numbers, count: int, seed: int
) -> Iterator[Form]:
    """The same for quantised entries: fields with their offset, signed integers without, and packed words."""
    bits = _entropy(fields)
    signed = fields.astype(np.int64) - offset
    for order, values in (
        ("<u8", fields),
        (">u8", fields),
        ("<i8", signed),
        (">i8", signed),
        ("<i4", signed),
        ("<f8", signed),
    ):
        yield from _pieces(kind, f"{name}, quantised {order}", values.astype(order), bits, count, seed)
    preset = load_preset(numbers.scheme)
    if isinstance(preset, BFVPreset | OneTimePreset):
        words = pack_words(preset, fields)
        for order in ("<u8", ">u8"):
            yield from _pieces(
                kind, f"{name}, packed words {order}", words.astype(order), bits * preset.fields, count, seed
            )
    elif isinstance(preset, PaillierPreset):
        yield from _number_forms(kind, name, fields, preset, bits, count)


def _number_forms(
    kind: str, name: str, fields: npt.NDArray[np.uint64], preset: PaillierPreset, bits: float, count: int
) -> Iterator[Form]:
    """Packed fields as one long integer per block, in GMP's byte order and in the other."""
    if bits <= 0:  # equal entries: nothing by which to know them
        return
    paillier = PaillierWords(preset)
    words, _ = paillier.layout.write((0, 0), paillier.pack(fields), True)
    density = bits / preset.field_bits * 8
    size = max(ANCHOR_BYTES, -(-int(SMALLEST_BITS / density + 1) // 8) * 8)
    for number, word in enumerate(words[:count]):
        for order in ("little", "big"):
            data = int(word).to_bytes(-(-int(word).bit_length() // 64) * 8, order)
            middle = len(data) // 2 // 8 * 8 - size // 2 // 8 * 8
            piece = data[max(0, middle) :][:size]
            if len(piece) == size and len(set(piece)) > 8:
                yield Form(kind, f"{name}, block {number} {order}-endian", piece, size * density)


def update_forms(
    name: str, update: Vector, weighted: Vector, bound: float | None, numbers: Numbers, count: int, seed: int
) -> Iterator[Form]:
    """A client's update: as it is, weighted by n_k/n_max, and as it is quantised and packed for encryption."""
    yield from vector_forms(UPDATE, f"{name}, update", update, count, seed)
    if not np.array_equal(weighted, update):
        yield from vector_forms(UPDATE, f"{name}, weighted update", weighted, count, seed)
    if bound is not None and (fields := numbers.fields) is not None:
        quantised = fields.quantise(np.clip(weighted, -bound, bound), bound)
        yield from field_forms(UPDATE, f"{name}, weighted update", quantised, fields.offset, numbers, count, seed)


def earlier_forms(
    name: str, stages: Stages, share: float, bound: float | None, numbers: Numbers, count: int, seed: int
) -> Iterator[Form]:
    """What an update was before clip, noise and rounding, in every form of the update itself."""
    for what, vector in stages:
        yield from update_forms(f"{name}, {what}", vector, vector * share, bound, numbers, count, seed)


def stages_of(seen: Observation) -> Stages:
    """An observed update before its clip, and before its noise, where these are others than what was encrypted."""
    found = (("before its clip", seen.trained), ("before its noise", seen.before_noise))
    return tuple((what, np.frombuffer(raw, dtype=np.float64)) for what, raw in found if raw)


def mean_forms(name: str, mean: Vector, count: int, seed: int) -> Iterator[Form]:
    """The decrypted weighted mean."""
    return vector_forms(AGGREGATE, f"{name}, mean", mean, count, seed)


def sum_forms(
    name: str, parts: Sequence[Vector], bound: float | None, numbers: Numbers, count: int, seed: int
) -> Iterator[Form]:
    """The sum of weighted updates, as numbers and as summed fields, which a decryption yields first."""
    yield from vector_forms(AGGREGATE, f"{name}, sum", np.sum(parts, axis=0), count, seed)
    if bound is not None and (fields := numbers.fields) is not None:
        quantised = [fields.quantise(np.clip(part, -bound, bound), bound) for part in parts]
        summed: npt.NDArray[np.uint64] = np.sum(quantised, axis=0, dtype=np.uint64)
        yield from field_forms(AGGREGATE, f"{name}, sum", summed, len(parts) * fields.offset, numbers, count, seed)


def model_forms(name: str, theta: npt.NDArray[np.float32], mean: Vector, count: int, seed: int) -> Iterator[Form]:
    """A model after ``mean`` was added, in places where that changed it: in float32 a small step leaves an entry as it was."""
    moved = np.abs(mean) > np.spacing(np.abs(theta))
    for order in FLOATS:
        yield from _pieces(MODEL, f"{name}, {order}", theta.astype(order), _entropy(theta), count, seed, alive=moved)


def record_forms(name: str, rows: npt.NDArray[np.floating[Any]], count: int, seed: int) -> Iterator[Form]:
    """A client's records, row after row."""
    return vector_forms(RECORD, name, np.asarray(rows, np.float64).ravel(), count, seed)


def client_fingerprints(client: Client, salt: Salt, count: int, seed: int) -> tuple[Fingerprint, ...]:
    """Fingerprints of everything that this client holds and no keyless party may. Computed where the client runs.

    Leaks: what :class:`Fingerprint` says.
    """
    return tuple(salt.fingerprint(form) for form in _client_forms(client, count, seed))


def _client_forms(client: Client, count: int, seed: int) -> Iterator[Form]:
    yield from identity_forms(client.identity)
    with suppress(KeyNotActive):  # before the key was dealt, or when it is destroyed
        epoch = client.enrolment.record.epoch
        yield from tag_forms(client.enrolment.tag_key, epoch)
        yield from share_forms(client.enrolment.share, KEY_PIECES)
        yield from sealing_forms(client.enrolment.sealing_key(epoch), epoch)
    for what, keys in client.one_time_keys():
        yield from one_time_forms(cast(OneTimePreset, client.scheme.preset), keys, f"{client.name}, {what}", KEY_PIECES)
    with suppress(RoundError):  # before the first training
        yield from _private_forms(
            client.name, client.private_side(), client.manifest.experiment.preset.name, count, seed
        )


def _private_forms(name: str, own: Private, scheme: str, count: int, seed: int) -> Iterator[Form]:
    numbers = Numbers(scheme, own.max_terms)
    label = f"{name}, round {own.round}"
    yield from update_forms(label, own.update, own.weighted, own.bound, numbers, count, seed)
    rounded = None if np.array_equal(own.weighted, own.update * own.share) else own.update
    found = (
        ("before its clip", own.trained),
        ("before its noise", own.before_noise),
        ("before its rounding", rounded),
    )
    stages = tuple((what, vector) for what, vector in found if vector is not None)
    yield from earlier_forms(label, stages, own.share, own.bound, numbers, count, seed)
    if own.mean is not None:
        yield from mean_forms(f"{label}, applied", own.mean, count, seed)
        yield from model_forms(f"{label}, model", own.theta, own.mean, count, seed)


# -- pieces ----------------------------------------------------------------------------------------------------


def _entropy(values: npt.NDArray[Any]) -> float:
    """Empirical Shannon entropy of the entries, in bits per entry."""
    _, counts = np.unique(values, return_counts=True)
    shares = counts / counts.sum()
    return float(-np.sum(shares * np.log2(shares)))


def _pieces(
    kind: str,
    name: str,
    values: npt.NDArray[Any],
    bits: float,
    count: int,
    seed: int,
    *,
    alive: npt.NDArray[np.bool_] | None = None,
) -> Iterator[Form]:
    """Of randomly drawn pieces the ``count`` with most distinct entries; only these count towards the entropy."""
    if bits <= 0:
        return
    size = max(-(-ANCHOR_BYTES // values.itemsize), math.ceil(SMALLEST_BITS / bits) + SPARE)
    places = np.random.default_rng(seed).integers(0, max(1, len(values) - size + 1), TRIES)
    good = values != 0 if alive is None else alive & (values != 0)
    found = {int(at): len(np.unique(values[at : at + size][good[at : at + size]])) for at in places}
    for at in sorted(found, key=lambda place: -found[place])[:count]:
        data = values[at : at + size].tobytes()
        if found[at] * bits >= SMALLEST_BITS and len(data) >= ANCHOR_BYTES:
            yield Form(kind, f"{name} at {at}", data, found[at] * bits)


def observed_forms(manifest: Manifest, observations: Sequence[Observation], pieces: int, seed: int) -> Iterator[Form]:
    """One round's updates, sum, mean and model, from the clients' observations; as they were encrypted, too."""
    experiment, bounds, weighted = manifest.experiment, [], []
    numbers = Numbers(experiment.preset.name, experiment.clients)
    for seen in observations:
        name = f"{seen.client}, round {seen.position.round}, observed"
        update, rotation = np.frombuffer(seen.update, dtype=np.float64), manifest.rotation(seen.position.round)
        weighted.append(update * (seen.examples / manifest.examples_max))
        if rotation is not None:
            weighted[-1] = rotation.apply(weighted[-1])
        bounds.append(experiment.declared_bound if seen.bound is None else seen.bound)
        yield from update_forms(name, update, weighted[-1], bounds[-1], numbers, pieces, seed)
        share = seen.examples / manifest.examples_max
        yield from earlier_forms(name, stages_of(seen), share, bounds[-1], numbers, pieces, seed)
        if seen.applied and seen.theta:
            mean = np.frombuffer(seen.applied, dtype=np.float64)
            yield from mean_forms(name, mean, pieces, seed)
            theta = np.frombuffer(seen.theta, np.float32)
            yield from model_forms(f"{name}, model", theta, mean, pieces, seed)
    if weighted:
        round_ = observations[0].position.round
        yield from sum_forms(f"round {round_}, observed", weighted, bounds[0], numbers, pieces, seed)
