"""What a clerk would ask about is asked: spellings of one pair across hospitals, totals at the end, forms of two meanings."""

from __future__ import annotations

import pytest

from hefl_core.errors import DataError
from hefl_core.learning.shelf import put
from hefl_core.tables.agreement import agree
from hefl_core.tables.column import LeftOut
from hefl_core.tables.declared import Declared, DeclaredColumn, Kind
from hefl_core.tables.round_zero.proposals import texts, united
from hefl_core.tables.schema import TableSchema, propose
from hefl_core.tables.source import TableSource
from hefl_core.tables.statistics import fit, sums
from hefl_core.tables.table import read_table

ROWS = 30


def hospital(ill=("0", "1"), *, x=lambda at: at % 7, name="ill", declared=None):
    lines = [f"{at % 11},{x(at)},{ill[at % len(ill)]}" for at in range(ROWS)]
    return read_table("\n".join([f"age,x,{name}", *lines]).encode(), declared=declared)


def both_ways(tables):
    """The agreement by proposals, and as round zero makes it from counted texts."""
    proposals = [propose(table) for table in tables]
    counts: dict[bytes, int] = {}
    for text in (text for proposal in proposals for text in set(texts(proposal))):
        counts[text] = counts.get(text, 0) + 1
    direct = agree(proposals)
    assert united(sorted(counts.items()), len(tables)) == direct
    return direct


def refused_both_ways(tables, said):
    proposals = [propose(table) for table in tables]
    counted = [
        (text, sum(text in set(texts(each)) for each in proposals)) for text in {t for p in proposals for t in texts(p)}
    ]
    for attempt in (lambda: agree(proposals), lambda: united(sorted(counted), len(tables))):
        with pytest.raises(DataError, match=said):
            attempt()


# -- one pair of outcomes, spelt in several ways -----------------------------------------------------------------------

TWO_WAYS = {
    "words beside 0 and 1": (("no", "yes"), ("0", "1"), ("no", "yes")),
    "words beside 1 and 2": (("no", "yes"), ("1", "2"), ("no", "yes")),
    "all three": (("ja", "nein"), ("0", "1"), ("1", "2")),
    "two languages and a third class": (("ja", "nein"), ("no", "yes"), ("no", "yes", "unknown")),
    "half of another language": (("ja", "nein"), ("no", "unknown"), ("no", "unknown")),
}


@pytest.mark.parametrize("kind", TWO_WAYS)
def test_one_pair_in_numbers_and_words_is_asked_about(kind):
    """Before, 0 and 1 were taken for no and yes, and 1 and 2 became classes of their own."""
    refused_both_ways([hospital(ill) for ill in TWO_WAYS[kind]], "one way to write yes and no at all clients")


def test_what_is_one_meaning_agrees():
    """The controls: languages of yes and no, three classes, a hospital without a positive case."""
    assert both_ways([hospital(ill) for ill in (("no", "yes"), ("nein", "ja"), ("non",))]).classes == ("no", "yes")
    assert both_ways([hospital(ill) for ill in (("0", "1", "2"), ("0", "1"), ("1", "2"))]).classes == ("0", "1", "2")
    assert both_ways([hospital(ill) for ill in (("0", "1"), ("0",), ("1",))]).classes == ("0", "1")
    assert both_ways([hospital(ill) for ill in (("no", "yes", "unknown"), ("no", "yes"))]).classes == (
        "no",
        "unknown",
        "yes",
    )


def test_declared_boolean_0_and_1_are_no_and_yes():
    label, column = (Declared((DeclaredColumn(name, Kind.BOOLEAN),)) for name in ("ill", "x"))
    agreed = both_ways([hospital(("no", "yes")), hospital(("0", "1"), declared=label)])
    assert agreed.classes == ("no", "yes") and agreed.yes_no
    table = hospital(("0", "1"), declared=label)
    assert table.classes == ("no", "yes") and table.label.codes.tolist() == [at % 2 for at in range(ROWS)]
    words, digits = hospital(x=lambda at: ("no", "yes")[at % 2]), hospital(x=lambda at: at % 2)
    refused_both_ways([words, digits], "column 'x': expected one way to write yes and no, found 0 or 1, no or yes")
    assert both_ways([words, hospital(x=lambda at: at % 2, declared=column)]).columns[1].kind is Kind.BOOLEAN
    with pytest.raises(DataError, match="a yes and a no, as declared"):
        hospital(("1", "2"), declared=label)


