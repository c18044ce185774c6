"""The blindness test on the Guarantees page, without Ray: what it says before, and what it says of three outcomes."""

from dataclasses import replace

import pytest

from hefl_core.ids import COORDINATOR
from hefl_core.probes.findings import Blindness, Control, Guessing, Looked
from hefl_core.probes.inputs import examine
from hefl_core.probes.memory import Hit
from hefl_core.probes.uniformity import compare, rows_of
from tests.gui.conftest import run_on


@pytest.fixture(scope="module")
def clean(small_result):
    """As a test of this run would have ended: inputs and ciphertexts are its own."""
    return Blindness(
        experiment=small_result.experiment,
        when="2026-01-01 12:00 UTC",
        rounds=2,
        needles=(("key material", 80), ("plaintext update", 192)),
        least_bits=80.0,
        looked=(Looked("coordinator", 1, 2, 80 << 20, 1 << 20), Looked("auditor", 2, 2, 70 << 20, 1 << 20)),
        hits=(),
        inputs=((COORDINATOR, examine(small_result.transcript, COORDINATOR)),),
        handed=None,
        uniform=compare(*rows_of(small_result.transcript), 1e-9),
        guessing=Guessing(100, 52, 0.38),
        controls=(Control("key given", "a coordinator that was given a secret key", True, "found in [heap]"),),
        seconds=3.0,
    )


def test_without_ray_it_says_what_it_needs_and_what_it_would_not_prove(app):
    at = run_on(app, "guarantees")
    said = " ".join(element.value for element in (*at.markdown, *at.caption, *at.header))
    assert "Can you prove that the server learns nothing?" in said
    assert "processes of their own" in said and "What this does not prove" in said
    assert not any(button.key == "blind-look" for button in at.button)


def test_it_says_what_was_found(app, clean):
    hit = Hit(1, "plaintext update", "client-1, round 1", "[heap]")
    blind = replace(clean.controls[0], found=False, evidence="not found")
    for found, verdict in (
        (clean, "nothing found, by a test that finds"),
        (replace(clean, hits=(hit,)), "the server can see something"),
        (replace(clean, controls=(blind,)), "the test is blind itself"),
    ):
        app.session_state["blind:full"] = found
        at = run_on(app, "guarantees")
        assert any(verdict in element.value for element in at.markdown), verdict
        shown = {metric.label: metric.value for metric in at.metric}
        assert shown["needles searched"] == "272" and shown["memory read"] == "150 MiB"
        assert shown["found"] == str(len(found.findings))
        assert shown["planted and found"] == f"{found.controls_found} of 1"
        assert any("client-1, round 1" in error.value for error in at.error) == bool(found.hits)
