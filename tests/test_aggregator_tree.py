"""A tree of aggregators gives the very sum of one, and refuses what one refuses."""

import numpy as np
import pytest

from benchmarks.aggregator_tree import add_all, tree_sum
from hefl_core.errors import HeflError, KeyMismatch, ParameterError
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]
SCHEME = open_scheme("bfv-lean")
KEY, SHARES = SCHEME.keygen(Quorum(1, 9))
ROWS = np.random.default_rng(1).uniform(-0.2, 0.2, (9, 50))


def vectors(key=KEY):
    return [SCHEME.encrypt(key, row, max_terms=16, integers=(1,)) for row in ROWS]


@pytest.mark.parametrize("fan_in", [2, 4, 8, 100])
def test_the_tree_gives_the_bytes_of_one_aggregator(fan_in):
    made = vectors()
    total = tree_sum(KEY, made, fan_in)
    assert total.to_bytes() == add_all(KEY.to_bytes(), *(vector.to_bytes() for vector in made))
    assert total.terms == 9
    opened = SCHEME.open(KEY, total, [SCHEME.partial_decrypt(SHARES[0], total, (1,))])
    np.testing.assert_allclose(opened.values, ROWS.sum(axis=0), atol=1e-4)
    assert opened.integers == (9,)


def test_a_ciphertext_of_another_key_is_refused_somewhere_in_the_tree():
    other, _ = SCHEME.keygen(Quorum(1, 9))
    with pytest.raises(KeyMismatch):
        tree_sum(KEY, [*vectors(), SCHEME.encrypt(other, ROWS[0], max_terms=16, integers=(1,))], 3)


def test_more_terms_than_the_head_room_are_refused():
    many = [SCHEME.encrypt(KEY, ROWS[0], max_terms=8, integers=(1,)) for _ in range(9)]
    with pytest.raises(HeflError, match="head-room"):
        tree_sum(KEY, many, 4)


@pytest.mark.parametrize(("count", "fan_in"), [(0, 4), (9, 1)])
def test_nothing_to_add_or_a_tree_that_never_ends_is_refused(count, fan_in):
    with pytest.raises(ParameterError, match="fan-in"):
        tree_sum(KEY, vectors()[:count], fan_in)
