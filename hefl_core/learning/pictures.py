"""Pictures of a user as a data set: a folder with one folder for each class, or a ``.zip`` of it, with PNG and JPEG files.

A picture is judged by its header before its pixels are made, so a file of some bytes cannot fill the memory. Nothing is
unpacked to disk, and no path of a file is kept: identity and order are those of the files' contents.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from hefl_core.errors import DataError
from hefl_core.ids import digest
from hefl_core.learning.base import Dataset, Scaling
from hefl_core.learning.given import Given, check_classes, check_size, dataset_of
from hefl_core.tables.decision import Decision, decided, listed, refused, shown, unseen
from hefl_core.tables.doors import PICTURES
from hefl_core.tables.reading import content_at

MAX_FILES: Final = 20_000
MAX_FILE_BYTES: Final = 20 * 2**20
MAX_BYTES: Final = 512 * 2**20
MAX_PIXELS: Final = 25_000_000
"""Of one picture before it is made smaller: 75 MB in colour."""
MAX_SIDE: Final = 256
_MAX_NAME: Final = 80
_SUFFIXES: Final = (".png", ".jpg", ".jpeg")
_LITTER: Final = re.compile(r"(\.[^.].*|__MACOSX|Thumbs\.db|desktop\.ini)", re.IGNORECASE)
"""What file managers leave behind: no content, so it is left out without a word."""
_UNREADABLE: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, eq=False)
class Pictures:
    """A user's pictures, checked. Shapes: pixels uint8 (n, height, width, 1 or 3), labels int64 (n,) into ``classes``.

    ``digest``: of classes, files and size, in an order of their own. ``warnings``: the same picture more than once.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    digest: str
    warnings: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class _File:
    """One picture's bytes. ``place``: class and file name, for messages."""

    place: str
    label: str
    content: bytes
    digest: bytes


def put_pictures(source: bytes | str | Path, side: int | None = None, *, colour: bool | None = None) -> Dataset:
    """Read a folder, a ``.zip``, or the bytes of one as a data set named ``pictures:`` and the digest of its content.

    A fifth is held out, the same share of each class; pixels are divided by 255.

    Raises: DataError as :func:`read_pictures`.
    """
    return as_dataset(read_pictures(source, side, colour=colour))


def as_dataset(found: Pictures) -> Dataset:
    """The data set of checked pictures."""
    rows, height, width, channels = found.pixels.shape
    names = tuple(
        f"pixel {row},{column}" + (f" {'red green blue'.split()[channel]}" if channels == 3 else "")
        for row, column, channel in np.ndindex(height, width, channels)
    )
    given = Given(found.pixels.reshape(rows, -1), found.labels, found.classes, names)
    scaling = Scaling(np.zeros(len(names)), np.full(len(names), 255.0))
    square = height if height == width and channels == 1 else None
    return dataset_of(given, PICTURES + found.digest, "the user's own pictures", scaling=scaling, side=square)


def read_pictures(source: bytes | str | Path, side: int | None = None, *, colour: bool | None = None) -> Pictures:
    """Read and check pictures. They are turned upright as their camera says (EXIF); transparent ground becomes white.

    ``side``: make every picture side x side (whole picture, edges filled with black); None: all must have one size.
    ``colour``: keep three channels; None: where any picture has colours.

    Raises: DataError naming class and file, what was expected, what was found and what to do: no class folders, links, other
        files, files that are no picture, animations, pictures of several sizes or too large ones, too few, or one class.
    """
    if side is not None and not 1 <= side <= MAX_SIDE:
        raise refused("pictures", f"a side of 1 to {MAX_SIDE} pixels", str(side), "28 is MNIST's")
    files = sorted(_files(source), key=lambda one: (one.label, one.digest))
    classes = tuple(sorted({one.label for one in files}))
    check_classes("pictures", classes)
    upright = [_upright(one, side) for one in files]
    _check_one_size(files, upright)
    coloured = any(map(_has_colour, upright)) if colour is None else colour
    width, height = upright[0].size
    check_size("pictures", len(files), width * height * (3 if coloured else 1))
    pixels = np.stack([np.asarray(one.convert("RGB" if coloured else "L")) for one in upright])
    labels = np.array([classes.index(one.label) for one in files], np.int64)
    terms = repr((classes, [int(at) for at in labels], pixels.shape[1:3], side, coloured)).encode()
    name = digest(b"hefl/pictures/1", terms, *(one.digest for one in files)).hex()
    return Pictures(pixels.reshape(len(files), height, width, -1), labels, classes, name, _repeated(files))


