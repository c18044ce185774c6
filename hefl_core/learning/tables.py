"""Reader of a user's CSV file: every cell is checked before anything is learned from it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.learning.base import Scaling

MAX_BYTES = 5 * 2**20
MIN_ROWS, MAX_COLUMNS = 20, 1000
MIN_CLASSES, MAX_CLASSES = 2, 50
MAX_TEXT = 80
LABEL_NAMES = ("label", "target", "class", "y")
_LARGEST = 1e30
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Table:
    """Rows in their own units, checked. Shapes: rows float64 (n, columns), labels int64 (n,) into ``classes``."""

    name: str
    columns: tuple[str, ...]
    rows: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]


def read_table(source: bytes | str | Path, label: str | None = None) -> Table:
    """Read a comma-separated file with one header line, numeric columns and one label column.

    The label column is ``label`` if given, else the one named label, target, class or y (in that order), else the last.
    Classes are sorted, by value if all are numbers.

    Raises: DataError naming what was expected, what was found and what to do: a file that is missing, too large
        (over 5 MiB), not UTF-8 or not comma-separated; no header, or one with empty or repeated names; fewer than 20
        rows or rows of another length; cells that are empty, text, a formula, NaN or infinite; fewer than 2 or more
        than 50 classes.
    """
    name, content = _content(source)
    header, lines = _header_and_lines(_text(content))
    target = _label_column(header, label)
    columns = tuple(column for at, column in enumerate(header) if at != target)
    labels, classes = _classes(header[target], [(line, cells[target]) for line, cells in lines])
    rows = np.array([_numbers(header, target, line, cells) for line, cells in lines], np.float64)
    return Table(name, columns, rows, labels, classes)


def standardised(rows: npt.NDArray[np.float64]) -> Scaling:
    """The scaling that gives these rows mean 0 and standard deviation 1; constant columns become 0.

    Shapes: (n, columns).
    """
    spread = rows.std(axis=0)
    centre = rows.mean(axis=0)
    # Rounding gives a constant column a tiny spread, not 0; dividing by it would blow noise up to features.
    constant = spread <= 1e-12 * np.maximum(np.abs(centre), 1e-300)
    return Scaling(centre, np.where(constant, 1.0, spread))


def _content(source: bytes | str | Path) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        name, content = "upload", source[: MAX_BYTES + 1]
    else:
        path = Path(source)
        name = path.name
        if not path.is_file():
            found = "a directory or device" if path.exists() else "nothing"
            raise DataError(f"csv: expected a file at {source}, found {found}; check the path")
        try:
            # One byte past the limit tells that a file is too large without reading all of it.
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise DataError(
                f"csv: expected a readable file at {source}, found {error.strerror}; check rights"
            ) from error
    if len(content) > MAX_BYTES:
        raise DataError(f"csv: expected at most {MAX_BYTES} bytes (5 MiB), found more; keep fewer rows or columns")
    return name, content


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"csv: expected UTF-8 text, found byte 0x{content[error.start]:02x} at position {error.start}; "
            "save the file as 'CSV UTF-8'"
        ) from error
    if "\0" in text:
        raise DataError("csv: expected text, found a zero byte; save the table as CSV, not as a spreadsheet file")
    if not text.strip():
        raise DataError("csv: expected a header line and rows, found an empty file; choose another file")
    return text


def _header_and_lines(text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header's names and (line number, cells) of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        raise DataError(
            f"csv: expected comma-separated cells, found a broken line {reader.line_num} ({error}); check its quotes"
        ) from error
    header = _checked_header(lines[0][1]) if lines else []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(
                f"csv: line {line}: expected {len(header)} cells as in the header, found {len(cells)}; "
                "check separators and decimal commas"
            )
    if len(lines) - 1 < MIN_ROWS:
        raise DataError(f"csv: expected at least {MIN_ROWS} rows, found {max(len(lines) - 1, 0)}; give more examples")
    return header, lines[1:]


def _checked_header(header: list[str]) -> list[str]:
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise DataError("csv: expected commas between cells, found semicolons or tabs; save as comma-separated")
    if all(_NUMBER.fullmatch(name) for name in header):
        raise DataError(
            f"csv: expected column names in the first line, found numbers ({header[0]!r}); add a header line"
        )
    if not 2 <= len(header) <= MAX_COLUMNS:
        raise DataError(
            f"csv: expected 2 to {MAX_COLUMNS} columns (one of them the label), found {len(header)}; change the columns"
        )
    for at, name in enumerate(header, start=1):
        _plain_text(f"name of column {at}", name)
        if header.index(name) != at - 1:
            raise DataError(f"csv: expected different column names, found {name!r} twice; rename one of them")
    return header


def _label_column(header: list[str], label: str | None) -> int:
    if label is not None:
        if label not in header:
            raise DataError(
                f"csv: expected a label column {label[:MAX_TEXT]!r}, found {_few(header)}; name one of these"
            )
        return header.index(label)
    lowered = [name.lower() for name in header]
    named = [lowered.index(name) for name in LABEL_NAMES if name in lowered]
    return named[0] if named else len(header) - 1


def _classes(column: str, cells: list[tuple[int, str]]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    for line, cell in cells:
        if not _NUMBER.fullmatch(cell):
            _plain_text(f"line {line}, label column {column!r}", cell)
    found = {cell for _, cell in cells}
    if not MIN_CLASSES <= len(found) <= MAX_CLASSES:
        raise DataError(
            f"csv: expected {MIN_CLASSES} to {MAX_CLASSES} classes in label column {column!r}, found {len(found)}; "
            "name another label column (PATH:LABEL), or group the values"
        )
    numeric = all(_NUMBER.fullmatch(cell) for cell in found)
    classes = tuple(sorted(found, key=lambda cell: (float(cell), cell)) if numeric else sorted(found))
    numbers = {name: at for at, name in enumerate(classes)}
    return np.array([numbers[cell] for _, cell in cells], np.int64), classes


def _numbers(header: list[str], target: int, line: int, cells: list[str]) -> list[float]:
    return [_number(header[at], line, cell) for at, cell in enumerate(cells) if at != target]


def _number(column: str, line: int, cell: str) -> float:
    if _NUMBER.fullmatch(cell) and abs(value := float(cell)) <= _LARGEST:
        return value
    raise DataError(f"csv: line {line}, column {column!r}: expected a number, found {_kind(cell)}")


def _kind(cell: str) -> str:
    """Description of a cell that is not a number, and its remedy."""
    shown = repr(cell[:40])
    if not cell:
        return "an empty cell; fill it in, or leave the row out"
    if _NUMBER.fullmatch(cell):
        return f"{shown}, larger than {_LARGEST:g}; change the column's unit"
    if cell.lower().strip("+-") in ("nan", "na", "n/a", "null", "none", "inf", "infinity"):
        return f"{shown}; fill it in, or leave the row out"
    if cell.startswith(_FORMULA):
        return f"the formula or text {shown}; save values, not formulas"
    return f"the text {shown}; give numbers (code categories as 0/1 columns), or leave the column out"


def _plain_text(place: str, text: str) -> None:
    """Reject names that are empty, too long, a formula when opened in a spreadsheet, or not printable."""
    if not text:
        raise DataError(f"csv: {place}: expected a name, found an empty cell; fill it in")
    if text.startswith(_FORMULA):
        raise DataError(f"csv: {place}: expected a plain name, found the formula {text[:40]!r}; save values instead")
    if len(text) > MAX_TEXT or not text.isprintable():
        raise DataError(
            f"csv: {place}: expected at most {MAX_TEXT} printable characters, found {text[:40]!r}; shorten the name"
        )


def _few(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names[:12]) + (", …" if len(names) > 12 else "")
