"""Journal of a run: the record and the measurements so far. It lets a restarted coordinator continue.

A message is on disk before it is delivered. The files are those of a finished run (``transcript.jsonl`` with its blobs), so
a crash leaves a transcript without its last line. Public values and ciphertexts only.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec

from hefl_core.errors import DataError, IntegrityError, WireError
from hefl_core.federation.record.transcript import Entry, Opening, Transcript, blob_folder
from hefl_core.keys.roster import Member
from hefl_core.runtime.result import RoundResult
from hefl_core.terms.experiment import Manifest

TRANSCRIPT: Final = "transcript.jsonl"
MEASURED: Final = "measured.jsonl"


class KeptTranscript(Transcript):
    """A transcript that persists each entry before any party learns of it, and resumes from what it finds on disk.

    Raises: IntegrityError when the file is of another experiment, or was changed; DataError when it cannot be
        written.
    """

    def __init__(self, path: Path, manifest: Manifest, kms: Member) -> None:
        self._path = path
        self._folder = blob_folder(path)
        self._folder.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
        self._found = path.exists() and path.stat().st_size > 0
        if self._found:
            self._go_on(manifest, kms)
        else:
            super().__init__(manifest, kms)

    @property
    def resumed(self) -> bool:
        """Whether an earlier process began this record."""
        return self._found

    def _go_on(self, manifest: Manifest, kms: Member) -> None:
        try:
            found = Transcript.load(self._path)
        except WireError as error:
            raise IntegrityError(f"{self._path.name}: {error}; do not go on with this record") from error
        if found.opening != Opening(manifest, kms):
            raise IntegrityError(
                f"{self._path.name}: expected the record of experiment {manifest.id[:16]}, found one of "
                f"{found.manifest.id[:16]}; a home serves one experiment, take a new one"
            )
        # Transcript.load parses the lines but does not follow the chain: appending to a broken one would hide the break
        head = b""
        for number, line in enumerate(found.lines, start=1):
            if line.previous != head:
                raise IntegrityError(f"{self._path.name}: the chain breaks at line {number}; do not go on with it")
            head = hashlib.sha256(line.to_json()).digest()
        self._take_over(found.lines, found.blobs)
        self._keep_bodies = True

    def _keep(self, digest: bytes, blob: bytes) -> None:
        if digest not in self.blobs:
            super()._keep(digest, blob)
            whole = self._folder / digest.hex()
            _write(whole.with_suffix(".new"), blob, "wb")
            os.replace(whole.with_suffix(".new"), whole)  # atomic: a blob under its digest is always complete

    def _append(self, entry: Entry) -> None:
        super()._append(entry)
        _write(self._path, self.lines[-1].to_json() + b"\n", "ab")


class Journal:
    """The record of a run and its measured rounds, in one folder. Raises: as :class:`KeptTranscript`."""

    def __init__(self, folder: Path, manifest: Manifest, kms: Member) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / MEASURED
        _cut_torn_line(self._path)
        self.rounds = self._read()
        self.transcript = KeptTranscript(folder / TRANSCRIPT, manifest, kms)

    def _read(self) -> tuple[RoundResult, ...]:
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        try:
            found = tuple(msgspec.json.decode(line, type=RoundResult) for line in lines)
        except msgspec.MsgspecError as error:
            raise IntegrityError(
                f"{self._path.name}: expected one round a line, found {error}; do not go on"
            ) from error
        if [item.round for item in found] != list(range(1, len(found) + 1)):
            raise IntegrityError(f"{self._path.name}: expected rounds 1 to {len(found)}, found others; do not go on")
        return found

    def add(self, result: RoundResult) -> None:
        """Persist a finished round's result. A resumed round is measured from the restart on."""
        _write(self._path, msgspec.json.encode(result) + b"\n", "ab")
        self.rounds = (*self.rounds, result)


def _cut_torn_line(path: Path) -> None:
    """Drop a last line that a crash cut short: no party has received what it stands for."""
    if not path.exists():
        return
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole < len(raw):
        os.truncate(path, whole)


def _write(path: Path, data: bytes, mode: str) -> None:
    """Write and flush to disk. Raises: DataError, and not RuntimeUnavailable: a retry by a party would not help."""
    try:
        with path.open(mode) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(f"record: expected to write {path.name}, found: {error.strerror}; make room") from error
