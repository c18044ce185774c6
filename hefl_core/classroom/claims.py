"""What is promised of a live class: each sentence, its check, and the faults on which the check must fail.

A laboratory plays the phones of a class whose server is another process: it knows every answer, update and share, looks
into that process, and keeps what it sent (tests/classroom/laboratory.py).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np

from hefl_core.checks.claims.claim import Claim, demand
from hefl_core.checks.claims.reading import need_of
from hefl_core.classroom import bridge
from hefl_core.classroom import record as r
from hefl_core.classroom.custody import DEALER_FREE
from hefl_core.classroom.verify import verify_record
from hefl_core.measure.masks import opens_without_key, without_key
from hefl_core.probes.memory import Hit, Scan, Search
from hefl_core.probes.private_forms import UPDATE
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.private_forms import KEY
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks
from hefl_core.schemes.ring.bfv import BFVScheme
from hefl_core.wire.fingerprint import Form, Salt

ANSWER: Final = "answer"
UPLOAD: Final = "upload"
"""Needles that must be found, or the look is worth nothing: pieces of the ciphertexts that phones sent."""
PARTIAL: Final = "/partial/"
COMPUTER: Final = "teacher's computer"


@dataclass(frozen=True)
class ClassSeen:
    """A class as its laboratory saw it. ``sent``: address and body of everything that phones sent.

    ``needles``: the phones' answers, updates and keys in the forms that memory has them, and pieces of their uploads.
    """

    record: bytes
    sent: tuple[tuple[str, bytes], ...]
    needles: tuple[Form, ...]
    scans: tuple[Scan, ...]

    @property
    def entries(self) -> tuple[r.Entry, ...]:
        """The record's lines."""
        return tuple(line.entry for line, _ in r.read_lines(io.BytesIO(self.record)))


# -- checks -------------------------------------------------------------------------------------------------------


def keyless(seen: ClassSeen) -> str:
    """Evidence for ``class-keyless``. Raises: AssertionError or HeflError where it does not hold."""
    return _nothing_of(seen, KEY)


def blind(seen: ClassSeen) -> str:
    """Evidence for ``class-blind``. Raises: AssertionError or HeflError where it does not hold."""
    said = _nothing_of(seen, ANSWER, UPDATE)
    count = 0
    for key, upload, vector in _uploads(seen):
        demand(not opens_without_key(key, vector), f"the upload of seat {upload.seat} opens without a key")
        count += 1
    return f"{said}; {count} uploads, none opens without a key"


def sums_only(seen: ClassSeen) -> str:
    """Evidence for ``class-sums``. Raises: AssertionError or HeflError where it does not hold."""
    verdict = verify_record(io.BytesIO(seen.record))
    need_of(verdict.opened + verdict.word > 0, "no sum of this class was opened")
    on_record = {entry.body for entry in seen.entries if isinstance(entry, r.Answered)}
    answers = [body for path, body in seen.sent if path.startswith(PARTIAL) and body]
    demand(set(answers) <= on_record, "a holder's phone answered for a sum that is not on record")
    return f"{verdict}; {len(answers)} answers of holders, all for these sums"


def _nothing_of(seen: ClassSeen, *kinds: str) -> str:
    """None of these needles in the process, in what was sent, or on record. Raises: AssertionError; NotChecked."""
    wanted = [form for form in seen.needles if form.kind in kinds]
    found = [hit for scan in seen.scans for hit in scan.hits]
    for kind in kinds:
        need_of(any(form.kind == kind for form in wanted), f"nothing of this kind was looked for: {kind}")
    controls = {form.name for form in seen.needles if form.kind == UPLOAD}
    need_of(
        bool(controls & {hit.needle for hit in found}), "the look found no upload either, which the process must have"
    )
    in_memory = sorted({f"{hit.needle} in {hit.mapping}" for hit in found if hit.kind in kinds})
    demand(not in_memory, f"in the process that adds: {'; '.join(in_memory[:3])}")
    salt = Salt(os.urandom(16))
    search = Search(salt, (salt.fingerprint(form) for form in wanted))
    for place, content in (*seen.sent, ("the record", seen.record)):
        there = [one.name for one in search.in_bytes(content)]
        demand(not there, f"in what went to {place}: {'; '.join(there[:3])}")
    looked = sum(scan.nbytes for scan in seen.scans) / 2**20
    sent = sum(len(content) for _, content in seen.sent) / 2**20
    return (
        f"{len(wanted)} needles: none in {len(seen.scans)} looks into the process that adds ({looked:.0f} MiB), in the "
        f"{sent:.1f} MiB that it received, or on record; uploads were found there"
    )


def _uploads(seen: ClassSeen) -> Iterator[tuple[PublicKey, r.Uploaded, CiphertextVector]]:
    """Every upload on record, under the key and label of its question. Raises: WireError."""
    key: PublicKey | None = None
    labels: dict[int, CiphertextVector] = {}
    for entry in seen.entries:
        if isinstance(entry, r.Keyed):
            key = entry.key
        elif isinstance(entry, r.Asked):
            labels[entry.id] = entry.label
        elif isinstance(entry, r.Uploaded) and key is not None:
            label = labels[entry.id]
            yield key, entry, bridge.upload(
                entry.body, key, _scheme_of(key).preset, length=label.length, integers=label.integers,
                tagged=label.tagged, bound=label.bound or 1.0, max_terms=label.max_terms,
            )  # fmt: skip


def _scheme_of(key: PublicKey) -> BFVScheme:
    scheme = open_scheme(key.id.preset)
    assert isinstance(scheme, BFVScheme)
    return scheme


# -- planted faults -----------------------------------------------------------------------------------------------


