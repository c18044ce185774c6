"""Text to named columns: separators, quotes, titles, headers, totals; what is odd is refused with its line."""

from __future__ import annotations

import numpy as np
import pytest

from hefl_core.errors import DataError
from hefl_core.tables.declared import Declared
from tests.tables.helpers import GOOD, read, table, with_line


def same(one, two):
    assert one.classes == two.classes and np.array_equal(one.label.codes, two.label.codes)
    assert [column.name for column in one.columns] == [column.name for column in two.columns]
    for left, right in zip(one.columns, two.columns, strict=True):
        assert np.array_equal(left.numbers, right.numbers, equal_nan=True) and left.categories == right.categories


READ = {
    "semicolons": GOOD.replace(",", ";"),
    "tabs": GOOD.replace(",", "\t"),
    "bars": GOOD.replace(",", "|"),
    "semicolons and decimal commas": GOOD.replace(",", ";").replace(".", ","),
    "tabs and decimal commas": GOOD.replace(",", "\t").replace(".", ","),
    "commas and quoted decimal commas": table(
        line=lambda at: f'{20 + at % 30},"{at * 0.5}"'.replace(".", ",") + (",ill" if at % 2 else ",well")
    ),
    "sep line": "sep=;\r\n" + GOOD.replace(",", ";").replace("\n", "\r\n"),
    "quoted sep line and mark": '\ufeff"sep=|"\n' + GOOD.replace(",", "|"),
    "blank first lines": "\n\n \n" + GOOD,
    "blank lines between": GOOD.replace("\n", "\n\n"),
    "lines of separators only": with_line(5, GOOD.split("\n")[4] + "\n,,") + "\n,,\n,,\n",
    "carriage returns": GOOD.replace("\n", "\r"),
    "all quoted": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in GOOD.split("\n")),
    "blanks around cells": GOOD.replace(",", " , "),
    "trailing separators everywhere": GOOD.replace("\n", ",\n") + ",",
    "two trailing separators everywhere": GOOD.replace("\n", ",,\n") + ",,",
    "trailing separators in rows only": GOOD.split("\n")[0] + "\n" + ",\n".join(GOOD.split("\n")[1:]) + ",",
    "trailing separator in header only": with_line(1, "age,dose,outcome,"),
    "title": "Ward 3\n" + GOOD,
    "titles with separators, and a gap": "Ward 3,,\n2025,,\n,,\n" + GOOD,
    "name over two lines": with_line(1, '"age\n",dose,outcome'),
}


@pytest.mark.parametrize("case", READ)
def test_every_dialect_reads_as_the_plain_file(case):
    same(read(READ[case]), read(GOOD))


def test_what_was_recognised_is_said():
    said = " ".join(map(str, read("Ward 3\n" + GOOD.replace("\n", ",\n") + ",").decisions))
    assert "titles: 1" in said and "separators at the end of the lines" in said and "comma (as most lines" in said
    assert "semicolon (by its sep= line)" in str(read(READ["sep line"]).decisions[1])


def test_quotes_newlines_and_separators_within_cells():
    text = table("note,dose,outcome", lambda at: f'"a, ""b""\n{at % 3}",{at % 7},{at % 2}')
    found = read(text).columns[0]
    assert found.categories == ('a, "b"\n0', 'a, "b"\n1', 'a, "b"\n2')
    with pytest.raises(DataError, match="line 82, column 'dose'.*'high'"):
        read(text + '\n"x",high,1')