def measured(at, unit="", rows=ROWS):
    lines = [f"{at % 11},{at % 7},{90 + at * 2}{unit}" for at in range(rows)]
    declared = Declared() if at is None else Declared(label_above=at)
    return read_table("\n".join(["age,x,ill", *lines]).encode(), declared=declared)


def test_hospitals_cut_a_measured_label_at_one_number():
    agreed = both_ways([measured(120.0), measured(120.0, rows=9)])
    assert agreed.classes == ("120 or less", "above 120") and agreed.above == 120.0, "nobody at one of them is above it"
    few = read_table(b"age,x,ill\n" + b"\n".join(b"%d,1,%d" % (at % 7, 1 + at % 2) for at in range(ROWS)))
    for tables in (
        [measured(120.0), measured(121.0)],
        [measured(120.0), measured(120.0, " mmHg")],
        [measured(120.0), few],
    ):
        refused_both_ways(tables, "label 'ill': expected one cut of the label at all clients")


# -- a constant at one hospital ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", ["fm", "md"])
def test_a_hospital_with_women_only_takes_part(others):
    """A column of f alone reads as a no (f and t); beside f and m it is their category."""
    tables = [hospital(x=lambda at: "f"), hospital(x=lambda at: others[at % 2])]
    agreed = both_ways(tables)
    assert agreed.columns[1].kind is Kind.CATEGORY and agreed.columns[1].categories == tuple(sorted({"f", *others}))
    source = "\n".join(["age,x,ill", *(f"{at % 11},f,{at % 2}" for at in range(ROWS))]).encode()
    own = read_table(source, declared=agreed.declared())
    at = 4 + agreed.columns[1].categories.index("f")
    assert sums(own, agreed)[at] == ROWS


@pytest.mark.parametrize("gap", ["", "NA"])
def test_a_hospital_with_women_and_gaps_only_takes_part(gap):
    tables = [hospital(x=lambda at: gap if at % 5 == 3 else "f"), hospital(x=lambda at: "fm"[at % 2])]
    agreed = both_ways(tables)
    assert agreed.columns[1].kind is Kind.CATEGORY and agreed.columns[1].categories == ("f", "m")


# -- a tick or nothing -------------------------------------------------------------------------------------------------


def ticked(word, every=4, declared=None):
    return hospital(x=lambda at: word if at % every == 0 else "", declared=declared)


def about_x(**how):
    return Declared(columns=(DeclaredColumn("x", **how),))


