"""A user's CSV: what is read, and for everything else what was expected, what was found and what to do."""

from __future__ import annotations

import numpy as np
import pytest
from hefl_core.learning.tables import MAX_BYTES, read_table
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import DataError
from hefl_core.learning.datasets import load_csv, load_dataset


def table(rows=40, header="age,dose,outcome", line=lambda at: f"{at},{at * 0.5},{'ill' if at % 2 else 'well'}"):
    return "\n".join([header, *(line(at) for at in range(rows))])


GOOD = table()


def with_line(number, text):
    """GOOD with line ``number`` (the header is 1) replaced."""
    lines = GOOD.split("\n")
    lines[number - 1] = text
    return "\n".join(lines)


def test_a_good_file_from_path_and_from_bytes(tmp_path):
    path = tmp_path / "ward.csv"
    path.write_text(GOOD, encoding="utf-8-sig")
    data = load_csv(path)
    assert data.name == "csv:ward.csv" and data.classes == ("ill", "well") and data.feature_names == ("age", "dose")
    assert (len(data.train), len(data.test)) == (32, 8) and not data.synthetic and data.image_side is None
    assert np.allclose(data.train.features.mean(axis=0), 0, atol=1e-6)
    upload = load_csv(GOOD.encode())
    assert upload.name == "csv:upload" and np.array_equal(upload.train.features, data.train.features)
    assert np.array_equal(load_dataset(f"csv:{path}").train.labels, data.train.labels)
    assert load_dataset(f"csv:{path}:outcome").classes == ("ill", "well")


def test_a_colon_in_a_file_name_stays_there(tmp_path):
    path = tmp_path / "ward:3.csv"
    path.write_text(GOOD)
    assert load_dataset(f"csv:{path}").name == "csv:ward:3.csv"


@pytest.mark.parametrize(
    ("header", "label", "classes"),
    [
        ("y,dose,outcome", None, tuple(str(at) for at in range(40))),
        ("a,CLASS,c", None, tuple(str(at * 0.5) for at in range(40))),
        ("target,label,c", None, tuple(str(at * 0.5) for at in range(40))),
        ("label,b,outcome", "outcome", ("0", "1")),
    ],
)
def test_the_label_column_is_named_guessed_or_last(header, label, classes):
    text = table(header=header, line=lambda at: f"{at},{at * 0.5},{at % 2}")
    assert read_table(text.encode(), label).classes == classes


def test_numeric_classes_sort_by_value_and_constant_columns_become_zero():
    data = load_csv(table(line=lambda at: f"7,{at},{(at % 3) * 5 - 5}").encode())
    assert data.classes == ("-5", "0", "5") and not data.train.features[:, 0].any()


def test_quotes_blank_lines_and_crlf_are_fine():
    text = GOOD.replace("\n", "\r\n").replace("0,0.0,well", '"0","0.0","well"') + "\r\n\r\n"
    assert np.array_equal(read_table(text.encode()).rows, read_table(GOOD.encode()).rows)


