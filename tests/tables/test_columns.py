"""Kinds of columns: each row of the clerk's list, read rightly or refused with line, column and remedy."""

from __future__ import annotations

import numpy as np
import pytest

from hefl_core.errors import DataError
from hefl_core.tables.column import LeftOut
from hefl_core.tables.declared import Declared, DeclaredColumn, Kind
from tests.tables.helpers import column, one_column, read, table


def x(cells, **how):
    return column(one_column(cells, **how), "x")


def declared(**about):
    return Declared(columns=(DeclaredColumn("x", **about),))


NUMBERS = {
    "integers": (["1", "-2", "+3", "3"], [1, -2, 3, 3]),
    "decimal point": (["1.5", ".5", "2.", "-0.25"], [1.5, 0.5, 2, -0.25]),
    "decimal comma": (["1,5", ",5", "2,25", "-0,25"], [1.5, 0.5, 2.25, -0.25]),
    "one cell settles 1.234": (["1.234", "2.345", "0.5"], [1.234, 2.345, 0.5]),
    "one cell settles 1.234 the other way": (["1.234", "2.345", "1.234.567"], [1234, 2345, 1234567]),
    "a leading zero settles it": (["1.234", "0.123"], [1.234, 0.123]),
    "thousands point": (["1.234,5", "12.345,25", "3"], [1234.5, 12345.25, 3]),
    "thousands comma": (["1,234.5", "12,345.25", "3"], [1234.5, 12345.25, 3]),
    "apostrophes": (["1'234.5", "1’234’567", "3"], [1234.5, 1234567, 3]),
    "spaces": (["1 234,5", "1\u00a0234\u00a0567", "12\u202f345"], [1234.5, 1234567, 12345]),
    "exponents": (["1e3", "2.5E-2", "1"], [1000, 0.025, 1]),
    "minus sign": (["−5", "5"], [-5, 5]),
    "negative zero": (["-0", "1", "2"], [0, 1, 2]),
    "1/2": (["1", "2", "1"], [1, 2, 1]),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers(case):
    cells, values = NUMBERS[case]
    found = x(cells)
    assert found.kind is Kind.NUMBER and found.numbers.tolist() == values
    assert not np.signbit(found.numbers[np.array(values) == 0]).any()
    assert "x: numbers" in str(found.decisions[0]) and "to change this" in str(found.decisions[0])


def test_an_ambiguous_mark_is_asked_or_taken_from_other_columns():
    cells = ["1.234", "2.345", "12.345"]
    with pytest.raises(
        DataError, match="line 2, column 'x': .*one way only, found '1.234'; it may be 1.234 or 1234: declare"
    ):
        x(cells)
    assert x(cells, declared=declared(decimal="point")).numbers[0] == 1.234
    assert x(cells, declared=declared(decimal="comma")).numbers[0] == 1234
    assert x(cells, declared=Declared(decimal="comma")).numbers[0] == 1234
    for other, value in (("0.5", 1.234), ("0,5", 1234)):
        found = column(read("\n".join(["x;z;y", *(f"{cell};{other};{at % 2}" for at, cell in enumerate(cells))])), "x")
        assert found.numbers[0] == value and "as in the other columns" in str(found.decisions[0])
    with pytest.raises(DataError, match="column 'x': .*one way only"):
        read("\n".join(["x;z;w;y", *(f"{cell};0.5;0,5;{at % 2}" for at, cell in enumerate(cells))]))
    with pytest.raises(DataError, match="line 3, column 'x': expected a decimal point, found '2,5'"):
        x(["1.5", "2,5", "3.5"])
    with pytest.raises(DataError, match="line 3, column 'x': expected a decimal comma, found '2.5'"):
        x(["1,5", "2.5"], declared=declared(decimal="comma"))


FORMS = {
    "percent": (["12 %", "7,5%", "0 %"], Kind.PERCENT, "", [0.12, 0.075, 0]),
    "euro after": (["1.234,50 €", "-3,00 €", "2,00€"], Kind.CURRENCY, "€", [1234.5, -3, 2]),
    "dollar before": (["$1,234.50", "-$3.00", "$2.00"], Kind.CURRENCY, "$", [1234.5, -3, 2]),
    "code": (["CHF 1'234.50", "CHF 2", "CHF 3"], Kind.CURRENCY, "CHF", [1234.5, 2, 3]),
    "unit": (["12 mg", "13mg", "1,5 mg"], Kind.UNIT, "mg", [12, 13, 1.5]),
    "compound unit": (["12 mmol/l", "13 mmol/l", "5 mmol/l"], Kind.UNIT, "mmol/l", [12, 13, 5]),
    "degrees": (["36.6 °C", "37 °C", "38 °C"], Kind.UNIT, "°C", [36.6, 37, 38]),
}


@pytest.mark.parametrize("case", FORMS)
def test_percent_currency_and_units(case):
    cells, kind, unit, values = FORMS[case]
    found = x(cells)
    assert found.kind is kind and found.unit == unit and np.allclose(found.numbers, values, rtol=1e-15)
    with pytest.raises(DataError, match="line 12, column 'x': expected .*found the text '99'"):
        x([*cells * 3, cells[0], "99"])


BOOLEANS = [
    ("yes", "no"),
    ("Ja", "nein"),
    ("TRUE", "false"),
    ("oui", "non"),
    ("si", "no"),
    ("sí", "no"),
    ("y", "n"),
    ("1", "0"),
    ("+", "-"),
    ("wahr", "falsch"),
]


@pytest.mark.parametrize("pair", BOOLEANS)
def test_booleans(pair):
    found = x([pair[0], pair[1], pair[0]])
    assert found.kind is Kind.BOOLEAN and found.numbers.tolist() == [1, 0, 1] and not found.missing.any()


def test_booleans_of_two_languages_are_refused_and_more_words_are_categories():
    with pytest.raises(DataError, match="line 5, column 'x': expected yes or no as in most lines, found 'ja'"):
        x(["yes", "no", "yes", "ja"])
    assert x(["yes", "no", "maybe", "no"]).categories == ("maybe", "no", "yes")
    assert x(["yes", "no", "yes", "ja"], declared=declared(kind=Kind.CATEGORY)).categories == ("ja", "no", "yes")


DATES = {
    "ISO": (["2000-01-02", "1999-12-31"], [1, -1]),
    "ISO with time": (["2000-01-02T12:00:00", "2000-01-01 06:00:00"], [1.5, 0.25]),
    "time zone": (["2000-01-02T01:00+01:00", "2000-01-01T00:00Z"], [1, 0]),
    "points": (["02.01.2000", "31.1.2000"], [1, 30]),
    "points stay day first": (["02.01.2000", "03.01.2000"], [1, 2]),
    "month first": (["01/02/2000", "01/31/2000"], [1, 30]),
    "day first": (["02/01/2000", "31/01/2000"], [1, 30]),
    "day first with -": (["02-01-2000", "31-01-2000"], [1, 30]),
    "same either way": (["01/01/2000", "02/02/2000"], [0, 32]),
    "half days": (["01/31/2000 12:00 AM", "01/31/2000 12:00 PM"], [30, 30.5]),
}


@pytest.mark.parametrize("case", DATES)
def test_dates(case):
    cells, days = DATES[case]
    found = x(cells)
    assert found.kind is Kind.DATE and found.numbers.tolist() == days
    assert "days since 2000-01-01" in str(found.decisions[0])


BAD_DATES = {
    "asked": (
        ["01/02/2000", "03/04/2000"],
        "line 2, column 'x': .*one way only, found '01/02/2000'; declare what comes first",
    ),
    "no such day": (
        ["2000-01-02", "2000-02-30"],
        "line 3, column 'x': expected a day of the calendar, found '2000-02-30'",
    ),
    "two digits": (["02.01.24", "03.01.24"], "line 2, column 'x': expected a year of four digits"),
    "odd one": (
        ["2000-01-02", "2000-01-03", "soon"],
        "line 4, column 'x': expected a date .*found 'soon'; .*missing code",
    ),
    "two forms": (
        ["2000-01-02", "2000-01-03", "04.01.2000"],
        "line 4, column 'x': expected a date in the form of '2000-01-02'",
    ),
    "both orders": (
        ["01/31/2000", "31/01/2000"],
        "line 2, column 'x': expected a day of the calendar, found '01/31/2000'",
    ),
    "a zone missing": (
        ["2000-01-02T01:00Z", "2000-01-01T00:00"],
        "line 3, column 'x': expected a time with a time zone",
    ),
}


@pytest.mark.parametrize("case", BAD_DATES)
def test_bad_dates_are_refused(case):
    cells, match = BAD_DATES[case]
    with pytest.raises(DataError, match=match):
        x(cells)


def test_a_declared_order():
    cells = ["01/02/2000", "03/04/2000"]
    assert x(cells, declared=declared(dates="day")).numbers[0] == 31
    assert x(cells, declared=declared(dates="month")).numbers[0] == 1


DURATIONS = {
    "clock": (["1:30", "0:45:30", "10:00"], [5400, 2730, 36000]),
    "words": (["2 h 30 min", "90 min", "1 h"], [9000, 5400, 3600]),
    "German": (["2 Tage", "1 Tag", "3 Tage"], [172800, 86400, 259200]),
    "ISO": (["PT2H30M", "P1DT2H", "PT0.5S"], [9000, 93600, 0.5]),
}


@pytest.mark.parametrize("case", DURATIONS)
def test_durations(case):
    cells, seconds = DURATIONS[case]
    found = x(cells)
    assert found.kind is Kind.DURATION and found.numbers.tolist() == seconds
    with pytest.raises(DataError, match="line 5, column 'x': expected a duration .*found 'long'"):
        x([*cells, "long"])


MISSING = ["", "NA", "N/A", "?", "-", ".", "NULL", "None", "nan", "NaN", "#N/A", "n/a"]
MISSING += ["#NV", "#DIV/0!", "#REF!", "#BEZUG!", "#WERT!", "#NUM!", "#NAME?", "\\N", "NaT", "k.A.", "n.a.", ".a", ".Z"]


@pytest.mark.parametrize("word", MISSING)
def test_missing_cells_are_marked_and_said(word):
    found = x(["1.5", word, "2.5", "1.5"])
    assert found.missing.tolist() == [False, True, False, False] and np.isnan(found.numbers[1])
    assert "1 of 4 cells are missing" in str(found.decisions[-1])
    assert x(["Ulm", word, "Bonn", "Ulm"]).codes.tolist() == [1, -1, 0, 1]


@pytest.mark.parametrize("code", ["-999", "9999", "-99", "-9"])
def test_codes_for_missing_are_warned_of_and_taken_on_request_only(code):
    table = one_column(["1.5", code, "2.5", "1.7"])
    assert column(table, "x").numbers[1] == float(code)
    assert f"x: 1 cells are {code}, far from all others" in " ".join(map(str, table.warnings))
    for how in (Declared(missing=(code,)), declared(missing=(code,)), Declared(missing=(code + ".0",))):
        found = x(["1.5", code, "2.5", "1.7"], declared=how)
        assert found.missing.tolist() == [False, True, False, False]
    assert not one_column(["900", "999", "950", "1100"]).warnings, "999 among its like is a number"


def test_not_done_and_not_detected_are_asked_about():
    cells = ["1.5", "n.d.", "2.5", "n.d.", "n.d.", "1.7"]
    with pytest.raises(DataError, match="line 3, column 'x': expected a number, or a missing cell of one meaning"):
        x(cells)
    assert x(cells, declared=Declared(missing=("n.d.",))).missing.sum() == 3
    assert x(cells, declared=declared(kind=Kind.CATEGORY)).categories == ("1.5", "1.7", "2.5", "n.d.")
    assert x(["ja", "n.d.", "nein", "ja"]).categories == ("ja", "n.d.", "nein"), "among words it is a word"


def test_odd_cells_among_numbers_are_refused():
    for odd, said in (
        ("high", "the text 'high'"),
        ("=1+1", "the formula '=1.1'"),
        ("@SUM(A1)", "the formula"),
        ("inf", "an infinity"),
        ("-Infinity", "an infinity"),
        ("1_000", "the text '1_000'"),
        ("١٢", "the text"),
        ("<5", "the text '<5'"),
        ("0x1F", "the text"),
    ):
        with pytest.raises(
            DataError, match=f"line 5, column 'x': expected a number as in most lines, found {said}.*; "
        ):
            x(["1", "2", "3", odd])
    assert x(["1", "2", "3", "4+"], declared=declared(kind=Kind.CATEGORY)).categories == ("1", "2", "3", "4+")
    with pytest.raises(DataError, match="expected cells of kind percent, as declared, found '1'"):
        x(["1", "2", "3"], declared=declared(kind=Kind.PERCENT))


def test_formulas_and_scripts_among_texts_are_texts():
    assert x(["=1+1", "<script>", "=1+1", "a"]).categories == ("<script>", "=1+1", "a")


BIG = 2**53


@pytest.mark.parametrize(
    "cell", [str(BIG + 1), "12345678901234567", "1764331200123456789", f"{BIG}.5", "-12345678901234567"]
)
def test_whole_numbers_beyond_2_to_53_are_never_rounded(cell):
    found = x([cell, "1", cell, "2"])
    assert found.left_out is LeftOut.IDENTIFIER and "over 2^53" in str(found.decisions[0])
    with pytest.raises(DataError, match=r"line 2, column 'x': expected whole numbers below 2\^53 .*; subtract"):
        x([cell, "1", cell, "2"], declared=declared(kind=Kind.NUMBER))
    assert x([cell, "1", cell, "2"], declared=declared(kind=Kind.CODE)).left_out is None


def test_the_largest_exact_numbers_are_kept():
    assert x([str(BIG), "1", "1e22", "2"]).numbers.tolist() == [2.0**53, 1, 1e22, 2]


@pytest.mark.parametrize("cell", ["1e400", "-1e400", "1e31", "1e-400"])
def test_numbers_that_overflow_are_refused(cell):
    with pytest.raises(DataError, match="line 3, column 'x': expected a number .*; change the column's unit"):
        x(["1", cell, "2", "3"])


def test_codes():
    postal = x(["89073", "01067", "01067", "10115"])
    assert postal.kind is Kind.CODE and postal.categories == ("01067", "10115", "89073")
    assert x(["1", "2", "10", "1"], declared=declared(kind=Kind.CODE)).categories == ("1", "10", "2")
    assert x(["01067", "10115", "10115"], declared=declared(kind=Kind.NUMBER)).numbers[0] == 1067


def test_identifiers_are_left_out_with_a_word_and_kept_on_request():
    for cells in (
        range(100, 130),
        [7919 * at % 10007 for at in range(30)],
        [f"P-{at}" for at in range(30)],
        [10**15 + 37 * at for at in range(30)],
        [f"{at}.0" for at in range(30)],
    ):
        found = x(list(map(str, cells)))
        assert found.left_out is LeftOut.IDENTIFIER and "different in each row" in str(found.decisions[-1])
        assert x(list(map(str, cells)), declared=declared(keep=True)).left_out is None
    for header in ("patient_id", "Konto-Nr", "patientId", "account", "Unnamed: 0"):
        few = read(f"{header},z,outcome\n71,1,a\n35,2,b\n93,1,a")
        assert few.columns[0].left_out is LeftOut.IDENTIFIER, header
    for header, cells in (("age", [71, 35, 93]), ("lipid", [71, 35, 93])):
        few = read("\n".join([f"{header},z,y", *(f"{cell},{at % 2},{at % 2}" for at, cell in enumerate(cells))]))
        assert few.columns[0].left_out is None, "few measurements do not repeat either"
    assert x([str(at + 0.5) for at in range(30)]).left_out is None
    assert x([str(at - 9) for at in range(30)]).left_out is None


VISITS = {
    "several visits": lambda at: 10001 + at // 3,
    "one blank": lambda at: "" if at == 7 else 10001 + at * 3,
    "one repeat": lambda at: 10001 + (at - 1 if at == 5 else at),
    "account": lambda at: f"1.2{3 + at % 5}457E+15",
}


@pytest.mark.parametrize("kind", VISITS)
def test_a_patient_number_is_left_out_by_its_name_whatever_repeats(kind):
    """Before, one second visit or one blank made the patient's number a measurement."""
    header = "Kontonummer" if kind == "account" else "PatientID"
    found = read(table(f"{header},dose,outcome", lambda at: f"{VISITS[kind](at)},{at % 7},{at % 2}"))
    assert found.columns[0].left_out is LeftOut.IDENTIFIER
    keep = Declared(columns=(DeclaredColumn(header, keep=True),))
    found = read(table(f"{header},dose,outcome", lambda at: f"{VISITS[kind](at)},{at % 7},{at % 2}"), declared=keep)
    assert found.columns[0].left_out is None


def test_what_only_sounds_like_a_number_is_learnt():
    for header, cell in (("case", lambda at: 1 + at % 2), ("body mass index", lambda at: 20 + at % 9)):
        found = read(table(f"{header},dose,outcome", lambda at, cell=cell: f"{cell(at)},{at % 7},{at % 2}"))
        assert found.columns[0].left_out is None, header


def test_an_index_column_without_a_name():
    for first in ("", "Unnamed: 0"):
        found = read(table(f"{first},dose,outcome", lambda at: f"{at},{at % 7},{at % 2}"))
        assert found.columns[0].left_out is LeftOut.IDENTIFIER and found.columns[0].name in (
            "unnamed column",
            "Unnamed: 0",
        )


def test_constant_repeated_empty_and_unwanted_columns():
    text = table("c,d,e,f,g,t,outcome", lambda at: f"7,{at % 5},{at % 5},,{at % 7}.0,{'x' * 300}{at % 9},{at % 2}")
    found = read(text, declared=Declared(columns=(DeclaredColumn("g", drop=True),)))
    reasons = {one.name: one.left_out for one in found.columns}
    assert reasons == {
        "c": LeftOut.CONSTANT,
        "d": None,
        "e": LeftOut.DUPLICATE,
        "f": LeftOut.EMPTY,
        "g": LeftOut.DROPPED,
        "t": LeftOut.TEXT,
    }
    assert all(str(one.decisions[-1]).startswith(f"{one.name}: ") for one in found.columns)
    assert "the same as d in every row" in str(column(found, "e").decisions[-1])
    kept = read(text, declared=Declared(columns=tuple(DeclaredColumn(name, keep=True) for name in "ce")))
    assert column(kept, "c").left_out is None and column(kept, "e").left_out is None


def test_many_categories_are_left_out_unless_declared():
    cells = [f"k{at % 120}" for at in range(300)]
    found = x(cells)
    assert found.left_out is LeftOut.IDENTIFIER and "120 different texts" in str(found.decisions[-1])
    assert x(cells, declared=declared(kind=Kind.CATEGORY)).left_out is None
    with pytest.raises(DataError, match="up to 1000 categories, found 1500"):
        x([f"k{at % 1500}" for at in range(3000)], declared=declared(kind=Kind.CATEGORY, keep=True))


def test_categories_that_differ_in_capitals_are_warned_of_and_unseen_ones_refused():
    assert "differ in capitals only" in " ".join(map(str, one_column(["Male", "male", "w"]).warnings))
    with pytest.raises(DataError, match=r"line 3, column 'x': .*the character U\+200B"):
        x(["ill", "ill\u200b", "ill", "w"])


def test_a_declared_column_must_exist():
    with pytest.raises(DataError, match="declared: expected a column 'z', found 'x', 'plain', 'outcome'"):
        one_column(["1", "2"], declared=Declared(columns=(DeclaredColumn("z", drop=True),)))
