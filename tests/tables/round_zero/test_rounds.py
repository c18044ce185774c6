"""Round zero without a protocol: the sum of the clients' vectors gives what one reader of all tables would find."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import DataError
from hefl_core.tables.encoding import encode
from hefl_core.tables.round_zero.dictionary import Dictionary
from hefl_core.tables.round_zero.limbs import Limbs
from hefl_core.tables.round_zero.rounds import ROUNDS, AgreementRounds
from hefl_core.tables.schema import propose
from hefl_core.tables.statistics import class_counts
from hefl_core.tables.table import read_table
from tests.tables.hospitals import A, B, C, alike, hospital, pooled, reader


def agreed(contents, rounds=None, present=None):
    """Rounds zero of these clients by plain sums: the mean that every client has after each round."""
    rounds = rounds or AgreementRounds(len(contents), 12)
    mean = np.zeros(rounds.parameters, np.float32)
    takes_part = present or range(1, len(contents) + 1)
    for number in range(1, ROUNDS + 1):
        updates = [rounds.update(mean, number, at, reader(contents[at - 1])) for at in takes_part]
        mean = (mean + sum(updates) / len(updates)).astype(np.float32)
    return rounds, mean


@pytest.mark.parametrize("bits", [3, 6, 8, 12])
def test_sums_agree_with_the_pooled_reader(bits):
    rounds, mean = agreed([A, B, C], AgreementRounds(3, bits))
    found, (schema, totals) = rounds.agreed(mean), pooled([A, B, C])
    assert alike(found.schema, schema) and found.clients == 3
    assert np.allclose(found.totals, totals, rtol=1e-14, atol=1e-9)
    assert [column.categories for column in found.schema.columns if column.name == "ward"] == [("A", "B", "C")]
    assert class_counts(found.schema, found.totals).sum() == 95


def test_every_client_encodes_its_rows_as_the_pooled_reader_does():
    rounds, mean = agreed([A, B, C])
    schema, _ = pooled([A, B, C])
    for content in (A, B, C):
        ours = encode(reader(content)(rounds.agreed(mean).schema), rounds.agreed(mean).schema)
        theirs = encode(reader(content)(schema), schema)
        assert np.allclose(ours.features, theirs.features, rtol=1e-6, atol=1e-6) and np.array_equal(
            ours.labels, theirs.labels
        )


def test_a_hospital_without_a_positive_case_takes_part():
    rounds, mean = agreed([A, B, C])
    assert set(rounds.agreed(mean).schema.classes) == {"no", "yes"}


def test_a_client_that_is_away_from_the_beginning_is_not_counted():
    rounds, mean = agreed([A, B, C], present=[1, 2])
    assert rounds.present(mean, 1) == 2
    assert alike(rounds.agreed(mean).schema, pooled([A, B])[0])


def test_a_client_that_leaves_in_between_is_noticed():
    rounds = AgreementRounds(3, 12)
    mean = np.zeros(rounds.parameters, np.float32)
    first = [rounds.update(mean, 1, at + 1, reader(one)) for at, one in enumerate((A, B, C))]
    mean = (sum(first) / 3).astype(np.float32)
    second = [rounds.update(mean, 2, at + 1, reader(one)) for at, one in enumerate((A, B))]
    mean = (mean + sum(second) / 2).astype(np.float32)
    with pytest.raises(DataError, match="a client came or left"):
        rounds.middled(mean)


def test_another_column_name_is_found_with_its_count():
    other = C.replace(b"dose", b"Dosis")
    with pytest.raises(DataError, match=r"each at all 3 clients, found 'Dosis' at 1, 'dose' at 2; name columns alike"):
        agreed([A, B, other])


def test_another_kind_is_refused_by_name():
    words = b"\n".join(
        [b"age,dose,ward,ill", *(f"{20 + at},{['low', 'high'][at % 2]},A,{at % 2}".encode() for at in range(30))]
    )
    with pytest.raises(DataError, match="'dose'"):
        agreed([A, B, words])


def test_too_many_categories_are_refused_and_never_guessed():
    many = hospital(
        [f"{20 + at % 9};{at % 5},5;ward number {at % 80};{'ja' if at % 3 else 'nein'}" for at in range(400)]
    )
    with pytest.raises(DataError, match="drop|fewer|categor"):
        agreed([many, many, many], AgreementRounds(3, 12, cells=30))


numbers = st.floats(-1e24, 1e24).filter(lambda x: x == 0 or abs(x) > 1e-12)


@given(st.lists(numbers, min_size=1, max_size=6), st.integers(3, 16))
@settings(max_examples=60, deadline=None)
def test_limbs_add_up_exactly(values, bits):
    limbs = Limbs(bits, 192, 96)
    total = limbs.join(sum(limbs.split(value) for value in values))
    exact = sum(Fraction(value) for value in values)
    assert abs(total - exact) <= Fraction(len(values), 1 << 97)
    assert all(abs(limbs.split(value)).max() < 2**bits for value in values)


def test_a_number_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="below 2\\^96"):
        Limbs(8, 192, 96).split(1e30)


words = st.sets(st.binary(min_size=1, max_size=130).filter(lambda text: b"\0" not in text), max_size=12)


@given(st.lists(words, min_size=1, max_size=7), st.integers(3, 12))
@settings(max_examples=40, deadline=None)
def test_the_sum_of_dictionaries_is_the_union_with_counts(sets, bits):
    table = Dictionary(cells=600, bits=bits)
    expected = {word: sum(word in some for some in sets) for some in sets for word in some}
    assert dict(table.read(sum(table.write(some) for some in sets))) == expected


def test_a_changed_total_is_refused_or_reads_the_same():
    """One entry wrong by one, anywhere: never another list of names."""
    table = Dictionary(cells=60, bits=8)
    rng = np.random.default_rng(7)
    right = table.write([b"ward", b"age", b"a long name that needs more than one piece of forty bytes"])
    for _ in range(200):
        wrong = right.copy()
        wrong[rng.integers(len(wrong))] += rng.choice([-1, 1])
        with pytest.raises(DataError):
            table.read(wrong)


def replayed(contents, change):
    """Round zero in which client 1's vector of each round goes through ``change(number, vector, rounds)``."""
    rounds = AgreementRounds(len(contents), 12)
    mean = np.zeros(rounds.parameters, np.float32)
    for number in range(1, ROUNDS + 1):
        updates = [rounds.update(mean, number, at, reader(one)) for at, one in enumerate(contents, start=1)]
        updates[0] = change(number, updates[0].copy(), rounds)
        mean = (mean + sum(updates) / len(updates)).astype(np.float32)
    return rounds.agreed(mean)


