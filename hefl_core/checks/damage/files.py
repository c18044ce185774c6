"""Benches for users' files and URLs: experiments, tables, pins, key files and key stores."""

from __future__ import annotations

import io
import json
import math
import re
import tempfile
from dataclasses import fields
from pathlib import Path
from random import Random
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from hefl_core.checks.damage.mutation import Mutant
from hefl_core.checks.damage.outcomes import Bench
from hefl_core.checks.damage.transcripts import finished_run
from hefl_core.federation.record.verify import pin_of, verify
from hefl_core.keys.roster import RosterPin
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KEY_BYTES, KeyFile
from hefl_core.tables.column import Column
from hefl_core.tables.declared import Declared, DeclaredColumn, Kind
from hefl_core.tables.reading import MAX_BYTES
from hefl_core.tables.table import Table, read_table
from hefl_core.terms.experiment import Experiment

EXPERIMENTS = (
    Experiment(),
    Experiment(dataset="breast_cancer", scheme="bfv-threshold", custody="3-of-5", rounds=12, alpha=0.5, clip_norm=0.25),
    Experiment(scheme="ckks-lean", model="logistic", learning_rate=0.05, bound=0.5, epoch_rounds=2, observed=False),
)
OWNER_ONLY = 0o600


def experiments() -> Bench:
    """An experiment as JSON: an accepted one means what the text says."""
    default = msgspec.to_builtins(Experiment())

    def door(data: bytes) -> Any:
        return msgspec.to_builtins(Experiment.from_json(data))

    def truth(data: bytes) -> Any:
        return default | json.loads(data)

    return Bench(tuple(one.to_json().encode() for one in EXPERIMENTS), door, truth=truth, same=_same_values)


def queries() -> Bench:
    """An experiment as a URL's query."""
    default = {name: str(value) for name, value in msgspec.to_builtins(Experiment()).items()}

    def door(data: bytes) -> Any:
        return msgspec.to_builtins(Experiment.from_query(data.decode("utf-8", "replace")))

    def truth(data: bytes) -> Any:
        return default | dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))

    names = [field.name for field in fields(Experiment)]
    written = tuple(
        "&".join(f"{n}={_text(getattr(one, n))}" for n in names if getattr(one, n) is not msgspec.UNSET).encode()
        for one in EXPERIMENTS
    )
    return Bench((*written, *(one.to_query().encode() for one in EXPERIMENTS[1:])), door, truth=truth, same=_same_texts)


