"""The label: found, said, never glued to a path; a missing outcome is never a class."""

from __future__ import annotations

import pytest

from hefl_core.errors import DataError
from hefl_core.tables.declared import Declared, DeclaredColumn, Kind
from hefl_core.tables.reading import path_and_label
from hefl_core.tables.table import column_names
from tests.tables.helpers import GOOD, read, table, with_line


def labelled(cells, name="outcome", **how):
    return read("\n".join([f"a|{name}", *(f"{at % 7}|{cell}" for at, cell in enumerate(cells))]), **how)


@pytest.mark.parametrize(
    ("header", "label", "name", "how"),
    [
        ("a,b,c", None, "c", "last column"),
        ("a,outcome,c", None, "outcome", "by its name"),
        ("target,LABEL,c", None, "LABEL", "by its name"),
        ("Diagnosis,b,c", None, "Diagnosis", "by its name"),
        ("y,b,c", None, "y", "by its name"),
        ("label,b,c:/d", "c:/d", "c:/d", "as named"),
    ],
)
def test_the_label_is_found_and_always_said(header, label, name, how):
    found = read(table(header, lambda at: f"{at % 2},{at % 2},{at % 2}"), label=label)
    assert str(found.decisions[2]).startswith(f"label: {name} ({how}), classes 0, 1; to change this")
    assert found.label.name == name and name not in [column.name for column in found.columns]


def test_a_label_that_is_not_there():
    with pytest.raises(DataError, match="label: expected a column 'disease', found 'age', 'dose', 'outcome'; name one"):
        read(GOOD, label="disease")
    with pytest.raises(DataError, match="found .*; write 'outcome'"):
        read(GOOD, label="Outcome ")


