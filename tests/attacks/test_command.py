"""The command ``attack``, and the matrix."""

import json

import pytest
from typer.testing import CliRunner

from hefl_core.attacks.catalogue import ATTACKS, run
from hefl_core.attacks.lab import COORDINATOR, PLAIN, SEATS
from hefl_core.attacks.seat_matrix import cells, family_at_chance
from hefl_core.cli.main import app
from hefl_core.errors import ParameterError


def invoke(*args):
    return CliRunner().invoke(app, ["attack", *args])


def test_the_list_names_every_attack_with_its_source():
    rows = json.loads(invoke("--list", "--json", "-").stdout)
    assert [row["name"] for row in rows] == [attack.name for attack in ATTACKS]
    assert all(row["source"] and row["remedy"] and set(row["seats"]) <= set(SEATS) for row in rows)


def test_one_attack_from_one_seat_as_json():
    result = invoke("label", "--seat", PLAIN, "--trials", "30", "--json", "-")
    found = json.loads(result.stdout)
    assert found["value"] == 1.0 and found["trials"] == 30 and found["evidence"]["record"]
    assert found["threat"] and found["source"] and found["low"] < 1


def test_from_every_seat_as_a_table_and_refusals():
    shown = invoke("multi-key", "--trials", "2").stdout
    assert "largest error" in shown and "updates opened" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        ("nonsense",),
        ("label", "--seat", "moon"),
        ("label", "--trials", "0"),
        ("label", "--trials", "-3"),
        ("label", "--batch", "0"),
        ("records", "--batch", "100000"),
        ("records", "--batch", "9000"),
        ("record", "--seat", "client", "--clients", "1"),
        ("collusion", "--threshold", "9"),
        ("label", "--local-epochs", "0"),
        ("inversion", "--search", "luck"),
        ("inversion", "--search", "cosine-tv", "--dataset", "breast_cancer", "--trials", "1"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(wrong):
    with pytest.raises(ParameterError, match="expected|no attack"):
        app(["attack", *wrong], standalone_mode=False)


def test_the_matrix_holds_what_was_measured():
    plain, blind = run("label", PLAIN, trials=20), run("label", COORDINATOR)
    table = cells([plain, blind])
    assert len(table) == len(ATTACKS) and all(len(row) == len(SEATS) for row in table)
    assert table[0][0].result is plain and table[0][1].result is blind and table[0][2].result is None
    assert family_at_chance([plain, blind])[0] and family_at_chance([]) == (True, 1.0)