def _text(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _same_values(found: Any, expected: Any) -> bool:
    return bool(found == expected)


def _same_texts(found: Any, expected: Any) -> bool:
    return found.keys() == expected.keys() and all(_reads(found[name], text) for name, text in expected.items())


def _reads(value: object, text: str) -> bool:
    """Whether a text can be read as this value."""
    if isinstance(value, bool):
        return text.lower() in (("true", "1") if value else ("false", "0"))
    if isinstance(value, int | float):
        return math.isclose(float(text), value, rel_tol=1e-15)
    return text.lower() in ("null", "none") if value is None else text == value


_NUMBERS = ("age", "pressure", "count")
_DECLARED = Declared(
    tuple(DeclaredColumn(name, Kind.NUMBER, keep=True) for name in _NUMBERS),
    header="first",
    separator=",",
    decimal="point",
    label_kind="classes",
)
"""Everything is declared, so that another library can say what the damaged bytes mean."""
_GAPS = frozenset(("", "na", "n/a", "?", "-", ".", "null", "none", "nan", "#n/a", "<na>", "–", "—"))
_MARKS = re.compile("[ '’\u00a0\u2007\u2009\u202f]")
"""Marks of thousands, and blanks around a cell."""


def tables() -> Bench:
    """A CSV table: an accepted one has the numbers that another library reads in the same bytes."""
    rng = np.random.default_rng(5)
    rows = [f"{a:.4f},{b:.1f},{int(c)},{'abc'[n % 3]}" for n, (a, b, c) in enumerate(rng.normal(0, 9, (30, 3)))]
    plain = ",".join((*_NUMBERS, "label")) + "\n" + "\n".join(rows) + "\n"
    quoted = plain.replace(",", '","').replace("\n", '"\r\n"').join(('"', ""))[:-1]
    return Bench(
        (plain.encode(), quoted.encode()),
        lambda data: read_table(data, declared=_DECLARED),
        truth=_read_by_arrow,
        same=_same_table,
        specials=(_long_table, _long_cell),
    )


def _long_table(rng: Random, data: bytes) -> Mutant:
    return Mutant("bomb", data + b"1,1,1,a\n" * (MAX_BYTES // 4))


def _long_cell(rng: Random, data: bytes) -> Mutant:
    return Mutant("bomb", data + b"9" * (MAX_BYTES // 2) + b",1,1,a\n")


def _read_by_arrow(data: bytes) -> pa.Table:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252")
    names = text.splitlines()[0].count(",") + 1
    as_text = arrow_csv.ConvertOptions(column_types=dict.fromkeys((f"f{n}" for n in range(names)), pa.string()))
    reading = arrow_csv.ReadOptions(autogenerate_column_names=True)
    parsing = arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=_skip_blank)
    return arrow_csv.read_csv(io.BytesIO(text.encode()), reading, parsing, as_text)


def _skip_blank(row: Any) -> str:
    return "error" if (row.text or "").strip(" ,\t\r\n") else "skip"


def _same_table(found: Table, expected: pa.Table) -> bool:
    rows = [[_MARKS.sub(" ", cell).strip() for cell in row.values()] for row in expected.to_pylist()]
    header, *filled = [row for row in rows if any(row)]
    cells = dict(zip((" ".join(name.split()) for name in header), zip(*filled, strict=True), strict=True))
    if {*cells} != {*(column.name for column in found.columns), found.label.name}:
        return False
    labels = [
        _same_class(found.classes[code], text)
        for code, text in zip(found.label.codes, cells[found.label.name], strict=True)
    ]
    return all(labels) and all(_same_column(column, cells[column.name]) for column in found.columns)


def _same_column(column: Column, cells: tuple[str, ...]) -> bool:
    if column.kind is not Kind.NUMBER:  # a column beyond the three; its text is not judged here
        return column.name not in _NUMBERS
    numbers = [math.nan if cell.lower() in _GAPS else float(_MARKS.sub("", cell)) for cell in cells]
    return np.array_equal(numbers, column.numbers, equal_nan=True)


def _same_class(name: str, text: str) -> bool:
    try:
        return float(name) == float(text)
    except ValueError:
        return name.lower() == text.lower()


def pins() -> Bench:
    """A roster pin, used to verify a transcript: a damaged one authenticates nothing."""
    transcript = finished_run().transcript
    pin = pin_of(transcript)
    folder = tempfile.TemporaryDirectory(prefix="hefl-pin-")
    path = Path(folder.name) / "pin.json"

    def door(data: bytes) -> RosterPin:
        path.write_bytes(data)
        read = RosterPin.load(path)
        verify(transcript, read)
        return read

    return Bench((pin.to_json().encode(),), door, (pin,), close=folder.cleanup)


ROWS = {("answers", f"round-{number:04d}"): bytes([number]) * (40 if number % 5 else 3000) for number in range(12)} | {
    ("shares/client-1", "00000001"): b"share" * 50,
    ("identities", "client-1"): b"identity" * 9,
}


def key_stores() -> Bench:
    """An encrypted store's file: every row is present and right, or the store is rejected."""
    folder = tempfile.TemporaryDirectory(prefix="hefl-store-")
    home = Path(folder.name)
    unlock = KeyFile.create(home / "key")
    inputs = tuple(_make_store(home / f"store-{number}", unlock) for number in range(2))
    path = home / "damaged"

    def door(data: bytes) -> dict[tuple[str, str], bytes]:
        _write(path, data)
        with KeyStore(path, unlock) as store:
            listed = [(table, name) for table in sorted({table for table, _ in ROWS}) for name in store.list(table)]
            found = {place: store.find(*place) for place in {*listed, *ROWS}}
        return cast(dict[tuple[str, str], bytes], found)

    return Bench(inputs, door, (ROWS, ROWS), close=folder.cleanup)


def _make_store(path: Path, unlock: KeyFile) -> bytes:
    with KeyStore(path, unlock) as store:
        for place, value in ROWS.items():
            store.put(*place, value)
    return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    path.touch(OWNER_ONLY)
    path.write_bytes(data)


def key_files() -> Bench:
    """A store's key file: a different one opens nothing."""
    folder = tempfile.TemporaryDirectory(prefix="hefl-key-")
    home = Path(folder.name)
    path, store_path = home / "key", home / "store"
    _make_store(store_path, KeyFile.create(path))
    right = path.read_bytes()
    path = home / "damaged"

    def door(data: bytes) -> bytes | None:
        _write(path, data)
        with KeyStore(store_path, KeyFile(path)) as store:
            return store.find("identities", "client-1")

    def specials(rng: Random, data: bytes) -> Mutant:
        return Mutant("noise", rng.randbytes(KEY_BYTES))

    return Bench((right,), door, (ROWS["identities", "client-1"],), specials=(specials,), close=folder.cleanup)
