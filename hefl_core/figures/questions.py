"""Questions to predict before a step reveals them. The right answer is computed from the run."""

from __future__ import annotations

from dataclasses import dataclass

from hefl_core.federation.record.transcript import Transcript
from hefl_core.figures.knowledge import SHARE, knowledge
from hefl_core.figures.sequence import chapter_at
from hefl_core.figures.thing import ciphertext_of
from hefl_core.ids import COORDINATOR
from hefl_core.terms import messages as m

LARGER = (2.0, 10.0, 100.0)
"""Limits between the answers about size: encrypted over plain."""


@dataclass(frozen=True, slots=True)
class Question:
    """``id`` names it; ``answer``: number of the right option; ``evidence``: the numbers behind it."""

    id: str
    answer: int
    evidence: tuple[str, ...]


def question_before(transcript: Transcript, sent: int) -> Question | None:
    """The question to ask after ``sent`` messages, if the next one reveals something for the first time."""
    if sent >= len(transcript.sent):
        return None
    following = transcript.sent[sent]
    if sent and transcript.sent[sent - 1].step == following.step:
        return None
    if following.step == SHARE:
        return _who_holds(transcript, sent)
    if following.step == m.UPDATE:
        return _how_large(transcript, sent)
    return _what_is_read(transcript, sent) if following.step == m.SUM else None


def _who_holds(transcript: Transcript, sent: int) -> Question:
    """Options: the coordinator; every client the whole key; every client a share; nobody."""
    chapter = chapter_at(transcript, sent + 1)
    after = knowledge(transcript, chapter.last if chapter else sent)
    cells = {seat: after.cell(seat, "key") for seat in after.seats}
    clients = [cell for seat, cell in cells.items() if seat.startswith("client-")]
    if cells[COORDINATOR].state.readable:
        answer = 0
    elif all(cell.state.readable for cell in clients):
        answer = 1
    else:
        answer = 2 if any(cell.have for cell in clients) else 3
    return Question("who-holds", answer, (str(len(clients)), str(clients[0].need)))


def _how_large(transcript: Transcript, sent: int) -> Question | None:
    """Options: about the same; 2 to 10 times; 10 to 100 times; more."""
    vector = ciphertext_of(transcript, transcript.sent[sent])
    if vector is None:
        return None
    plain = 4 * transcript.manifest.parameters
    ratio = vector.nbytes / plain
    answer = sum(ratio >= border for border in LARGER)
    return Question("how-large", answer, (f"{plain:,}", f"{vector.nbytes:,}", f"{ratio:.1f}"))


def _what_is_read(transcript: Transcript, sent: int) -> Question:
    """Options: nothing; the sum only; every update."""
    after = knowledge(transcript, sent + 1, (COORDINATOR,))
    updates = [s for s in after.secrets if s.kind == "update"]
    read = sum(after.cell(COORDINATOR, s.name).state.readable for s in updates)
    total = after.cell(COORDINATOR, "sum").state.readable
    answer = 2 if read else 1 if total else 0
    return Question("what-is-read", answer, (str(read), str(len(updates))))
