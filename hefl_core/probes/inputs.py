"""Inputs of a keyless party, decoded against an allow-list: every kind of message, every field of every kind.

Each field has a meaning, and each meaning a check that leaves no room for a client's private number: a count must count, a
size must match the bytes, a public number must be one of the manifest's. No meaning allows an example count. A message that
cannot be decoded, has an unlisted field or fails a check is a finding.

The record's own lines are compared with the same list: a client's cost report (training time grows with n_k), a client's
refusal with a number in it, a wrong size, and a header that no party received.

It cannot see: a number in the bits of a digest whose content never comes (a commitment's spare for an unused attempt, a
message that no party received), as long as the 32 bytes look like a digest, or in the size of an upload that SEAL compresses
and that never comes; a number told in words; timing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final

from hefl_core.errors import HeflError, WireError
from hefl_core.federation.outside import Whereabouts, is_public_reason
from hefl_core.federation.record import protocol_table
from hefl_core.federation.record.transcript import LeftOut, Seen, Sent, Transcript, Unsent
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name, is_client, looks_like_a_digest
from hefl_core.keys.custody import Custody
from hefl_core.keys.roster import CLIENT
from hefl_core.terms import messages as m
from hefl_core.terms.agreed_sizes import blocks_of, upload_nbytes
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.messages import Commitment, EncryptedSum
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import DOMAIN, NO_DIGEST, VERSION, Header, SignedHeader

READABLE: Final = protocol_table.READABLE
"""Types that a keyless party can decode, by kind of message, from the table of the protocol."""

NAME, PLACE, NUMBER, SIZE = "name", "place in the run", "public number", "size of what is sent"
DIGEST, KEY, SIGNATURE, CIPHERTEXT = "digest", "public key", "signature", "ciphertext"
VOUCHER = "a client's signature under its key, or nothing"
START, FLAG, TIME = "θ_0", "yes or no", "time of a key event"
COUNT, LIMIT, ABSENT = "count of messages", "limit that the KMS set", "nothing"

FIELDS: Final[dict[str, dict[str, str]]] = {
    "Header": {
        "kind": NAME, "experiment": NAME, "key_id": NAME, "sender": NAME, "recipients": NAME, "domain": NAME,
        "sequence": COUNT, "previous": DIGEST, "plan": DIGEST, "state": DIGEST, "commitments": DIGEST,
        "length": NUMBER, "blocks": NUMBER, "content_nbytes": SIZE, "content_digest": DIGEST, "sealed": FLAG,
        "version": NUMBER,
    },
    "SignedHeader": {"signature": SIGNATURE},
    "Position": {"epoch": PLACE, "round": PLACE, "attempt": PLACE},
    "Roster": {"experiment": NAME, "epoch": PLACE},
    "Member": {"name": NAME, "role": NAME, "signing": KEY, "sealing": KEY, "voucher": VOUCHER},
    "EpochRecord": {
        "experiment": NAME, "epoch": PLACE, "previous": DIGEST, "preset": NAME, "preset_digest": DIGEST,
        "public_key_digest": DIGEST, "dealer": NAME, "roster_digest": DIGEST, "first_round": PLACE, "last_round": PLACE,
        "max_decryptions": LIMIT,
    },
    "AuditEntry": {
        "sequence": COUNT, "time": TIME, "action": NAME, "subject": NAME, "details": NAME, "previous": DIGEST,
        "signature": SIGNATURE,
    },
    "EpochAnnouncement": {"approvals": ABSENT},
    "CeremonyResult": {
        "experiment": NAME, "epoch": PLACE, "preset": NAME, "public_key_digest": DIGEST, "transcript": DIGEST,
        "tag_key_digest": DIGEST,
    },
    "Quorum": {"threshold": NUMBER, "holders": NUMBER},
    "KeyId": {"scheme": NAME, "preset": NAME, "epoch": PLACE, "fingerprint": NAME},
    "PublicKey": {"material": KEY},
    "RoundPlan": {
        "epoch_record": DIGEST, "previous": DIGEST, "cohort": NAME, "min_cohort": NUMBER, "bound": NUMBER,
        "max_terms": NUMBER, "examples_max": NUMBER, "length": NUMBER, "theta_0": START,
    },
    "Commitment": {"ciphertext_digest": DIGEST, "nbytes": SIZE, "spares": DIGEST},
    "Acknowledgement": {"listed": DIGEST},
    "Objection": {"listed": DIGEST, "lacking": NAME},
    "CiphertextVector": {
        "length": NUMBER, "integers": NUMBER, "tagged": FLAG, "bound": NUMBER, "max_terms": NUMBER, "terms": NUMBER,
        "blocks": CIPHERTEXT,
    },
    "Confirmation": {"plan": DIGEST, "updates": DIGEST, "blocks": DIGEST},
    "Ready": {"sum": DIGEST, "confirmation": DIGEST},
    "DecryptionRequest": {"active": NAME, "sum": DIGEST, "confirmation": DIGEST},
    "Receipt": {"sum": DIGEST, "state": DIGEST},
}  # fmt: skip
"""Every field that may reach a keyless party, and what it means. Fields that hold one of these types need no line."""
MEANINGS: Final = tuple(sorted({meaning for names in FIELDS.values() for meaning in names.values()}))
LONGEST_NAME = 200
MOST_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Inputs:
    """Result of decoding. ``meanings``: fields by meaning; ``findings``: what the list does not allow, in words."""

    messages: int
    nbytes: int
    kinds: tuple[tuple[str, int], ...]
    meanings: tuple[tuple[str, int], ...]
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes passed to a process, by their digest."""

    digest: bytes
    nbytes: int