def keep_key(seen: ClassSeen) -> ClassSeen:
    """The process that adds has a holder's share: a server that dealt the key and kept it."""
    share = next(form for form in seen.needles if form.kind == KEY)
    hit = Hit(seen.scans[-1].pid, KEY, share.name, "[heap]")
    return replace(seen, scans=(*seen.scans[:-1], replace(seen.scans[-1], hits=(*seen.scans[-1].hits, hit))))


def relay_bare(seen: ClassSeen) -> ClassSeen:
    """A holder sends another its piece of the key without a seal: nothing of it is in the process at the time of a look."""
    return replace(seen, sent=(*seen.sent, ("/dealing", _first(seen, KEY))))


def send_plain(seen: ClassSeen) -> ClassSeen:
    """A page sends an answer in the clear, inside of an upload that is well formed."""
    return _with_body(seen, lambda body: body[:-4096] + _first(seen, ANSWER).ljust(4096, b"\0"))


def send_keyless(seen: ClassSeen) -> ClassSeen:
    """A page adds no key: c1 is noise, c0 the plaintext scaled up; no form of the answer lies in it."""
    key, first, vector = next(_uploads(seen))
    scheme = _scheme_of(key)
    (words,) = blocks.read_all(scheme.preset, scheme.ring, replace(vector, blocks=without_key(key, vector)))
    return _with_body(seen, lambda body: words.astype("<u8").tobytes() if body == first.body else body)


def open_one(seen: ClassSeen) -> ClassSeen:
    """The first sum that was opened is that of one upload."""
    return _with_sum(seen, lambda seats: seats[:1])


def open_one_as_all(seen: ClassSeen) -> ClassSeen:
    """The first sum that was opened names all members, and is one upload."""
    return _with_sum(seen, lambda seats: seats)


def open_beside(seen: ClassSeen) -> ClassSeen:
    """Holders answered for a sum of which the record says nothing."""
    answer = next(body for path, body in seen.sent if path.startswith(PARTIAL) and body)
    return replace(seen, sent=(*seen.sent, (f"{PARTIAL}99", bytes(np.frombuffer(answer, np.uint8)[::-1]))))


def _first(seen: ClassSeen, kind: str) -> bytes:
    return next(form.data for form in seen.needles if form.kind == kind)


def _with_body(seen: ClassSeen, change: Callable[[bytes], bytes]) -> ClassSeen:
    """The first upload of the class with another body, on record and as it was sent."""
    first = next(entry for entry in seen.entries if isinstance(entry, r.Uploaded))
    sent = tuple((path, change(body) if body == first.body else body) for path, body in seen.sent)
    fault = _replaced(first, body=change(first.body))
    return replace(seen, sent=sent, record=written([fault if entry == first else entry for entry in seen.entries]))


def _with_sum(seen: ClassSeen, members: Callable[[tuple[int, ...]], tuple[int, ...]]) -> ClassSeen:
    """The first sum is its first member's upload, under the names that ``members`` says."""
    total = next(vector for _, _, vector in _uploads(seen))
    first = next(entry for entry in seen.entries if isinstance(entry, r.Summed))
    fault = _replaced(first, seats=members(first.seats), total=total)
    return replace(seen, record=written([fault if entry == first else entry for entry in seen.entries]))


def _replaced(entry: Any, **fields: object) -> Any:
    return msgspec.structs.replace(entry, **fields)


def written(entries: list[r.Entry]) -> bytes:
    """A record of these entries whose chain is right."""
    made = r.Record()
    for entry in entries:
        made.write(entry)
    content = made.content()
    made.end()
    return content


# -- the sentences ------------------------------------------------------------------------------------------------


def is_dealer_free(seen: ClassSeen) -> bool:
    """Whether the phones made the class's key."""
    first = seen.entries[0]
    return isinstance(first, r.Began) and first.held.kind == DEALER_FREE


def is_collective(seen: ClassSeen) -> bool:
    """Whether phones hold the class's key."""
    first = seen.entries[0]
    return isinstance(first, r.Began) and first.held.quorum.collective


CLASS_LEDGER: Final[tuple[Claim[ClassSeen], ...]] = (
    Claim(
        "class-keyless",
        "Live class without a dealer, honest page: at no look did the process that adds have a holder's secret, its share or a "
        "piece of one in any form that was searched for, and nothing that came to it was one.",
        COMPUTER,
        "executed",
        "docs/threat_model.md, a live class; hefl_core/probes/memory.py",
        keyless,
        (keep_key, relay_bare),
        is_dealer_free,
    ),
    Claim(
        "class-blind",
        "Live class, honest page: at no look did the process that adds have an answer or an update of a phone in any form that "
        "was searched for, nothing that came to it was one, and no upload opens without a key. A volunteer's update in the "
        "clear is the exception that its owner presses a button for. With one key that process could "
        "open each of them, and says so.",
        COMPUTER,
        "executed",
        "docs/threat_model.md, a live class; hefl_core/measure/masks.py",
        blind,
        (send_plain, send_keyless),
    ),
    Claim(
        "class-sums",
        "Live class whose phones hold the key: every sum on record is that of max(3, t + 1) seats' uploads or more, adds up "
        "again to the same bytes, and shares no upload with another one; every answer of a holder is for a sum on record, and "
        "opens it to the numbers that were shown. Invented phones are members like others: count the roster.",
        COMPUTER,
        "executed",
        "docs/threat_model.md, a live class; hefl_core/classroom/verify.py",
        sums_only,
        (open_one, open_one_as_all, open_beside),
        is_collective,
    ),
)
"""Every claim about a live class; docs/claims.md has them after those of a run."""
