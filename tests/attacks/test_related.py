"""An old upload mixed into one's own: read word for word under one key, and nothing under a new one."""

import json

import pytest
from typer.testing import CliRunner

from hefl_core.attacks.catalogue import run
from hefl_core.attacks.lab import COALITION
from hefl_core.attacks.methods import related_ciphertexts
from hefl_core.cli.main import app
from hefl_core.errors import ParameterError


@pytest.mark.parametrize("scheme", ["bfv-threshold", "bfv-threshold-classroom", "INSECURE_bfv-threshold-1024"])
def test_under_one_key_every_word_is_read_and_under_a_new_one_none(scheme):
    found, stopped = run("related", scheme=scheme), run("related", scheme=scheme, epoch_rounds=1)
    assert found.seat == COALITION and found.trials > 300
    assert found.value == 1 and found.low > 0.98 and found.prior < 0.05 and found.array("read").all()
    assert stopped.value == 0 and "IntegrityError: noise of block 1" in stopped.note


def test_the_words_are_the_victims_and_nobody_elses():
    view, truth = related_ciphertexts.stage("INSECURE_bfv-threshold-1024")
    assert related_ciphertexts.recovered(related_ciphertexts.open_mixture(view), truth) == 1
    _, other = related_ciphertexts.stage("INSECURE_bfv-threshold-1024", seed=8)
    assert related_ciphertexts.recovered(related_ciphertexts.open_mixture(view), other) < 0.05, (
        "the control: other words are told apart"
    )


def test_the_view_holds_no_key():
    view, _ = related_ciphertexts.stage("INSECURE_bfv-threshold-1024")
    assert view.keys == () and {message.kind for message in view.messages} == {"update", "total", "partial"}


@pytest.mark.parametrize("scheme", ["bfv-lean", "ckks-threshold", "paillier-packed"])
def test_other_schemes_are_refused_by_name(scheme):
    with pytest.raises(ParameterError, match="expected a BFV preset that is held together"):
        related_ciphertexts.stage(scheme)


def test_the_command_has_the_remedy_as_a_switch():
    def told(*args):
        found = CliRunner().invoke(app, ["attack", "related", *args, "--json", "-"], standalone_mode=False)
        return json.loads(found.stdout)[0]

    assert told()["value"] == 1 and told("--epoch-rounds", "1")["value"] == 0
