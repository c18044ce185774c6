"""Check a record offline, without any secret: chain, signatures, the whole conversation, and every sum added again.

A record may come from anybody, so nothing in it is trusted: the first unreadable part is its first break, and nothing is
read before its size and kind are known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hefl_core.errors import DataError, HeflError, IntegrityError, WireError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.grammar import Conversation
from hefl_core.federation.record.proceedings import Find, Proceedings
from hefl_core.federation.record.transcript import (
    MAX_LINE_BYTES,
    MAX_RECORD_BYTES,
    Closing,
    LeftOut,
    Opening,
    Sent,
    Transcript,
    TranscriptLine,
    Unsent,
    blob_folder,
    closing_statement,
    read_line,
)
from hefl_core.federation.record.transcript_zip import MAX_UNPACKED_BYTES, ZIPPED, unpack
from hefl_core.ids import KMS
from hefl_core.keys.roster import Roster, RosterPin
from hefl_core.wire.canonical import decode
from hefl_core.wire.files import Folder, regular
from hefl_core.wire.limits import MAX_MESSAGE_BYTES

MOST_SPELLED: Final = 8
FLOAT32_BYTES: Final = 4


class CutOff(IntegrityError):
    """All lines are right but the end is missing: the record of a running experiment, or one whose tail was cut off."""


@dataclass(frozen=True, slots=True)
class TranscriptVerdict:
    """What was checked. ``sums`` None: the record came without bodies, so that contents and sums were not.

    ``signers``: of the end, out of all clients. ``heads``: how many clients' own heads were compared, None: none were given.
    ``receipts``: of how many clients, round by round.
    ``unsent``: undelivered messages. ``notes``: refusals and absences, which are unsigned.
    """

    lines: int
    messages: int
    rounds: int
    sums: int | None
    authenticated: bool
    signers: tuple[int, int]
    heads: int | None = None
    unsent: int = 0
    notes: int = 0
    receipts: tuple[int, ...] = ()

    def __str__(self) -> str:
        who = "authenticated by the pinned roster" if self.authenticated else "self-consistent, not authenticated"
        sums = (
            "contents of messages and sums: not checked"
            if self.sums is None
            else f"contents agree; sums: {self.sums} added again, equal byte for byte"
        )
        ends = "ends: not checked, no heads" if self.heads is None else f"ends: as {self.heads} clients remember them"
        notes = f"; {self.notes} notes of refusals, unsigned: they prove and excuse nothing" if self.notes else ""
        unsent = f", said to be undelivered: {self.unsent}" if self.unsent else ""
        return (
            f"{self.lines} lines, {self.messages} signed messages{unsent}, all {self.rounds} rounds in the order of the protocol, "
            f"{_spell_receipts(self.receipts)}, closed by {self.signers[0]} of {self.signers[1]} clients: {who}; {sums}; "
            f"{ends}{notes}"
        )


def _spell_receipts(receipts: tuple[int, ...]) -> str:
    """How many clients gave a receipt in each round; rounds in a row with as many are said together.

    >>> _spell_receipts((4, 4, 3))
    'with receipts of 4 clients in rounds 1 to 2, 3 in round 3'
    """
    runs: list[tuple[int, int, int]] = []
    for number, count in enumerate(receipts, start=1):
        if runs and runs[-1][2] == count:
            runs[-1] = runs[-1][0], number, count
        else:
            runs.append((number, number, count))
    if len(runs) > MOST_SPELLED:
        return f"with receipts of {min(receipts)} to {max(receipts)} clients a round"
    said = [f"{n} in round{f's {a} to {b}' if a < b else f' {a}'}" for a, b, n in runs]
    return "with receipts of " + ", ".join(said).replace(" in", " clients in", 1)


def verify_file(path: str | Path, pin: RosterPin | None = None, heads: ClientHeads | None = None) -> TranscriptVerdict:
    """Verify a record on disk, line by line; a blob is read when a line names it, and nothing else in the folder is.

    A zip of the application's download is verified as it is.

    Raises: IntegrityError naming the first break; DataError for what is no regular file; OSError when it cannot be read.
    """
    path = Path(path)
    folder = blob_folder(path)
    with regular(path, MAX_RECORD_BYTES, path.name[:80]) as file:
        zipped = file.read(len(ZIPPED)) == ZIPPED
        file.seek(0)
        if zipped:
            return verify(_unpacked(file), pin, heads)
        if not folder.is_symlink() and not folder.exists():
            return _verified(_lines(file), None, pin, heads)
        try:
            blobs = Folder(folder)
        except DataError as error:
            raise IntegrityError(f"blobs: {error}") from error
        with closing(blobs):
            return _verified(_lines(file), lambda key, what, limit: blobs.read(key.hex(), limit, what), pin, heads)


def _unpacked(file: BinaryIO) -> Transcript:
    """Raises: IntegrityError for a damaged or oversized zip."""
    raw = file.read(MAX_UNPACKED_BYTES + 1)
    if len(raw) > MAX_UNPACKED_BYTES:
        raise IntegrityError(f"transcript: expected a zip of at most {MAX_UNPACKED_BYTES} bytes, found more; unpack it")
    try:
        return unpack(raw)
    except WireError as error:
        raise IntegrityError(f"{error}") from error


def verify(transcript: Transcript, pin: RosterPin | None = None, heads: ClientHeads | None = None) -> TranscriptVerdict:
    """Recompute everything that public data allows.

    ``pin``: the KMS's key and roster, had from elsewhere; without it the record can only agree with itself.
    ``heads``: what clients remember; without them an end signed too early cannot be told from the true end.
    Raises: IntegrityError naming the first break.
    """
    find: Find | None = (lambda key, what, limit: transcript.blobs.get(key)) if transcript.blobs else None
    return _verified(((line, line.to_json()) for line in transcript.lines), find, pin, heads)


def pin_of(transcript: Transcript) -> RosterPin:
    """The pin of a run's first roster, to be kept apart from the transcript and compared with it later.

    Raises: IntegrityError when the transcript holds no roster yet.
    """
    roster = next((decode(sent.inline, Roster) for sent in transcript.sent if sent.inline is not None), None)
    if roster is None:
        raise IntegrityError("transcript: expected a roster, found none; nothing was sent yet")
    return RosterPin.of(roster, transcript.opening.kms.signing)


def _lines(file: BinaryIO) -> Iterator[tuple[TranscriptLine, bytes]]:
    """One line after the other, each of a bounded length. Raises: WireError."""
    while raw := file.readline(MAX_LINE_BYTES + 1):
        if not raw.endswith(b"\n"):
            found = "a longer one" if len(raw) > MAX_LINE_BYTES else "a last line without its end; the file is cut off"
            raise WireError(f"expected lines of at most {MAX_LINE_BYTES} bytes with a newline each, found {found}")
        yield read_line(raw[:-1]), raw[:-1]


def _verified(
    lines: Iterable[tuple[TranscriptLine, bytes]], find: Find | None, pin: RosterPin | None, heads: ClientHeads | None
) -> TranscriptVerdict:
    checker, number = _Checker(find, pin), 1
    try:
        for line, raw in lines:
            checker.take(line, raw)
            number += 1
    except HeflError as error:
        raise IntegrityError(f"line {number}: {error}") from error
    except (
        Exception
    ) as error:  # untrusted bytes: any error that they provoke in a library is a break of the record, not our failure
        raise IntegrityError(f"line {number}: it cannot be read ({type(error).__name__})") from error
    return checker.finish(heads)


class _Checker:
    """The state of one pass over the lines."""

    def __init__(self, find: Find | None, pin: RosterPin | None) -> None:
        self._pin = pin
        self._head = b""
        self._count = self._messages = self._unsent = self._notes = 0
        self._signers = (0, 0)
        self._closed = False
        self._find = find
        self._proceedings: Proceedings | None = None

    def take(self, line: TranscriptLine, raw: bytes) -> None:
        """Check one line. Raises: whatever is wrong with it."""
        if line.previous != self._head:
            raise IntegrityError("the chain breaks here: a line before it was changed, dropped, doubled or swapped")
        if self._closed:
            raise IntegrityError("expected exactly one closing line, the last; the record goes on after it")
        entry = line.entry
        if isinstance(entry, Opening):
            self._open(entry)
        elif self._proceedings is None:
            raise IntegrityError("expected exactly one opening line, the first")
        elif isinstance(entry, Sent):
            self._message(entry, self._proceedings)
        elif isinstance(entry, Unsent):
            self._proceedings.unsent(entry)
            self._unsent += 1
        elif isinstance(entry, LeftOut):
            self._proceedings.noted(entry)
            self._notes += 1
        else:
            self._close(entry, self._proceedings.conversation)
        self._head = hashlib.sha256(raw).digest()
        self._count += 1

    def _open(self, opening: Opening) -> None:
        if self._proceedings is not None:
            raise IntegrityError("expected exactly one opening line, the first")
        manifest, kms = opening.manifest, opening.kms
        if (kms.name, kms.role) != (KMS, KMS):
            raise IntegrityError(f"opening: expected the KMS's keys, found those of {kms.name}")
        most = MAX_MESSAGE_BYTES // FLOAT32_BYTES
        if not 1 <= manifest.parameters <= most or not 1 <= manifest.examples_max <= 1 << 62:
            raise IntegrityError(
                f"opening: expected 1 to {most} parameters (θ_0 travels in a plan) and a number of examples, found "
                f"{manifest.parameters} and {manifest.examples_max}"
            )
        self._proceedings = Proceedings(manifest, kms, self._find)

    def _message(self, sent: Sent, proceedings: Proceedings) -> None:
        proceedings.message(sent)
        if self._pin is not None and sent.inline is not None:
            self._pin.check(decode(sent.inline, Roster))
        self._messages += 1

    def _close(self, end: Closing, conversation: Conversation) -> None:
        conversation.finish()
        if (end.count, end.head) != (self._count, self._head):
            raise IntegrityError(f"closing: expected {self._count} lines before it, it counts {end.count}")
        roster, clients = conversation.rosters[conversation.active], conversation.clients(conversation.active)
        signers = tuple(name for name, _ in end.signatures)
        if signers != tuple(name for name in clients if name in signers):
            raise IntegrityError(
                f"closing: expected signatures of the clients, in order, found {', '.join(signers)[:200]}"
            )
        floor = conversation.manifest.experiment.cohort_floor
        if len(signers) < floor:
            raise IntegrityError(
                f"closing: expected at least {floor} clients' signatures (min_cohort), found {len(signers)}"
            )
        statement = closing_statement(conversation.manifest.id, end.count, end.head)
        for name, signature in end.signatures:
            try:
                Ed25519PublicKey.from_public_bytes(roster.member(name).signing).verify(signature, statement)
            except (InvalidSignature, ValueError) as error:
                raise IntegrityError(f"closing: the signature is not {name}'s") from error
        self._signers = len(signers), len(clients)
        self._closed = True

    def finish(self, heads: ClientHeads | None) -> TranscriptVerdict:
        """The verdict on a record that was read to its end. Raises: IntegrityError; CutOff without a closing line."""
        if self._proceedings is None:
            raise IntegrityError("line 1: expected an opening line, found nothing")
        conversation, statements = self._proceedings.conversation, self._proceedings.statements
        if not self._closed:
            raise CutOff(f"line {self._count}: expected a closing line at the end; the tail is cut off")
        if self._pin is not None and self._pin.epoch not in conversation.rosters:
            raise IntegrityError(f"roster: expected the pinned one of epoch {self._pin.epoch}, found none on record")
        if heads is not None:
            heads.check(conversation.manifest.id, conversation.chains)
        return TranscriptVerdict(
            lines=self._count,
            messages=self._messages,
            rounds=len(conversation.applied),
            receipts=tuple(len(conversation.receipts[number]) for number in sorted(conversation.receipts)),
            sums=None if statements is None else statements.sums,
            authenticated=self._pin is not None,
            signers=self._signers,
            heads=None if heads is None else len(heads.heads),
            unsent=self._unsent,
            notes=self._notes,
        )
