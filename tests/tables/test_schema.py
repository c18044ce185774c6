"""Schemas: proposed, agreed on, scaled by sums, and the same features at all clients."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from hefl_core.errors import DataError
from hefl_core.learning.base import Scaling
from hefl_core.tables.agreement import agree
from hefl_core.tables.column import LeftOut
from hefl_core.tables.declared import Declared, DeclaredColumn, Kind
from hefl_core.tables.encoding import encode
from hefl_core.tables.schema import TableSchema, identity, propose
from hefl_core.tables.statistics import centred, class_counts, fit, length, scaling_from, sums
from tests.tables.helpers import GOOD, column, one_column, read, table


def alone(found, **how):
    return encode(found, fit(found, propose(found, **how)))


def numeric_table(rows=60):
    order = np.random.Generator(np.random.PCG64(5))
    values = np.column_stack(
        [
            order.normal(50, 9, rows).round(1),
            order.integers(0, 2, rows),
            order.normal(0, 1e-3, rows),
            order.integers(1, 9, rows) * 10**12,
            np.full(rows, 7),
        ]
    )
    return "\n".join(
        [
            "a,flag,b,big,constant,y",
            *(",".join(f"{value:.10g}" for value in row) + f",{at % 3}" for at, row in enumerate(values)),
        ]
    )


def by_numpy(text):
    """The features and labels of an independent reader."""
    rows = np.loadtxt(text.splitlines()[1:], delimiter=",")
    return rows[:, :-1], rows[:, -1]


def test_numeric_tables_give_the_features_of_a_plain_reader():
    text = numeric_table()
    (rows, labels), new = by_numpy(text), read(text)
    before, after = Scaling.standardising(rows).apply(rows), alone(new)
    assert [one.name for one in new.learnt] == ["a", "flag", "b", "big"]
    assert np.allclose(after.features, before[:, :4], rtol=1e-6, atol=1e-7)
    assert np.array_equal(after.labels, labels) and new.classes == ("0", "1", "2")
    assert not before[:, 4].any(), "the constant that is left out was 0 for every row"


def test_a_subset_of_rows_scales_the_whole():
    """The training rows' mean and deviation, applied to the hold-out too."""
    text, train = numeric_table(), np.arange(0, 60, 2)
    (rows, _), new = by_numpy(text), read(text)
    before = Scaling.standardising(rows[train]).apply(rows)[:, :4]
    assert np.allclose(encode(new, fit(new.take(train), propose(new))).features, before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("base", [1e15, 9007199254740000, 1764331200123456, 4111111111111111])
def test_a_spread_far_below_the_mean_standardises_right(base):
    cells = [str(int(base) + at % 9) for at in range(90)]
    keep = Declared(columns=(DeclaredColumn("x", keep=True),))
    found = alone(one_column(cells, declared=keep))
    wanted = (np.arange(90) % 9 - 4) / np.sqrt(20 / 3)
    assert np.allclose(found.features[:, 0], wanted, rtol=1e-6)
    rows = np.array(cells, np.float64)[:, None]
    if base > 4e15:
        assert abs(Scaling.standardising(rows).apply(rows).std() - 1) > 0.5, "one pass calls these constant"


def test_a_mean_between_two_numbers_is_kept():
    """Near 2^53 a double holds whole numbers only: a rounded mean would shift every feature by a fifth of a deviation."""
    values = 9007199254740000 + np.arange(91) % 9
    found = one_column([str(value) for value in values], declared=Declared(columns=(DeclaredColumn("x", keep=True),)))
    offsets = np.arange(91) % 9
    assert np.allclose(alone(found).features[:, 0], (offsets - offsets.mean()) / offsets.std(), rtol=1e-6, atol=1e-6)
    assert abs(offsets.mean() - 4) > 0.04


def test_kinds_become_features():
    lines = ["n;b;c;m;y", "1;ja;Ulm;2;0", "2;nein;Bonn;;1", "3;ja;Ulm;4;0", "3;;;4;1"]
    found = read("\n".join(lines))
    schema = fit(found, propose(found, mark_missing=True))
    made = encode(found, schema)
    assert schema.feature_names == (
        "n",
        "b",
        "b was missing",
        "c = Bonn",
        "c = Ulm",
        "c was missing",
        "m",
        "m was missing",
    )
    assert made.features.dtype == np.float32 and made.labels.dtype == np.int64 and made.labels.tolist() == [0, 1, 0, 1]
    assert made.features[:, 1].tolist() == [1, 0, 1, 1], "a missing yes or no takes the more frequent"
    assert made.features[:, 3:5].tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]
    assert made.features[:, 5].tolist() == [0, 0, 0, 1] and made.features[1, 6] == 0, "a missing number takes the mean"
    assert np.isfinite(made.features).all()


