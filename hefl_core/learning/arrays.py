"""Arrays of a user as a data set: ``.npz`` with features and labels, or one ``.npy`` whose last column is the label.

Nothing is unpickled. Every header is read by one strict pattern before an array is made, so that a file cannot ask for more
memory than it has bytes, and nothing of it is evaluated.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.ids import digest
from hefl_core.learning.base import Dataset, Scaling
from hefl_core.learning.given import MAX_CLASSES, Given, check_classes, check_size, dataset_of
from hefl_core.tables.cells.cell import NO_OUTCOME, missing_among
from hefl_core.tables.cells.codes import codes_in_columns, far_codes
from hefl_core.tables.classes import cut_classes, plain
from hefl_core.tables.decision import Decision, listed, refused, shown, unseen
from hefl_core.tables.doors import ARRAYS
from hefl_core.tables.reading import content_at

MAX_BYTES: Final = 512 * 2**20
MAX_UNPACKED: Final = 1024 * 2**20
_LARGEST: Final = 1e30
_MAX_NAME: Final = 80
_MAGIC: Final = b"\x93NUMPY"
_HEADER: Final = re.compile(
    r"\{'descr': '(?P<descr>[<>|=]?[?A-Za-z]\d*(\[\w+\])?)', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(\d{1,18}, ?)*(\d{1,18})?),?\), ?\}[ \n]*"
)
_TOGETHER: Final = (
    ("features", "labels"), ("X", "y"), ("x", "y"), ("data", "target"), ("data", "labels"), ("images", "labels"),
    ("arr_0", "arr_1"),
)  # fmt: skip
_SPLIT: Final = (
    ("x_train", "y_train", "x_test", "y_test"), ("X_train", "y_train", "X_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)  # fmt: skip
_CLASS_NAMES: Final = ("classes", "class_names", "target_names")
Cut: TypeAlias = float | msgspec.UnsetType
"""Where measured labels are cut in two; unset for labels that are classes."""
_Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Arrays:
    """A user's arrays, checked. ``digest``: of their numbers, labels and classes, whatever file and type they came in.

    ``shape``: of one row as it was given, such as (28, 28). ``pixels``: whether all features are whole numbers 0..255 of type
    uint8. ``warnings``: features that are a usual code for a missing value, such as -999.
    """

    given: Given
    shape: tuple[int, ...]
    pixels: bool
    digest: str
    warnings: tuple[Decision, ...] = ()


def put_arrays(source: bytes | str | Path, label: str | None = None, above: Cut = msgspec.UNSET) -> Dataset:
    """Read a file, or the bytes of an upload, as a data set named ``arrays:`` and the digest of its content.

    A fifth is held out unless the file names its own test arrays. Bytes (uint8) are divided by 255 as pixels are, other
    columns standardised with the training rows' mean and deviation.

    Raises: DataError as :func:`read_arrays`.
    """
    return as_dataset(read_arrays(source, label, above))


def as_dataset(found: Arrays) -> Dataset:
    """The data set of arrays that were read."""
    square = len(found.shape) in (2, 3) and found.shape[0] == found.shape[1] and found.shape[2:] in ((), (1,))
    features = found.given.rows.shape[1]
    scaling = Scaling(np.zeros(features), np.full(features, 255.0)) if found.pixels else None
    side = found.shape[0] if square else None
    return dataset_of(found.given, ARRAYS + found.digest, "the user's own arrays", scaling=scaling, side=side)


def read_arrays(source: bytes | str | Path, label: str | None = None, above: Cut = msgspec.UNSET) -> Arrays:
    """Read and check a file, or the bytes of an upload.

    ``label``: the array of an .npz that holds the labels; the one beside it holds the features. ``above``: cut measured labels
    in two classes, up to this number and above it.

    Raises: DataError naming array, row and column, what was expected, what was found and what to do: no NumPy file, objects
        or other types, numbers that are missing, infinite or beyond 1e30, shapes that do not go together, labels that are
        measured values and not cut, labels that mean a missing one, too few rows, or one class.
    """
    content = source if isinstance(source, bytes) else content_at(source, MAX_BYTES)
    if len(content) > MAX_BYTES:
        raise refused("arrays", f"at most {MAX_BYTES:,} bytes", "more", "give fewer rows")
    if content.startswith(_MAGIC):
        if label is not None:
            raise refused("label", "none beside one .npy: its last column is the label", shown(label), "leave it out")
        features, labels = _last_column(_array("array", content))
        return _checked(features, labels, (), None, above)
    if not content.startswith(b"PK\x03\x04"):
        raise refused("arrays", "an .npz or .npy file", "another kind of file", "write it with numpy.savez")
    return _from_members(_members(content), label, above)


def _from_members(arrays: dict[str, _Array], label: str | None, above: Cut) -> Arrays:
    names = next((name for name in _CLASS_NAMES if name in arrays and name != label), None)
    classes = _class_names(names, arrays.pop(names)) if names else ()
    if label is not None:
        return _by_label(arrays, label, classes, above)
    for one in _TOGETHER:
        if set(arrays) == set(one):
            return _checked(arrays[one[0]], arrays[one[1]], classes, None, above)
    for four in _SPLIT:
        if set(arrays) == set(four):
            x, y, x_test, y_test = (arrays[name] for name in four)
            for name, labels in ((four[1], y), (four[3], y_test)):
                _check_labels_shape(name, labels)
            if x.shape[1:] != x_test.shape[1:]:
                raise refused(four[2], f"rows of shape {x.shape[1:]}", f"{x_test.shape[1:]}", "use one shape")
            both = np.concatenate([y.reshape(-1), y_test.reshape(-1)])
            return _checked(np.concatenate([x, x_test]), both, classes, len(y_test.reshape(-1)), above)
    wanted = "; ".join(" and ".join(one) for one in (*_TOGETHER[:3], _SPLIT[0]))
    raise refused(
        "arrays", wanted, listed(shown(name) for name in arrays) or "none", "rename them, leave out the others"
    )


def _by_label(arrays: dict[str, _Array], label: str, classes: tuple[str, ...], above: Cut) -> Arrays:
    """The array that was named is the label, and the only other one holds the features."""
    if label not in arrays:
        raise refused("label", f"an array {shown(label)}", listed(map(shown, arrays)) or "none", "name one of these")
    others = [name for name in arrays if name != label]
    if len(others) != 1:
        found = listed(map(shown, others)) or "none"
        raise refused("arrays", f"one array of features beside {shown(label)}", found, "leave out the others")
    return _checked(arrays[others[0]], arrays[label], classes, None, above)


def _members(content: bytes) -> dict[str, _Array]:
    """The arrays of an .npz by name, their sizes judged before anything is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            if sum(info.file_size for info in infos) > MAX_UNPACKED:
                raise refused("arrays", f"at most {MAX_UNPACKED:,} bytes unpacked", "more", "give fewer rows")
            names = [info.filename.removesuffix(".npy") for info in infos]
            if len(set(names)) < len(names):
                raise refused("arrays", "each array once", "a name twice", "write the file with numpy.savez")
            return {name: _array(name, archive.read(info)) for name, info in zip(names, infos, strict=True)}
    except DataError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError, zlib.error) as error:
        found = f"a broken or encrypted archive ({type(error).__name__})"
        raise refused("arrays", "an .npz", found, "write it with numpy.savez") from error