WIDE = [f"c{at}" for at in range(1001)]
BAD = {
    "empty": (b"", "empty file"),
    "blank": (b" \n \n", "empty file"),
    "latin-1": (GOOD.replace("age", "âge").encode("latin-1"), "expected UTF-8 text, found byte 0xe2 at position 0"),
    "utf-16": (GOOD.encode("utf-16"), "expected UTF-8"),
    "zero byte": (GOOD.replace("ill", "i\0l").encode(), "found a zero byte"),
    "too large": (b"a,b\n" + b"1,2\n" * (MAX_BYTES // 4), r"at most 5242880 bytes \(5 MiB\)"),
    "too few rows": (table(rows=19), "at least 20 rows, found 19"),
    "header only": ("a,b", "at least 20 rows, found 0"),
    "no header": (
        GOOD.split("\n", 1)[1].replace("ill", "1").replace("well", "0"),
        "found numbers .* add a header line",
    ),
    "semicolons": (GOOD.replace(",", ";"), "found semicolons or tabs"),
    "tabs": (GOOD.replace(",", "\t"), "found semicolons or tabs"),
    "one column": ("a\n" + "1\n" * 30, "2 to 1000 columns"),
    "wide": (
        table(header=",".join(WIDE), line=lambda at: ",".join(["1"] * 1001)),
        "found 1001",
    ),
    "empty name": (with_line(1, "age,,outcome"), "name of column 2: expected a name"),
    "same name": (with_line(1, "age,age,outcome"), "found 'age' twice"),
    "formula name": (with_line(1, "age,=cmd|' /C calc'!A0,outcome"), "name of column 2.*formula"),
    "control character": (with_line(1, "age,do\x1b[31mse,outcome"), "printable"),
    "long name": (with_line(1, f"age,{'x' * 81},outcome"), "at most 80"),
    "ragged": (with_line(5, "1,2"), "line 5: expected 3 cells as in the header, found 2"),
    "decimal comma": (with_line(5, "1,2,5,ill"), "line 5.*decimal commas"),
    "broken quote": (with_line(5, '"1"x,2,ill'), "broken line 5"),
    "open quote": (with_line(5, '"1,2,ill'), "broken line"),
    "text cell": (with_line(5, "1,high,ill"), "line 5, column 'dose': expected a number, found the text 'high'"),
    "formula": (with_line(5, "=1+1,2,ill"), "line 5, column 'age'.*formula"),
    "command": (with_line(5, "@SUM(A1),2,ill"), "column 'age'.*formula"),
    "empty cell": (with_line(5, ",2,ill"), "line 5, column 'age': expected a number, found an empty cell"),
    "NaN": (with_line(5, "nan,2,ill"), "found 'nan'; fill it in"),
    "NA": (with_line(5, "NA,2,ill"), "found 'NA'; fill it in"),
    "infinity": (with_line(5, "-inf,2,ill"), "found '-inf'"),
    "overflow": (with_line(5, "1e999,2,ill"), "larger than 1e"),
    "underscore": (with_line(5, "1_000,2,ill"), "found the text '1_000'"),
    "other digits": (with_line(5, "١٢,2,ill"), "expected a number"),
    "date": (with_line(5, "2024-01-01,2,ill"), "found the text"),
    "empty label": (with_line(5, "1,2,"), "line 5, label column 'outcome': expected a name, found an empty cell"),
    "formula label": (with_line(5, "1,2,=HYPERLINK(1)"), "label column 'outcome'.*formula"),
    "one class": (GOOD.replace("well", "ill"), "2 to 50 classes in label column 'outcome', found 1"),
    "regression": (table(rows=60, line=lambda at: f"{at},1,{at * 0.1}"), "2 to 50 classes.*found 60"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_what_to_do(case):
    content, match = BAD[case]
    with pytest.raises(DataError, match=match) as caught:
        load_csv(content if isinstance(content, bytes) else content.encode())
    assert "expected" in str(caught.value) and "found" in str(caught.value)


def test_missing_files_directories_and_labels(tmp_path):
    with pytest.raises(DataError, match="found nothing; check the path"):
        load_csv(tmp_path / "none.csv")
    with pytest.raises(DataError, match="found a directory or device"):
        load_csv(tmp_path)
    with pytest.raises(DataError, match="expected a label column 'disease', found 'age', 'dose', 'outcome'"):
        load_csv(GOOD.encode(), "disease")


DAMAGED = st.text(max_size=200).map(lambda text: (GOOD[:60] + text + GOOD[60:]).encode("utf-8", "ignore"))


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200) | DAMAGED)
def test_any_bytes_are_read_or_refused_never_a_crash(content):
    try:
        data = load_csv(content)
    except DataError:
        return
    assert np.isfinite(data.train.features).all()