def test_an_unknown_category_is_zero_everywhere_and_said():
    found = read("c;z;y\nUlm;1;0\nBonn;2;1\nUlm;3;0")
    schema = fit(found, propose(found))
    other = encode(read("c;z;y\nKiel;1;0\nUlm;2;1\nKiel;3;0\nBonn;5;0"), schema)
    assert other.features[:, :2].tolist() == [[0, 0], [0, 1], [0, 0], [1, 0]]
    assert "c: 'Kiel' was not agreed on and is 0 in every column of it, 2 rows" in str(other.warnings[0])


def test_a_proposal_does_not_encode():
    found = read(GOOD)
    with pytest.raises(DataError, match="scaling is agreed on, found a proposal"):
        encode(found, propose(found))


HOSPITALS = (
    "age;smoker;city;dose;const;y\n"
    + "\n".join(
        f"{30 + at % 17},5;{'ja' if at % 3 else 'nein'};{('Ulm', 'Bonn')[at % 2]};{at % 5} mg;1;{'ja' if at % 4 == 0 else 'nein'}"
        for at in range(50)
    ),
    "age,smoker,city,dose,const,y\n"
    + "\n".join(
        f"{40.5 + at % 13},{'yes' if at % 2 else 'no'},Kiel,{at % 7} mg,1,{'yes' if at % 5 == 0 else 'no'}"
        for at in range(40)
    ),
    "age\tsmoker\tcity\tdose\tconst\ty\n"
    + "\n".join(f"{50 + at % 11}\t{'oui' if at % 5 else 'non'}\tUlm\t{at % 3} mg\t2\tnon" for at in range(30)),
)


def together(texts):
    """As the clients do it: propose, agree, read again as agreed, add up twice."""
    agreed = agree([propose(read(text)) for text in texts])
    tables = [read(text, declared=agreed.declared(), label=agreed.label) for text in texts]
    for step in (centred, scaling_from):
        agreed = step(agreed, np.sum([sums(one, agreed) for one in tables], axis=0))
    return agreed, tables


def test_three_hospitals_agree_without_pooling():
    agreed, tables = together(HOSPITALS)
    assert agreed.classes == ("no", "yes") and agreed.yes_no
    by_name = {one.name: one for one in agreed.columns}
    assert by_name["city"].categories == ("Bonn", "Kiel", "Ulm") and by_name["smoker"].words == ("no", "yes")
    assert by_name["const"].learnt, "a constant at each client is no constant for all"
    made = [encode(one, agreed) for one in tables]
    features = np.concatenate([one.features for one in made])
    ages = np.concatenate(
        [[30.5 + at % 17 for at in range(50)], [40.5 + at % 13 for at in range(40)], [50 + at % 11 for at in range(30)]]
    )
    assert np.allclose(features[:, 0], (ages - ages.mean()) / ages.std(), rtol=1e-5, atol=1e-6), "as if pooled"
    assert set(made[2].labels.tolist()) == {0} and made[0].labels.sum() == 13
    assert not any(one.warnings for one in made)


def test_the_agreement_is_the_same_in_any_order():
    proposals = [propose(read(text)) for text in HOSPITALS]
    assert (
        len(
            {
                agree(order).digest
                for order in ([proposals[at] for at in places] for places in ((0, 1, 2), (2, 1, 0), (1, 2, 0)))
            }
        )
        == 1
    )
    forward, backward = together(HOSPITALS)[0], together(HOSPITALS[::-1])[0]
    for one, two in zip(forward.columns, backward.columns, strict=True):
        assert np.isclose(one.centre, two.centre, rtol=1e-12) and np.isclose(one.spread, two.spread, rtol=1e-12)


def test_sums_are_totals_of_rows_values_categories_and_classes():
    found = read("n;c;y\n1;Ulm;0\n2;Bonn;1\n4;Ulm;0\n;;0")
    schema = propose(found)
    assert sums(found, schema).tolist() == [4, 3, 7, 21, 1, 2, 3, 1] and length(schema) == 8
    assert class_counts(schema, sums(found, schema)).tolist() == [3, 1]
    with pytest.raises(DataError, match=r"8 finite totals"):
        scaling_from(schema, np.zeros(7))
    with pytest.raises(DataError, match="at least one row"):
        scaling_from(schema, np.zeros(8))