def packed(source: bytes | str | Path) -> bytes:
    """A ``.zip`` of the same pictures, for another process: it gives the same data set. Raises: DataError as for a folder."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for number, one in enumerate(_files(source)):
            archive.writestr(zipfile.ZipInfo(f"{one.label}/{number}.png"), one.content)  # what it is, its bytes say
    return made.getvalue()


# -- files -------------------------------------------------------------------------------------------------------


def _files(source: bytes | str | Path) -> Iterator[_File]:
    """Every picture of a folder or an archive."""
    if not isinstance(source, bytes) and (folder := Path(source).expanduser()).is_dir():
        found = _on_disk(folder)
    else:
        content = source if isinstance(source, bytes) else content_at(source, MAX_BYTES)
        if len(content) > MAX_BYTES:
            raise refused("pictures", f"at most {MAX_BYTES:,} bytes", "more", "make the pictures smaller")
        if not content.startswith(b"PK\x03\x04"):
            raise refused(
                "pictures", "a folder with a folder for each class, or a .zip of it", "another file", "choose it"
            )
        found = _in_archive(content)
    total = 0
    for number, (parts, read) in enumerate(_below_one_top(found), start=1):
        if number > MAX_FILES:
            raise refused("pictures", f"at most {MAX_FILES:,} files", "more", "give fewer pictures")
        place, label = _judged(parts)
        content = read()
        total += len(content)
        if len(content) > MAX_FILE_BYTES or total > MAX_BYTES:
            limit = MAX_FILE_BYTES if len(content) > MAX_FILE_BYTES else MAX_BYTES
            raise refused(place, f"at most {limit:,} bytes", "more", "make the pictures smaller")
        yield _File(place, label, content, hashlib.sha256(content).digest())


_Entry = tuple[tuple[str, ...], Callable[[], bytes]]


def _on_disk(folder: Path) -> list[_Entry]:
    found: list[_Entry] = []
    try:
        for path in sorted(islice(folder.rglob("*"), 2 * MAX_FILES)):
            parts = path.relative_to(folder).parts
            if path.is_symlink():
                raise refused(
                    f"pictures, {shown('/'.join(parts))}", "files and folders", "a link", "copy what it leads to"
                )
            if _is_litter(parts) or (path.is_dir() and any(path.iterdir())):
                continue
            if path.is_dir():
                raise _empty(parts)
            if not path.is_file():
                raise refused(
                    f"pictures, {shown('/'.join(parts))}", "files and folders", "a device or pipe", "remove it"
                )
            found.append((parts, lambda path=path: content_at(path, MAX_FILE_BYTES)))  # type: ignore[misc]
            if len(found) > MAX_FILES:
                break
    except OSError as error:
        raise refused("pictures", "a readable folder", f"{error.strerror}", "check its rights") from error
    return found


def _empty(parts: Sequence[str]) -> DataError:
    return refused(f"pictures, {shown('/'.join(parts))}", "pictures in each folder", "none", "fill it, or take it away")


def _in_archive(content: bytes) -> list[_Entry]:
    """The files of a .zip; each is unpacked in memory, and only to the size that its directory says and the limits allow."""
    found: list[_Entry] = []
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        infos = [info for info in archive.infolist() if not info.is_dir()]
        folders = [info.filename for info in archive.infolist() if info.is_dir()]
    except (*_UNREADABLE, zipfile.BadZipFile, NotImplementedError) as error:
        raise refused("pictures", "a .zip", f"a broken archive ({type(error).__name__})", "make it again") from error
    for name in folders:
        parts = tuple(name.rstrip("/").split("/"))
        if not _is_litter(parts) and not any(info.filename.startswith(name) for info in infos):
            raise _empty(parts)
    for info in infos:
        parts = tuple(info.filename.split("/"))
        place = f"pictures, {shown(info.filename)}"
        if _is_litter(parts):
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            raise refused(place, "files", "a link", "pack what it leads to")
        if info.flag_bits & 1:
            raise refused(place, "an open archive", "an encrypted one", "pack it without a password")
        if info.file_size > MAX_FILE_BYTES:
            raise refused(place, f"at most {MAX_FILE_BYTES:,} bytes", f"{info.file_size:,}", "make the picture smaller")
        found.append((parts, lambda info=info, place=place: _unpacked(archive, info, place)))  # type: ignore[misc]
    if len({parts for parts, _ in found}) < len(found):
        raise refused("pictures", "each file once", "a name twice in the archive", "pack it again")
    return found


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> bytes:
    try:
        return archive.read(info)
    except (*_UNREADABLE, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise refused(place, "a whole file", f"a broken one ({type(error).__name__})", "pack it again") from error


def _is_litter(parts: Sequence[str]) -> bool:
    return any(_LITTER.fullmatch(part) for part in parts)


def _below_one_top(found: list[_Entry]) -> list[_Entry]:
    """Without the one folder that an archive of a folder begins with."""
    tops = {parts[0] for parts, _ in found if parts}
    if len(tops) == 1 and all(len(parts) == 3 for parts, _ in found):
        return [(parts[1:], read) for parts, read in found]
    return found


def _judged(parts: tuple[str, ...]) -> tuple[str, str]:
    """Place and class of a file. Raises: DataError."""
    place = f"pictures, {shown('/'.join(parts))}"
    if len(parts) != 2 or ".." in parts or "." in parts or "" in parts or "\\" in "".join(parts):
        found = "a file outside" if len(parts) < 2 else "another place"
        raise refused(place, "CLASS/PICTURE", found, "put each picture into the folder of its class")
    label = unicodedata.normalize("NFC", parts[0])
    if len(label) > _MAX_NAME or unseen(label) or not label.isprintable() or not label.strip():
        raise refused(place, f"a class of 1 to {_MAX_NAME} visible characters", shown(label), "rename the folder")
    if not parts[1].lower().endswith(_SUFFIXES):
        raise refused(place, "a PNG or JPEG picture", "another file", "convert it, or take it away")
    return place, label


# -- pictures ----------------------------------------------------------------------------------------------------


def _upright(file: _File, side: int | None) -> Image.Image:
    """The picture as its camera held it, gray or in colour (L or RGB), made side x side where that is asked for."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its size is judged here, before a pixel is made
            with Image.open(io.BytesIO(file.content), formats=("PNG", "JPEG")) as opened:
                _check_header(file, opened)
                opened.load()
                picture = _on_white(ImageOps.exif_transpose(opened))
    except DataError:
        raise
    except _UNREADABLE as error:
        found = f"a broken file, or one of another kind ({type(error).__name__})"
        raise refused(file.place, "a PNG or JPEG picture", found, "save it again as PNG") from error
    if side is None:
        return picture
    return ImageOps.pad(picture, (side, side), Image.Resampling.BICUBIC)


