"""Every number that docs/attacks.md, docs/teaching.md and the pages state about an attack is measured, or said to be what it is."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import fisher_exact, mannwhitneyu

from hefl_core.attacks.rates import measured
from hefl_core.teaching import predictions, walks
from tests.attacks.stated_rates import FORMS, STATED, cases, worded
from tests.teaching.prose import Text

ROOT = Path(__file__).parents[2]
PAGES = ("attack.py", "limits.py", "start.py", "parts/attack_own_run.py", "parts/story_board/__init__.py")
SMALLEST = 1e-9
"""A rate that was measured anew may differ by luck: this rarely is it taken for a change."""
AGAIN = {
    "label digits": 40,
    "record": 12,
    "patient": 12,
    "records B=4": 12,
    "imprint B=16": 4,
    "property": 12,
    "records K=4": 12,
    "letters: plain": 12,
    "letters: B=8": 6,
    "named plain": 25,
    "named noise 0.01": 25,
    "named noise 0.03": 25,
}
"""The seat sees no fresh randomness: the same trials must have the same outcome. Case → trials that are repeated."""
FRESH = {"label coordinator": 100, "named coordinator": 40}
"""New ciphertexts each time: the rates must agree as two samples of one rate do."""


def read(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def on_attacks(text):
    """Of docs/teaching.md the parts that speak of attacks: what a stakeholder is told, and the misconceptions."""
    parts = [re.search(rf"^## {title}.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[0] for title in TEACHING]
    return "\n".join(parts)


TEACHING = ("5 minutes", "Common misconceptions")


def on_pages():
    """Every string that the pages about attacks show, with the questions and walks that are asked on them."""
    for page in PAGES:
        for node in ast.walk(ast.parse((ROOT / "pages" / page).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_" and node.args:
                if isinstance(node.args[0], ast.Constant):
                    yield re.sub(r"\{[^}]*\}", "…", node.args[0].value)  # what is filled in was computed just then
    yield from predictions.SAID
    yield from (text for walk in walks.WALKS for stop in walk.stops for text in (stop.say, stop.ask))


TEXTS = {
    "attacks.md": lambda: read("attacks.md"),
    "teaching.md": lambda: on_attacks(read("teaching.md")),
    "pages": lambda: "\n\n".join(on_pages()),
}


@pytest.mark.parametrize("name", TEXTS)
def test_every_number_is_accounted_for(name):
    text, phrases = Text.of(name, TEXTS[name]()), [worded(phrase) for phrase in STATED[name]]
    assert not [*text.unstated(phrases)], "say in tests/attacks/stated_rates.py where the number comes from"
    assert not [phrase for phrase in phrases if phrase not in text.words], "no longer said, or measured anew"


def test_every_phrase_rests_on_a_rate_of_enough_records_or_on_a_reason():
    for phrase, reason in (pair for phrases in STATED.values() for pair in phrases.items()):
        assert bool(cases(phrase)) != bool(reason), phrase
        assert all(measured().rates[case].trials >= 100 for case in cases(phrase)), phrase


@pytest.mark.parametrize("name", TEXTS)
def test_a_number_that_nobody_measured_is_found(name):
    planted = TEXTS[name]() + "\n\nA picture of 17 dB names its record in 66 % of cases."
    found = [*Text.of(name, planted).unstated([worded(phrase) for phrase in STATED[name]])]
    assert len(found) == 2 and "17 dB" in found[0] and "66 %" in found[1]


def test_a_sentence_is_stale_when_its_rate_is_measured_anew():
    phrase = next(phrase for phrase in STATED["attacks.md"] if "⟨records B=4|%⟩" in phrase)
    one = measured().rates["records B=4"]
    assert worded(phrase) in Text.of("attacks.md", read("attacks.md")).words
    assert FORMS["%"](replace(one, value=one.value + 0.02)) not in read("attacks.md")


def same(name, few):
    """Whether the case's first trials come out as they did. Decibels above 100 are rounding, and depend on the machine."""
    before, now = measured().rates[name].values[:few], BENCH().CASES[name](few).values
    return len(now) == len(before) == few and all(
        min(one, 100) == pytest.approx(min(other, 100), abs=1e-2) for one, other in zip(before, now, strict=True)
    )


def BENCH():
    import importlib
    import sys

    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return importlib.import_module("attack_rates")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.mark.parametrize(("name", "few"), AGAIN.items())
def test_measured_again_the_same_trials_come_out_the_same(name, few):
    assert same(name, few)


@pytest.mark.parametrize(("name", "few"), FRESH.items())
def test_with_fresh_ciphertexts_the_rate_is_the_same_rate(name, few):
    before, now = measured().rates[name], BENCH().CASES[name](few)
    assert agree(before.values, now.values)


def agree(before, now):
    """Whether two samples can be of one rate, or of one distribution."""
    if {*before, *now} <= {0.0, 1.0}:
        table = [[sum(values), len(values) - sum(values)] for values in (before, now)]
        return fisher_exact(table).pvalue > SMALLEST
    return mannwhitneyu(before, now).pvalue > SMALLEST


def test_a_rate_that_changed_is_seen():
    """Positive controls: another noise is not the noise that was measured, and a leak is not chance."""
    noise = {
        name: measured().rates[name].values for name in ("named noise 0.01", "named noise 0.1", "record", "patient")
    }
    assert not agree(noise["named noise 0.01"], noise["named noise 0.1"])
    assert not agree(noise["record"], noise["patient"])
    chance = measured().rates["label coordinator"].values
    assert not agree(chance, measured().rates["label digits"].values[:40])


def test_the_file_says_how_it_was_made():
    from hefl_core.attacks.rates import FILE

    assert measured().command == "python benchmarks/attack_rates.py" and measured().machine["cpus"]
    assert set(measured().rates) == set(BENCH().CASES) and json.loads(FILE.read_text(encoding="utf-8"))
