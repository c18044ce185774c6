"""Benches for a run's record: its holder may change lines, blobs and its end, and even chain it anew.

The door is ``verify`` with the pinned roster and the client heads: it must detect everything but the untouched record.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random

import msgspec

from hefl_core.checks.damage.mutation import BOMB_BYTES, Mutant, mutate
from hefl_core.checks.damage.outcomes import Bench
from hefl_core.errors import IntegrityError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.protocol_table import UNKEPT_KINDS
from hefl_core.federation.record.transcript import (
    Closing,
    LeftOut,
    Sent,
    Transcript,
    TranscriptLine,
    closing_statement,
    read_line,
)
from hefl_core.federation.record.transcript_zip import LINES, pack, unpack
from hefl_core.federation.record.verify import TranscriptVerdict, pin_of, verify
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Position

SMALL = Experiment(
    dataset="breast_cancer", model="logistic", scheme="INSECURE_bfv-1024", clients=3, rounds=2, epoch_rounds=1
)

Blobs = dict[bytes, bytes]
Change = Callable[[Random, list[bytes], Blobs], None]


@lru_cache(maxsize=2)
def finished_run(turn: int = 0) -> Run:
    """A small finished local run with a key rotation. ``turn``: another run of the same kind."""
    run = Run(SMALL)
    for _ in run.steps():
        pass
    return run


def lines() -> Bench:
    """The JSON Lines and their blobs, in a container that only this bench uses."""
    run, other = finished_run(), finished_run(1)
    transcript = run.transcript
    pin, heads = pin_of(transcript), ClientHeads.of(transcript)

    def door(data: bytes) -> TranscriptVerdict:
        raw, blobs = _split(data)
        verdict = verify(Transcript.from_bytes(raw, blobs), pin, heads)
        if verdict.sums is None:
            raise IntegrityError("the verdict says so: without blobs the sums are not checked")
        return verdict

    def damage(rng: Random, inputs: Sequence[bytes], _: int) -> Mutant:
        kind, raw, blobs = tampered(rng, run, other.transcript, *_split(inputs[0]))
        return Mutant(kind, _join(raw, blobs))

    whole = _join(transcript.to_bytes(), transcript.blobs)
    return Bench((whole,), door, (verify(transcript, pin, heads),), damage=damage)


def tampered(rng: Random, run: Run, other: Transcript, raw: bytes, blobs: Blobs) -> tuple[str, bytes, Blobs]:
    """(kind, lines, blobs): the record of a run after one change, never as it was. ``other``: lends lines of another run."""
    kind, change = rng.choice(CHANGES)
    if change is None:
        return "bytes of the file", mutate(rng, (raw, other.to_bytes()), 0).data, blobs
    changed, kept = raw[:-1].split(b"\n"), dict(blobs)
    change(rng, changed, kept)
    if kind.startswith("re-closed"):
        changed = _close(run, changed)
    elif kind == "foreign line":
        changed[rng.randrange(len(changed))] = rng.choice(other.to_bytes().split(b"\n")[:-1])
    made = b"\n".join(changed) + b"\n"
    return (kind, made, kept) if (made, kept) != (raw, blobs) else ("no end of line", raw[:-1], blobs)


def _join(raw: bytes, blobs: Blobs) -> bytes:
    return encode((raw, tuple(sorted(blobs.items()))))


def _split(data: bytes) -> tuple[bytes, Blobs]:
    raw, blobs = decode(data, tuple[bytes, tuple[tuple[bytes, bytes], ...]])
    return raw, dict(blobs)


# -- changes -------------------------------------------------------------------------------------------------------


def _drop(rng: Random, lines_: list[bytes], _: Blobs) -> None:
    del lines_[rng.randrange(len(lines_))]


def _double(rng: Random, lines_: list[bytes], _: Blobs) -> None:
    at = rng.randrange(len(lines_))
    lines_.insert(rng.randrange(len(lines_) + 1), lines_[at])


def _swap(rng: Random, lines_: list[bytes], _: Blobs) -> None:
    a, b = rng.sample(range(len(lines_)), 2)
    lines_[a], lines_[b] = lines_[b], lines_[a]


def _cut(rng: Random, lines_: list[bytes], _: Blobs) -> None:
    """Cut the tail, with the closing line."""
    del lines_[rng.randrange(1, len(lines_)) :]


def _cut_before_the_end(rng: Random, lines_: list[bytes], _: Blobs) -> None:
    """Cut lines before the closing line, whose count is then wrong."""
    del lines_[rng.randrange(1, len(lines_) - 1) : -1]


def _cut_and_count(rng: Random, lines_: list[bytes], blobs: Blobs) -> None:
    """As before, with the closing line's count put right, under the old signatures."""
    _cut_before_the_end(rng, lines_, blobs)
    _chain(lines_)


def _cut_messages(rng: Random, lines_: list[bytes], _: Blobs) -> None:
    """Cut at least one client's message; the clients themselves sign the new end (see ``_close``)."""
    said = [n for n, line in enumerate(map(read_line, lines_)) if _by_client(line)]
    del lines_[rng.choice(said) :]