@dataclass
class Decoder:
    """Walks messages and values; collects findings.

    ``sizes``: those of the run's messages. ``uploads``: least and most bytes of an upload, also of one that never came, as
    the agreed terms fix them. ``order``: place of each message among its sender's; where parties
    were left out, up to ``gaps`` numbers may be missing. ``names`` and ``digests``: all that the run knows; a client may
    send no other. ``sequences``: the numbers of keyless parties' messages, and -1 before the first. ``newest``: the last epoch
    that KMS, coordinator or auditor name.
    """

    manifest: Manifest
    sizes: set[int] = field(default_factory=set)
    order: dict[bytes, int] = field(default_factory=dict)
    gaps: int = 0
    bodies: set[bytes] = field(default_factory=set)
    uploads: set[tuple[int, int]] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    digests: set[bytes] = field(default_factory=set)
    sequences: set[int] = field(default_factory=lambda: {-1})
    newest: int = 1
    meanings: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    _of_client: bool = False

    @classmethod
    def of(cls, transcript: Transcript) -> Decoder:
        """For one run."""
        found = cls(transcript.manifest, gaps=sum(isinstance(line.entry, LeftOut) for line in transcript.lines))
        found.names, found.digests = known_names(transcript), known_digests(transcript)
        found.newest = newest_epoch(transcript)
        said: Counter[str] = Counter()
        for head in transcript.headers:
            if head.header.digest not in found.order:
                found.order[head.header.digest] = said[head.header.sender]
                said[head.header.sender] += 1
        for sent in transcript.sent:
            found.bodies.add(sent.body)
            if not is_client(sent.sender):
                found.sequences.add(sent.head.header.sequence)
            content = transcript.content(sent)
            if content is not None:
                found.sizes.add(len(content))
        experiment, parameters = transcript.manifest.experiment, transcript.manifest.parameters
        epochs = {sent.position.epoch for sent in transcript.sent}
        found.uploads = {upload_nbytes(experiment, parameters, epoch) for epoch in epochs}
        return found

    @property
    def numbers(self) -> set[float | None]:
        """Every number that the manifest makes public or implies."""
        e = self.manifest.experiment
        quorum = {e.quorum.threshold, e.quorum.holders}
        small = set(range(e.clients + 1))  # terms, holders, members: at most all clients
        said = {self.manifest.parameters, self.manifest.examples_max, e.cohort_floor, e.declared_bound}
        blocks = blocks_of(m.UPDATE, e, self.manifest.parameters)
        return quorum | small | said | {0, blocks, VERSION, 2, None}

    def message(self, seen: Seen) -> None:
        """One message as the party has it: header, and content where readable."""
        head, header = seen.sent.head, seen.sent.head.header
        where = f"{header.kind} of {header.sender}, round {header.position.round}"
        self._of_client = is_client(header.sender)
        self.walk(head, where)
        kind = READABLE.get(header.kind)
        if kind is None:
            self.findings.append(f"{where}: a kind that is not on the list")
        elif seen.content is None:
            self.findings.append(f"{where}: {seen.sent.nbytes} {UNFILED}")
        else:
            try:
                self.walk(decode(seen.content, kind), where)
            except WireError as error:
                self.findings.append(f"{where}: not decodable ({error})")

    def unsent(self, head: SignedHeader) -> None:
        """A header that no party received: its content cannot be compared, but the digest must look like one."""
        header = head.header
        where = f"unsent {header.kind} of {header.sender}, round {header.position.round}"
        self._of_client = is_client(header.sender)
        self.walk(head, where)
        if not looks_like_a_digest(header.content_digest):
            self.findings.append(f"{where}: Header.content_digest is no digest")

    def walk(self, value: object, where: str) -> None:
        """Check every leaf of a value of the listed types, and the order of every header inside it."""
        for header in _headers(value):
            place = self.order.get(header.digest)
            if place is None or not place <= header.sequence <= place + self.gaps:
                self.findings.append(f"{where}: a header of {header.sender} that is out of order or not on record")
        for kind, name, leaf in _leaves(value):
            meaning = FIELDS.get(kind, {}).get(name)
            if meaning is None:
                self.findings.append(f"{where}: {kind}.{name} is not on the list")
            elif not (self._means(meaning, leaf) and self._is_known(kind, meaning, leaf)):
                self.findings.append(f"{where}: {kind}.{name} is no {meaning}")
            else:
                self.meanings[meaning] += 1

    def handed(self, value: object, where: str) -> None:
        """A value that the runtime handed to a party's process: names, places, members, headers, and bodies on record."""
        for part in _flat(value):
            if isinstance(part, Blob):
                if part.digest not in self.bodies:
                    self.findings.append(f"{where}: {part.nbytes} bytes that are the body of no message on record")
            elif isinstance(part, Manifest):
                if part != self.manifest:
                    self.findings.append(f"{where}: another run's manifest")
            elif isinstance(part, str):
                if not self._means(NAME, part):
                    self.findings.append(f"{where}: text that is no name")
            elif isinstance(part, int):
                if part not in self.sequences:
                    self.findings.append(f"{where}: {part} is the number of no message on record")
            elif part is not None:
                self.walk(part, where)

    def _is_known(self, kind: str, meaning: str, leaf: object) -> bool:
        """Whether the run knows a client's name or digest; only commitments may bring a new digest."""
        if not self._of_client:
            return True
        if kind == "Commitment":
            return meaning != DIGEST or looks_like_a_digest(leaf)
        if meaning == NAME:
            return leaf in self.names
        return meaning != DIGEST or leaf in self.digests

    def _means(self, meaning: str, leaf: object) -> bool:
        if meaning == NAME:
            return isinstance(leaf, str) and len(leaf) <= LONGEST_NAME and leaf.isprintable()
        if meaning == PLACE:
            return _is_int(leaf) and 0 <= leaf <= max(MOST_ATTEMPTS, self.manifest.experiment.rounds, self.newest)  # type: ignore[operator]
        if meaning == ABSENT:
            return leaf is None
        if meaning == NUMBER:
            return not isinstance(leaf, bool | str | bytes) and leaf in self.numbers
        if meaning == SIZE:
            return _is_int(leaf) and (leaf in self.sizes or self._is_of_upload(leaf))  # type: ignore[arg-type]
        if meaning in (FLAG, TIME, COUNT, LIMIT):
            return isinstance(leaf, bool) if meaning == FLAG else _is_int(leaf)
        if not isinstance(leaf, bytes):
            return meaning == START and leaf is None
        lengths = {DIGEST: (0, 32), SIGNATURE: (64,), VOUCHER: (0, 64), START: (4 * self.manifest.parameters,)}.get(
            meaning
        )
        return lengths is None or len(leaf) in lengths

    def _is_of_upload(self, nbytes: int) -> bool:
        return any(least <= nbytes <= most for least, most in self.uploads)


