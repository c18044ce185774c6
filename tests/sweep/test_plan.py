"""A plan file becomes runs, or is refused with its part, what was expected and what was found."""

import pytest

from hefl_core.errors import DataError, ParameterError
from hefl_core.sweep.plan import plan_of, read_plan
from hefl_core.terms.experiment import Experiment

SMALL = {"dataset": "breast_cancer", "clients": 3, "rounds": 1}


def test_a_grid_is_every_combination_under_every_seed():
    plan = plan_of(
        {"experiment": SMALL, "grid": {"scheme": ["plaintext", "bfv-lean"], "alpha": [0.5, 5.0]}, "seeds": [1, 2]}
    )
    assert len(plan.points) == 8 and len({point.id for point in plan.points}) == 8
    assert plan.settings[0] == "scheme plaintext, alpha 0.5" and len(plan.settings) == 4
    first = plan.points[0]
    assert first.experiment == Experiment(**SMALL, scheme="plaintext", alpha=0.5, seed=1)


def test_a_list_is_what_stands_there():
    plan = plan_of({"list": [{"scheme": "plaintext"}, {"scheme": "bfv-lean", "rounds": 2}]})
    assert [point.experiment.rounds for point in plan.points] == [Experiment().rounds, 2]


def test_a_baseline_singles_out_one_setting():
    grid = {"scheme": ["plaintext", "bfv-lean"], "alpha": [0.5, 5.0]}
    assert (
        plan_of({"grid": grid, "baseline": {"scheme": "plaintext", "alpha": 5.0}}).baseline
        == "scheme plaintext, alpha 5.0"
    )
    with pytest.raises(ParameterError, match="found 2 that fit"):
        plan_of({"grid": grid, "baseline": {"scheme": "plaintext"}})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"grids": {}}, "found grids"),
        ({"grid": {"schemes": ["plaintext"]}}, "found schemes"),
        ({"grid": {"scheme": "plaintext"}}, "list of values"),
        ({"grid": {"scheme": []}}, "list of values"),
        ({"grid": {"seed": [1]}}, "line of their own"),
        ({"grid": {"scheme": ["plaintext"]}, "list": [{"scheme": "plaintext"}]}, "found both"),
        ({"list": ["plaintext"]}, "tables"),
        ({"seeds": 3}, "whole numbers"),
        ({"seeds": [1, 1]}, "different"),
        ({"seeds": [True]}, "whole numbers"),
        ({"seeds": [1.5]}, "whole numbers"),
        ({"experiment": 3}, "table"),
        ({"experiment": {"clients": 1}}, "clients: expected 2"),
        ({"experiment": {"clients": "five"}}, "experiment"),
        ({"list": [{"scheme": "plaintext"}, {"scheme": "plaintext"}]}, "twice"),
        ({"figure": "beauty"}, "figure"),
        ({"grid": {"batch": list(range(1, 2000)), "rounds": list(range(1, 100))}}, "at most 10,000 runs"),
    ],
)
def test_what_cannot_be_is_refused(content, said):
    with pytest.raises(ParameterError, match=said):
        plan_of(content)


def test_a_file_that_is_no_plan_is_refused(tmp_path):
    place = tmp_path / "plan.toml"
    for bad in (b"= 3", b"\xff\xfe"):
        place.write_bytes(bad)
        with pytest.raises(ParameterError, match="expected TOML"):
            read_plan(place)
    with pytest.raises(DataError):
        read_plan(tmp_path)


def test_a_table_of_ones_own_is_named_by_its_content(tmp_path):
    table = tmp_path / "cells.csv"
    table.write_text("age,size,ill\n" + "".join(f"{40 + n},{150 + n % 7},{n % 2}\n" for n in range(60)))
    point = plan_of({"experiment": {"dataset": f"csv:{table}", "clients": 3}}).points[0]
    assert point.experiment.dataset.startswith("table:") and str(tmp_path) not in point.experiment.to_json()