def _array(name: str, content: bytes) -> _Array:
    """One array of a checked type, from the bytes of an .npy."""
    place = f"array {shown(name)}"
    wide = content[6:7] != b"\x01"
    start = 12 if wide else 10
    length = int.from_bytes(content[8:start], "little")
    header = content[start : start + length]
    found = _HEADER.fullmatch(header.decode("latin-1")) if content.startswith(_MAGIC) and length <= 10_000 else None
    if found is None:
        raise refused(place, "a plain .npy array", "another header, or named columns", "save each as a plain array")
    dtype = _dtype(place, found["descr"])
    shape = tuple(int(number) for number in re.findall(r"\d+", found["shape"]))
    body = memoryview(content)[start + length :]
    wanted = dtype.itemsize
    for side in shape:
        wanted *= side
    if wanted != len(body):
        raise refused(place, f"{wanted:,} bytes for shape {shape}", f"{len(body):,}", "copy the file again")
    values = np.frombuffer(body, dtype) if wanted else np.zeros(0, dtype)
    return values.reshape(shape, order="F" if found["fortran"] == "True" else "C")


def _dtype(place: str, descr: str) -> np.dtype[Any]:
    remedy = {
        "O": ("Python objects", "convert them to numbers, such as .astype(float); objects would run code"),
        "M": ("dates", "convert them to numbers, such as days since a date"),
        "m": ("durations", "convert them to numbers, such as seconds"),
        "c": ("complex numbers", "give real and imaginary part as columns of their own"),
        "V": ("raw bytes", "save numbers"),
    }
    try:
        dtype = np.dtype(descr)
    except TypeError as error:
        raise refused(place, "numbers", f"the type {shown(descr)}", "save numbers") from error
    if dtype.kind in remedy:
        found, what = remedy[dtype.kind]
        raise refused(place, "real numbers", found, what)
    if dtype.itemsize == 0:
        raise refused(place, "numbers", "a type without bytes", "save numbers")
    return dtype


