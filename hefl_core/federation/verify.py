"""Check a transcript offline, without any secret: chain, signatures, blobs, and every sum added again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hefl_core.errors import HeflError, IntegrityError, WireError
from hefl_core.federation.heads import Heads
from hefl_core.federation.messages import CONFIRMATION, SUM, UPDATE, Confirmation, EncryptedSum
from hefl_core.federation.transcript import (
    UNKEPT_KINDS,
    Closing,
    LeftOut,
    Opening,
    Sent,
    Transcript,
    closing_statement,
)
from hefl_core.ids import KMS
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.keys.roster import Roster, RosterPin
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.canonical import decode, encode


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was checked. ``sums`` None: the transcript came without blobs. ``signers``: of the end, out of all clients."""

    lines: int
    messages: int
    rounds: int
    sums: int | None
    authenticated: bool
    signers: tuple[int, int]

    def __str__(self) -> str:
        who = "authenticated by the pinned roster" if self.authenticated else "self-consistent, not authenticated"
        sums = "sums: not checked" if self.sums is None else f"sums: {self.sums} added again, equal byte for byte"
        return (
            f"{self.lines} lines, {self.messages} signed messages, {self.rounds} rounds, "
            f"closed by {self.signers[0]} of {self.signers[1]} clients: {who}; {sums}"
        )


def verify_file(path: str | Path, pin: RosterPin | None = None, heads: Heads | None = None) -> Verdict:
    """Load and verify a transcript file.

    Raises: IntegrityError naming the first break; OSError when the file cannot be read.
    """
    try:
        transcript = Transcript.load(path)
    except WireError as error:
        raise IntegrityError(f"{error}") from error
    return verify(transcript, pin, heads)


def pin_of(transcript: Transcript) -> RosterPin:
    """The pin of a run's first roster, to be kept apart from the transcript and compared with it later.

    Raises: IntegrityError when the transcript holds no roster yet.
    """
    roster = next((decode(sent.inline, Roster) for sent in transcript.sent if sent.inline is not None), None)
    if roster is None:
        raise IntegrityError("transcript: expected a roster, found none; nothing was sent yet")
    return RosterPin.of(roster, transcript.opening.kms.signing)


def verify(transcript: Transcript, pin: RosterPin | None = None, heads: Heads | None = None) -> Verdict:
    """Recompute everything that public data allows.

    ``pin``: the KMS's key and roster, had from elsewhere; without it the transcript can only agree with itself.
    ``heads``: what the clients remember; without them an end that was signed too early is not told from the end.
    Raises: IntegrityError naming the first break.
    """
    checker = _Checker(transcript, pin)
    for number, line in enumerate(transcript.lines, start=1):
        try:
            checker.check_link(line.previous)
            checker.check_entry(line.entry, last=number == len(transcript.lines))
            checker.move_on(line.to_json())
        except HeflError as error:
            raise IntegrityError(f"line {number}: {error}") from error
    if not checker.closed:
        raise IntegrityError(f"line {len(transcript.lines)}: expected a closing line at the end; the tail is cut off")
    checker.check_ends(heads)
    return Verdict(
        lines=len(transcript.lines),
        messages=checker.messages,
        rounds=len(checker.rounds),
        sums=checker.sums if transcript.blobs else None,
        authenticated=pin is not None,
        signers=checker.signers,
    )