def shifted(number, at, by):
    """A change of one of the sums, in one round."""

    def change(now, vector, rounds):
        if now == number:
            limbs = rounds._number
            start = rounds.part(number).start + at * limbs.count
            vector[start : start + limbs.count] += limbs.split(by) * rounds.unit
        return vector

    return change


@pytest.mark.parametrize(
    "change, said",
    [
        (shifted(3, 0, 5), "counts that make 100 rows"),
        (shifted(2, 0, 5), "counts that make 100 rows"),
        (shifted(3, 3, -1e9), "a sum of squares that its sum allows"),
        (shifted(3, 1, 1000), "at most 95 values"),
        (shifted(3, 2, 1e6), "a sum of squares that its sum allows"),
        (shifted(3, 11, -90), "counts that make 95 rows"),
    ],
)
def test_totals_that_no_tables_have_are_refused(change, said):
    assert replayed([A, B, C], lambda number, vector, rounds: vector).clients == 3  # the control
    with pytest.raises(DataError, match=said):
        replayed([A, B, C], change)


PLAIN = [
    "\n".join(
        ["age,smoker,ward,ill"]
        + [f"{30 + (at * 7 + n) % 20},{('no', 'yes')[at % 2]},{'AAB'[at % 3]},{at % 2}" for at in range(n)]
    ).encode()
    for n in (40, 36, 38)
]
"""Their sums: 0 rows, 1-3 age, 4-6 smoker, 7-8 ward, 9-10 classes."""


def all_of(*changes):
    def change(now, vector, rounds):
        for one in changes:
            vector = one(now, vector, rounds)
        return vector

    return change


