"""A transcript as one file: a zip of the JSON Lines and its blobs, or the JSON Lines alone. Small and checked."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib

from hefl_core.errors import WireError
from hefl_core.federation.record.transcript import Transcript

LINES = "transcript.jsonl"
BLOBS = "transcript.jsonl.d/"
ZIPPED = b"PK"
"""The first bytes of every zip; a record's first line is JSON."""
MAX_UNPACKED_BYTES = 256 << 20
MAX_ENTRIES = 20_000
MAX_LINES = 100_000
"""An upload of 5 MiB has fewer: each line has digests and a signature, which no compression shortens."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others may ask for gigabytes of memory before the first byte is there."""

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,  # negative seeks, names that are no text
)
"""What the zip module and its decompressors raise on damage."""


def pack(transcript: Transcript, *, bodies: bool = True) -> bytes:
    """The zip: unpacked, it is what ``Transcript.save`` writes and the command line verifies.

    Raises: KeyUseError with bodies while a key of its epochs may live.
    """
    if bodies:
        transcript.require_released()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as folder:
        folder.writestr(LINES, transcript.to_bytes(), zipfile.ZIP_DEFLATED)
        for digest, blob in transcript.blobs.items() if bodies else ():
            folder.writestr(BLOBS + digest.hex(), blob)
    return buffer.getvalue()


def unpack(data: bytes) -> Transcript:
    """Read :func:`pack` back, or JSON Lines alone; each blob must have the digest that is its name. Raises: WireError."""
    if not data.startswith(ZIPPED):
        return _transcript(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as folder:
            return _read(folder)
    except _BROKEN as error:
        raise WireError(f"transcript: expected a zip of {LINES} and blobs, found one that cannot be read") from error


def _read(folder: zipfile.ZipFile) -> Transcript:
    entries = folder.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or total > MAX_UNPACKED_BYTES:
        raise WireError(
            f"transcript: expected at most {MAX_ENTRIES} files of {MAX_UNPACKED_BYTES} bytes together, "
            f"found {len(entries)} of {total}; use `hefl verify` for large ones"
        )
    other = next((entry for entry in entries if entry.compress_type not in METHODS), None)
    if other is not None:
        raise WireError(
            f"transcript: expected files that are stored or deflated, found method {other.compress_type}; pack it again"
        )
    blobs = {}
    for entry in entries:
        name = entry.filename.rpartition("/")[2]
        if len(name) == 64:
            blob = _bytes_of(folder, entry)
            if hashlib.sha256(blob).hexdigest() != name:
                raise WireError(f"transcript: blob {name[:16]} has another digest; the file was changed")
            blobs[bytes.fromhex(name)] = blob
    lines = [entry for entry in entries if entry.filename.endswith(".jsonl")]
    if len(lines) != 1:
        raise WireError(f"transcript: expected one .jsonl in the zip, found {len(lines)}")
    return _transcript(_bytes_of(folder, lines[0]), blobs)


def _transcript(raw: bytes, blobs: dict[bytes, bytes] | None = None) -> Transcript:
    """Counted before it is split: a line is short, what is made of it is not. Raises: WireError."""
    if (count := raw.count(b"\n")) > MAX_LINES:
        raise WireError(
            f"transcript: expected at most {MAX_LINES:,} lines, found {count:,}; use `hefl verify` for large ones"
        )
    return Transcript.from_bytes(raw, blobs)


def _bytes_of(folder: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """As many bytes as the entry says it has, and no room for more: what it says may be a lie. Raises: BadZipFile."""
    with folder.open(entry) as file:
        data = file.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise zipfile.BadZipFile(f"{entry.filename[:80]}: another size than it says")
    return data