CLASSES = {
    "yes and no": (["yes", "no", "yes"], ("no", "yes"), [1, 0, 1]),
    "Ja and nein": (["Ja", "nein", "JA"], ("nein", "ja"), [1, 0, 1]),
    "true and false": (["True", "False", "True"], ("false", "true"), [1, 0, 1]),
    "0 and 1": (["1", "0", "1"], ("0", "1"), [1, 0, 1]),
    "1 and 2": (["2", "1", "2"], ("1", "2"), [1, 0, 1]),
    "+ and -": (["+", "-", "+"], ("-", "+"), [1, 0, 1]),
    "+ and a dash": (["+", "–", "−"], ("-", "+"), [1, 0, 0]),
    "numbers by value": (["10", "9", "-5"], ("-5", "9", "10"), [2, 1, 0]),
    "one value written twice": (["1.0", "0", "1"], ("0", "1"), [1, 0, 1]),
    "texts": (["well", "ill", "well"], ("ill", "well"), [1, 0, 1]),
    "a formula": (["=HYPERLINK(1)", "ill", "ill"], ("=HYPERLINK(1)", "ill"), [0, 1, 1]),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes(case):
    cells, classes, codes = CLASSES[case]
    found = labelled(cells)
    assert found.classes == classes and found.label.codes.tolist() == codes


SPREADSHEETS = [
    "#NV",
    "#DIV/0!",
    "#N/A",
    "#REF!",
    "#BEZUG!",
    "#VALUE!",
    "#WERT!",
    "#NAME?",
    "#NUM!",
    "#ZAHL!",
    "#NULL!",
]


@pytest.mark.parametrize(
    "word",
    ["NA", "NaN", "NULL", "None", "?", ".", "", "-", *SPREADSHEETS, "\\N", "NaT", "k.A.", "n.d.", ".a", ".z"],
)
def test_missing_outcomes_are_named_and_left_out_on_request_only(word):
    cells = ["1", "0", word, "1", word, "0"]
    with pytest.raises(
        DataError,
        match="label 'outcome': expected an outcome in every row, found 2 missing .* in line 4, 6; fill them in",
    ):
        labelled(cells)
    found = labelled(cells, declared=Declared(drop_unlabelled=True))
    assert found.classes == ("0", "1") and found.label.codes.tolist() == [1, 0, 1, 0]
    assert found.lines.tolist() == [2, 3, 5, 7] and found.columns[0].numbers.tolist() == [0, 1, 3, 5]
    assert "2 rows without an outcome left out, as asked; line 4, 6" in " ".join(map(str, found.decisions))


def test_missing_outcomes_beside_plus_and_minus():
    with pytest.raises(DataError, match="2 missing .* in line 4, 5"):
        labelled(["+", "-", "", "NA", "+"])
    assert labelled(["+", "-", "", "+"], declared=Declared(drop_unlabelled=True)).classes == ("-", "+")


def test_a_code_for_missing_is_no_class():
    cells = ["1", "0", "-999", "1", "0"]
    with pytest.raises(
        DataError, match="line 4, label 'outcome': expected an outcome, found -999, a usual code .*declare -999 missing"
    ):
        labelled(cells)
    found = labelled(cells, declared=Declared(missing=("-999",), drop_unlabelled=True))
    assert found.classes == ("0", "1") and len(found) == 4
    declared = Declared(columns=(DeclaredColumn("outcome", Kind.CATEGORY),))
    assert labelled(cells, declared=declared).classes == ("-999", "0", "1")


@pytest.mark.parametrize("codes", [["-9"], ["-999"], ["-9", "-999"], ["99"]])
def test_codes_for_missing_are_asked_about_beside_1_and_2(codes):
    """PLINK writes 1 and 2, and -9 for no phenotype; two codes hid each other."""
    with pytest.raises(DataError, match=f"expected an outcome, found {codes[0]}|found {codes[-1]}, a usual code"):
        labelled(["1", "2", *codes, "1", "2"])
    declared = Declared(missing=tuple(codes), drop_unlabelled=True)
    assert labelled(["1", "2", *codes, "1", "2"], declared=declared).classes == ("1", "2")


@pytest.mark.parametrize("word", ["inf", "-Infinity"])
def test_an_infinity_is_no_class(word):
    with pytest.raises(DataError, match="line 4, label 'outcome': expected an outcome, found an infinity"):
        labelled(["1", "0", word, "1"])


def test_no_outcome_at_all():
    with pytest.raises(DataError, match="label 'outcome': expected outcomes, found none"):
        labelled(["", "NA", "?"])


MEASURED = table(line=lambda at: f"{at % 7},1.5,{at * 0.1:.1f}")


def cut(at, text=MEASURED, **how):
    return read(text, declared=Declared(label_above=at, **how)).label


def test_a_measured_label_is_recognised_and_cut_in_two_on_request():
    with pytest.raises(DataError, match="found 40 different numbers in 40 rows; .*--label-above X"):
        read(MEASURED)
    found = cut(1.5)
    assert found.classes == ("1.5 or less", "above 1.5") and found.counts.tolist() == [16, 24]
    assert "measured, 0 to 3.9, cut at 1.5: classes 1.5 or less, above 1.5" in str(found.decision)
    assert cut(-3).classes == ("-3 or less", "above -3") and cut(-3).counts.tolist() == [0, 40]
    assert len(read(MEASURED, declared=Declared(label_kind="classes")).classes) == 40
    with pytest.raises(DataError, match="numbers, to be cut at 2, found 'well'"):
        cut(2, GOOD)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(DataError, match="label above: expected a number"):
            Declared(label_above=bad)


@pytest.mark.parametrize(
    "different, rows, measured", [(11, 21, True), (11, 22, False), (10, 19, False), (50, 101, False), (51, 500, True)]
)
def test_a_label_is_measured_where_most_numbers_differ(different, rows, measured):
    cells = [str(at % different) for at in range(rows)]
    if measured:
        with pytest.raises(DataError, match=f"{different} different numbers in {rows} rows"):
            labelled(cells)
    else:
        assert len(labelled(cells).classes) == different


def test_a_cut_reads_numbers_as_columns_are_read():
    units = table(header="age;dose;sys", line=lambda at: f"{at % 7};1;{100 + at},5 mmHg")
    assert cut(120, units).classes == ("120 mmHg or less", "above 120 mmHg") and cut(120, units).counts.tolist() == [
        20,
        20,
    ]
    percents = table(line=lambda at: f"{at % 7},1.5,{at} %")
    assert cut(0.1, percents).counts.tolist() == [11, 29], "percents are fractions"
    assert cut(120.5, units).counts.tolist() == [21, 19], "the number itself is not above it"


def test_a_code_for_a_missing_value_is_on_no_side_of_the_cut():
    coded = with_line(5, "1,1.5,-999", MEASURED)
    with pytest.raises(DataError, match="line 5, label 'outcome': expected an outcome, found -999"):
        cut(1.5, coded)
    assert cut(1.5, coded, missing=("-999",), drop_unlabelled=True).counts.sum() == 39
    present = (DeclaredColumn("outcome", present=("-999",)),)
    assert cut(1.5, coded, columns=present).counts.tolist() == [16, 24]


@pytest.mark.parametrize("last", ["6.1,2.5,0.5", "60,25,17"])
def test_a_last_line_of_means_or_sums_without_a_word_is_asked_about(last):
    """Before, its outcome was a class of its own."""
    rows = table(line=lambda at: f"{at % 7},{at % 5},{at % 2}")
    with pytest.raises(DataError, match="line 42, label 'outcome': expected an outcome as in the lines above"):
        read(f"{rows}\n{last}")
    assert len(read(f"{rows}\n{last}", declared=Declared(summary="data")).classes) == 3
    assert read(f"{rows}\n6,2,1").classes == ("0", "1") and read(f"{rows}\n6,2,2").classes == ("0", "1", "2"), (
        "controls"
    )


def test_too_many_and_unseen_classes():
    with pytest.raises(DataError, match="expected 1 to 50 classes, found 51"):
        labelled([f"c{at}" for at in range(51)])
    with pytest.raises(DataError, match=r"line 3, label 'outcome': .*the character U\+200B"):
        labelled(["ill", "ill\u200b", "ill"])


def test_rare_and_single_classes_are_said():
    assert "one class only ('well')" in " ".join(map(str, read(GOOD.replace("ill", "well")).warnings))
    fraud = labelled(["1" if at == 500 else "0" for at in range(1000)])
    assert "class '1' is rare, 1 of 1000 rows" in " ".join(map(str, fraud.warnings))
    assert "differ in capitals only" in " ".join(map(str, labelled(["Ill", "ill", "well"]).warnings))


def test_a_label_in_the_middle_with_an_odd_row_elsewhere():
    text = with_line(9, "x,1,2", table("a,outcome,b", lambda at: f"{at % 7},{at % 2},{at % 5}"))
    with pytest.raises(DataError, match="line 9, column 'a'"):
        read(text)


def test_path_and_label_are_taken_apart_at_the_longest_file(tmp_path):
    path = tmp_path / "ward:3.csv"
    path.write_text(GOOD)
    assert path_and_label(str(path)) == (str(path), None)
    assert path_and_label(f"{path}:outcome") == (str(path), "outcome")
    assert path_and_label(f"{path}:mg/dl: high") == (str(path), "mg/dl: high")
    (tmp_path / "ward").write_text(GOOD)
    assert path_and_label(f"{path}:y") == (str(path), "y"), "the longest prefix, not the first"
    assert path_and_label(f"{tmp_path}/none.csv:y") == (f"{tmp_path}/none.csv:y", None)
    assert path_and_label("x" * 5000 + ":y") == ("x" * 5000 + ":y", None) and path_and_label("a\0b:y") == (
        "a\0b:y",
        None,
    )


def test_names_for_a_choice_of_the_label():
    text = '\ufeff\n\n"a, b",name: x,c/d\n' + GOOD.split("\n", 1)[1]
    assert column_names(text.encode()) == ("a, b", "name: x", "c/d")
    assert read(text, label="c/d").label.name == "c/d"


@pytest.mark.parametrize("code", ["-999", "-999.0", "-999.00"])
def test_a_code_for_a_missing_outcome_is_no_class_however_it_is_written(code):
    lines = ["a,outcome", *(f"{at},{code if at == 7 else at % 2}" for at in range(30))]
    with pytest.raises(DataError, match="a usual code for a missing one"):
        read("\n".join(lines))


def test_a_label_declared_a_code_keeps_its_spelling():
    lines = ["a,outcome", *(f"{at}.5,{'01' if at % 2 else '1'}" for at in range(30))]
    told = Declared((DeclaredColumn("outcome", Kind.CODE),))
    assert read("\n".join(lines), declared=told).classes == ("01", "1")