def examine(transcript: Transcript, seat: str) -> Inputs:
    """Decode every message that this seat sent or received."""
    decoder = Decoder.of(transcript)
    kinds: Counter[str] = Counter()
    nbytes = 0
    for seen in transcript.seen_by(seat):
        decoder.message(seen)
        kinds[seen.sent.step] += 1
        nbytes += seen.sent.nbytes
    return Inputs(
        messages=kinds.total(),
        nbytes=nbytes,
        kinds=tuple(sorted(kinds.items())),
        meanings=tuple(sorted(decoder.meanings.items())),
        findings=tuple(decoder.findings),
    )


UNFILED: Final = "bytes that are not on record in the open"


def awaits_uploads(finding: str) -> bool:
    """Whether this finding only means that the auditor has not filed an upload: not yet, or it could not open it."""
    return finding.endswith(UNFILED)


def newest_epoch(transcript: Transcript) -> int:
    """The last epoch that is not a client's word: a ceremony that is repeated takes a number, so there may be more than rounds."""
    return max((sent.position.epoch for sent in transcript.sent if not is_client(sent.sender)), default=1)


def known_names(transcript: Transcript) -> set[str]:
    """Parties, kinds and keys of a run, as its keyless parties and its KMS name them."""
    manifest = transcript.manifest
    found = {
        manifest.id,
        DOMAIN,
        manifest.experiment.preset.name,
        manifest.experiment.preset.family,
        KMS,
        *READABLE,
    }
    for sent in transcript.sent:
        if not is_client(sent.sender):
            key_id = sent.head.header.key_id
            found |= {sent.step, sent.sender, *sent.receivers, key_id, key_id.rpartition("/")[2]}
    return found