@pytest.mark.parametrize(
    "change, said",
    [
        (all_of(shifted(2, 5, 1000), shifted(2, 6, 1e7)), "smoker: expected up to 114 times yes, found 1057"),
        (shifted(2, 6, 1e9), "smoker: expected up to 114 times yes"),
        (all_of(shifted(2, 5, 0.5), shifted(2, 6, 0.25)), "smoker: expected up to 114 times yes"),
        (all_of(shifted(2, 5, 0.5), shifted(2, 6, 0.5)), "smoker: expected up to 114 times yes"),
        (all_of(shifted(3, 2, 1e4), shifted(3, 3, 1e8)), "age: expected deviations from the mean that add up to 0"),
        (shifted(3, 2, 0.01), "age: expected deviations from the mean that add up to 0"),
        (
            all_of(shifted(3, 7, -30), shifted(3, 8, 30)),
            "ward: expected as many of each category as in the round before",
        ),
        (
            all_of(shifted(3, 9, -30), shifted(3, 10, 30)),
            "classes: expected as many of each class as in the round before",
        ),
        (
            all_of(shifted(3, 9, 57), shifted(3, 10, -57)),
            "classes: expected as many of each class as in the round before",
        ),
        (shifted(3, 1, -60), "age: expected as many values as in the round before, found 54"),
        (all_of(shifted(3, 0, 5), shifted(3, 9, 5)), "rows: expected as many rows as in the round before, found 119"),
        (shifted(2, 7, 1), "ward: expected counts of at most 114 rows"),
    ],
)
def test_rounds_that_contradict_each_other_are_refused(change, said):
    assert replayed(PLAIN, lambda number, vector, rounds: vector).totals[0] == 114  # the control
    with pytest.raises(DataError, match=f"round zero, {said}"):
        replayed(PLAIN, change)


def test_a_lie_within_what_is_possible_stays_unseen():
    """docs/data.md says so: 10 years more for each of 40 patients, in both rounds that depend on it."""
    lie = replayed(PLAIN, all_of(shifted(2, 2, 400), shifted(2, 3, 50_000), shifted(3, 2, 400), shifted(3, 3, 10_000)))
    honest = replayed(PLAIN, lambda number, vector, rounds: vector)
    assert lie.schema.columns[0].centre - honest.schema.columns[0].centre == pytest.approx(400 / 114)


@pytest.mark.parametrize("base, step", [(0, 0.1), (1e15, 1.0), (1e9, 1e-6), (-1e12, 0.001), (1e-12, 1e-15)])
def test_honest_deviations_add_up_to_0_at_any_scale(base, step):
    contents = [
        "\n".join(["x,y,ill", *(f"{base + step * (at * 7 % 23)!r},{at % 5},{at % 2}" for at in range(n))]).encode()
        for n in (400, 36, 38)
    ]
    rounds, mean = agreed(contents)
    assert rounds.agreed(mean).totals[0] == 474


def test_a_client_that_takes_out_anothers_category_is_noticed_by_it():
    def erase(number, vector, rounds):
        if number == 1:
            words = Dictionary(rounds.cells, rounds.bits)
            vector[rounds.part(1)] -= words.write([b'{"type":"category","column":"ward","name":"C"}']) * rounds.unit
        return vector

    with pytest.raises(DataError, match="all names of this table in the total, found 1 missing"):
        replayed([A, B, C], erase)


@pytest.mark.parametrize("one, other", [("2", "1"), ("z", "t"), ("unsure", "no")])
def test_a_hospital_with_one_class_adds_no_class_of_its_own(one, other):
    """Alone, a 1 or a "no" looks like half of a pair; nobody has the other half."""
    line = "\n".join(["age,ill", *(f"{30 + at % 9}.5,{one if at % 3 else other}" for at in range(40))]).encode()
    only = "\n".join(["age,ill", *(f"{40 + at % 9}.5,{other}" for at in range(30))]).encode()
    rounds, mean = agreed([line, only, line])
    found = rounds.agreed(mean)
    assert set(found.schema.classes) == {one, other}
    assert class_counts(found.schema, found.totals).sum() == 110