def _last_column(array: _Array) -> tuple[_Array, _Array]:
    if array.ndim != 2 or array.shape[1] < 2:
        found = f"shape {array.shape}"
        raise refused("array", "rows and columns, the last one the label", found, "or an .npz with features and labels")
    return array[:, :-1], array[:, -1]


def _checked(features: _Array, labels: _Array, classes: tuple[str, ...], held_out: int | None, above: Cut) -> Arrays:
    _check_labels_shape("labels", labels)
    labels = labels.reshape(-1)
    if features.ndim < 2 or len(features) != len(labels):
        raise refused(
            "features", f"one row for each of {len(labels):,} labels", f"shape {features.shape}", "give (n, features)"
        )
    shape = features.shape[1:]
    check_size("features", len(features), int(np.prod(shape, dtype=object)))
    rows = _numbers(features).reshape(len(features), -1)
    codes, named = _coded(labels, classes) if above is msgspec.UNSET else _cut(labels, classes, above)
    check_classes("labels", named)
    if held_out is not None:
        _check_hold_out(len(labels), held_out)
    columns = tuple("feature " + ",".join(str(at) for at in place) for place in np.ndindex(*shape))
    content = digest(
        b"hefl/arrays/1",
        repr((shape, named, held_out, features.dtype == np.uint8)).encode(),
        np.ascontiguousarray(rows, "<f8").tobytes(),
        np.ascontiguousarray(codes, "<i8").tobytes(),
    )
    given = Given(rows, codes, named, columns, held_out)
    pixels = features.dtype == np.uint8
    return Arrays(given, shape, pixels, content.hex(), () if pixels else codes_in_columns(rows))


def _check_labels_shape(name: str, labels: _Array) -> None:
    if labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1):
        return
    one_hot = labels.ndim == 2 and labels.dtype.kind in "biuf" and labels.size and (labels.sum(axis=1) == 1).all()
    remedy = "these are one-hot: save labels.argmax(axis=1)" if one_hot else "give one label for each row"
    raise refused(name, "shape (n,)", f"{labels.shape}", remedy)


def _check_hold_out(rows: int, held_out: int) -> None:
    if not 0 < held_out < rows - 1:
        raise refused("test arrays", f"1 to {rows - 2:,} rows of {rows:,}", f"{held_out:,}", "move rows")


def _numbers(features: _Array) -> npt.NDArray[np.float64]:
    """The features as float64. Raises: DataError naming the first row and column that holds no usable number."""
    if features.dtype.kind not in "biuf":
        raise refused("features", "real numbers", f"text ({features.dtype})", "code categories as 0/1 columns")
    with np.errstate(over="ignore", invalid="ignore"):  # a longdouble beyond float64 is named below
        rows = features.astype(np.float64).reshape(len(features), -1) + 0.0  # one zero: -0.0 has other bytes
    bad = ~(np.abs(rows) <= _LARGEST)
    if bad.any():
        row, column = (int(at) for at in np.argwhere(bad)[0])
        value = rows[row, column]
        what = "NaN" if np.isnan(value) else "infinity" if np.isinf(value) else f"{value:g}"
        found = f"{what} ({int(bad.sum()):,} such values)"
        raise refused(
            f"features, row {row}, column {column} (from 0)",
            "a number up to 1e30",
            found,
            "fill it in, or drop the row",
        )
    return rows