@pytest.mark.parametrize("word", ["X", "1", "ja", "yes", "✓", "+", "Diabetes"])
def test_a_tick_or_nothing_is_asked_about(word):
    """Before, an empty cell took the most frequent value: every patient had a tick."""
    with pytest.raises(DataError, match="column 'x': expected two values, or a meaning of the empty cells") as told:
        ticked(word)
    assert f"in {-(-ROWS // 4)} of {ROWS} rows and {ROWS - -(-ROWS // 4)} empty; declare (empty) present" in str(
        told.value
    )
    for cell in ("", "(empty)"):
        found = ticked(word, declared=about_x(present=(cell,))).columns[1]
        assert found.kind is Kind.BOOLEAN and found.numbers.sum() == -(-ROWS // 4) and not found.missing.any()
    for cell in ("", "(empty)"):
        found = ticked(word, declared=about_x(missing=(cell,))).columns[1]
        assert found.missing.sum() == ROWS - -(-ROWS // 4) and found.left_out is LeftOut.CONSTANT
    named = ticked(word, declared=about_x(present=("",), kind=Kind.CATEGORY))
    assert set(named.columns[1].categories) == {"(empty)", word}
    schema = TableSchema.from_json(propose(named).to_json())
    lines = "\n".join(["age,x,ill", *(f"{at % 11},,{at % 2}" for at in range(ROWS))]).encode()
    assert (read_table(lines, declared=schema.declared()).columns[1].codes >= 0).all(), (
        "an agreed empty cell is a value"
    )


def test_few_gaps_beside_one_value_are_gaps():
    assert hospital(x=lambda at: "X" if at > 2 else "").columns[1].left_out is LeftOut.CONSTANT
    with pytest.raises(DataError, match="a meaning of the empty cells"):
        hospital(x=lambda at: "X" if at > 3 else "")
    assert hospital(x=lambda at: "no" if at > 20 else "").columns[1].left_out is LeftOut.CONSTANT


def test_ticks_agree_with_yes_and_no_and_1_with_0():
    declared = about_x(present=("(empty)",))
    for word, others in (("X", ("no", "yes")), ("ja", ("non", "oui")), ("1", ("0", "1"))):
        tables = [
            ticked(word, declared=declared),
            hospital(x=lambda at, others=others: others[at % 2], declared=declared),
        ]
        agreed = both_ways(tables)
        assert agreed.columns[1].kind is Kind.BOOLEAN and agreed.columns[1].learnt
        assert sums(tables[0], agreed)[5] == -(-ROWS // 4)


# -- a column that is a duplicate at every hospital, of different columns --------------------------------------------------


def three(a, b, c):
    lines = [f"{a(at)},{b(at)},{c(at)},{at % 2}" for at in range(ROWS)]
    return read_table("\n".join(["a,b,c,ill", *lines]).encode())


def one(at):
    return at % 7


def other(at):
    return at * 3 % 11


def test_a_duplicate_of_different_columns_is_learnt():
    """Before, c was lost: at one hospital it repeats a, at the other b."""
    agreed = both_ways([three(one, other, one), three(one, other, other)])
    assert [column.name for column in agreed.learnt] == ["a", "b", "c"]
    same = both_ways([three(one, other, one), three(other, one, other)])
    assert [column.left_out for column in same.columns] == [None, None, LeftOut.DUPLICATE], (
        "the control: c is a everywhere"
    )


def test_categories_of_a_duplicate_are_agreed_where_another_hospital_learns_from_it():
    """Before, they were no categories of the agreement, and 0 in every column."""
    words = {name: (lambda at, name=name: f"{name}{at % 3}") for name in "uv"}
    agreed = both_ways([three(words["u"], one, words["u"]), three(words["u"], one, words["v"])])
    assert agreed.columns[2].categories == ("u0", "u1", "u2", "v0", "v1", "v2")


# -- one pair of numbers, counted from 0 or from 1 ------------------------------------------------------------------------

NUMBERS = {
    "01": lambda at: at % 2,
    "12": lambda at: 1 + at % 2,
    "1": lambda at: 1,
    "2": lambda at: 2,
    "0123": lambda at: at % 4,
    "129": lambda at: (1, 2, 9)[at % 3],
    "01 99": lambda at: (0, 1, 99)[at % 3],
    "1239": lambda at: (1, 2, 3, 9)[at % 4],
}


@pytest.mark.parametrize(
    "kinds",
    [("01", "12"), ("12", "1", "01"), ("01", "12", "2"), ("12", "01", "129"), ("01", "129"), ("01 99", "12")],
)
def test_a_column_of_0_and_1_beside_1_and_2_is_asked_about(kinds):
    """Before, they were numbers: a 1 was a yes at one hospital and a no at the other."""
    refused_both_ways(
        [hospital(x=NUMBERS[kind]) for kind in kinds], "column 'x': expected the same two numbers at all clients"
    )
    count = Declared((DeclaredColumn("x", Kind.NUMBER),))
    assert both_ways([hospital(x=NUMBERS[kind], declared=count) for kind in kinds]).columns[1].kind is Kind.NUMBER


@pytest.mark.parametrize(
    "kinds",
    [
        ("01", "1"),
        ("12", "1", "2"),
        ("01", "12", "0123"),
        ("12", "0123"),
        ("12", "129"),
        ("01", "01 99"),
        ("01", "12", "1239"),
    ],
)
def test_numbers_that_may_be_counts_agree(kinds):
    """The controls: one pair, or more than two numbers somewhere."""
    assert both_ways([hospital(x=NUMBERS[kind]) for kind in kinds]).columns[1].learnt


@pytest.mark.parametrize("kinds", [("no", "01", "12"), ("no", "12")])
def test_words_beside_numbers_in_a_column_are_asked_about(kinds):
    cells = {**NUMBERS, "no": lambda at: ("no", "yes")[at % 2]}
    refused_both_ways([hospital(x=cells[kind]) for kind in kinds], "column 'x': expected one kind at all clients")


def test_a_constant_no_stays_a_no_and_none_beside_numbers():
    assert both_ways([hospital(x=lambda at: "nein"), hospital(x=lambda at: "yes")]).columns[1].words == ("no", "yes")
    refused_both_ways([hospital(x=lambda at: "n"), hospital()], "column 'x': expected one kind at all clients")


def test_round_zero_names_no_hospital_that_it_does_not_know():
    """Nobody knows which hospital has which text, so a number would be a guess."""
    tables = [hospital(), hospital(name="outcome")]
    counted = [(text, 1) for table in tables for text in set(texts(propose(table)))]
    merged = {text: sum(times for other, times in counted if other == text) for text, _ in counted}
    with pytest.raises(DataError) as told:
        united(sorted(merged.items()), 2)
    assert "client 1" not in str(told.value) and "client 2" not in str(told.value)


# -- the last line, and forms of two meanings --------------------------------------------------------------------------


def table(cell, last="", declared=None):
    lines = [f"{at * 7 % 13},{cell(at)},{at % 2}" for at in range(ROWS)]
    return read_table(("\n".join(["age,x,ill", *lines]) + "\n" + last).encode(), declared=declared)


@pytest.mark.parametrize(
    "last",
    [
        "6.1,2.5,Mean\n",
        "6.1,Total,0.5\n",
        "SD,2,1\n",
        "6,3,Total:\n",
        "Mean,1,1\nSD,2,1\nMax,3,1\n",
        "Mittelwert,2,1\n",
        "Insgesamt,2,1\n",
        "Mean (SD),2,1\nStandardabweichung,2,1\n",
        "6,2,Std. Abw.\n",
        "Ø,2,1\n",
    ],
)
def test_a_total_anywhere_in_the_last_line_is_no_class(last):
    """Before, a Mean in the label's column became a third class."""
    with pytest.raises(DataError, match="a line of totals or remarks"):
        table(lambda at: at % 5, last)
    kept = table(lambda at: at % 5, last, Declared(summary="drop"))
    assert len(kept) == ROWS and kept.classes == ("0", "1")


def test_a_word_that_stands_above_too_is_data():
    assert table(lambda at: ("mean", "kind")[at % 2], "6,mean,1\n").learnt[1].categories == ("kind", "mean")


def wards(word, text=False, last=True):
    """Three wards of 20 patients, each with a line of sums below it."""
    lines = []
    for ward in range(3):
        part = [(f"P{ward}", 40 + at * 7 % 30, 5 + at % 9, at % 2) for at in range(20)]
        total = [sum(row[at] for row in part) for at in (1, 2, 3)]
        lines += [*part, (word, *total)] if last or ward < 2 else part
    outcome = (lambda one: ("no", "yes")[one % 2]) if text else str
    return "\n".join(["age,days,who,ill", *(f"{b},{c},{a},{outcome(d)}" for a, b, c, d in lines)]).encode()


@pytest.mark.parametrize("word", ["Summe", "Subtotal", "Total:", "Mittelwert", "Zwischensumme"])
@pytest.mark.parametrize("how", [{}, {"text": True}, {"last": False}])
def test_totals_between_the_rows_are_no_patients(word, how):
    """Before, a word that stood above in its column was data: three sums were three patients, and 10 was a class."""
    with pytest.raises(DataError, match=f"line [0-9]+: expected a row as the others, found a line of totals .*{word}"):
        read_table(wards(word, **how))
    kept = read_table(wards(word, **how), declared=Declared(summary="drop"))
    assert len(kept) == 60 and len(kept.classes) == 2 and 22 not in kept.lines
    declared = Declared(summary="data", label_kind="classes")
    assert len(read_table(wards(word, **how), declared=declared)) > 60


def test_a_total_in_the_first_line_of_data_is_no_patient():
    lines = [f"P{at % 9},{at * 7 % 13},{at % 2}" for at in range(ROWS)]
    with pytest.raises(DataError, match="line 2: .*a line of totals or remarks .'Gesamt'"):
        read_table("\n".join(["who,age,ill", "Gesamt,3000,1", *lines]).encode())


def test_a_common_word_and_a_first_name_are_data():
    common = table(lambda at: ("total", "partial", "other")[at % 3 if at % 7 else 0], "6,partial,1\n")
    assert common.learnt[1].categories == ("other", "partial", "total")
    assert "Max" in table(lambda at: "Max" if at == 7 else ("Ada", "Ben")[at % 2]).learnt[1].categories


def test_a_sum_below_a_measured_label_is_asked_about():
    """Before, --label-above made the column's sum one more patient above the cut."""
    lines = [f"{at % 9},{at % 7},{110 + at % 43}" for at in range(80)]
    cut = Declared(label_above=130.0)
    for last in ("312,240,10520", "4,3,131.5"):
        text = "\n".join(["a,b,bp", *lines, last]).encode()
        with pytest.raises(DataError, match="line 82, label 'bp': expected an outcome as in the lines above"):
            read_table(text, declared=cut)
        assert len(read_table(text, declared=Declared(label_above=130.0, summary="data"))) == 81
    assert read_table("\n".join(["a,b,bp", *lines]).encode(), declared=cut).label.counts.sum() == 80


ASKED = {
    "power": (lambda at: ("10²", "10³")[at % 2], "a raised digit", Kind.CATEGORY),
    "power of one digit": (lambda at: f"{at % 7}²", "a raised digit", Kind.CATEGORY),
    "one power among numbers": (lambda at: "10²" if at == 4 else at, "a raised digit", Kind.CATEGORY),
    "letter": (lambda at: f"{at % 7 + 1}F", "a unit or a digit of a code", Kind.UNIT),
    "titers": (lambda at: f"1:{10 * 2 ** (at % 3)}", "a titer or ratio", Kind.CATEGORY),
    "titers over 59": (lambda at: f"1:{20 * 2 ** (at % 4)}", "a titer or ratio", Kind.CATEGORY),
    "ratios": (lambda at: f"{1 + at % 3}:{4 + at % 3}", "a titer or ratio", Kind.CATEGORY),
    "times of one hour": (lambda at: f"1:{10 + at % 5}", "a titer or ratio", Kind.DURATION),
}


@pytest.mark.parametrize("kind", ASKED)
def test_a_form_of_two_meanings_is_asked_about(kind):
    cell, said, declared = ASKED[kind]
    with pytest.raises(DataError, match=f"column 'x': .*{said}.*declare"):
        table(cell)
    found = table(cell, declared=Declared((DeclaredColumn("x", declared, keep=True),)))
    assert found.columns[1].kind is declared


def test_what_has_one_meaning_is_read():
    """The controls."""
    assert table(lambda at: f"{at % 7} F").columns[1].unit == "F"
    assert table(lambda at: f"{at % 7} m²").columns[1].unit == "m²"
    assert table(lambda at: f"{at % 5}:{at % 4}5").columns[1].kind is Kind.DURATION
    assert table(lambda at: ("1A", "2B", "3C")[at % 3]).columns[1].kind is Kind.CATEGORY


@pytest.mark.parametrize("code", ["1900-01-01", "9999-12-31", "0001-01-01"])
def test_a_date_that_stands_for_none_is_said(code):
    found = table(lambda at: code if at in (4, 9) else f"2025-03-{1 + at % 28:02}")
    assert any(f"2 cells are '{code}', far from all others" in str(warning) for warning in found.warnings)
    gone = table(lambda at: code if at in (4, 9) else f"2025-03-{1 + at % 28:02}", declared=Declared(missing=(code,)))
    assert gone.columns[1].missing.sum() == 2 and not gone.warnings
    assert not table(lambda at: f"{1890 + at}-01-01").warnings, "1900 among its neighbours is a year"


def test_times_with_a_zone_and_without_one_do_not_mix():
    zoned = hospital(x=lambda at: f"2025-03-{1 + at % 28:02}T10:00:00+02:00")
    bare = hospital(x=lambda at: f"2025-03-{1 + at % 28:02}T10:00:00")
    refused_both_ways([zoned, bare], "column 'x': expected one unit at all clients, found none, 'time with a zone'")
    assert both_ways([zoned, zoned]).columns[1].unit == "time with a zone"
    with pytest.raises(DataError, match="as agreed"):
        sums(bare, fit(zoned, propose(zoned)))


UNUSED = {
    "order of numbers": (
        lambda at: at % 5,
        {"dates": "day"},
        "expected dates, as their order is declared, found kind number",
    ),
    "mark of texts": (
        lambda at: "uvw"[at % 3],
        {"decimal": "comma"},
        "as a decimal mark is declared, found kind category",
    ),
    "mark of dates": (lambda at: f"2025-03-{1 + at % 28:02}", {"decimal": "point"}, "found kind date"),
}


@pytest.mark.parametrize("kind", UNUSED)
def test_a_declaration_that_changes_nothing_is_refused(kind):
    cell, how, said = UNUSED[kind]
    with pytest.raises(DataError, match=said):
        table(cell, declared=Declared((DeclaredColumn("x", **how),)))


def test_a_mark_may_be_declared_where_one_hospital_has_0_and_1_only():
    assert (
        table(lambda at: at % 2, declared=Declared((DeclaredColumn("x", decimal="comma", keep=True),))).columns[1].words
    )


def test_what_was_asked_still_trains_on_the_shelf():
    source = "\n".join(["age,x,ill", *(f"{at % 11},1:{10 * 2 ** (at % 3)},{at % 2}" for at in range(ROWS))]).encode()
    with pytest.raises(DataError, match="titer"):
        put(TableSource(source))
    assert put(TableSource(source, declared=Declared((DeclaredColumn("x", Kind.CATEGORY),))))
    assert hospital(x=lambda at: "f").columns[1].left_out is LeftOut.CONSTANT