CONFLICTS = {
    "columns": (
        GOOD,
        table("age,weight,outcome"),
        "client 2: expected the columns of client 1, found without 'dose'; with 'weight'",
    ),
    "label": (GOOD, table("age,outcome,dose", lambda at: f"{at % 30},{at % 2},{at * 0.5}"), None),
    "kind": (
        GOOD,
        table(line=lambda at: f"{at % 30},x{at % 3},{at % 2}"),
        "column 'dose': expected one kind at all clients, found category, number",
    ),
    "unit": (GOOD.replace(".", "."), table(line=lambda at: f"{at % 30},{at % 9} mg,{at % 2}"), "found number, unit"),
    "units": (
        table(line=lambda at: f"{at % 30},{at % 9} g,{at % 2}"),
        table(line=lambda at: f"{at % 30},{at % 9} mg,{at % 2}"),
        "one unit at all clients, found 'g', 'mg'",
    ),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_what_does_not_agree_is_named(case):
    one, two, match = CONFLICTS[case]
    proposals = [propose(read(text)) for text in (one, two)]
    if match is None:
        assert [column.name for column in agree(proposals).columns] == ["age", "dose"]
        return
    with pytest.raises(DataError, match=match):
        agree(proposals)


def test_labels_must_agree():
    with pytest.raises(DataError, match="client 2: expected one label at all clients, found 'age' beside 'outcome'"):
        agree(
            [
                propose(read(table("age,w,outcome"))),
                msgspec.structs.replace(propose(read(table("age,w,outcome"))), label="age"),
            ]
        )
    found = read(GOOD)
    schema = fit(found, propose(found))
    with pytest.raises(DataError, match="line 3: expected classes among ill, well, found 'dead'"):
        encode(read(table(line=lambda at: f"{at % 30},{at * 0.5},{'dead' if at % 2 else 'well'}")), schema)


def test_numbers_of_two_values_at_one_client():
    zeros = table("a,x,y", lambda at: f"{at % 7},{at % 2},{at % 2}")
    more = table("a,x,y", lambda at: f"{at % 7},{at % 3},{at % 2}")
    agreed, tables = together([zeros, more])
    assert agreed.columns[1].kind is Kind.NUMBER
    joined = np.concatenate([encode(one, agreed).features[:, 1] for one in tables])
    assert abs(joined.mean()) < 1e-6 and abs(joined.std() - 1) < 1e-6


def test_an_identifier_of_texts_stays_at_home():
    names = table("who,a,y", lambda at: f"P{at},{at % 7},{at % 2}")
    agreed = agree([propose(read(names)), propose(read(table("who,a,y", lambda at: f"P{at % 5},{at % 7},{at % 2}")))])
    assert agreed.columns[0].left_out == LeftOut.IDENTIFIER and not agreed.columns[0].categories
    assert b"P7" not in propose(read(names)).to_json(), "a proposal never lists the patients"


def test_a_client_without_a_value_of_a_column():
    empty = table("a,x,y", lambda at: f"{at % 7},,{at % 2}")
    agreed, tables = together([empty, table("a,x,y", lambda at: f"{at % 7},{at % 3}.5,{at % 2}")])
    assert not encode(tables[0], agreed).features[:, 1].any() and agreed.columns[1].learnt


def test_a_schema_cuts_the_label_where_it_was_proposed():
    measured = table(line=lambda at: f"{at % 7},{at % 5},{at * 0.1}")
    found = read(measured, declared=Declared(label_above=1.5))
    schema = TableSchema.from_json(fit(found, propose(found)).to_json())
    again = read(measured, declared=schema.declared())
    assert schema.above == 1.5 and np.array_equal(encode(again, schema).labels, found.label.codes)
    with pytest.raises(DataError, match=r"the agreed cut \(1.5\), found 2"):
        schema.declared(Declared(label_above=2.0))
    with pytest.raises(DataError, match=r"the agreed cut \(no cut\), found 2"):
        propose(read(GOOD)).declared(Declared(label_above=2.0))
    assert b"above" not in propose(read(GOOD)).to_json(), "other schemas keep their bytes"


def test_a_value_far_out_of_the_agreed_scale_is_refused():
    found = read(table(line=lambda at: f"{at % 7}e-20,{at % 5},{at % 2}"))
    with pytest.raises(DataError, match="line 2, column 'age': expected a value near the agreed scale"):
        encode(read(table(line=lambda at: f"{at % 7 + 1}e28,{at % 5},{at % 2}")), fit(found, propose(found)))


def test_schemas_travel_as_json():
    agreed, _ = together(HOSPITALS)
    again = TableSchema.from_json(agreed.to_json())
    assert again == agreed and again.digest == agreed.digest
    found = read(GOOD)
    other = propose(read(GOOD.replace("age", "Age")))
    assert identity(found, propose(found)) == identity(read(GOOD), propose(read(GOOD))) != identity(found, other)


def damaged(**changes):
    found = read("c;z;y\nUlm;1;0\nBonn;2;1\nUlm;3;0")
    data = json.loads(fit(found, propose(found)).to_json())
    for path, value in changes.items():
        *parts, last = path.split("__")
        place = data
        for part in parts:
            place = place[int(part)] if part.isdecimal() else place[part]
        place[last] = value
    return json.dumps(data).encode()


BAD = {
    "no JSON": (b"{", "a table schema as JSON"),
    "bytes": (b"\xff\xfe", "a table schema as JSON"),
    "deep": (b"[" * 100_000, "a table schema as JSON"),
    "large": (b" " * (5 * 2**20), "at most 4194304 bytes"),
    "unknown field": (damaged(path="/home/x"), "unknown field `path`"),
    "version": (damaged(version=2), "version 1, found 2"),
    "kind": (damaged(columns__0__kind="magic"), "Invalid enum value 'magic'"),
    "type": (damaged(columns__0__centre="1"), "Expected `float`"),
    "no columns": (damaged(columns=[]), "1 to 5000 columns"),
    "names twice": (damaged(columns__0__name="z"), "different columns"),
    "label twice": (damaged(label="z"), "different columns"),
    "unseen": (damaged(columns__0__name="a\u202eb"), "can be seen"),
    "class twice": (damaged(classes=["a", "a"]), "different classes"),
    "many classes": (damaged(classes=[str(at) for at in range(60)]), "50 classes"),
    "many categories": (damaged(columns__0__categories=[str(at) for at in range(1001)]), "up to 1000 categories"),
    "categories of a number": (damaged(columns__1__categories=["a"]), "of category columns only"),
    "fill": (damaged(columns__0__fill="Kiel"), "a fill among the categories"),
    "spread": (damaged(columns__1__spread=0.0), "positive spread"),
    "centre": (damaged(columns__1__centre=1e300), "finite centre"),
}


@pytest.mark.parametrize("case", BAD)
def test_damaged_schemas_are_refused(case):
    data, match = BAD[case]
    with pytest.raises(DataError, match=match):
        TableSchema.from_json(data)


def test_another_kind_than_agreed_is_refused_when_encoding():
    found = read(GOOD)
    schema = fit(found, propose(found))
    with pytest.raises(DataError, match="column 'dose': expected kind number, as agreed, found category"):
        encode(read(table(line=lambda at: f"{at % 30},x{at % 3},{'ill' if at % 2 else 'well'}")), schema)
    with pytest.raises(DataError, match="the agreed columns, found no 'dose'"):
        encode(read(table("age,weight,outcome")), schema)
    assert column(found, "dose").kind is Kind.NUMBER


NAMES = {
    "a name once each": lambda at: f"Kunz {at}",
    "one second visit": lambda at: f"Kunz {4 if at == 5 else at}",
    "one blank": lambda at: "" if at == 5 else f"Kunz {at}",
    "a third of the patients twice": lambda at: f"Kunz {at % 27}",
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("header", ["who", "Name"])
def test_names_of_patients_are_never_proposed(kind, header):
    """One second visit, or one blank, made every patient's name a category that all hospitals read in round zero."""
    names = read(table(f"{header},a,y", lambda at: f"{NAMES[kind](at)},{at % 7},{at % 2}"))
    assert names.columns[0].left_out is LeftOut.IDENTIFIER
    assert b"Kunz" not in propose(names).to_json()
    asked = Declared(columns=(DeclaredColumn(header, kind=Kind.CATEGORY),))
    kept = read(table(f"{header},a,y", lambda at: f"{NAMES[kind](at)},{at % 7},{at % 2}"), declared=asked)
    assert b"Kunz 7" in propose(kept).to_json(), "declared, it is learnt from"


def test_a_name_says_that_texts_are_patients_however_often_they_repeat():
    visits = table("Patient,a,y", lambda at: f"Kunz {at % 4},{at % 7},{at % 2}")
    assert b"Kunz" not in propose(read(visits)).to_json()
    lone = table("Patient,a,y", lambda at: f"Kunz,{at % 7},{at % 2}", rows=1)
    assert b"Kunz" not in propose(read(lone)).to_json(), "a constant is proposed, but no patient's name"
    wards = read(table("ward,a,y", lambda at: f"ward {at % 8},{at % 7},{at % 2}"))
    assert len(wards.columns[0].categories) == 8 and wards.columns[0].left_out is None, "the control"


def test_free_text_is_never_proposed():
    letters = table("letter,a,y", lambda at: f"{'x' * 300}{at % 3},{at % 7},{at % 2}")
    assert b"xxx" not in propose(read(letters)).to_json()


@pytest.mark.parametrize("third", [lambda at: 9000, lambda at: 9000 + at % 2, lambda at: 9000 + at // 2, lambda at: ""])
def test_a_patient_number_is_left_out_at_all_hospitals(third):
    tables = [
        read(table("PatNr,a,y", lambda at, cell=cell: f"{cell(at)},{at % 7},{at % 2}"))
        for cell in (lambda at: 1000 + at, lambda at: 5000 + at, third)
    ]
    assert agree([propose(one) for one in tables]).columns[0].left_out is LeftOut.IDENTIFIER
