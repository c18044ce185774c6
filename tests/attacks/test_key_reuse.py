"""A one-time key used twice: the coordinator reads the difference; under two keys it reads nothing, and the client refuses."""

import numpy as np
import pytest

from hefl_core.attacks.catalogue import run
from hefl_core.attacks.methods import key_reuse
from hefl_core.errors import ParameterError


@pytest.mark.parametrize("scheme", ["onetime", "INSECURE_onetime-1024"])
def test_used_twice_it_gives_the_difference_of_two_updates(scheme):
    found = run("key-reuse", scheme=scheme)
    assert found.value == 1.0 and found.scheme == scheme
    assert found.prior < 0.1  # two keys, read in the same way: words of 48 bits are not met by chance
    assert "the shipped client refuses: RoundError" in found.note and "used twice" in found.note
    assert found.array("read").all()


def test_under_two_keys_nothing_is_read():
    view, truth = key_reuse.stage("INSECURE_onetime-1024", reused=False)
    assert key_reuse.recovered(key_reuse.read_difference(view), truth) == 0.0
    view, truth = key_reuse.stage("INSECURE_onetime-1024")
    assert np.array_equal(key_reuse.read_difference(view), truth.difference)


def test_other_schemes_have_no_one_time_keys():
    assert run("key-reuse", scheme="bfv-lean").scheme == "onetime"
    with pytest.raises(ParameterError, match="one-time keys"):
        key_reuse.stage("bfv-lean")


@pytest.mark.parametrize(("threshold", "value"), [(1, 0.8), (3, 0.4)])
def test_what_a_coalition_opens_is_what_its_custody_says(threshold, value):
    """Individually one client and the coordinator open everything, as under every scheme; together t clients."""
    assert run("collusion", scheme="onetime", threshold=threshold).value == value
