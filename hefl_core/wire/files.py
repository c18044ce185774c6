"""Foreign files: regular ones only, of a size that is known before they are read, never through a link. Own ones: whole or not."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hefl_core.errors import DataError

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Non-blocking: opening a pipe without a writer would never return."""


@contextmanager
def regular(path: Path, limit: int, what: str) -> Iterator[BinaryIO]:
    """Open a file that its user named, to be read.

    Raises: DataError for a directory, pipe or device, or more than ``limit`` bytes; OSError when it cannot be opened.
    """
    with _opened(os.open(path, _FLAGS), limit, what) as file:
        yield file


def read_regular(path: Path, limit: int, what: str) -> bytes:
    """All of a file that its user named. Raises: as :func:`regular`."""
    with regular(path, limit, what) as file:
        return file.read(limit)


def replace_file(path: Path, content: bytes, *, owner_only: bool = False) -> None:
    """Write a file whole or leave the earlier one as it was; a device or pipe is written to as it is.

    ``owner_only``: mode 0600, whatever the umask and whatever the file had. Raises: OSError.
    """
    path = path.resolve()
    before = path.stat().st_mode if path.exists() else None
    if before is not None and not stat.S_ISREG(before):
        path.write_bytes(content)
        return
    fresh = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if owner_only else 0o666)
    except PermissionError:
        if before is None or owner_only:
            raise
        path.write_bytes(content)  # its folder takes no new file, but this one may be written
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            _set_mode(file.fileno(), before, owner_only=owner_only)
            file.write(content)
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _set_mode(descriptor: int, before: int | None, *, owner_only: bool) -> None:
    mode = 0o600 if owner_only else before
    if mode is not None and os.name == "posix":  # the umask takes bits away, even the owner's
        os.fchmod(descriptor, stat.S_IMODE(mode))


def read_object(raw: bytes) -> dict[str, Any]:
    """A JSON object in which every name occurs once: of two, another reader might take the other.

    Raises: ValueError, RecursionError, UnicodeError.
    """
    found = json.loads(raw, object_pairs_hook=_once)
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, found {type(found).__name__}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("expected every name once, found one twice")
    return found


def whole(value: object) -> int:
    """A whole number from 0 on, written as one. Raises: ValueError for 1.9, true, "7", -5."""
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a whole number from 0 on, found {str(value)[:40]!r}")
    return value


def text(value: object) -> str:
    """Text. Raises: ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {type(value).__name__}")
    return value


def from_hex(value: object) -> bytes:
    """Bytes from small hexadecimal digits and nothing between them. Raises: ValueError."""
    found = bytes.fromhex(text(value))
    if found.hex() != value:
        raise ValueError("expected hexadecimal digits alone, found others between them")
    return found


class Folder:
    """A directory of foreign files, found by name. No link in it is followed.

    Raises: DataError when there is something else than a directory under this name.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, _FLAGS | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise DataError(
                f"{path.name[:80]}: expected a folder, found another thing or none that can be opened"
            ) from error

    def close(self) -> None:
        """Close the directory."""
        os.close(self._descriptor)

    def names(self, most: int) -> Iterator[str]:
        """Names of its entries. Raises: DataError past ``most`` names."""
        with os.scandir(self._descriptor) as found:
            for number, entry in enumerate(found, start=1):
                if number > most:
                    raise DataError(f"folder: expected at most {most} files, found more; it is not read")
                yield entry.name

    def read(self, name: str, limit: int, what: str) -> bytes | None:
        """One file; None when there is none. Raises: DataError for anything but a regular, readable file of this size."""
        try:
            descriptor = os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"{what}: expected a regular file that can be read, found {error.strerror}") from error
        with _opened(descriptor, limit, what) as file:
            return _whole(file, limit, what)


def _opened(descriptor: int, limit: int, what: str) -> BinaryIO:
    """The file of a descriptor, once it is known to be one. Raises: DataError."""
    # The open descriptor is checked, not the name: between check and open another file could take the name.
    try:
        _check(os.fstat(descriptor), limit, what)
    except DataError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _whole(file: BinaryIO, limit: int, what: str) -> bytes:
    try:
        return file.read(limit)
    except OSError as error:
        raise DataError(f"{what}: expected a file that can be read, found {error.strerror}") from error


def _check(found: os.stat_result, limit: int, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{what}: expected a regular file, found {_kind(found.st_mode)}; copy what is in it to a file")
    if found.st_size > limit:
        raise DataError(f"{what}: expected at most {limit} bytes, found {found.st_size}; it is not read")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device or link")
