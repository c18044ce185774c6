"""Files that a command writes: found to be writable before the work begins, and written elsewhere when they are not after it."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from hefl_core.cli.ends.streams import STDERR
from hefl_core.errors import OutputLost, ParameterError
from hefl_core.shown import visible
from hefl_core.wire.files import replace_file

STANDARD: Final = "-"
T = TypeVar("T", str, Path, str | None, Path | None)
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_lost: list[str] = []


def output(target: T) -> T:
    """Option callback: the file can be written, as far as that can be known before. Raises: ParameterError."""
    if target is not None and str(target) != STANDARD:
        require_writable(Path(target))
    return target


def require_different(targets: Sequence[str | Path | None]) -> None:
    """Two outputs would overwrite each other under one name. Raises: ParameterError."""
    named = [Path(target).resolve() for target in targets if target is not None and str(target) != STANDARD]
    for number, path in enumerate(named):
        if path in named[:number]:
            raise ParameterError(f"output {path.name}: expected one output of this name, found two", "name another")


def require_writable(path: Path) -> None:
    """Open an existing file for writing, or make a new one and remove it. Raises: ParameterError with the system's reason."""
    path = path.resolve()  # a link that leads nowhere yet is written through
    try:
        kind = path.stat().st_mode if path.exists() else None
        if kind is None:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            path.unlink()
        elif stat.S_ISREG(kind):
            os.close(os.open(path, os.O_WRONLY))
        elif stat.S_ISDIR(kind) or not os.access(path, os.W_OK):  # opening a pipe would wait for its reader
            raise refused(path, "a folder" if stat.S_ISDIR(kind) else "one that may not be written")
    except OSError as error:
        raise refused(path, error.strerror or str(error)) from error


def require_folder(path: Path) -> None:
    """A folder of this name is there and can be written, or can be made. Raises: ParameterError."""
    try:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise refused(path, "something else than a folder of its own")
        if not path.exists():
            path.mkdir()
            path.rmdir()
        elif not os.access(path, os.W_OK | os.X_OK):
            raise refused(path, "one that may not be written")
    except OSError as error:
        raise refused(path, error.strerror or str(error)) from error


def refused(path: Path, found: str) -> ParameterError:
    """The error for an output that cannot be written."""
    return ParameterError(
        f"output {path}: expected a place that can be written, found: {found}", "nothing was started; name another"
    )


def write_json(target: str, text: str) -> None:
    """Write JSON to a file, or to stdout if ``target`` is '-'. Raises: OutputLost when stdout's reader went away."""
    if target == STANDARD:
        _print(text)
    else:
        write_text(target, text + "\n")


def write_text(target: str | Path, text: str) -> None:
    """Write a file as UTF-8, or keep it elsewhere."""
    if not kept(Path(target), lambda path: replace_file(path, text.encode("utf-8"))):
        _print(text)


def kept(target: Path, write: Callable[[Path], None]) -> bool:
    """Have ``write`` write a file; where it cannot, in a new folder elsewhere, which is said. False when it is nowhere."""
    try:
        write(target)
    except OSError as error:
        _lost.append(str(target))
        STDERR.print(_said(f"NOT WRITTEN: {target}: {error.strerror or error}"), markup=False, soft_wrap=True)
        return _elsewhere(target.name, write)
    return True


def exit_code(code: int) -> int:
    """4 instead of 0 when an output of this process is not where it was wanted."""
    return 4 if _lost and not code else code


def _print(text: str) -> None:
    """Print JSON; it can say every character in ASCII, so it stays valid in every encoding."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    if not encoding.startswith("utf"):
        text = _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OutputLost as lost:
        if lost.errno == errno.EPIPE:  # its reader has what it wanted
            raise
        _lost.append("standard output")
        STDERR.print(f"NOT WRITTEN: {lost}", markup=False, soft_wrap=True)
        _elsewhere("stdout.json", lambda path: replace_file(path, text.encode("utf-8")))


def _elsewhere(name: str, write: Callable[[Path], None]) -> bool:
    for place in (tempfile.gettempdir, Path.cwd, Path.home):
        try:
            folder = Path(tempfile.mkdtemp(prefix="hefl-kept-", dir=place()))
            write(folder / name)
        except (OSError, RuntimeError):
            continue  # the next place; if there is none, the caller says so
        STDERR.print(_said(f"KEPT in {folder / name} instead"), markup=False, soft_wrap=True)
        return True
    STDERR.print(_said(f"LOST: {name} could be kept nowhere"), markup=False, soft_wrap=True)
    return False


def _said(text: str) -> str:
    return visible(text, 1000)
