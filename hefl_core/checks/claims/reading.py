"""Readings of a run that checks and planted faults share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import NotChecked
from hefl_core.federation.record.protocol_table import UNKEPT_KINDS
from hefl_core.federation.record.transcript import Sent, Transcript
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.runtime.result import RunResult
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms import messages as m
from hefl_core.terms.adaptive_bound import noise_step
from hefl_core.terms.messages import RoundPlan
from hefl_core.wire.canonical import decode


def need_of(condition: bool, message: str) -> None:
    """Stop without a verdict when the check's input is missing. Raises: NotChecked."""
    if not condition:
        raise NotChecked(message)


# -- what several checks read --------------------------------------------------------------------------------


def bodies_of(result: RunResult) -> Transcript:
    """The record with its bodies. Raises: NotChecked when they are missing."""
    need_of(bool(result.transcript.blobs), "the record came without its bodies; keep them to have this checked")
    return result.transcript


def public_keys(transcript: Transcript) -> dict[str, PublicKey]:
    """The announced keys, by name."""
    announced = [decode(transcript.body(s), EpochAnnouncement) for s in transcript.sent if s.step == "epoch"]
    return {str(one.public_key.id): one.public_key for one in announced}


def vectors_of(transcript: Transcript) -> Iterator[tuple[Sent, CiphertextVector]]:
    """Every upload whose content is on record."""
    for sent in transcript.sent:
        if sent.step == m.UPDATE and (content := transcript.content(sent)) is not None:
            yield sent, decode(content, CiphertextVector)


Noise: TypeAlias = npt.NDArray[np.float64]


def noise_step_of(result: RunResult, bound: float, round_: int) -> float:
    """The grid of the noise in a round, from its last plan on record: where a client was revoked, sums have fewer terms."""
    transcript = bodies_of(result)
    plan = next(s for s in reversed(transcript.of_round(round_)) if s.step == m.PLAN)
    terms = decode(transcript.body(plan), RoundPlan).max_terms
    return noise_step(open_scheme(result.experiment.preset.name), bound, terms)


def secrets_sent(transcript: Transcript) -> list[Sent]:
    """The messages that bring a share of the key, or a part of one from client to client."""
    return [s for s in transcript.sent if s.step in UNKEPT_KINDS]
