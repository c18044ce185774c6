"""Made tables: written in any dialect, read back equal; and any bytes, read or refused, never another error."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hefl_core.errors import DataError
from hefl_core.tables.agreement import agree
from hefl_core.tables.cells.booleans import PAIRS
from hefl_core.tables.cells.cell import says_missing
from hefl_core.tables.cells.dates import looks_like_a_time
from hefl_core.tables.cells.written import written
from hefl_core.tables.check import report
from hefl_core.tables.declared import Declared, Kind
from hefl_core.tables.encoding import encode
from hefl_core.tables.schema import TableSchema, propose
from hefl_core.tables.statistics import centred, fit, scaling_from, sums
from hefl_core.tables.table import read_table
from tests.tables.helpers import GOOD, column

GAPS = Declared(missing=("(empty)",))
"""An empty cell beside one value only is a gap here, and no answer."""
_WORDS = {word for pair in PAIRS for word in pair}
LETTERS = st.text("abcxyzABZ éüßœ019%€$+-=.,;|'\"\n<>(){}#?_/&", min_size=1, max_size=9)


def is_plain_text(text):
    """What a person would call a word: no number, date, yes, missing cell, or line of totals."""
    return (
        text == text.strip()
        and not says_missing(text)
        and written(text) is None
        and not looks_like_a_time(text)
        and text.lower() not in _WORDS
        and re.search("[^\\W\\d]", text) is not None
        and text.lower() != "inf"
    )


WORDS = LETTERS.filter(is_plain_text)
DIALECTS = st.fixed_dictionaries(
    {
        "separator": st.sampled_from([",", ";", "\t", "|"]),
        "comma": st.booleans(),
        "thousands": st.sampled_from(["", "'", " ", "other"]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
        "newline": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "missing": st.sampled_from(["", "NA", "?", "nan", "-", "NULL"]),
        "pair": st.sampled_from([("no", "yes"), ("Nein", "Ja"), ("FALSE", "TRUE"), ("non", "oui"), ("no", "sí")]),
        "date": st.sampled_from(["{y:04}-{m:02}-{d:02}", "{d:02}.{m:02}.{y:04}"]),
        "title": st.booleans(),
        "sep_line": st.booleans(),
        "trailing": st.booleans(),
    }
)


@st.composite
def made_tables(draw):
    """Values of six columns and a label, some of them missing."""
    rows = draw(st.integers(6, 14))
    cells = lambda values: st.lists(values, min_size=rows, max_size=rows)  # noqa: E731
    words = draw(st.lists(WORDS, min_size=2, max_size=4, unique_by=str.lower))
    classes = draw(st.lists(WORDS, min_size=2, max_size=3, unique_by=str.lower))
    return {
        "value": draw(cells(st.none() | st.floats(-1e6, 1e6).map(lambda value: round(value, 2) + 0.0))),
        "count": draw(cells(st.none() | st.integers(-(10**6), 10**6))),
        "flag": draw(cells(st.none() | st.booleans())),
        "day": draw(cells(st.none() | st.dates())),
        "word": draw(cells(st.none() | st.sampled_from(words))),
        "y": draw(cells(st.sampled_from(classes))),
    }


def _number(value, how):
    """A number as a person of this dialect writes it; two decimals, so that the mark can be read from it."""
    mark, other = (",", ".") if how["comma"] else (".", ",")
    text = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
    by = other if how["thousands"] == "other" else how["thousands"]
    return text.translate({ord(","): by, ord("."): mark})


def _written(made, how):
    texts = {
        "value": [None if one is None else _number(one, how) for one in made["value"]],
        "count": [None if one is None else _number(one, how) for one in made["count"]],
        "flag": [None if one is None else how["pair"][one] for one in made["flag"]],
        "day": [None if one is None else how["date"].format(y=one.year, m=one.month, d=one.day) for one in made["day"]],
        "word": made["word"],
        "y": made["y"],
    }
    file = io.StringIO()
    quoting = (
        csv.QUOTE_ALL if how["newline"] == "\r" else how["quoting"]
    )  # the writer leaves a bare \n in a cell unquoted there
    writer = csv.writer(file, delimiter=how["separator"], lineterminator=how["newline"], quoting=quoting)
    end = [""] if how["trailing"] else []
    file.write(f"sep={how['separator']}{how['newline']}" if how["sep_line"] else "")
    file.write("Report" + how["newline"] if how["title"] else "")
    writer.writerow([*texts, *end])
    for row in zip(*texts.values(), strict=True):
        writer.writerow([*(how["missing"] if cell is None else cell for cell in row), *end])
    content = file.getvalue().encode(how["encoding"])
    return file.getvalue().encode("utf-8-sig") if _reads_as_utf8_by_chance(content, how["encoding"]) else content


def _reads_as_utf8_by_chance(content, encoding):
    """Windows text in which every accent is by chance a UTF-8 character: nobody can tell them apart without a mark."""
    try:
        return encoding == "cp1252" and not content.decode("utf-8").isascii()
    except UnicodeDecodeError:
        return False


def _days(day):
    return float(day.toordinal() - 730120)  # 2000-01-01


@settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(made_tables(), DIALECTS)
def test_a_table_written_in_any_dialect_reads_back_equal(made, how):
    try:
        found = read_table(_written(made, how), label="y", declared=GAPS)
    except DataError as error:
        assert "in one way only" in str(error), "only 1.234 may be asked"
        assert not any(isinstance(one, float) for one in made["value"]), "two decimals in another column settle it"
        return
    assert [found.classes[code] for code in found.label.codes] == made["y"]
    kinds = {
        "value": (Kind.NUMBER, float),
        "count": (Kind.NUMBER, float),
        "flag": (Kind.BOOLEAN, float),
        "day": (Kind.DATE, _days),
    }
    for name, (kind, value) in kinds.items():
        one = column(found, name)
        wanted = np.array([np.nan if cell is None else value(cell) for cell in made[name]])
        assert np.array_equal(one.numbers, wanted, equal_nan=True), (name, one)
        assert np.isnan(wanted).all() or one.kind is kind or set(wanted[~np.isnan(wanted)]) <= {0.0, 1.0}, name
    words = column(found, "word")
    if not words.missing.all():
        assert [None if code < 0 else words.categories[code] for code in words.codes] == made["word"]


PLAIN = {
    "separator": "|", "comma": False, "thousands": "", "encoding": "utf-8", "newline": "\n", "quoting": csv.QUOTE_ALL,
    "missing": "", "pair": ("no", "yes"), "date": "{y:04}-{m:02}-{d:02}", "title": False, "sep_line": False, "trailing": False,
}  # fmt: skip
ASKED = ("in one way only", "one kind at all clients", "the same two numbers", "one way to write yes and no")


def _rows(made, rows):
    return {name: [made[name][row] for row in rows] for name in made}


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(made_tables(), st.lists(DIALECTS, min_size=3, max_size=3))
def test_hospitals_of_any_dialects_agree_as_the_reader_of_all_rows_would(made, dialects):
    """One table dealt to three hospitals, each with a dialect of its own: the same features, up to float32's last digits."""
    count = len(made["y"])
    parts = [list(range(at, count, 3)) for at in range(3)]
    files = [_written(_rows(made, rows), how) for rows, how in zip(parts, dialects, strict=True)]
    try:
        agreed = agree([propose(read_table(file, label="y", declared=GAPS)) for file in files])
    except DataError as error:
        assert any(said in str(error) for said in ASKED), error
        return
    tables = [read_table(file, label="y", declared=agreed.declared(GAPS)) for file in files]
    middle = centred(agreed, sum(sums(table, agreed) for table in tables))
    schema = scaling_from(middle, sum(sums(table, middle) for table in tables))
    whole = read_table(_written(made, PLAIN), label="y", declared=GAPS)
    pooled = encode(whole, fit(whole, propose(whole)))
    names = fit(whole, propose(whole)).feature_names
    for table, rows in zip(tables, parts, strict=True):
        own = encode(table, schema)
        assert [schema.classes[code] for code in own.labels] == [made["y"][row] for row in rows]
        for at, name in enumerate(schema.feature_names):
            if name in names:
                expected = pooled.features[rows, names.index(name)]
                assert np.allclose(own.features[:, at], expected, rtol=1e-5, atol=1e-5), name