def known_digests(transcript: Transcript) -> set[bytes]:
    """Digests of a run's messages, ciphertexts and states. Raises: nothing; unreadable content is a finding elsewhere."""
    found = {NO_DIGEST}
    for head in transcript.headers:  # a receipt that was lost is what its sender's next message follows
        found |= {head.header.digest, head.header.content_digest}
    for sent in transcript.sent:
        header = sent.head.header
        found.add(sent.body)
        if not is_client(sent.sender):
            found |= {header.plan, header.state, header.commitments, header.previous}
        if sent.step == m.SUM and (content := transcript.content(sent)) is not None:
            with suppress(WireError):
                updates = tuple(item.header.digest for item in decode(content, EncryptedSum).updates)
                found.add(m.next_state(header.state, header.plan, updates, header.digest))
    return found


def examine_record(transcript: Transcript, calls: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Findings in the record's own lines, beside the messages, on the coordinator's disk.

    ``calls``: by role, what a party is asked for. A note names one of its party's, or a kind of message that it received.
    """
    return (*_in_lines(transcript, calls), *_in_unsent(transcript))


def _steps(transcript: Transcript, calls: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """By party, the steps that a note of it may name: its calls, kinds that it received, what the post refuses."""
    clients = [client_name(number) for number in range(1, transcript.manifest.experiment.clients + 1)]
    kinds = [row.kind for row in protocol_table.TABLE]
    received = {f"receive {kind}" for kind in kinds}
    refused = {
        f"receive {what} of {name}" for what in (*kinds, *calls[CLIENT], protocol_table.OTHER_KIND) for name in clients
    }
    found = {role: {*calls[role], *received} for role in (COORDINATOR, AUDITOR, KMS)}
    found[COORDINATOR] |= refused
    return found | {name: {*calls[CLIENT], *received} for name in clients}


def unused_spares(transcript: Transcript) -> int:
    """Number of digests in commitments for unused attempts: nothing on record can be compared with them."""
    came = known_digests(transcript)
    spares = 0
    for sent in transcript.sent:
        if sent.step == m.COMMITMENT and (content := transcript.content(sent)) is not None:
            with suppress(WireError):
                spares += sum(spare not in came for spare in decode(content, Commitment).spares)
    return spares


def _in_lines(transcript: Transcript, calls: Mapping[str, Iterable[str]]) -> Iterator[str]:
    experiment = transcript.manifest.experiment
    most = {
        "round": experiment.rounds,
        "attempt": MOST_ATTEMPTS,
        "epoch": newest_epoch(transcript) + 1,
    }  # one begun in vain
    steps = _steps(transcript, calls)
    for number, line in enumerate(transcript.lines, 1):
        entry = line.entry
        if isinstance(entry, Sent):
            yield from (f"line {number}: {what}" for what in _beside(entry, transcript))
        if isinstance(entry, LeftOut):
            place = {"epoch": entry.position.epoch, "round": entry.position.round, "attempt": entry.position.attempt}
            if entry.step not in steps.get(entry.party, ()) or any(place[what] > most[what] for what in place):
                yield f"line {number}: a note of no party, step or place that the run has"
            if not is_public_reason(
                entry.reason, Whereabouts(entry.party, entry.step, entry.position, experiment.clients)
            ):
                yield f"line {number}: a refusal of {entry.party} that says more than its kind and rule"


def _beside(sent: Sent, transcript: Transcript) -> Iterator[str]:
    """Findings in what a line says beside its message."""
    if is_client(sent.sender) and sent.work:
        yield f"a cost report of {sent.sender}; training time grows with its number of examples"
    if any(one.step not in WORKED for one in sent.work):
        yield f"a cost report of {sent.sender} on a step that it does not have"
    body = transcript.blobs.get(sent.body)
    if body is not None and sent.nbytes != len(encode(sent.head.header)) + len(sent.head.signature) + len(body):
        yield f"{sent.nbytes} bytes, which is not the size of the {sent.step} of {sent.sender}"


WORKED: Final = frozenset({"train", "encrypt", "seal", "decrypt", "partial", "admit", "aggregate", "confirm"})
"""Steps that a cost report may name."""


def _in_unsent(transcript: Transcript) -> Iterator[str]:
    """Findings in headers that no party received: all checks that need no content."""
    heads = [line.entry.head for line in transcript.lines if isinstance(line.entry, Unsent)]
    if not heads:
        return
    decoder, manifest = Decoder.of(transcript), transcript.manifest
    custody = Custody.parse(manifest.experiment.custody, manifest.experiment.clients)
    decoder.names |= {row.kind for row in protocol_table.TABLE}
    decoder.sizes |= {head.header.content_nbytes for head in heads}  # the row looks at them: nothing on record has them
    for head in heads:
        decoder.unsent(head)
        role = CLIENT if is_client(head.header.sender) else head.header.sender
        try:
            protocol_table.row_of(head.header.kind).check(head.header, role, custody, manifest)
        except HeflError as error:
            yield f"unsent {head.header.kind} of {head.header.sender}: {error}"
    yield from decoder.findings


def examine_handed(transcript: Transcript, handed: Sequence[tuple[int, object]], known: Sequence[bytes]) -> Inputs:
    """The same for what the runtime passed to a process: (size, value). ``known``: public bodies beside messages."""
    decoder = Decoder.of(transcript)
    decoder.bodies |= {hashlib.sha256(body).digest() for body in known}
    kinds: Counter[str] = Counter()
    for nbytes, value in handed:
        name = type(value).__name__
        kinds[name] += 1
        decoder.handed(value, f"{name} of {nbytes} bytes")
    return Inputs(
        messages=len(handed),
        nbytes=sum(nbytes for nbytes, _ in handed),
        kinds=tuple(sorted(kinds.items())),
        meanings=tuple(sorted(decoder.meanings.items())),
        findings=tuple(decoder.findings) if handed else ("nothing was recorded: the tap is blind",),
    )


def _leaves(value: object) -> Iterator[tuple[str, str, Any]]:
    """(type, field, value) of every leaf; tuples are looked through."""
    if not is_dataclass(value):
        yield type(value).__name__, "", value
        return
    for one in fields(value):
        for part in _flat(getattr(value, one.name)):
            if is_dataclass(part):
                yield from _leaves(part)
            else:
                yield type(value).__name__, one.name, part


def _flat(value: object) -> Iterator[object]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _headers(value: object) -> Iterator[Header]:
    for part in _flat(value):
        if isinstance(part, Header):
            yield part
        elif is_dataclass(part):
            yield from _headers(tuple(getattr(part, one.name) for one in fields(part)))


def _is_int(leaf: object) -> bool:
    return isinstance(leaf, int) and not isinstance(leaf, bool)