REFUSED = {
    "short row": (
        with_line(5, "1,2"),
        "line 5: expected 3 cells as in the header .line 1., found 2; fill in the missing",
    ),
    "long row": (
        with_line(5, "1,2,3,ill"),
        "line 5: expected 3 cells .*found 4; put numbers with a decimal comma in quotes",
    ),
    "decimal commas unquoted": (
        table(line=lambda at: f"{at},{at},5,ill"),
        "line 1: expected 4 names.*decimal comma in quotes or separate cells by semicolons",
    ),
    "one trailing comma": (with_line(5, "1,2,ill,"), "line 5: .*take away a separator at the end"),
    "row numbers without a name": (
        table(line=lambda at: f"{at},{at},{at},{at % 2}"),
        "line 1: expected 4 names.*give a column of row numbers a name",
    ),
    "short last line": (GOOD + "\n40 rows", "line 42: .*found 1; .*a last line with totals or a remark must go"),
    "title with separators": ("Ward 3, Ulm\n" + GOOD, "line 1: expected 3 names, as most lines have cells, found 2"),
    "quote in a cell": (with_line(5, '"1"x,2,ill'), "line 5: expected cells whose quotes are closed"),
    "open quote": (with_line(5, '"1,2,ill'), "line 5: expected cells whose quotes are closed"),
    "open quote in line 1": ('"' + GOOD, "line 1: expected cells whose quotes are closed"),
    "huge quoted cell": (with_line(5, f'"{"x" * 200_000}",2,ill'), "line 5: .*field larger"),
    "repeated header": (
        with_line(9, "age,dose,outcome"),
        "line 9: expected a row, found line 1 again; delete this line",
    ),
    "numbers as header": (GOOD.split("\n", 1)[1], "line 1: expected names of columns, found '20' in column 1"),
    "first patient has a text": (
        "unknown,0.5,ill\n" + GOOD.split("\n", 1)[1],
        "line 1: .*found '0.5' in column 2.*header 'none'",
    ),
    "first patient has a missing cell": (
        "NA,,ill\n" + GOOD.split("\n", 1)[1],
        "line 1: .*'ill' in column 3, which stands in rows below",
    ),
    "first patient among texts": (
        table("m,Ulm,ill", lambda at: f"{'mw'[at % 2]},{'Ulm' if at % 3 else 'Bonn'},well"),
        "line 1: .*'m' in column 1",
    ),
    "first patient with units": (
        table("12 mg,a,b", lambda at: f"{at} mg,{at % 7},x{at % 2}"),
        "line 1: .*'12 mg' in column 1",
    ),
    "first patient with a number among units": (
        table("12,Ulm,b", lambda at: f"{at} mg,x{at},y{at % 2}"),
        "line 1: .*'12' in column 1",
    ),
    "first patient with dates": (
        table("2025-01-01,a,b", lambda at: f"2025-01-{at % 28 + 1:02},{at % 7},x{at % 2}"),
        "line 1: .*'2025-01-01'",
    ),
    "empty name": (with_line(1, "age,,outcome"), "line 1, name of column 2: expected a name, found an empty cell"),
    "no name and repeats": (with_line(1, ",dose,outcome"), "name of column 1: expected a name, as its cells repeat"),
    "same name": (
        with_line(1, "age,age,outcome"),
        "line 1: expected a different name for each column, found columns 1 and 2 both named 'age'",
    ),
    "long name": (with_line(1, f"age,{'x' * 201},outcome"), "name of column 2: expected a name of at most 200"),
    "unseen name": (
        with_line(1, "age,do\u202ese,outcome"),
        r"name of column 2: expected a name that can be seen, found the character U\+202E",
    ),
    "one column": ("a\n" + "x\n" * 30, "one column; save the table as CSV"),
    "blanks between cells": (GOOD.replace(",", " "), "one column"),
    "header only": ("a,b", "expected rows below the line of names, found none"),
    "many columns": (
        ",".join(f"c{at}" for at in range(5001)) + "\n" + ",".join("1" * 5001),
        "2 to 5000 columns.*found 5001",
    ),
    "odd sep line": ("sep=:\n" + GOOD, "comma, semicolon, tab or bar, found ':'"),
    **{
        f"last line {word}": (
            GOOD + f"\n{word},99,",
            f"line 42: expected a row as the others, found a line of totals or remarks .'{word}'",
        )
        for word in ("Total", "SUM", "Summe:", "Mittelwert", "average", "Totals", "n = 40", "40 rows selected")
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_in_one_way_is_refused_with_its_line(case):
    text, match = REFUSED[case]
    with pytest.raises(DataError, match=match) as caught:
        read(text)
    assert "expected" in str(caught.value) and "found" in str(caught.value) and "; " in str(caught.value)


def test_a_declared_header_and_summary():
    rows = GOOD.split("\n", 1)[1]
    found = read(rows, declared=Declared(header="none"))
    assert [column.name for column in found.columns] == ["column 1", "column 2"] and found.label.name == "column 3"
    assert len(found) == 40, "the first patient is kept"
    years = table("2019,2020,outcome", lambda at: f"{at % 7},{at % 5},{at % 2}")
    with pytest.raises(DataError, match="if these are names, declare header 'first'"):
        read(years)
    assert [column.name for column in read(years, declared=Declared(header="first")).columns] == ["2019", "2020"]
    assert len(read(GOOD + "\ntotal,99,", declared=Declared(summary="drop"))) == 40
    assert (
        len(
            read(
                with_line(
                    41,
                    "mean,9,ill",
                    table("way,dose,outcome", lambda at: f"w{at % 3},{at},{'ill' if at % 2 else 'well'}"),
                ),
                declared=Declared(summary="data"),
            )
        )
        == 40
    )
    assert read(GOOD.replace(",", ";"), declared=Declared(separator=";")).classes == ("ill", "well")


def test_names_that_begin_with_a_number_are_names():
    hours = read(table("2h,24h,outcome", lambda at: f"{at % 7},{at % 5},{at % 2}"))
    assert [column.name for column in hours.columns] == ["2h", "24h"]


def test_counted_names_are_names():
    pixels = table(
        ",".join(map(str, range(8))) + ",label",
        lambda at: ",".join(str(at * k % 16) for k in range(1, 9)) + f",{at % 3}",
    )
    assert [column.name for column in read(pixels).columns] == [str(at) for at in range(8)]


def test_names_are_data():
    text = with_line(1, "<script>alert(1)</script>,=cmd|' /C calc'!A0,outcome {x}")
    found = read(text)
    assert [column.name for column in found.columns] == ["<script>alert(1)</script>", "=cmd|' /C calc'!A0"]
    assert any("is never run" in str(warning) for warning in found.warnings)
    assert "label: outcome {x} (last column)" in str(found.label.decision)
    long = [f"a rather long name, with a comma: and / colons {at}" for at in range(40)]
    named = read(
        ",".join(f'"{name}"' for name in long)
        + ",y\n"
        + "\n".join(",".join(str(at * k % 9) for k in range(41)) for at in range(30)),
        label=long[3],
    )
    assert named.label.name == long[3]


def test_sizes_are_said():
    one = read("a,b,outcome\n1,x,ill")
    assert len(one) == 1 and "one row only" in " ".join(map(str, one.warnings))
    wide = read(
        ",".join(f"c{at}" for at in range(300))
        + ",y\n"
        + "\n".join(",".join(str(at * k % 7) for k in range(301)) for at in range(9))
    )
    assert "more columns (301) than rows (9)" in " ".join(map(str, wide.warnings))
    sparse = table("a,b,c,d,y", lambda at: f"{at % 7},2{at % 5},3,4,{at % 2}") + "\n,,,,1"
    assert "line 42: mostly empty" in " ".join(map(str, read(sparse).warnings))