def _field(rng: Random, lines_: list[bytes], _: Blobs) -> None:
    """Change a field of a line, and chain the record anew."""
    at = rng.randrange(len(lines_))
    lines_[at] = mutate(rng, lines_, at).data.replace(b"\n", b"")
    _chain(lines_)


def _refusal(rng: Random, lines_: list[bytes], _: Blobs) -> None:
    """Invent a client's refusal, and chain the record anew."""
    left = LeftOut("client-1", "receive sum", Position(1, 1), "IntegrityError: invented")
    lines_.insert(rng.randrange(1, len(lines_)), TranscriptLine(b"", left).to_json())
    _chain(lines_)


def _drop_and_chain(rng: Random, lines_: list[bytes], blobs: Blobs) -> None:
    del lines_[rng.randrange(1, len(lines_) - 1)]
    _chain(lines_)


def _blob_changed(rng: Random, lines_: list[bytes], blobs: Blobs) -> None:
    name = rng.choice(sorted(blobs))
    blobs[name] = mutate(rng, (blobs[name],), 0).data


def _blob_missing(rng: Random, lines_: list[bytes], blobs: Blobs) -> None:
    entries = [line.entry for line in map(read_line, lines_)]
    unkept = {entry.body for entry in entries if isinstance(entry, Sent) and entry.step in UNKEPT_KINDS}
    del blobs[rng.choice(sorted(set(blobs) - unkept))]


def _blobs_exchanged(rng: Random, lines_: list[bytes], blobs: Blobs) -> None:
    a, b = rng.sample(sorted(blobs), 2)
    blobs[a], blobs[b] = blobs[b], blobs[a]


def _blobs_gone(rng: Random, lines_: list[bytes], blobs: Blobs) -> None:
    blobs.clear()


def _nothing(rng: Random, lines_: list[bytes], blobs: Blobs) -> None:
    """No change here: the bench makes it."""


CHANGES: tuple[tuple[str, Change | None], ...] = (
    ("bytes of the file", None),
    ("bytes of the file", None),
    ("dropped line", _drop),
    ("doubled line", _double),
    ("swapped lines", _swap),
    ("foreign line", _nothing),
    ("cut tail", _cut),
    ("cut tail, closing line kept", _cut_before_the_end),
    ("cut tail, closing line counted anew", _cut_and_count),
    ("re-closed tail, signed by every client", _cut_messages),
    ("field changed, chained anew", _field),
    ("line dropped, chained anew", _drop_and_chain),
    ("refusal invented, chained anew", _refusal),
    ("blob changed", _blob_changed),
    ("blob missing", _blob_missing),
    ("blobs exchanged", _blobs_exchanged),
    ("all blobs gone", _blobs_gone),
)


def _by_client(line: TranscriptLine) -> bool:
    return isinstance(line.entry, Sent) and line.entry.sender.startswith("client-")


def _chain(lines_: list[bytes]) -> None:
    """Put the digest of the line before into each line, and the count into the end: this needs no key."""
    head = b""
    for number, raw in enumerate(lines_):
        try:
            line = msgspec.json.decode(raw, type=TranscriptLine)
        except (msgspec.MsgspecError, ValueError):
            continue
        entry = line.entry
        if isinstance(entry, Closing):
            entry = Closing(number, head, entry.signatures)
        lines_[number] = TranscriptLine(head, entry).to_json()
        head = hashlib.sha256(lines_[number]).digest()


def _close(run: Run, lines_: list[bytes]) -> list[bytes]:
    """Sign a closing line under every client's key, for a record that ends too early; an honest client would refuse."""
    head = hashlib.sha256(lines_[-1]).digest()
    tail = (len(lines_), head)
    statement = closing_statement(run.transcript.manifest.id, *tail)
    signatures = tuple((client.name, client.identity.sign(statement)) for client in run.parties.clients)
    return [*lines_, TranscriptLine(head, Closing(*tail, signatures)).to_json()]


# -- one file ------------------------------------------------------------------------------------------------------


def zips() -> Bench:
    """A transcript as uploaded to the application: one zip."""
    transcript = finished_run().transcript
    pin, heads = pin_of(transcript), ClientHeads.of(transcript)

    def door(data: bytes) -> TranscriptVerdict:
        verdict = verify(unpack(data), pin, heads)
        if verdict.sums is None:
            raise IntegrityError("the verdict says so: without blobs the sums are not checked")
        return verdict

    expected = verify(transcript, pin, heads)
    return Bench((pack(transcript), pack(finished_run().transcript)), door, (expected, expected), specials=(_zip_bomb,))


def _zip_bomb(rng: Random, data: bytes) -> Mutant:
    """A zip whose lines unpack to a gibibyte; half of the time it claims that they are small."""
    return Mutant("bomb", _bomb(rng.random() < 0.5))


@lru_cache(maxsize=2)
def _bomb(lying: bool) -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as folder,
        folder.open(LINES, "w", force_zip64=True) as file,
    ):
        for _ in range(BOMB_BYTES >> 20):
            file.write(bytes(1 << 20))
    made = buffer.getvalue()
    return made.replace(BOMB_BYTES.to_bytes(4, "little"), (1000).to_bytes(4, "little")) if lying else made
