"""``report``: a run's record as one HTML file that checks itself in its reader's browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hefl_core.app.evidence.file import to_html
from hefl_core.classroom.record import is_class_record
from hefl_core.cli.ends.files import output, write_text
from hefl_core.cli.ends.streams import STDERR
from hefl_core.errors import DataError, IntegrityError, ParameterError
from hefl_core.federation.record.transcript import MAX_RECORD_BYTES, Transcript, newest_roster
from hefl_core.federation.record.transcript_zip import MAX_UNPACKED_BYTES, ZIPPED, unpack
from hefl_core.federation.record.verify import verify
from hefl_core.wire.files import read_regular, regular


def report(
    transcript: Annotated[
        Path, typer.Argument(help="a transcript written by run --transcript, or the application's zip")
    ],
    html: Annotated[str, typer.Option("--output", "-o", callback=output, help="write the HTML file here; - is stdout")],
    rounds: Annotated[
        str | None,
        typer.Option(
            help="rounds whose sums the file can add again, such as 1,3; omitted: all, or as many as fit 5 MB"
        ),
    ] = None,
) -> None:
    """Write a run's record as one HTML file that checks itself in its reader's browser. Exit 1: it does not hold."""
    if is_class_record(transcript):
        raise ParameterError("report: expected a run's record, found a class's", "its phones sign nothing; use verify")
    record = _load(transcript)
    try:
        verify(record)
    except IntegrityError as error:
        raise IntegrityError(f"no file was written: the record does not hold; {error}") from error
    made = to_html(record, _numbers(rounds))
    write_text(html, made.html)
    _tell(record, len(made.html.encode()), made.rounds)


def _load(path: Path) -> Transcript:
    """Raises: WireError, DataError, OSError."""
    with regular(path, MAX_RECORD_BYTES, path.name[:80]) as file:
        zipped = file.read(len(ZIPPED)) == ZIPPED
    return unpack(read_regular(path, MAX_UNPACKED_BYTES, path.name[:80])) if zipped else Transcript.load(path)


def _numbers(rounds: str | None) -> tuple[int, ...] | None:
    if rounds is None:
        return None
    try:
        return tuple(int(number) for number in rounds.split(","))
    except ValueError as error:
        raise ParameterError(f"rounds: expected numbers such as 1,3, found {rounds[:40]!r}") from error


def _tell(record: Transcript, nbytes: int, rounds: tuple[int, ...] | None) -> None:
    """What the file has, and what its reader must learn by another way."""
    sums = "the sums of all rounds" if rounds is None else f"the sums of round {', '.join(map(str, rounds)) or 'none'}"
    bodies = sums if record.blobs else "no bodies, so that contents and sums are not checked"
    roster = newest_roster(record)
    if roster is None:
        raise DataError("report: expected a roster on record, found none; nothing was sent yet")
    STDERR.print(
        f"{nbytes:,} bytes, with {bodies}. Tell its readers the roster's fingerprint by another way: {roster.fingerprint}",
        soft_wrap=True, markup=False, highlight=False,
    )  # fmt: skip