PIECES = st.sampled_from(
    [
        "age",
        "1",
        "1.234",
        "1,5",
        "12 mg",
        "5 %",
        "$3",
        "yes",
        "ja",
        "+",
        "-",
        "NA",
        "2025-01-02",
        "03/04/2025",
        "1:30",
        "=1+1",
        "inf",
        "1e400",
        "9" * 20,
        "x" * 300,
        '"',
        "\u200b",
        "\u202e",
        "é",
        "Total",
        "sep=;",
        ",",
        ";",
        "\t",
        "|",
        "\n",
        "\n\n",
        "\r",
        ",,,\n",
        "0",
        "-0",
        "1e-400",
        "P",
        "PT",
        "P1D",
        "²",
        "٣",
        "1'2",
        "-999",
        "99.99.9999",
        "31.02.2024 25:61",
        "{x}",
        "{0}",
    ]
)
GARBAGE = (
    st.binary(max_size=300)
    | st.lists(PIECES, max_size=60).map(lambda parts: "".join(parts).encode())
    | st.lists(st.lists(PIECES, min_size=3, max_size=3).map(",".join), max_size=30).map(
        lambda rows: ("a,b,y\n" + "\n".join(rows)).encode()
    )
    | st.text(max_size=150).map(lambda text: (GOOD[:60] + text + GOOD[60:]).encode("utf-8", "ignore"))
    | st.binary(max_size=60).map(lambda data: b"PK\x03\x04" + data)
    | st.text(max_size=100).map(lambda text: text.encode("utf-16", "ignore"))
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(GARBAGE)
@example(b'a,b\n"')
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b'"",""\n"",""')
@example(b"sep=,")
@example(b"sep=,\n")
@example(b"\xff\xfe\x00\xd8")
def test_any_bytes_are_read_or_refused_never_a_crash(content):
    try:
        found = read_table(content)
    except DataError as error:
        assert "expected" in str(error) and "found" in str(error)
        return
    assert report(found) and TableSchema.from_json(fit(found, propose(found)).to_json())