def _check_header(file: _File, opened: Image.Image) -> None:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise refused(file.place, f"at most {MAX_PIXELS:,} pixels", f"{width} x {height}", "make the picture smaller")
    frames = getattr(opened, "n_frames", 1)
    if frames != 1 and opened.format == "PNG":
        raise refused(file.place, "one picture", f"an animation of {frames}", "save one frame")


def _on_white(picture: Image.Image) -> Image.Image:
    """As L where it has no colour of its own, else as RGB; 16 bits become 8, transparent ground becomes white."""
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8))
    if picture.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _has_colour(picture: Image.Image) -> bool:
    if picture.mode == "L":
        return False
    pixels = np.asarray(picture)
    return bool((pixels[..., :1] != pixels[..., 1:]).any())


def _check_one_size(files: Sequence[_File], pictures: Sequence[Image.Image]) -> None:
    first = pictures[0].size
    for file, picture in zip(files, pictures, strict=True):
        if picture.size != first:
            found = f"{picture.width} x {picture.height} pixels"
            expected = f"{first[0]} x {first[1]} as {files[0].place.removeprefix('pictures, ')}"
            raise refused(file.place, expected, found, "ask for one size (side=28)")


def _repeated(files: Sequence[_File]) -> tuple[Decision, ...]:
    """A picture in two classes contradicts itself; one twice in a class may be trained on and tested with."""
    by_digest: dict[bytes, set[str]] = {}
    for one in files:
        by_digest.setdefault(one.digest, set()).add(one.label)
    said = []
    if clashes := sum(len(labels) > 1 for labels in by_digest.values()):
        where = listed(sorted({label for labels in by_digest.values() if len(labels) > 1 for label in labels}))
        said.append(decided("pictures: {count} are in two classes at once ({where})", count=clashes, where=where))
    if twice := len(files) - len(by_digest):
        said.append(
            decided("pictures: {count} are copies of others; one may be trained on and tested with", count=twice)
        )
    return tuple(said)
