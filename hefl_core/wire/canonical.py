"""One way to write a message as bytes, so that a digest or a signature means one thing.

Messages are frozen dataclasses; msgspec writes them as MessagePack and, when reading, checks every type.
Bytes that do not re-encode to themselves were not written by this module and are rejected.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from hefl_core.errors import WireError

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder(order="deterministic")


def encode(message: object) -> bytes:
    """Canonical bytes of a frozen dataclass (or of plain values)."""
    return _encoder.encode(message)


def decode(data: bytes | memoryview, kind: type[T], *, limit: int | None = None) -> T:
    """Read bytes as one ``kind``; every field's type is checked.

    Raises: WireError when the bytes are too long, of another shape, or not in canonical form.
    """
    if limit is not None and len(data) > limit:
        raise WireError(
            f"{kind.__name__}: expected at most {limit} bytes, found {len(data)}; split it or raise the limit"
        )
    try:
        message = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError, OverflowError) as error:
        raise WireError(f"{kind.__name__}: expected its canonical form, found {error}; ask the sender again") from error
    # MessagePack has several encodings of one number or length: with two forms, one message would have two digests.
    if _encoder.encode(message) != data:
        raise WireError(f"{kind.__name__}: the bytes are not in canonical form; ask the sender again")
    return message


def list_head(count: int) -> int:
    """Bytes that MessagePack puts before the elements of a tuple of this length.

    >>> [len(encode((0,) * n)) - n == list_head(n) for n in (0, 15, 16, 65535, 65536)]
    [True, True, True, True, True]
    """
    return 1 if count < 16 else 3 if count < 1 << 16 else 5


def bytes_nbytes(size: int) -> int:
    """Bytes of a byte string of this size, its head included.

    >>> [len(encode(bytes(n))) == bytes_nbytes(n) for n in (0, 255, 256, 65535, 65536)]
    [True, True, True, True, True]
    """
    return (2 if size < 1 << 8 else 3 if size < 1 << 16 else 5) + size
