"""A user's table on the shelf: read rightly or refused, named by content, never by a path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import DataError
from hefl_core.learning import shelf
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.own_sets import Kept
from hefl_core.learning.split import split_indices
from hefl_core.tables.declared import Declared, DeclaredColumn, Kind
from hefl_core.tables.said import declarations, said
from hefl_core.tables.schema import TableSchema, propose
from hefl_core.tables.source import TableSource
from hefl_core.tables.statistics import fit
from tests.tables.kinds import CITIES, GAPS, KINDS, PLAIN, cell, made, outcome


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """Each test has a shelf of its own."""
    monkeypatch.setattr(shelf, "_SHELF", Kept())


def put(content, **how):
    return shelf.find(shelf.put(TableSource(content, **how)))


def equal(one, other):
    """The same numbers, whatever the columns are called."""
    return (
        one.classes == other.classes
        and one.train.features.shape == other.train.features.shape
        and np.allclose(one.train.features, other.train.features, rtol=1e-6, atol=1e-6)
        and np.allclose(one.test.features, other.test.features, rtol=1e-6, atol=1e-6)
        and np.array_equal(one.train.labels, other.train.labels)
        and np.array_equal(one.test.labels, other.test.labels)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_rightly_or_refused_with_what_to_do(kind):
    case = KINDS[kind]
    how = {"label": case.label, "declared": declarations(said(case.declare))}
    if case.refused:
        with pytest.raises(DataError, match=case.refused) as caught:
            put(case.content, **how)
        assert "; " in str(caught.value) and not shelf._SHELF._things
        return
    found = put(case.content, **how)
    assert equal(found.dataset, put(case.same_as).dataset)
    assert case.warned in " ".join(map(str, found.warnings))


def test_the_comparison_sees_one_cell_that_was_read_otherwise():
    assert not equal(put(PLAIN).dataset, put(cell("21")).dataset)
    assert not equal(put(PLAIN).dataset, put(outcome(lambda at: int(at == 4))).dataset)


def test_numbers_are_standardised_by_the_training_rows():
    """By an independent reader: numpy."""
    rows = np.loadtxt(PLAIN.decode().splitlines()[1:], delimiter=",")
    train, test = split_indices(rows[:, 2].astype(np.int64), len(rows) // 5)
    wanted = (rows[:, :2] - rows[train, :2].mean(axis=0)) / rows[train, :2].std(axis=0)
    data = put(PLAIN).dataset
    assert np.allclose(data.train.features, wanted[train], atol=1e-6)
    assert np.allclose(data.test.features, wanted[test], atol=1e-6)
    assert np.array_equal(data.train.labels, rows[train, 2]) and len(data.test) == 9
    assert np.allclose(data.scaling.restore(data.train.features), rows[train, :2], atol=1e-5)


def test_categories_and_gaps_go_back_to_their_own_units():
    data = put(CITIES).dataset
    assert data.feature_names == ("age", "city = Bonn", "city = Kiel", "city = Ulm")
    assert set(np.unique(data.scaling.restore(data.train.features)[:, 1:])) == {0.0, 1.0}
    marked = put(GAPS, mark_missing=True).dataset
    assert marked.feature_names == ("age", "dose", "dose was missing")
    assert (marked.train.features[marked.train.features[:, 2] == 1, 1] == 0).all(), "a gap takes the mean"


@pytest.mark.parametrize("base", [10**6, 10**12, 1764331200123456, 4111111111111111])
def test_a_spread_far_below_the_mean_standardises_right(base):
    """The numbers of accounts and nanoseconds of the issue: what stood here before had a deviation of 301,712, or 0."""
    content = made("stamp,age,outcome", lambda at: f"{base + at % 9},{at % 7},{at % 2}", rows=90)
    keep = Declared(columns=(DeclaredColumn("stamp", keep=True),))
    features = put(content, declared=keep).dataset.train.features[:, 0]
    train, _ = split_indices(np.arange(90) % 2, 18)
    wanted = (train % 9 - (train % 9).mean()) / (train % 9).std()
    assert np.allclose(features, wanted, atol=1e-6)


# -- by content ------------------------------------------------------------------------------------------------------


def test_new_content_under_the_same_path_is_a_new_table(tmp_path, monkeypatch):
    path = tmp_path / "ward.csv"
    path.write_bytes(PLAIN)
    first = load_dataset(f"csv:{path}")
    path.write_bytes(cell("77"))
    second = load_dataset(f"csv:{path}")
    assert first.name != second.name and not equal(first, second)
    path.unlink()
    with pytest.raises(DataError, match="expected a file at .*, found nothing"):
        load_dataset(f"csv:{path}")
    assert load_dataset(first.name) is first, "a name stands for its content, wherever the file is now"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "ward.csv").write_bytes(PLAIN)
    (tmp_path / "b" / "ward.csv").write_bytes(cell("77"))
    names = []
    for folder in ("a", "b"):
        monkeypatch.chdir(tmp_path / folder)
        names.append(load_dataset("csv:ward.csv").name)
    assert names == [first.name, second.name]


def test_the_same_content_has_one_name_under_every_path(tmp_path):
    names = set()
    for path in (tmp_path / "a.csv", tmp_path / "ward:3.csv", tmp_path / "outcome" / "x y.csv"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PLAIN)
        names |= {shelf.resolve(f"csv:{path}"), shelf.resolve(f"csv:{path}:outcome")}
        names.add(shelf.resolve(f"csv:{path}", label="outcome"))
    assert len(names) == 1 and not [name for name in names if "/" in name or "csv" in name]


def test_what_is_read_otherwise_has_another_name():
    """Two sources of equal features but other declarations, and of equal names but other values, never share one."""
    sources = [
        TableSource(PLAIN),
        TableSource(PLAIN, "age", Declared(columns=(DeclaredColumn("age", Kind.NUMBER),), label_kind="classes")),
        TableSource(PLAIN, declared=Declared(missing=("20",))),
        TableSource(PLAIN, declared=Declared(columns=(DeclaredColumn("dose", drop=True),))),
        TableSource(PLAIN, mark_missing=True),
        TableSource(PLAIN, schema=propose(TableSource(PLAIN).read())),
        TableSource(PLAIN + b"\n"),
        TableSource(cell("77")),
    ]
    assert len({source.identity(source.read()) for source in sources}) == len(sources)
    same = [
        TableSource(PLAIN, "outcome"),
        TableSource(PLAIN, declared=Declared(columns=(DeclaredColumn("dose"), DeclaredColumn("age")))),
    ]
    assert {source.identity(source.read()) for source in same} == {sources[0].identity(sources[0].read())}


def test_declarations_that_say_the_same_in_another_order_have_one_name():
    one = Declared(
        columns=(DeclaredColumn("age", missing=("1", "2")), DeclaredColumn("dose", keep=True)), missing=("a", "b")
    )
    other = Declared(
        columns=(DeclaredColumn("dose", keep=True), DeclaredColumn("age", missing=("2", "1"))), missing=("b", "a")
    )
    assert len({shelf.put(TableSource(PLAIN, declared=said)) for said in (one, other)}) == 1


def test_a_source_travels_as_bytes_and_shows_no_cell():
    source = TableSource(
        PLAIN, "outcome", Declared(columns=(DeclaredColumn("age", Kind.NUMBER),)), propose(TableSource(PLAIN).read())
    )
    assert TableSource.from_bytes(source.to_bytes()) == source and "20,0" not in repr(source)
    with pytest.raises(DataError, match="found other bytes"):
        TableSource.from_bytes(b"\x81\xa7content\xc4\x00junk")


def test_an_unknown_table_says_what_to_do_and_a_forgotten_one_is_gone():
    with pytest.raises(DataError, match="give the file again"):
        load_dataset("table:" + "0" * 64)
    one, two = shelf.put(TableSource(PLAIN)), shelf.put(TableSource(PLAIN))
    assert one == two and not shelf.forget(one) and shelf.known(one), "another session still has it"
    assert shelf.forget(one) and shelf.known(one) is None
    assert shelf.forget(one), "once more does no harm"


def test_built_in_names_pass_and_take_no_declarations():
    assert shelf.resolve("digits") == "digits"
    with pytest.raises(DataError, match="csv:PATH beside a label"):
        shelf.resolve("digits", label="y")
    with pytest.raises(DataError, match="digits, breast_cancer, credit, letters, mnist-5000, mnist, csv:PATH"):
        load_dataset("unheard-of")


# -- label, schema -----------------------------------------------------------------------------------------------------


def test_path_and_label_are_apart(tmp_path, monkeypatch):
    """The longest prefix that is a file is the path: labels with colons and slashes, paths with colons."""
    path = tmp_path / "ward:3.csv"
    path.write_bytes(made("a/b:c,age,x", lambda at: f"{at % 2},{at % 7},{at % 5}"))
    assert shelf.find(shelf.resolve(f"csv:{path}:a/b:c")).table.label.name == "a/b:c"
    assert shelf.find(shelf.resolve(f"csv:{path}", label="a/b:c")).table.label.name == "a/b:c"
    assert shelf.find(shelf.resolve(f"csv:{path}")).table.label.name == "x"
    with pytest.raises(DataError, match="expected one label, found 'x' and 'age'"):
        shelf.resolve(f"csv:{path}:x", label="age")
    with pytest.raises(DataError, match="expected a column 'y'"):
        shelf.resolve(f"csv:{path}", label="y")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shelf.find(shelf.resolve("csv:~/ward:3.csv:x")).table.label.name == "x"


def test_the_label_is_said_however_it_was_found():
    def decision(content, **how):
        return str(put(content, **how).table.label.decision)

    assert decision(PLAIN).startswith("label: outcome (by its name), classes 0, 1;")
    assert decision(PLAIN.replace(b"outcome", b"died")).startswith("label: died (last column), classes 0, 1;")
    assert decision(PLAIN, label="outcome").startswith("label: outcome (as named), classes 0, 1;")


def test_a_schema_of_another_table_is_followed():
    schema = propose(TableSource(CITIES).read())
    found = put(CITIES.replace(b"Kiel", b"Ulm"), schema=schema)
    assert "city = Kiel" in found.dataset.feature_names, "a category that only another client has"
    scaled = TableSchema.from_json(fit(TableSource(CITIES).read(), schema).to_json())
    assert put(CITIES, schema=scaled).schema == scaled, "agreed numbers are taken as they are"
    with pytest.raises(DataError, match="expected the schema's label 'outcome', found 'age'"):
        put(CITIES, label="age", schema=schema)
    with pytest.raises(DataError, match="expected a column 'city'|expected the agreed columns"):
        put(PLAIN, schema=schema)


def test_what_cannot_be_trained_on_is_refused():
    with pytest.raises(DataError, match=r"a column to learn from, found none: 'a' \(constant\)"):
        put(made("a,outcome", lambda at: f"7,{at % 2}"))
    measured = outcome(lambda at: at * 0.5)
    with pytest.raises(DataError, match="2 classes or more, found only '99 or less'; name another label or cut"):
        put(measured, declared=Declared(label_above=99.0))
    assert put(measured, declared=Declared(label_above=9.0)).dataset.classes == ("9 or less", "above 9")
    with pytest.raises(DataError, match="'c = x' twice, as a column and as a category"):
        put(made("c,c = x,outcome", lambda at: f"{'xyz'[at % 3]},{at % 5},{at % 2}"))


DAMAGED = st.text(max_size=200).map(lambda text: PLAIN[:60] + text.encode("utf-8", "ignore") + PLAIN[60:])


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200) | DAMAGED)
def test_any_bytes_are_read_or_refused_never_a_crash(content):
    try:
        data = put(content).dataset
    except DataError:
        return
    assert np.isfinite(data.train.features).all()
