"""One message as far as one seat has it: bytes, values and facts, all read off the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hefl_core.federation.record.transcript import Sent, Transcript
from hefl_core.figures.knowledge import EPOCH, ROSTER, Matrix
from hefl_core.figures.sequence import Message, Observations
from hefl_core.ids import OBSERVER
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.keys.roster import Roster
from hefl_core.schemes.base import CiphertextVector, Vector
from hefl_core.shown import counted
from hefl_core.terms import messages as m
from hefl_core.terms.messages import Commitment, CommitmentList, Confirmation, DecryptionRequest, EncryptedSum
from hefl_core.wire.canonical import decode

SAMPLE_BYTES = 176
SAMPLE_VALUES = 240


@dataclass(frozen=True)
class Private:
    """A vector that only some seats may see. ``of``: 'update' or 'mean'; ``client``: its owner."""

    of: str
    client: str
    values: Vector
    examples: int


@dataclass(frozen=True)
class Thing:
    """``facts``: (label, value) pairs. ``raw``: a piece of the bytes from position ``start`` of ``total``.

    ``secret``: whether they are ciphertext or sealed. ``private``: the plaintext, when this seat knows it and the run was observed.
    """

    facts: tuple[tuple[str, str], ...] = ()
    raw: bytes = b""
    start: int = 0
    total: int = 0
    secret: bool = False
    private: Private | None = None


def thing(transcript: Transcript, message: Message, matrix: Matrix, seat: str, observations: Observations) -> Thing:
    """What this seat has of a message; an empty Thing where it is absent."""
    if message.lock == "absent":
        return Thing()
    sent = transcript.sent[message.number - 1]
    raw, start, total, secret = _bytes(transcript, sent, message)
    return Thing(
        facts=tuple(_facts(transcript, sent, message)),
        raw=raw,
        start=start,
        total=total,
        secret=secret,
        private=_private(sent, matrix, seat, observations),
    )


def content_of(transcript: Transcript, message: Message) -> bytes | None:
    """A message's content where this seat may read it and it is on record."""
    if message.lock in ("absent", "sealed"):
        return None
    return transcript.content(transcript.sent[message.number - 1])


def ciphertext_of(transcript: Transcript, sent: Sent) -> CiphertextVector | None:
    """The homomorphic ciphertext that a message carries, where it is on record."""
    content = transcript.content(sent)
    if content is None:
        return None
    if sent.step == m.UPDATE:
        return decode(content, CiphertextVector)
    return decode(content, EncryptedSum).total if sent.step == m.SUM else None


def _bytes(transcript: Transcript, sent: Sent, message: Message) -> tuple[bytes, int, int, bool]:
    """A piece from the middle: the beginning of a block is its header."""
    vector = None if message.lock == "sealed" else ciphertext_of(transcript, sent)
    whole = vector.blocks[0] if vector else transcript.blobs.get(sent.body, b"")
    start = max(0, (len(whole) - SAMPLE_BYTES) // 2) if vector or message.sealed else 0
    return whole[start : start + SAMPLE_BYTES], start, len(whole), vector is not None or message.sealed


def _facts(transcript: Transcript, sent: Sent, message: Message) -> list[tuple[str, str]]:
    facts = [("on the wire", f"{sent.nbytes:,} B")]
    content = content_of(transcript, message)
    if content is None:
        return [*facts, ("SHA-256 of the body", sent.body.hex()[:16] + "…")]
    facts += _content_facts(sent.step, content)
    if sent.step in (m.UPDATE, m.SUM):
        plain = 4 * transcript.manifest.parameters
        more = " (with the updates' signed headers)" if sent.step == m.SUM else ""
        facts.append(("plain float32", f"{plain:,} B; on the wire {sent.nbytes / plain:.2f} × as much{more}"))
    return [*facts, ("SHA-256 of the content", sent.head.header.content_digest.hex()[:16] + "…")]


def _content_facts(step: str, content: bytes) -> list[tuple[str, str]]:
    if step == ROSTER:
        roster = decode(content, Roster)
        return [("members", str(len(roster.members))), ("key epoch", str(roster.epoch))]
    if step == EPOCH:
        said = decode(content, EpochAnnouncement)
        return [
            ("key", said.public_key.id.short),
            ("held", str(said.record.quorum)),
            ("dealt by", said.record.dealer),
            ("public key", f"{len(said.public_key.material):,} B"),
        ]
    if step == m.PLAN:
        plan = decode(content, m.RoundPlan)
        bound = "the clients' secret" if plan.bound is None else f"{plan.bound:g}"
        return [("cohort", str(len(plan.cohort))), ("parameters d", f"{plan.length:,}"), ("bound", bound)]
    if step == m.COMMITMENT:
        said_so = decode(content, Commitment)
        return [("ciphertext to come", f"{said_so.nbytes:,} B"), ("its SHA-256", _short(said_so.ciphertext_digest))]
    if step == m.COMMITMENTS:
        listed = decode(content, CommitmentList)
        return [("listed", ", ".join(listed.senders)), ("digest of the list", _short(listed.digest))]
    if step in (m.UPDATE, m.SUM):
        total = decode(content, EncryptedSum).total if step == m.SUM else decode(content, CiphertextVector)
        blocks = len(total.blocks)
        return [
            ("ciphertext", f"{total.nbytes:,} B in {counted(blocks, 'block')}"),
            ("updates added up in it", str(total.terms)),
        ]
    if step == m.CONFIRMATION:
        word = decode(content, Confirmation)
        return [("updates added again", str(len(word.updates))), ("equal blocks", str(len(word.blocks)))]
    if step == m.REQUEST:
        return [("asked to decrypt", ", ".join(decode(content, DecryptionRequest).active))]
    return []


def _private(sent: Sent, matrix: Matrix, seat: str, observations: Observations) -> Private | None:
    """The plaintext behind a message, from the observer's record, if this seat knows it."""
    seen = observations.get(sent.position.round, ())
    if sent.step in (m.COMMITMENT, m.UPDATE):
        if seat != OBSERVER and not matrix.cell(seat, f"update/{sent.sender}").state.readable:
            return None
        mine = next((item for item in seen if item.client == sent.sender), None)
        return Private("update", sent.sender, np.frombuffer(mine.update), mine.examples) if mine else None
    if sent.step in (m.SUM, m.RECEIPT):
        if seat != OBSERVER and not matrix.cell(seat, "sum").state.readable:
            return None
        first = next((item for item in seen if item.applied), None)
        return Private("mean", "", np.frombuffer(first.applied), sum(i.examples for i in seen)) if first else None
    return None


def _short(digest: bytes) -> str:
    return digest.hex()[:16] + "…"