@pytest.mark.parametrize(
    "kinds, fine",
    [
        (("01", "12", "01"), False),
        (("01", "12", "2"), False),
        (("01", "12", "129"), False),
        (("12", "129", "12"), True),
        (("012", "01", "12"), True),
        (("12", "1", "12"), True),
    ],
)
def test_two_classes_that_begin_with_another_number_are_asked_about(kinds, fine):
    """Before, 0 and 1 at one hospital beside 1 and 2 at another were three classes."""
    tables = [
        "\n".join(["age,ill", *(f"{30 + at % 9}.5,{kind[at % len(kind)]}" for at in range(30))]).encode()
        for kind in kinds
    ]
    rounds, mean = agreed(tables)
    if fine:
        assert "".join(rounds.agreed(mean).schema.classes) == max(kinds, key=len)
        return
    with pytest.raises(DataError, match="label 'ill': expected the same two numbers at all clients, found 0 at"):
        rounds.agreed(mean)


def test_a_table_that_does_not_fit_is_named_by_its_own_number():
    """Before, nobody knew which of the files was meant; what is wrong with the total names no client."""
    odd = B.replace(b"30,0.125", b"30,0.1.25")
    with pytest.raises(DataError, match=r"^table of client 2: line 2, column 'dose'"):
        agreed([A, odd, C])
    with pytest.raises(DataError, match="^columns: expected each at all 3 clients"):
        agreed([A, B.replace(b"dose", b"Dosis"), C])


@pytest.mark.parametrize("grades", [("-", "+"), ("-", "+", "++"), ("-", "++"), ("–", "(+)", "1+"), ("-", "±")])
def test_a_negative_stays_a_negative_at_every_hospital(grades):
    """Before, a - without a bare + in the file was missing and took the most frequent value: ++."""
    usual = max(grades, key=len)
    contents = [
        "\n".join(["age,x,ill", *(f"{at % 9},{word(at)},{at % 2}" for at in range(30))]).encode()
        for word in (lambda at: grades[at % len(grades)], lambda at: "-" if at % 5 else "−", lambda at: usual)
    ]
    contents[2] += b"\n1," + grades[0].encode() + b",1"
    rounds, mean = agreed(contents)
    schema = rounds.agreed(mean).schema
    assert "-" in (schema.columns[1].words or schema.columns[1].categories)
    features = encode(reader(contents[1])(schema), schema).features[:, 1:]
    own = encode(reader(contents[0])(schema), schema).features[0, 1:]
    assert (features == own).all(), "30 negatives, as the first row of the first hospital"
    with pytest.raises(DataError, match="column 'x': expected - as a value, as agreed, found - read as missing"):
        encode(read_table(contents[1]), schema)
    gaps = "\n".join(["age,x,ill", *(f"{at % 9},,{at % 2}" for at in range(30))]).encode()
    assert encode(reader(gaps)(schema), schema).features.shape == (30, features.shape[1] + 1), "empty is no negative"


def test_a_minus_among_numbers_is_missing():
    cells = ["age,x,ill", *(f"{at % 9},{('-', '+1.5', '2.5')[at % 3]},{at % 2}" for at in range(30))]
    assert read_table("\n".join(cells).encode()).columns[1].missing.sum() == 10


def test_a_label_in_signs_is_read_as_agreed():
    signs = ["age,x,ill", *(f"{at % 9},{at % 7},{('-', '++')[at % 2]}" for at in range(30))]
    table = read_table("\n".join(signs).encode())
    assert table.classes == ("++", "-")
    schema = propose(table)
    negative = ["age,x,ill", *(f"{at % 9},{at % 7},{'-–'[at % 2]}" for at in range(30))]
    assert read_table("\n".join(negative).encode(), declared=schema.declared()).classes == ("-",)


def test_spellings_of_one_class_are_refused_across_hospitals():
    shouting = C.replace(b"\tnon", b"\tKrank")
    whispering = A.replace(b";nein", b";krank").replace(b";ja", b";wohl")
    with pytest.raises(DataError, match="one spelling of a class"):
        agreed([whispering, shouting])


def test_sixty_columns_of_ordinary_names_fit():
    names = [f"measurement of protein {at}" for at in range(60)]
    table = "\n".join(
        [
            ",".join([*names, "ill"]),
            *(
                ",".join(
                    [*(f"{(row * row + row * at + at * at * 7) % 101}.{at % 10}" for at in range(1, 61)), "ab"[row % 2]]
                )
                for row in range(40)
            ),
        ]
    )
    rounds, mean = agreed([table.encode()] * 3)
    assert len(rounds.agreed(mean).schema.learnt) >= 55