FIELDS = ("columns", "label", "classes", "name", "kind", "version")
JSON = st.recursive(
    st.none() | st.integers(-5, 5) | st.sampled_from(["", "a", "number"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_schema_is_read_or_refused(data):
    try:
        TableSchema.from_json(data)
    except DataError:
        pass


def test_a_damaged_archive_is_a_refusal():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("xl/a", GOOD)
    whole = bytearray(file.getvalue())
    for at in range(0, len(whole), 7):
        broken = bytes(whole[:at]) + bytes([whole[at] ^ 0xFF]) + bytes(whole[at + 1 :])
        with pytest.raises(DataError):
            read_table(broken)


@pytest.mark.parametrize(
    "hostile",
    [
        "1'" * 40_000,
        "1 2" * 30_000,
        "(" * 80_000,
        "1h" * 40_000,
        "9" * 80_000,
        "1." * 40_000,
        "P" * 80_000,
        "\u0300" * 40_000,
        " " * 80_000,
    ],
    ids=lambda text: ascii(text[:3]),
)
def test_hostile_cells_cost_no_time(hostile):
    started = time.process_time()
    try:
        read_table("\n".join(["a,b,y", *(f"{hostile},1{at},{at % 2}" for at in range(8))]).encode())
    except DataError:
        pass
    assert time.process_time() - started < 10, "a quadratic reading takes minutes"
