"""What shared keys cost, in bytes and CPU, against a key that each client holds alone."""

import pytest

from hefl_core.measure import costs
from hefl_core.measure.sizes import round_bytes
from hefl_core.terms.experiment import Experiment


@pytest.mark.parametrize("chosen", [{"scheme": "bfv-lean"}, {"scheme": "bfv-threshold", "custody": "2-of-5"}])
def test_both_sides_are_forecasts_of_real_experiments(chosen):
    found = costs.shared_keys(Experiment(dataset="breast_cancer", clients=5, **chosen), 1058)
    assert (found.alone.scheme, found.alone.custody) == ("bfv-lean", "individual")
    assert (found.together.scheme, found.together.custody, found.threshold) == ("bfv-threshold", "2-of-5", 2)
    sizes = [
        round_bytes(Experiment(dataset="breast_cancer", clients=5, scheme=one, custody=held), 1058).up
        for one, held in (("bfv-threshold", "2-of-5"), ("bfv-lean", "individual"))
    ]
    assert found.upload == sizes[0] / sizes[1] > 1
    assert found.cpu > 1


def test_a_scheme_without_keys_has_none_to_share():
    assert costs.shared_keys(Experiment(dataset="breast_cancer", clients=5, scheme="plaintext"), 1058) is None
