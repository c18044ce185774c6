"""From a file or an upload to text: its real format, its encoding, and its identity, which is its bytes alone."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hefl_core.errors import DataError
from hefl_core.tables.decision import Decision, decided, refused, shown

MAX_BYTES: Final = 5 * 2**20
_SAVE: Final = "open it in the program that wrote it and save the table as 'CSV UTF-8'"
_MAGIC: Final = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Office file (.xls)", _SAVE),
    (b"%PDF", "a PDF document", "ask for the table itself as CSV"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ\0", "an xz archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (b"PAR1", "a Parquet file", "write it as CSV first"),
    (b"\x89HDF", "an HDF5 file", "write its table as CSV first"),
    (b"SQLite format 3\0", "an SQLite database", "export one table as CSV"),
    (b"\x93NUMPY", "a NumPy array (.npy)", "write it as CSV first"),
    (b"\x89PNG", "a PNG picture", "choose a table"),
    (b"\xff\xd8\xff", "a JPEG picture", "choose a table"),
    (b"{\\rtf", "an RTF document", _SAVE),
)
_WITHIN_ZIP: Final = (
    ("xl/", "an Excel workbook (.xlsx)", _SAVE),
    ("word/", "a Word document (.docx)", _SAVE),
    ("content.xml", "an OpenDocument file (.ods)", _SAVE),
)
_MARKUP: Final = (
    (("<!doctype", "<html", "<?xml", "<head"), "a web page or XML", "save the table as CSV, not the page"),
    (('{"', '[{"', "[["), "JSON", "write it as CSV first"),
)
_MARKS: Final = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_CONTROLS: Final = frozenset(map(chr, range(32))) - set("\t\n\r")


@dataclass(frozen=True, slots=True)
class SourceText:
    """A source's text. ``digest``: SHA-256 of its bytes in hexadecimal, the only identity that a table has."""

    text: str
    digest: str
    decision: Decision
    warnings: tuple[Decision, ...] = ()


def read_text(source: bytes | str | Path, max_bytes: int = MAX_BYTES) -> SourceText:
    """Read a path, or take the bytes of an upload; nothing is cached by path.

    Units: max_bytes in bytes.
    Raises: DataError for what is no file, too large, empty, another kind of file, or neither UTF-8, UTF-16 nor CP1252.
    """
    content = source if isinstance(source, bytes) else content_at(source, max_bytes)
    if len(content) > max_bytes:
        raise refused("table", f"at most {max_bytes} bytes", "more", "keep fewer rows or columns")
    _refuse_other_files(content)
    text, decision, warnings = _decoded(content)
    _refuse_other_texts(text)
    return SourceText(text, hashlib.sha256(content).hexdigest(), decision, warnings)


def path_and_label(text: str) -> tuple[str, str | None]:
    """PATH or PATH:LABEL taken apart: the longest prefix that is a file is the path, so either may contain colons."""
    ends = [len(text), *(at for at in range(len(text) - 1, 0, -1) if text[at] == ":")]
    for end in ends:
        if _is_file(text[:end]):
            return text[:end], text[end + 1 :] or None
    return text, None


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file() or (path.startswith("~") and Path(path).expanduser().is_file())
    except (OSError, ValueError, RuntimeError):
        return False


def content_at(source: str | Path, max_bytes: int = MAX_BYTES) -> bytes:
    """A file's bytes, one more than ``max_bytes`` at most; ``~`` is expanded.

    Units: max_bytes in bytes.
    Raises: DataError for what is no file, or cannot be read.
    """
    path = Path(source)
    try:
        if str(source).startswith("~") and not path.exists():
            path = path.expanduser()  # a shell leaves ~ alone inside a longer word
        if not path.is_file():
            raise refused("table", f"a file at {path}", _instead(path), "check the path")
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise refused(
            "table", f"a readable file at {shown(str(source), 400)}", f"{why}", "check path and rights"
        ) from error


def _instead(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    if path.exists():
        return "a device or pipe"
    return "nothing" if path.parent.is_dir() else f"nothing (no folder {path.parent} either)"


def _refuse_other_files(content: bytes) -> None:
    if content.startswith(b"PK\x03\x04"):
        what, remedy = _zip_kind(content)
        raise refused("table", "text (CSV)", what, remedy)
    for magic, what, remedy in _MAGIC:
        if content.startswith(magic):
            raise refused("table", "text (CSV)", what, remedy)


def _zip_kind(content: bytes) -> tuple[str, str]:
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError):
        return "a broken zip archive or spreadsheet", _SAVE
    for part, what, remedy in _WITHIN_ZIP:
        if any(name.startswith(part) for name in names):
            return what, remedy
    return "a zip archive", "unpack it first"


def _decoded(content: bytes) -> tuple[str, Decision, tuple[Decision, ...]]:
    """Decode by byte-order mark, else strictly as UTF-8, else strictly as CP1252, which has every letter of Latin-1.

    Windows text in which every accent happens to be a UTF-8 character is taken as UTF-8: only a mark could tell.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            name = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
            return _strictly(content, encoding), decided("text: {name}, by its byte-order mark", name=name), ()
    if b"\0" in content:
        _refuse_zero_bytes(content)
    try:
        return content.decode("utf-8"), decided("text: UTF-8"), ()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    warning = decided(
        "text: line {line} is not UTF-8, so the file was read as Windows text (CP1252); "
        "if letters with accents look wrong, save it as 'CSV UTF-8'",
        line=line,
    )
    return _strictly(content, "cp1252"), decided("text: CP1252 (Windows, Latin-1)"), (warning,)


def _strictly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        bad = f"byte 0x{content[error.start]:02x} in line {line}"
        expected = "text in UTF-8 or CP1252" if encoding == "cp1252" else f"whole {encoding.upper()} text"
        raise refused("table", expected, bad, "save the table as 'CSV UTF-8'") from error


def _refuse_zero_bytes(content: bytes) -> None:
    # ASCII letters in UTF-16 have a zero byte each, always on the same side.
    odd, even = content[1::2].count(0), content[::2].count(0)
    if max(odd, even) * 3 > len(content):
        raise refused("table", "UTF-8 text", "UTF-16 text without its byte-order mark", "save it as 'CSV UTF-8'")
    line = content.count(b"\n", 0, content.index(b"\0")) + 1
    raise refused("table", "text", f"a zero byte in line {line}", "this is no text file: save the table as 'CSV UTF-8'")


def _refuse_other_texts(text: str) -> None:
    start = text[:200].lstrip().lower()
    if not text.strip("\ufeff \t\r\n,;|"):
        raise refused("table", "a line of names and rows", "an empty file", "choose another file")
    for openings, what, remedy in _MARKUP:
        if start.startswith(openings):
            raise refused("table", "text (CSV)", what, remedy)
    for control in sorted(_CONTROLS.intersection(text)):
        line = text.count("\n", 0, text.index(control)) + 1
        raise refused(
            f"line {line}", "text", f"the control character 0x{ord(control):02x}", "delete it, or save as CSV"
        )
