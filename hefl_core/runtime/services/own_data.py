"""A client's data as files in its own folder, and a home built from them. The data exists nowhere else.

``train.npz`` or ``train.csv``, and for the accuracy ``holdout.npz`` or ``holdout.csv``; without a hold-out file a fifth of
the client's own rows is set aside. An ``.npz`` holds scaled features (float32) and labels (int64) and is read without
pickle. A ``.csv`` is a table in its own units, read by hefl_core/tables with the terms' schema: its columns are numbers in
the schema's order, the one column beside them is the label, and its classes are the schema's. Numbers are scaled as the
schema says, or, without such a scale, by the client's own training rows.
"""

from __future__ import annotations

import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace

from hefl_core.errors import DataError
from hefl_core.federation.client import Home
from hefl_core.learning.base import Examples
from hefl_core.learning.models import SUMS
from hefl_core.learning.split import HELD_OUT_PART, split_indices
from hefl_core.runtime.client_home import home_with, model_of
from hefl_core.runtime.round_zero import agreement_home, layout
from hefl_core.tables.cells.booleans import pair_of, truth_of
from hefl_core.tables.decision import listed, refused, shown
from hefl_core.tables.declared import Declared, DeclaredColumn, Kind
from hefl_core.tables.encoding import encode
from hefl_core.tables.label import choose_label
from hefl_core.tables.reading import content_at
from hefl_core.tables.schema import ColumnSchema, TableSchema
from hefl_core.tables.source import TableSource
from hefl_core.tables.statistics import fit
from hefl_core.tables.table import Table, column_names, read_table
from hefl_core.terms.experiment import Manifest, Schema

FOLDER: Final = "data"
TRAIN, HOLD_OUT = "train", "holdout"
_PARSING: Final = threading.Lock()
"""Python 3.11 counts the depth of ``ast.parse`` for all threads together, and numpy parses each array's header with it."""


DECLARED: Final = "declared.json"


class OwnDeclaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client's owner says about ``train.csv``: all of it before round zero, later where its label is cut."""

    label: str | None = None
    declared: Declared = Declared()


@dataclass(frozen=True)
class OwnData:
    """One client's training and hold-out examples. Shapes: as :class:`Examples`."""

    train: Examples
    held_out: Examples


def home_from_files(manifest: Manifest, index: int, folder: Path) -> Home:
    """The home of client ``index`` from its own files; in round zero its own table, read as it is.

    Raises: DataError for a file that is missing, of another shape, or larger than the manifest's ``examples_max``.
    """
    if manifest.experiment.model == SUMS:
        return agreement_home(layout(manifest.experiment), index, read_source(folder).reread)
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


def read_source(folder: Path) -> TableSource:
    """``train.csv`` with what its owner declares about it in ``declared.json``, if that is there. Raises: DataError."""
    about = _declaration(folder)
    return TableSource(content_at(folder / f"{TRAIN}.csv"), about.label, about.declared)


def _declaration(folder: Path) -> OwnDeclaration:
    said = folder / DECLARED
    if not said.exists():
        return OwnDeclaration()
    try:
        return msgspec.json.decode(content_at(said), type=OwnDeclaration)
    except msgspec.MsgspecError as error:
        raise DataError(f"{DECLARED}: expected a label and declarations as JSON, found {error}; correct it") from error