def _coded(labels: _Array, classes: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Labels as positions in the sorted classes, or in the classes that the file names."""
    if labels.dtype.kind in "SU":
        if classes:
            raise refused("labels", "numbers beside class names", "text", "leave the class names out")
        return _text_labels(labels)
    if labels.dtype.kind == "f":
        labels = _whole(labels)
    values, codes = np.unique(labels, return_inverse=True)
    _refuse_codes(labels, values)
    if not classes:
        return codes.astype(np.int64), tuple(str(int(value)) for value in values)
    if int(values[0]) < 0 or int(values[-1]) >= len(classes):
        found = f"{int(values[0])} to {int(values[-1])}"
        raise refused("labels", f"0 to {len(classes) - 1}, a place among the class names", found, "correct the names")
    return labels.astype(np.int64), classes


def _cut(labels: _Array, classes: tuple[str, ...], above: float) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Measured labels in two classes. Raises: DataError for labels that are no numbers, and a cut with one side empty."""
    if classes or labels.dtype.kind not in "biuf":
        found = "class names" if classes else "text"
        raise refused("labels", f"measured values, to be cut at {above:g}", found, "do not cut them")
    values = _finite(labels)
    _refuse_codes(values, np.unique(values))
    codes = (values > above).astype(np.int64)
    if codes.min() == codes.max():
        found = f"{plain(values.min())} to {plain(values.max())}"
        raise refused("labels", f"values on both sides of {plain(above)}", found, "cut them elsewhere")
    return codes, cut_classes(above)


def _refuse_codes(labels: _Array, different: _Array) -> None:
    """Reject -999 and its like among labels, as in a table. Shapes: labels (n,), different (classes,)."""
    code = next((different[at] for at in far_codes(different.astype(np.float64))), None)
    if code is not None:
        place = f"labels, row {int(np.flatnonzero(labels == code)[0])} (from 0)"
        found = f"{code:g}, a usual code for a missing one"
        raise refused(place, "an outcome", found, "leave such rows out, or save the labels as text if it is a class")


def _finite(labels: _Array) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinity, and is named
        labels = labels.astype(np.float64)
    if not np.isfinite(labels).all():
        at = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise refused(f"labels, row {at} (from 0)", "an outcome", "NaN or infinity", "leave the row out")
    return labels


def _whole(labels: _Array) -> npt.NDArray[np.int64]:
    """Labels written as floats. Raises: DataError for NaN, and for values between whole numbers: those are measured."""
    labels = _finite(labels)
    if (labels != np.rint(labels)).any() or np.abs(labels).max(initial=0) > 2**53:
        at = int(np.flatnonzero((labels != np.rint(labels)) | (np.abs(labels) > 2**53))[0])
        found = f"the measured value {float(labels[at]):g} (a regression target)"
        remedy = "nothing here trains a regression: cut it in two (--label-above X, or Cut above on the page)"
        raise refused(f"labels, row {at} (from 0)", "a class", found, remedy)
    return labels.astype(np.int64)


def _text_labels(labels: _Array) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    texts, codes = np.unique(_decoded(labels), return_inverse=True)
    gone = missing_among(tuple(map(str, texts)), NO_OUTCOME)
    if gone.any():
        row = int(np.flatnonzero(gone[codes])[0])
        found = f"{shown(str(texts[codes[row]]))}, which means missing"
        raise refused(f"labels, row {row} (from 0)", "an outcome", found, "leave out the rows without label")
    return codes.astype(np.int64), _class_names("labels", texts[: MAX_CLASSES + 1])


def _decoded(texts: _Array) -> _Array:
    if texts.dtype.kind == "U":
        return texts
    try:
        return np.char.decode(texts, "utf-8")
    except UnicodeDecodeError as error:
        raise refused("labels", "text in UTF-8", "other bytes", "save text (dtype U)") from error


def _class_names(name: str, texts: _Array) -> tuple[str, ...]:
    """Names that a screen can show, each different. Raises: DataError."""
    if texts.ndim != 1 or texts.dtype.kind not in "SU":
        raise refused(name, "a list of names", f"{texts.dtype} {texts.shape}", "save text")
    found = tuple(str(text) for text in _decoded(texts))
    for one in found:
        if not one.strip() or len(one) > _MAX_NAME or unseen(one) or not one.isprintable():
            expected = f"a name of 1 to {_MAX_NAME} visible characters"
            raise refused(name, expected, shown(one), "rename it, or leave out the rows without label")
    if len(set(found)) < len(found):
        raise refused(name, "different names", "one twice", "rename it")
    return found
