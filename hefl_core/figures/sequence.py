"""A transcript as messages between lifelines, as one seat sees it: data for the stepper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from hefl_core.federation.client import Observation
from hefl_core.federation.record.transcript import EAVESDROPPER, Sent, Transcript
from hefl_core.figures.knowledge import State, clients_of, knowledge, parties_in
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, OBSERVER
from hefl_core.terms import messages as m
from hefl_core.terms.letter import Work

CARRIES_CIPHERTEXT = (m.UPDATE, m.SUM)
MAX_LANES = 15
Observations: TypeAlias = Mapping[int, Sequence[Observation]]
"""By round, what the clients sealed to the observer."""
NOTHING_OBSERVED: Observations = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a seat has it. ``number`` counts from 1; ``work`` is its sender's, in seconds.

    ``lock``: 'open' (read by this seat), 'ciphertext' (a homomorphic ciphertext it cannot open), 'opened' (one that it can),
    'sealed' (bytes for other readers), 'absent' (this seat never gets it). ``nbytes`` and ``digest`` are None when absent.
    """

    number: int
    step: str
    sender: str
    receivers: tuple[str, ...]
    epoch: int
    round: int
    attempt: int
    lock: str
    sealed: bool
    nbytes: int | None
    digest: str | None
    work: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """Messages that belong together: opening a key epoch (``round`` 0), or one round. ``first`` counts from 1."""

    epoch: int
    round: int
    first: int
    last: int


def lanes(transcript: Transcript) -> tuple[str, ...]:
    """The lifelines from left to right; past fifteen the last clients are left out."""
    return (KMS, COORDINATOR, AUDITOR, *clients_of(transcript))[:MAX_LANES]


def chapters(transcript: Transcript) -> tuple[Chapter, ...]:
    """In the order of the transcript."""
    found: list[Chapter] = []
    for number, sent in enumerate(transcript.sent, start=1):
        place = (sent.position.epoch, sent.position.round)
        if found and (found[-1].epoch, found[-1].round) == place:
            found[-1] = Chapter(*place, found[-1].first, number)
        else:
            found.append(Chapter(*place, number, number))
    return tuple(found)


def chapter_at(transcript: Transcript, sent: int) -> Chapter | None:
    """The chapter of the last of ``sent`` messages."""
    return next((c for c in chapters(transcript) if c.first <= max(1, sent) <= c.last), None)


def sequence(
    transcript: Transcript, seat: str = OBSERVER, observations: Observations = NOTHING_OBSERVED
) -> tuple[Message, ...]:
    """Every message as this seat has it. ``observations``: what the clients sent to the observer, including their costs.

    Leaks: for a seat other than the observer, no size, digest or timing of a message that it never receives.
    """
    parties = parties_in(seat)
    opens, costs, plain = _opened_by(transcript, seat), _costs(observations), load_plain(transcript)
    return tuple(
        _message(number, sent, parties, opens, plain, costs.get(_place(sent), sent.work))
        for number, sent in enumerate(transcript.sent, start=1)
    )


def _costs(observations: Observations) -> dict[tuple[str, int, str], tuple[Work, ...]]:
    """By client, round and kind of message: clients' costs are not on the record."""
    return {
        (seen.client, round_, one.kind): one.work
        for round_, found in observations.items()
        for seen in found
        for one in seen.spent
    }


def _place(sent: Sent) -> tuple[str, int, str]:
    return sent.sender, sent.position.round, sent.step


def load_plain(transcript: Transcript) -> bool:
    """Whether this run hides nothing."""
    return transcript.manifest.experiment.preset.family == "plaintext"


def _opened_by(transcript: Transcript, seat: str) -> frozenset[int]:
    """Numbers of the ciphertext messages whose content this seat can compute by the end of their round."""
    if seat == OBSERVER:
        return frozenset()
    found = set()
    for chapter in chapters(transcript):
        if chapter.round == 0:
            continue
        after = knowledge(transcript, chapter.last, (seat,))
        for number in range(chapter.first, chapter.last + 1):
            sent = transcript.sent[number - 1]
            secret = {m.UPDATE: f"update/{sent.sender}", m.SUM: "sum"}.get(sent.step)
            if secret and after.cell(seat, secret).state in (State.CAN_OPEN, State.KNOWS):
                found.add(number)
    return frozenset(found)


def _message(
    number: int, sent: Sent, parties: frozenset[str], opened: frozenset[int], plain: bool, work: Sequence[Work]
) -> Message:
    lock = lock_of(number, sent, parties, opened, plain)
    seen = lock != "absent"
    mine = OBSERVER in parties or sent.sender in parties
    return Message(
        number=number,
        step=sent.step,
        sender=sent.sender,
        receivers=sent.receivers,
        epoch=sent.position.epoch,
        round=sent.position.round,
        attempt=sent.position.attempt,
        lock=lock,
        sealed=sent.head.header.sealed,
        nbytes=sent.nbytes if seen else None,
        digest=sent.body.hex() if seen else None,
        work=_work(work) if mine else (),
    )


def lock_of(number: int, sent: Sent, parties: frozenset[str], opened: frozenset[int], plain: bool) -> str:
    """How far this seat gets with this message."""
    inside = bool(parties & {sent.sender, *sent.receivers})
    carries = sent.step in CARRIES_CIPHERTEXT and not plain
    if OBSERVER in parties:
        return "ciphertext" if carries else "sealed" if sent.head.header.sealed else "open"
    if not inside and EAVESDROPPER not in parties:
        return "absent"
    if not inside and sent.head.header.sealed:
        return "sealed"
    if carries:
        return "opened" if number in opened else "ciphertext"
    return "open"


def _work(works: Sequence[Work]) -> tuple[tuple[str, float], ...]:
    """Seconds per kind of work, repeated kinds together."""
    total: dict[str, float] = {}
    for work in works:
        total[work.step] = total.get(work.step, 0.0) + work.seconds
    return tuple(total.items())


def picture(transcript: Transcript, seat: str, observations: Observations = NOTHING_OBSERVED) -> dict[str, Any]:
    """Data for the browser component: lanes, chapters and messages, ready for JSON."""
    return {
        "lanes": list(lanes(transcript)),
        "clients": len(clients_of(transcript)),
        "chapters": [asdict(chapter) for chapter in chapters(transcript)],
        "messages": [asdict(message) for message in sequence(transcript, seat, observations)],
        "mine": sorted(parties_in(seat)),
    }