def save_table(folder: Path, source: TableSource) -> None:
    """Write a table as it came, and what is declared about it, so that only the owner may read them."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    said = msgspec.json.encode(OwnDeclaration(source.label, source.declared))
    for name, content in ((f"{TRAIN}.csv", source.content), (DECLARED, said)):
        with (folder / name).open("wb") as file:
            (folder / name).chmod(0o600)
            file.write(content)


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
    own = _table(train, schema)
    if held_out is not None and held_out.suffix != ".csv":
        raise DataError(
            f"own data: expected {HOLD_OUT}.csv beside {TRAIN}.csv, found {held_out.name}; use one kind of file"
        )
    if held_out is not None:
        other = _table(held_out, schema)
        agreed = _scaled(schema, own)
        return OwnData(*(_examples(table, agreed, schema) for table in (own, other)))
    # the scaling is fitted on the kept rows alone: the held-out rows must not influence the training
    if len(own) < 2:
        raise DataError(f"{train.name}: expected 2 rows or more, one to hold out, found {len(own)}; add rows")
    kept, aside = split_indices(own.label.codes, max(1, len(own) // HELD_OUT_PART))
    whole = _examples(own, _scaled(schema, own.take(kept)), schema)
    return OwnData(whole.take(kept), whole.take(aside))


def _table(path: Path, schema: Schema) -> Table:
    """The client's table, its columns read as numbers. Raises: DataError for columns or gaps that were not agreed on."""
    content = content_at(path)
    names = column_names(content)
    label = _label(path, names, schema)
    numbers = tuple(DeclaredColumn(name, Kind.NUMBER, keep=True) for name in schema.columns)
    above = _declaration(path.parent).declared.label_above
    table = read_table(content, label=label, declared=Declared(numbers, label_kind="classes", label_above=above))
    for column in table.columns:
        if column.missing.any():
            line = int(table.lines[int(column.missing.argmax())])
            remedy = "nothing is agreed to fill gaps with: fill it in, or leave the row out"
            raise refused(f"{path.name}, line {line}, column {shown(column.name)}", "a number", "none", remedy)
    return table


def _label(path: Path, names: tuple[str, ...], schema: Schema) -> str:
    """The one column that is no agreed feature."""
    others = [name for name in names if name not in schema.columns]
    missing = [name for name in schema.columns if name not in names]
    if missing or len(others) != 1:
        guessed = names[choose_label(names, None)[0]]
        extra = sorted(name for name in others if name != guessed or len(others) == 1)
        raise DataError(
            f"{path.name}: expected the agreed columns and the label; missing: {listed(sorted(missing)) or 'none'}; "
            f"not agreed: {listed(extra) or 'none'}; name the columns as in the terms, and add none"
        )
    return others[0]


def _scaled(schema: Schema, table: Table) -> TableSchema:
    """The terms' schema as the tables' own, scaled as agreed, or by these rows."""
    numbers = [ColumnSchema(name, Kind.NUMBER) for name in schema.columns]
    if not schema.scale:
        return fit(table, TableSchema(tuple(numbers), table.label.name, table.classes))
    agreed = zip(numbers, schema.offset, schema.scale, strict=True)
    columns = tuple(replace(one, centre=float(offset), spread=float(scale)) for one, offset, scale in agreed)
    return TableSchema(columns, table.label.name, table.classes, scaled=True)


def _examples(table: Table, agreed: TableSchema, schema: Schema) -> Examples:
    """Features by the scaling, and labels as places among the terms' classes."""
    own = replace(agreed, classes=table.classes, yes_no=table.label.yes_no)
    place = np.array([_class(table, name, schema) for name in table.classes], np.int64)
    return Examples(encode(table, own).features, place[table.label.codes])


def _class(table: Table, name: str, schema: Schema) -> int:
    """The agreed class of this name; numbers by their value, a yes or no in any language."""
    found = [at for at, agreed in enumerate(schema.classes) if _meaning(agreed, schema) == _meaning(name, schema)]
    if not found:
        line = int(table.lines[table.label.codes == table.classes.index(name)][0])
        raise refused(
            f"line {line}, label {shown(table.label.name)}",
            f"labels among {listed(schema.classes)}",
            shown(name),
            "correct the outcome, or agree on the classes again",
        )
    return found[0]


def _meaning(name: str, schema: Schema) -> object:
    """What two spellings of one class have in common."""
    if pair_of(schema.classes) is not None and pair_of((name,)) is not None:
        return bool(truth_of(name.lower()))
    try:
        return float(name)
    except ValueError:
        return name


def _schema(manifest: Manifest) -> Schema:
    model_of(manifest)  # raises an error that says what is missing
    assert manifest.schema is not None
    return manifest.schema
