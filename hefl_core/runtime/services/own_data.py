"""A client's data as files in its own folder, and a home built from them. The data exists nowhere else.

``train.npz`` or ``train.csv``, and for the accuracy ``holdout.npz`` or ``holdout.csv``; without a hold-out file a fifth of
the client's own rows is set aside. An ``.npz`` holds scaled features (float32) and labels (int64) and is read without
pickle. A ``.csv`` is a table in its own units, checked cell by cell (learning/tables.py). Its columns and classes are put
in the schema's order and scaled as the schema says, or, without such a scale, by the client's own training rows.
"""

from __future__ import annotations

import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.federation.client import Home
from hefl_core.federation.experiment import Manifest, Schema
from hefl_core.learning.base import Examples, Scaling
from hefl_core.learning.split import split_indices
from hefl_core.learning.tables import Table, read_table, standardised
from hefl_core.runtime.client_home import home_with, model_of

Rows: TypeAlias = npt.NDArray[np.float64]
FOLDER: Final = "data"
TRAIN, HOLD_OUT = "train", "holdout"
_PARSING: Final = threading.Lock()
"""Python 3.11 counts the depth of ``ast.parse`` for all threads together, and numpy parses each array's header with it."""
HELD_OUT_PART: Final = 5
"""One row in this many is set aside when there is no hold-out file."""


@dataclass(frozen=True)
class OwnData:
    """One client's training and hold-out examples. Shapes: as :class:`Examples`."""

    train: Examples
    held_out: Examples


def home_from_files(manifest: Manifest, index: int, folder: Path) -> Home:
    """The home of client ``index`` from its own files.

    Raises: DataError for a file that is missing, of another shape, or larger than the manifest's ``examples_max``.
    """
    own = read_own_data(_schema(manifest), folder)
    if manifest.experiment.mechanism is None and len(own.train) > manifest.examples_max:
        raise DataError(
            f"own data: expected at most {manifest.examples_max} training rows (the agreed examples_max), found more; "
            "use fewer, or agree on a larger number"
        )
    return home_with(manifest.experiment, model_of(manifest), index, own.train, own.held_out)


def refuse_own_data(home: Path) -> None:
    """Reject a table in the home of a client whose data is dealt to it: the table would stay unread, unnoticed.

    Raises: DataError when there is one.
    """
    for path in sorted((home / FOLDER).glob(f"{TRAIN}.*")):
        raise DataError(
            f"own data: on Ray the run deals the data and {path} would not be read; use the TLS transport "
            "(HEFL_TRANSPORT=tls, docs/strict.md), or take the file away"
        )


def read_own_data(schema: Schema, folder: Path) -> OwnData:
    """Read a client's folder. Raises: DataError."""
    train, held_out = (_file(folder, name) for name in (TRAIN, HOLD_OUT))
    if train is None:
        raise DataError(
            f"own data: expected {TRAIN}.npz or {TRAIN}.csv in {folder}, found neither; put your table there"
        )
    if train.suffix == ".npz":
        own = _read_arrays(train, schema)
        return OwnData(own, _read_arrays(held_out, schema)) if held_out else _set_aside(own)
    return _read_tables(train, held_out, schema)


def save_arrays(path: Path, examples: Examples) -> None:
    """Write examples as an ``.npz`` that only the owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("wb") as file:
        path.chmod(0o600)
        np.savez(file, features=examples.features, labels=examples.labels)


def _file(folder: Path, name: str) -> Path | None:
    found = [path for path in (folder / f"{name}.npz", folder / f"{name}.csv") if path.exists()]
    if len(found) > 1:
        raise DataError(f"own data: expected {name}.npz or {name}.csv, found both; keep one")
    return found[0] if found else None


def _read_arrays(path: Path, schema: Schema) -> Examples:
    if path.suffix != ".npz":
        raise DataError(
            f"own data: expected {path.stem}.npz beside {TRAIN}.npz, found {path.name}; use one kind of file"
        )
    try:
        with _PARSING, np.load(path, allow_pickle=False) as archive:
            features, labels = archive["features"], archive["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path.name}: expected an .npz with features and labels, found {type(error).__name__}; write it with numpy.savez"
        ) from error
    shape = (len(labels), len(schema.columns))
    if features.dtype != np.float32 or features.shape != shape or labels.dtype != np.int64 or labels.ndim != 1:
        raise DataError(
            f"{path.name}: expected float32 features (n, {len(schema.columns)}) and int64 labels (n,), found "
            f"{features.dtype} {features.shape} and {labels.dtype} {labels.shape}"
        )
    if (
        len(labels) == 0
        or not np.isfinite(features).all()
        or not ((labels >= 0) & (labels < len(schema.classes))).all()
    ):
        raise DataError(
            f"{path.name}: expected finite features and labels 0 to {len(schema.classes) - 1}, found another value, or no row"
        )
    return Examples(features, labels)


def _set_aside(own: Examples) -> OwnData:
    train, held_out = split_indices(own.labels, max(1, len(own) // HELD_OUT_PART))
    return OwnData(own.take(train), own.take(held_out))


def _read_tables(train: Path, held_out: Path | None, schema: Schema) -> OwnData:
    own = _in_order(read_table(train), schema)
    if held_out is not None and held_out.suffix != ".csv":
        raise DataError(
            f"own data: expected {HOLD_OUT}.csv beside {TRAIN}.csv, found {held_out.name}; use one kind of file"
        )
    if held_out is not None:
        other = _in_order(read_table(held_out), schema)
        scaling = _scaling(schema, own[0])
        return OwnData(*(Examples(scaling.apply(rows), labels) for rows, labels in (own, other)))
    # the scaling is fitted on the kept rows alone: the held-out rows must not influence the training
    kept, aside = split_indices(own[1], max(1, len(own[1]) // HELD_OUT_PART))
    whole = Examples(_scaling(schema, own[0][kept]).apply(own[0]), own[1])
    return OwnData(whole.take(kept), whole.take(aside))


def _in_order(table: Table, schema: Schema) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Rows and labels in the schema's order of columns and classes."""
    if set(table.columns) != set(schema.columns):
        missing = sorted(set(schema.columns) - set(table.columns))
        extra = sorted(set(table.columns) - set(schema.columns))
        raise DataError(
            f"{table.name}: expected the agreed columns; missing: {', '.join(missing[:8]) or 'none'}; "
            f"not agreed: {', '.join(extra[:8]) or 'none'}"
        )
    unknown = sorted(set(table.classes) - set(schema.classes))
    if unknown:
        raise DataError(
            f"{table.name}: expected labels among {', '.join(schema.classes[:12])}; found {', '.join(unknown[:8])}"
        )
    place = np.array([schema.classes.index(name) for name in table.classes], np.int64)
    return table.rows[:, [table.columns.index(name) for name in schema.columns]], place[table.labels]


def _scaling(schema: Schema, rows: Rows) -> Scaling:
    if not schema.scale:
        return standardised(rows)
    return Scaling(np.array(schema.offset, np.float64), np.array(schema.scale, np.float64))


def _schema(manifest: Manifest) -> Schema:
    model_of(manifest)  # raises an error that says what is missing
    assert manifest.schema is not None
    return manifest.schema