class _Checker:
    """The state of one pass over the lines."""

    def __init__(self, transcript: Transcript, pin: RosterPin | None) -> None:
        self.messages = self.sums = 0
        self.rounds: set[int] = set()
        self.signers = (0, 0)
        self.closed = False
        self._transcript = transcript
        self._pin = pin
        self._head = b""
        self._count = 0
        self._rosters: dict[int, Roster] = {}
        self._keys: dict[int, PublicKey] = {}
        self._chains: dict[str, tuple[int, bytes]] = {}
        self._updates: dict[bytes, bytes] = {}
        self._sums: dict[bytes, EncryptedSum] = {}

    def check_ends(self, heads: Heads | None) -> None:
        if self._pin is not None and self._pin.epoch not in self._rosters:
            raise IntegrityError(f"roster: expected the pinned one of epoch {self._pin.epoch}, found none on record")
        if heads is not None:
            heads.check(self._transcript.manifest.id, self._chains)

    def check_link(self, previous: bytes) -> None:
        if previous != self._head:
            raise IntegrityError("the chain breaks here: a line before it was changed, dropped, doubled or swapped")

    def move_on(self, raw: bytes) -> None:
        self._head = hashlib.sha256(raw).digest()
        self._count += 1

    def check_entry(self, entry: Opening | Sent | LeftOut | Closing, *, last: bool) -> None:
        if isinstance(entry, Opening) != (self._count == 0):
            raise IntegrityError("expected exactly one opening line, the first")
        if isinstance(entry, Closing) != last:
            raise IntegrityError("expected exactly one closing line, the last; the tail is cut off or continued")
        if isinstance(entry, Opening) and entry.kms.name != KMS:
            raise IntegrityError(f"opening: expected the KMS's keys, found those of {entry.kms.name}")
        if isinstance(entry, Sent):
            self._check_message(entry)
        elif isinstance(entry, Closing):
            self._check_closing(entry)

    def _check_message(self, sent: Sent) -> None:
        header = sent.head.header
        if header.kind == "roster":
            self._take_roster(sent)
        roster = self._rosters.get(header.position.epoch)
        if roster is None:
            raise IntegrityError(f"{header.kind} of {header.sender}: no roster for epoch {header.position.epoch} yet")
        opening = self._transcript.opening
        signing = opening.kms.signing if header.sender == KMS else roster.member(header.sender).signing
        sent.head.verify(signing)
        if header.experiment != opening.manifest.id:
            raise IntegrityError(f"{header.kind} of {header.sender}: belongs to another experiment")
        if (sent.step, sent.receivers) != (header.kind, header.recipients):
            raise IntegrityError(f"{header.kind} of {header.sender}: the record names another step or other receivers")
        if not header.sealed and sent.body != header.content_digest:
            raise IntegrityError(f"{header.kind} of {header.sender}: recorded body and signed digest differ")
        self._check_own_chain(sent)
        if self._transcript.blobs and header.kind not in UNKEPT_KINDS:
            self._check_blobs(sent)
        self.messages += 1
        if header.position.round:
            self.rounds.add(header.position.round)

    def _check_own_chain(self, sent: Sent) -> None:
        """Each party's messages are numbered; consecutive numbers must be chained."""
        header = sent.head.header
        sequence, previous = self._chains.get(header.sender, (-1, b""))
        if header.sequence <= sequence:
            raise IntegrityError(f"{header.kind} of {header.sender}: number {header.sequence} again, a replay")
        if header.sequence == sequence + 1 and header.previous != previous:
            raise IntegrityError(f"{header.kind} of {header.sender}: does not follow its sender's previous message")
        self._chains[header.sender] = header.sequence, header.digest

    def _take_roster(self, sent: Sent) -> None:
        if sent.sender != KMS or sent.inline is None:
            raise IntegrityError("roster: expected the KMS's roster in the line itself")
        if hashlib.sha256(sent.inline).digest() != sent.head.header.content_digest:
            raise IntegrityError("roster: its bytes are not those that the KMS signed")
        roster = decode(sent.inline, Roster)
        roster.check_vouchers()
        if self._pin is not None:
            self._pin.check(roster)
        self._rosters[roster.epoch] = roster

    def _blob(self, digest: bytes, what: str) -> bytes:
        blob = self._transcript.blobs.get(digest)
        if blob is None:
            raise IntegrityError(f"{what}: its blob {digest.hex()[:16]} is missing")
        if hashlib.sha256(blob).digest() != digest:
            raise IntegrityError(f"{what}: its blob {digest.hex()[:16]} was replaced")
        return blob

    def _check_blobs(self, sent: Sent) -> None:
        header = sent.head.header
        what = f"{header.kind} of {header.sender}"
        body = self._blob(sent.body, what)
        if sent.nbytes != len(encode(header)) + len(sent.head.signature) + len(body):
            raise IntegrityError(f"{what}: the recorded size {sent.nbytes} is not the size of the message")
        if header.kind == "epoch":
            self._keys[header.position.epoch] = decode(body, EpochAnnouncement).public_key
        elif header.kind == UPDATE:
            self._updates[header.digest] = header.content_digest
        elif header.kind == SUM:
            self._add_again(decode(body, EncryptedSum), header.position.epoch)
            self._sums[header.plan] = decode(body, EncryptedSum)
        elif header.kind == CONFIRMATION:
            self._compare_confirmation(decode(body, Confirmation), header.plan)

    def _add_again(self, message: EncryptedSum, epoch: int) -> None:
        scheme = open_scheme(self._transcript.manifest.experiment.scheme)
        if epoch not in self._keys:
            raise IntegrityError(f"sum: no public key of epoch {epoch} is on record before it")
        running = scheme.accumulator(self._keys[epoch])
        for content in self._contents(message):
            running.add(decode(content, CiphertextVector))
        if running.total() != message.total:
            raise IntegrityError("sum: adding the recorded updates again gives other bytes")
        self.sums += 1

    def _contents(self, message: EncryptedSum) -> Iterator[bytes]:
        for signed in message.updates:
            if signed.header.digest not in self._updates:
                raise IntegrityError(f"sum: contains an update of {signed.header.sender} that is not on record")
            yield self._blob(signed.header.content_digest, f"update of {signed.header.sender}")

    def _compare_confirmation(self, confirmation: Confirmation, plan: bytes) -> None:
        message = self._sums.get(plan)
        expected = message and (
            tuple(item.header.digest for item in message.updates),
            tuple(hashlib.sha256(block).digest() for block in message.total.blocks),
        )
        if expected != (confirmation.updates, confirmation.blocks):
            raise IntegrityError("confirmation: the auditor confirmed another sum")

    def _check_closing(self, closing: Closing) -> None:
        if (closing.count, closing.head) != (self._count, self._head):
            raise IntegrityError(f"closing: expected {self._count} lines before it, it counts {closing.count}")
        roster = self._rosters[max(self._rosters)] if self._rosters else None
        signers = tuple(name for name, _ in closing.signatures)
        if roster is None or signers != tuple(name for name in roster.clients if name in signers):
            raise IntegrityError(f"closing: expected signatures of the clients, in order, found {', '.join(signers)}")
        floor = self._transcript.manifest.experiment.cohort_floor
        if len(signers) < floor:
            raise IntegrityError(
                f"closing: expected at least {floor} clients' signatures (min_cohort), found {len(signers)}"
            )
        self.signers = len(signers), len(roster.clients)
        statement = closing_statement(self._transcript.manifest.id, closing.count, closing.head)
        for name, signature in closing.signatures:
            try:
                Ed25519PublicKey.from_public_bytes(roster.member(name).signing).verify(signature, statement)
            except InvalidSignature as error:
                raise IntegrityError(f"closing: the signature is not {name}'s") from error
        self.closed = True
