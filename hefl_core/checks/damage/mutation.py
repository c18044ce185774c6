"""Seeded damage to bytes: what a bad disk, a bad line or a malicious party may pass to a parser.

Blind kinds know nothing of the bytes. Informed kinds read MessagePack or JSON, change one field, and encode it again in
canonical form, so that the damage passes the parser and reaches the checks behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import msgspec
import pyarrow as pa

BOMB_BYTES = 1 << 30
"""Unpacked size of a compression bomb."""
_LARGE = (0, 1, 0x7F, 0x80, 0xFF, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1)
_NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, -(2**63), 2**64 - 1)
_TRIES = 8


@dataclass(frozen=True)
class Mutant:
    """Changed bytes, and the kind of change."""

    kind: str
    data: bytes


def mutate(rng: Random, valid: Sequence[bytes], which: int) -> Mutant:
    """Change ``valid[which]`` once; the others lend pieces for splices. Never returns one of ``valid`` unchanged."""
    for _ in range(_TRIES):
        kind, make = rng.choice(KINDS)
        changed = make(rng, valid[which], valid[rng.randrange(len(valid))])
        if changed is not None and changed not in valid:
            return Mutant(kind, changed)
    return Mutant("extension", valid[which] + rng.randbytes(1 + rng.randrange(8)))


# -- blind ---------------------------------------------------------------------------------------------------------


def _flip(rng: Random, data: bytes, _: bytes) -> bytes | None:
    if not data:
        return None
    changed = bytearray(data)
    for _time in range(rng.choice((1, 1, 1, 2, 8))):
        changed[_place(rng, len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _place(rng: Random, size: int) -> int:
    """A position, half of the time near an end, where headers and seals are."""
    edge = min(size, 160)
    return rng.choice((rng.randrange(size), rng.randrange(size), rng.randrange(edge), size - 1 - rng.randrange(edge)))


def _truncate(rng: Random, data: bytes, _: bytes) -> bytes | None:
    if not data:
        return None
    keep = rng.choice((rng.randrange(len(data)), len(data) - 1, max(0, len(data) - rng.randrange(1, 65))))
    return data[:keep] if rng.random() < 0.8 else data[len(data) - keep :]


def _extend(rng: Random, data: bytes, other: bytes) -> bytes:
    more = rng.choice((rng.randbytes(1 + rng.randrange(64)), bytes(1 + rng.randrange(4096)), data, other))
    return data + more if rng.random() < 0.8 else more + data


def _splice(rng: Random, data: bytes, other: bytes) -> bytes:
    cut = rng.randrange(len(data) + 1)
    at = min(cut, len(other)) if rng.random() < 0.7 else rng.randrange(len(other) + 1)
    return data[:cut] + other[at:]


def _swap(rng: Random, data: bytes, _: bytes) -> bytes | None:
    if len(data) < 4:
        return None
    size = rng.choice((1, 4, 8, 32, 64, max(1, len(data) // 4)))
    size = min(size, len(data) // 2)
    a = rng.randrange(len(data) - 2 * size + 1)
    b = rng.randrange(a + size, len(data) - size + 1)
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def _repeat(rng: Random, data: bytes, _: bytes) -> bytes | None:
    if not data:
        return None
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice((1, 16, 256, len(data))))
    return data[:end] + data[start:end] * rng.choice((1, 1, 3)) + data[end:]


def _drop(rng: Random, data: bytes, _: bytes) -> bytes | None:
    if len(data) < 2:
        return None
    start = rng.randrange(len(data) - 1)
    return data[:start] + data[start + rng.choice((1, 8, 64)) :]


def _length_field(rng: Random, data: bytes, _: bytes) -> bytes | None:
    """Overwrite a possible length field, in either byte order, mostly near the beginning."""
    width = rng.choice((1, 2, 4, 8))
    if len(data) <= width:
        return None
    at = rng.randrange(min(len(data) - width, 256)) if rng.random() < 0.7 else rng.randrange(len(data) - width)
    order: Literal["little", "big"] = "little" if rng.random() < 0.5 else "big"
    old = int.from_bytes(data[at : at + width], order)
    new = rng.choice((*_LARGE, old + 1, old - 1, old * 2)) % (1 << (8 * width))
    return data[:at] + new.to_bytes(width, order) + data[at + width :]


def _blank(rng: Random, data: bytes, _: bytes) -> bytes | None:
    """No bytes, zeros or ones of the same size, or a blank stretch."""
    if not data:
        return None
    kind = rng.randrange(4)
    if kind == 0:
        return b""
    if kind < 3:
        return rng.choice((b"\0", b"\xff")) * len(data)
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.choice((8, 512, len(data))))
    return data[:start] + bytes(stop - start) + data[stop:]


def _noise(rng: Random, data: bytes, _: bytes) -> bytes:
    return rng.randbytes(rng.choice((len(data), len(data), rng.randrange(1, 4096))))


# -- informed ------------------------------------------------------------------------------------------------------


def _field(rng: Random, data: bytes, other: bytes) -> bytes | None:
    """Change, exchange, repeat or drop one field of a message."""
    found = _parse(data)
    if found is None:
        return None
    message, write = found
    places = list(_places(message))
    if not places:
        return None
    parent, key = rng.choice(places)
    lender = _parse(other)
    lent = [value[place] for value, place in _places(lender[0])] if lender else []
    try:
        _change(rng, parent, key, lent, [value[place] for value, place in places])
        return write(message)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None


def _parse(data: bytes) -> tuple[Any, Callable[[Any], bytes]] | None:
    packed, text = msgspec.msgpack.Encoder(order="deterministic"), msgspec.json.Encoder(order="deterministic")
    for decode, write in ((msgspec.msgpack.decode, packed.encode), (msgspec.json.decode, text.encode)):
        try:
            message = decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        if isinstance(message, list | dict):
            return message, write
    return None


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every field, at every depth."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _change(rng: Random, parent: Any, key: Any, lent: list[Any], own: list[Any]) -> None:
    old = parent[key]
    alike = [value for value in (*lent, *own) if type(value) is type(old) and value != old]
    action = rng.randrange(10)
    if action < 4 and alike:
        parent[key] = rng.choice(alike)
    elif action == 4 and isinstance(parent, list):
        parent.insert(key, old)
    elif action == 5:
        del parent[key]
    elif action == 6:
        parent[key] = rng.choice((None, True, 0, "", b"", [], {}, -1, 1.5))
    else:
        parent[key] = _another(rng, old)


def _another(rng: Random, old: Any) -> Any:
    """Another value of the same type."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return rng.choice((*_NUMBERS, old + 1, old - 1, 2 * old))
    if isinstance(old, float):
        return rng.choice((math.nan, math.inf, -old, 0.0, 2 * old, old / 2, 1e308))
    if isinstance(old, bytes):
        return _flip(rng, old, b"") if old and rng.random() < 0.6 else (_truncate(rng, old, b"") or b"\0")
    if isinstance(old, str):
        return rng.choice((old + "x", old[:-1], "", old.upper(), "\0", "é" * 70_000, old[::-1]))
    if isinstance(old, list):
        return rng.choice((old[::-1], old * 2, old[:-1], []))
    return None


# -- bombs ---------------------------------------------------------------------------------------------------------


def zstd_bomb(size: int = BOMB_BYTES) -> bytes:
    """A zstd stream of ``size`` zeros."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        chunk = bytes(1 << 20)
        for _ in range(size >> 20):
            stream.write(chunk)
    return bytes(sink.getvalue())


KINDS: tuple[tuple[str, Callable[[Random, bytes, bytes], bytes | None]], ...] = (
    ("bit flips", _flip),
    ("bit flips", _flip),
    ("truncation", _truncate),
    ("extension", _extend),
    ("splice", _splice),
    ("swap", _swap),
    ("repeat", _repeat),
    ("drop", _drop),
    ("length field", _length_field),
    ("blank", _blank),
    ("noise", _noise),
    ("field", _field),
    ("field", _field),
    ("field", _field),
)
"""Repeated entries are drawn more often."""
