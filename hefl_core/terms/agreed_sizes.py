"""Sizes that the agreed terms fix: how many ciphertext blocks a header names, and how many bytes a content has.

A size that a client could choose would be a place for a number of its own, such as its count of examples. Only two things
are free: SEAL's compression (CKKS of the tutorials), within what it can do, and the widths of numbers from 128 on.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import starmap
from typing import Final

from hefl_core.ids import KeyId
from hefl_core.schemes.base import CiphertextVector, PartialDecryption
from hefl_core.schemes.registry import INTEGERS, block_count, fresh_nbytes, opened_count, partial_nbytes
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.canonical import bytes_nbytes, encode, list_head
from hefl_core.wire.envelope import Position

WITH_BLOCKS: Final = (m.UPDATE, m.SUM, m.CONFIRMATION)
"""Kinds whose header says how many ciphertext blocks they are about; of all others it says 0."""
MOST_CLIENTS: Final = 1000
_DIGEST: Final = bytes(32)
Range = tuple[int, int]
"""Least and most."""


def blocks_of(kind: str, experiment: Experiment, parameters: int) -> int:
    """How many ciphertext blocks a header of this kind names: preset and d fix it."""
    return block_count(experiment.preset, parameters) if kind in WITH_BLOCKS else 0


def content_nbytes(kind: str, experiment: Experiment, parameters: int, position: Position) -> Range | None:
    """Bytes of a client's content of this kind; None for a kind whose size says nothing of a client, or is free."""
    if kind == m.UPDATE:
        return upload_nbytes(experiment, parameters, position.epoch)
    if kind == m.PARTIAL:
        return _partial_nbytes(experiment, parameters, position.epoch)
    if kind == m.COMMITMENT:
        later = m.MAX_ATTEMPTS - position.attempt if experiment.quorum.collective else 0
        least, most = upload_nbytes(experiment, parameters, position.epoch)
        return _of_commitment(least, later), _of_commitment(most, later)
    same = {m.READY: m.Ready(_DIGEST, _DIGEST), m.RECEIPT: m.Receipt(_DIGEST, _DIGEST)}
    return (len(encode(same[kind])),) * 2 if kind in same else None


@lru_cache(maxsize=256)
def upload_nbytes(experiment: Experiment, parameters: int, epoch: int) -> Range:
    """Bytes of the ciphertext that a client commits to, and uploads, under the key of this epoch."""
    preset = experiment.preset
    sizes = fresh_nbytes(preset, parameters, experiment.quorum)
    of_blocks = [sum(map(bytes_nbytes, every)) for every in zip(*sizes, strict=True)]
    bound = None if experiment.declared_bound is None else float(experiment.declared_bound)
    labels = [
        CiphertextVector(_key_id(experiment, epoch), parameters, INTEGERS, preset.tagged, bound, terms, 1, ())
        for terms in (1, MOST_CLIENTS)
    ]
    least, most = starmap(lambda label, found: len(encode(label)) + found, zip(labels, of_blocks, strict=True))
    head = list_head(len(sizes)) - list_head(0)
    return least + head, most + head


@lru_cache(maxsize=256)
def _partial_nbytes(experiment: Experiment, parameters: int, epoch: int) -> Range:
    """The same for a partial decryption by any holder of any active set."""
    preset, need = experiment.preset, experiment.quorum.threshold
    count = opened_count(preset, parameters)
    of_blocks = list_head(count) - list_head(0) + count * bytes_nbytes(partial_nbytes(preset))
    least, most = (
        len(encode(PartialDecryption(_key_id(experiment, epoch), holder, (holder,) * need, _DIGEST, ())))
        for holder in (1, MOST_CLIENTS)
    )
    return least + of_blocks, most + of_blocks


def _of_commitment(nbytes: int, spares: int) -> int:
    return len(encode(m.Commitment(_DIGEST, nbytes, (_DIGEST,) * spares)))


def _key_id(experiment: Experiment, epoch: int) -> KeyId:
    preset = experiment.preset
    return KeyId(preset.family, preset.name, epoch, _DIGEST.hex())
