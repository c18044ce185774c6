"""The record of a run: every message with its sender and receivers, signed and chained.

A transcript is JSON Lines. The first line opens it (manifest, the KMS's key), one line follows per message, the last one
closes it (count and head, signed by every client). Each line names the digest of the line before. Bodies are kept
beside it as blobs, named by their SHA-256; those of shares and deals are not (:data:`UNKEPT_KINDS`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from hefl_core.errors import IntegrityError, KeyUseError, WireError
from hefl_core.federation.record.protocol_table import UNKEPT_KINDS
from hefl_core.ids import AUDITOR, COORDINATOR, KMS
from hefl_core.keys.roster import Member, Roster
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Letter, Work
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Position, SignedHeader
from hefl_core.wire.files import Folder, read_regular, replace_file
from hefl_core.wire.limits import MAX_BODY_BYTES, MAX_MESSAGE_BYTES

EAVESDROPPER = "eavesdropper"
DIGEST_BYTES: Final = 32
MAX_LINE_BYTES: Final = 4 << 20
MAX_RECORD_BYTES: Final = 16 << 30
MAX_BLOB_BYTES: Final = MAX_BODY_BYTES + MAX_MESSAGE_BYTES
"""A sealed body is larger than its content: a key for each of its readers."""
MAX_BLOBS: Final = 1 << 20


class Opening(msgspec.Struct, frozen=True, tag="opening"):
    """First line. ``kms``: the root of trust, to be compared with a pinned copy."""

    manifest: Manifest
    kms: Member


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """One message. ``nbytes``: on the wire; ``work``: what it cost its sender, as the observer measured it.

    ``body``: SHA-256 of the body as it travelled (for a sealed body this differs from the content's digest).
    ``inline``: the body itself where later checks need it without blobs, that is for rosters.
    """

    step: str
    head: SignedHeader
    receivers: tuple[str, ...]
    nbytes: int
    body: bytes
    work: tuple[Work, ...]
    inline: bytes | None = None

    @property
    def sender(self) -> str:
        """Party name."""
        return self.head.header.sender

    @property
    def position(self) -> Position:
        """Epoch, round and attempt."""
        return self.head.header.position


class Unsent(msgspec.Struct, frozen=True, tag="unsent"):
    """A message that was made and signed but lost with its sender's answer: undelivered, only its header is known.

    With it no number of a sender is missing in an honest record; a missing one was taken out.
    """

    head: SignedHeader

    @property
    def sender(self) -> str:
        """Party name."""
        return self.head.header.sender


class LeftOut(msgspec.Struct, frozen=True, tag="left-out"):
    """A party that refused a message or gave no answer, and why. A message changed on the way may have arrived intact since.

    A note of the record's writer. It is unsigned, so it proves nothing and excuses nothing that is missing.
    """

    party: str
    step: str
    position: Position
    reason: str


class Closing(msgspec.Struct, frozen=True, tag="closing"):
    """Last line: how many lines there are before it and the digest of the last of them, signed by every client in reach."""

    count: int
    head: bytes
    signatures: tuple[tuple[str, bytes], ...]


Entry: TypeAlias = Opening | Sent | Unsent | LeftOut | Closing


class TranscriptLine(msgspec.Struct, frozen=True):
    """One line of the file."""

    previous: bytes
    entry: Entry

    def to_json(self) -> bytes:
        """The line's exact bytes, without the newline."""
        return _json.encode(self)


class _Link(msgspec.Struct, frozen=True):
    """Of a line only what it names."""

    previous: bytes


_json = msgspec.json.Encoder(order="deterministic")
_line = msgspec.json.Decoder(TranscriptLine)
_link = msgspec.json.Decoder(_Link)


def read_line(raw: bytes) -> TranscriptLine:
    """Read one line; only the exact bytes that :meth:`TranscriptLine.to_json` writes are accepted. Raises: WireError."""
    if len(raw) > MAX_LINE_BYTES:
        raise WireError(f"transcript: expected lines of at most {MAX_LINE_BYTES} bytes, found {len(raw)}")
    try:
        line = _line.decode(raw)
        canonical = line.to_json()
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
        if isinstance(error.__cause__, WireError):
            raise error.__cause__ from error
        raise WireError(f"transcript: a line that is not of this format: {error}") from error
    # A file's lines are hashed as read, a transcript's as encoded again: only one spelling gives the same digest.
    if canonical != raw:
        raise WireError("transcript: a line is not in canonical form; its bytes were changed")
    return line


def _previous_of(raw: bytes) -> bytes:
    """The digest that a line names; the verifier checks the rest. Raises: WireError."""
    try:
        return _link.decode(raw).previous
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WireError(f"transcript: a line that is not of this format: {error}") from error


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as one seat has it. ``content`` is None where the seat has sealed bytes only."""

    sent: Sent
    body: bytes | None
    content: bytes | None


@dataclass(frozen=True, slots=True)
class End:
    """The end of a record as it is laid before a client: ``lines`` as they stand, from that client's last message on.

    ``before``: how many lines precede them.
    """

    before: int
    lines: tuple[bytes, ...]

    def check(self, name: str, last: bytes) -> tuple[int, bytes]:
        """Count and head of the record, if it holds this party's last header and is chained from there.

        Raises: IntegrityError, WireError for a line of another form.
        """
        entry = read_line(self.lines[0]).entry if self.lines else None
        if not isinstance(entry, Sent | Unsent) or entry.head.header.digest != last:
            raise IntegrityError(
                f"closing: expected a record from {name}'s last message {last.hex()[:16]} on, found another; the tail is cut "
                "off: do not sign"
            )
        head = hashlib.sha256(self.lines[0]).digest()
        for raw in self.lines[1:]:
            if _previous_of(raw) != head:
                raise IntegrityError("closing: the lines do not follow each other; do not sign")
            head = hashlib.sha256(raw).digest()
        return self.before + len(self.lines), head


def closing_statement(experiment: str, count: int, head: bytes) -> bytes:
    """The statement that each client signs at the end."""
    return encode(("hefl/transcript", experiment, count, head))


class Transcript:
    """Entries in order, and the blobs. ``keep_bodies`` False records digests only (very large runs).

    ``released``: whether the keys of its epochs are destroyed, so that its bodies may leave; True for one from a file.
    """

    def __init__(self, manifest: Manifest, kms: Member, *, keep_bodies: bool = True) -> None:
        self.lines: list[TranscriptLine] = []
        self.blobs: dict[bytes, bytes] = {}
        self.released = False
        self._keep_bodies = keep_bodies
        self._head = b""
        self._append(Opening(manifest, kms))

    @classmethod
    def _restore(cls, lines: Sequence[TranscriptLine], blobs: dict[bytes, bytes]) -> Transcript:
        self = cls.__new__(cls)
        self._take_over(lines, blobs)
        self.released = True
        return self

    def _take_over(self, lines: Sequence[TranscriptLine], blobs: dict[bytes, bytes]) -> None:
        self.lines, self.blobs, self._keep_bodies = list(lines), blobs, bool(blobs)
        self.released = False
        self._head = hashlib.sha256(lines[-1].to_json()).digest()

    # -- writing -----------------------------------------------------------------------------------------------

    @staticmethod
    def entry(letter: Letter, receivers: Sequence[str], body: bytes) -> Sent:
        """The line of one message, not on record yet."""
        header = letter.envelope.header
        return Sent(
            step=header.kind,
            head=letter.envelope.signed_header,
            receivers=tuple(receivers),
            nbytes=letter.nbytes,
            body=letter.body_digest,
            work=letter.work,
            inline=body if header.kind == "roster" else None,
        )

    def record(self, entry: Sent, body: bytes) -> Sent:
        """Put one message on record."""
        if entry.step not in UNKEPT_KINDS:
            self._keep(entry.body, body)
        self._append(entry)
        return entry

    def record_unsent(self, head: SignedHeader) -> Unsent:
        """Record the header of an undelivered message."""
        entry = Unsent(head)
        self._append(entry)
        return entry

    def note(self, entry: LeftOut) -> None:
        """Put a refusal or an absence on record."""
        self._append(entry)

    def file(self, content: bytes) -> None:
        """Keep the opened ciphertext of a sealed upload (from the auditor), so that sums can be added again."""
        self._keep(hashlib.sha256(content).digest(), content)

    def _keep(self, digest: bytes, blob: bytes) -> None:
        """Blobs come before the lines that name them."""
        if self._keep_bodies:
            self.blobs[digest] = blob

    def ends(self, parties: Sequence[str]) -> dict[str, End]:
        """The lines that each of these parties checks before it signs the end; a party without a message signs nothing."""
        said = enumerate(line.entry for line in self.lines)
        last = {entry.sender: number for number, entry in said if isinstance(entry, Sent | Unsent)}
        wanted = {name: last[name] for name in parties if name in last}
        first = min(wanted.values(), default=0)
        lines = tuple(line.to_json() for line in self.lines[first:]) if wanted else ()
        return {name: End(number, lines[number - first :]) for name, number in wanted.items()}

    @property
    def tail(self) -> tuple[int, bytes]:
        """How many lines there are and the digest of the last: what the clients sign to close this transcript."""
        return len(self.lines), self._head

    def close(self, signatures: Sequence[tuple[str, bytes]]) -> None:
        """Write the last line."""
        self._append(Closing(len(self.lines), self._head, tuple(signatures)))

    def _append(self, entry: Entry) -> None:
        line = TranscriptLine(self._head, entry)
        raw = line.to_json()
        if len(raw) > MAX_LINE_BYTES:
            raise WireError(f"transcript: expected lines of at most {MAX_LINE_BYTES} bytes, found {len(raw)}; left out")
        self.lines.append(line)
        self._head = hashlib.sha256(raw).digest()

    # -- reading -----------------------------------------------------------------------------------------------

    @property
    def opening(self) -> Opening:
        """The first line's entry."""
        entry = self.lines[0].entry
        if not isinstance(entry, Opening):
            raise WireError(f"transcript: expected an opening line first, found {type(entry).__name__}")
        return entry

    @property
    def manifest(self) -> Manifest:
        """The run's public terms."""
        return self.opening.manifest

    @property
    def closed(self) -> bool:
        """Whether the clients have signed its end."""
        return isinstance(self.lines[-1].entry, Closing)

    @property
    def sent(self) -> tuple[Sent, ...]:
        """Every message, in order."""
        return tuple(line.entry for line in self.lines if isinstance(line.entry, Sent))

    @property
    def headers(self) -> tuple[SignedHeader, ...]:
        """The signed header of every message that was made, in the order of the record."""
        return tuple(line.entry.head for line in self.lines if isinstance(line.entry, Sent | Unsent))

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Every refusal and absence, in order."""
        return tuple(line.entry for line in self.lines if isinstance(line.entry, LeftOut))

    def of_round(self, round_: int) -> tuple[Sent, ...]:
        """The messages of one round; round 0 is the enrolment."""
        return tuple(sent for sent in self.sent if sent.position.round == round_)

    def content(self, sent: Sent) -> bytes | None:
        """What a message says, where it is on record: open bodies, and uploads as the auditor filed them."""
        return self.blobs.get(sent.head.header.content_digest)

    def body(self, sent: Sent) -> bytes:
        """A message's body as it travelled. Raises: WireError when this transcript came without its blob."""
        try:
            return self.blobs[sent.body]
        except KeyError:
            raise WireError(f"{sent.step} of {sent.sender}: its body is not on record; keep the blobs") from None

    def seen_by(self, seat: str) -> tuple[Seen, ...]:
        """What one seat has: every message it sent or received, opened where it is a reader.

        Seats: coordinator, auditor, kms, client-k, and eavesdropper (every body as it travels, nothing opened).
        Leaks: exactly what that seat holds; shares are in no transcript.
        """
        return tuple(self._view(seat))

    def _view(self, seat: str) -> Iterator[Seen]:
        if seat not in (COORDINATOR, AUDITOR, KMS, EAVESDROPPER) and not seat.startswith("client-"):
            raise WireError(
                f"transcript: expected a seat such as coordinator, client-1 or eavesdropper, found {seat!r}"
            )
        for sent in self.sent:
            header, body = sent.head.header, self.blobs.get(sent.body)
            if seat == EAVESDROPPER:
                yield Seen(sent, body, None if header.sealed else body)
            elif seat == sent.sender or seat in sent.receivers:
                yield Seen(sent, body, self.content(sent))

    # -- files -------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The file's exact bytes."""
        return b"".join(line.to_json() + b"\n" for line in self.lines)

    def require_released(self) -> None:
        """Bodies and a key together reveal the updates. Raises: KeyUseError while a key of this record's epochs exists."""
        if self.blobs and not self.released:
            raise KeyUseError(
                "record: expected the keys of its epochs destroyed before its bodies leave, found that one may live; end "
                "the run's keys first, or leave the bodies out"
            )

    def save(self, path: str | Path, *, bodies: bool = True) -> None:
        """Write ``path`` and, with ``bodies``, beside it ``<name>.d/`` with one blob per file; bodies of an earlier record go.

        Raises: as :meth:`require_released`; DataError when something else than a folder has the name of the bodies' one;
            OSError.
        """
        path = Path(path)
        folder = blob_folder(path)
        if bodies:
            self.require_released()
            folder.mkdir(parents=True, exist_ok=True)
            Folder(folder).close()  # a link would lead the bodies elsewhere
        kept = self.blobs if bodies else {}
        # the new bodies first, the old ones last: at no moment does a record lie there without its bodies
        for digest, blob in kept.items():
            replace_file(folder / digest.hex(), blob)
        replace_file(path, self.to_bytes())
        _forget_others(folder, kept, remove=not bodies)

    @staticmethod
    def remove(path: str | Path) -> None:
        """Delete a record that :meth:`save` wrote, with its bodies. Raises: DataError as :meth:`save`; OSError."""
        Path(path).unlink(missing_ok=True)
        _forget_others(blob_folder(Path(path)), (), remove=True)

    @classmethod
    def load(cls, path: str | Path) -> Transcript:
        """Read a transcript and whatever blobs lie beside it, all into memory; only the form is checked (see verify.py).

        Raises: WireError; DataError for what is no regular file, or too large; OSError when the file cannot be read.
        """
        path = Path(path)
        folder = blob_folder(path)
        blobs = _blobs_in(folder) if folder.is_symlink() or folder.exists() else {}
        return cls.from_bytes(read_regular(path, MAX_RECORD_BYTES, path.name[:80]), blobs)

    @classmethod
    def from_bytes(cls, raw: bytes, blobs: dict[bytes, bytes] | None = None) -> Transcript:
        """Read the file's bytes. Raises: WireError."""
        if not raw.endswith(b"\n"):
            raise WireError("transcript: expected a newline at the end, found none; the file is cut off")
        lines = []
        for number, part in enumerate(raw[:-1].split(b"\n"), start=1):
            try:
                lines.append(read_line(part))
            except WireError as error:
                raise WireError(f"line {number}: {error}") from error
        restored = cls._restore(lines, blobs or {})
        restored.opening  # noqa: B018  raises when the first line is another
        return restored


def newest_roster(transcript: Transcript) -> Roster | None:
    """The newest roster; None before the first was sent."""
    return next((decode(sent.inline, Roster) for sent in reversed(transcript.sent) if sent.inline is not None), None)


def _blobs_in(path: Path) -> dict[bytes, bytes]:
    """Files that have a digest for a name; others are not a record's. Raises: DataError."""
    blobs: dict[bytes, bytes] = {}
    with closing(Folder(path)) as folder:
        for name in folder.names(MAX_BLOBS):
            if _is_digest(name):
                blobs[bytes.fromhex(name)] = folder.read(name, MAX_BLOB_BYTES, f"blob {name[:16]}") or b""
    return blobs


def _is_digest(name: str) -> bool:
    return len(name) == 2 * DIGEST_BYTES and set(name) <= set("0123456789abcdef")


def _forget_others(path: Path, kept: Collection[bytes], *, remove: bool) -> None:
    """Delete the bodies that an earlier record of this name left here. Files of other names are their owner's."""
    if not path.is_symlink() and not path.exists():
        return
    with closing(Folder(path)) as folder:
        names = list(folder.names(MAX_BLOBS))
    old = [name for name in names if _is_digest(name) and bytes.fromhex(name) not in kept]
    for name in old:
        (path / name).unlink()
    if remove and len(old) == len(names):
        path.rmdir()


def blob_folder(path: Path) -> Path:
    """Where a transcript's blobs lie."""
    return path.with_name(path.name + ".d")
