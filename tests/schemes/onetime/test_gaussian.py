"""The sampler of one-time keys: the table is exact, and the operating system is its only source."""

import math

import numpy as np
import pytest

from hefl_core.schemes.onetime import gaussian as module
from hefl_core.schemes.onetime.gaussian import PRECISION_BITS, gaussian
from hefl_core.schemes.presets import PRESETS

ONETIME = PRESETS["onetime"]
TABLES = [
    gaussian(ONETIME.secret_std, ONETIME.secret_limit),
    gaussian(ONETIME.error_std, ONETIME.error_limit),
]
DRAWN = 200_000


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.std:.2f}")
def test_the_table_is_the_distribution(table):
    found = np.diff([0, *table.cumulative, 1 << PRECISION_BITS])
    weights = [math.exp(-(x**2) / (2 * table.std**2)) for x in range(-table.limit, table.limit + 1)]
    whole = math.fsum(weights)
    for mass, weight in zip(found, weights, strict=True):
        # Rounding down of two entries: one unit of 2^-128, and float64's own error beside it.
        assert abs(mass - weight / whole * 2.0**128) <= 1 + weight / whole * 2.0**128 * 1e-12
    tail = math.erfc((table.limit + 0.5) / table.std / math.sqrt(2))
    assert tail < 2.0**-120


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.std:.2f}")
def test_draws_have_its_width_and_its_limits(table):
    drawn = table.draw(DRAWN)
    assert drawn.dtype == np.int64 and np.abs(drawn).max() <= table.limit
    # 7 standard deviations of the mean and of the mean square: less than 1e-10 together.
    assert abs(drawn.mean()) < 7 * table.std / math.sqrt(DRAWN)
    room = 7 * math.sqrt(2 / DRAWN)
    assert abs(np.mean(drawn**2) / table.std**2 - 1) < room
    assert abs(np.mean(gaussian(4.0, 60).draw(DRAWN) ** 2) / table.std**2 - 1) > room  # the control: another width


def source_of(*answers):
    """An operating system that gives these bytes, one after the other."""
    left = list(answers)
    return lambda count: left.pop(0)


def test_every_bit_comes_from_the_operating_system(monkeypatch):
    table = TABLES[0]
    words = np.array([0, 1 << 63, (1 << 64) - 1], dtype="<u8")
    asked = []
    monkeypatch.setattr(module.os, "urandom", lambda count: asked.append(count) or words.tobytes()[:count])
    first, second = table.draw(3), table.draw(3)
    assert first.tolist() == second.tolist() and first[1] in (0, 1)
    assert asked[0] == 24


def test_a_word_at_an_entry_is_settled_by_its_lower_half(monkeypatch):
    table = TABLES[0]
    place = table.limit  # the entry of 0 and below
    entry = table.cumulative[place]
    upper, lower = (entry >> 64).to_bytes(8, "little"), entry & ((1 << 64) - 1)
    for less, expected in ((0, 1), (1, 0)):
        monkeypatch.setattr(module.os, "urandom", source_of(upper, (lower - less).to_bytes(8, "little")))
        assert table.draw(1).tolist() == [expected]


def test_a_seed_changes_nothing():
    np.random.seed(1)
    first = TABLES[0].draw(64)
    np.random.seed(1)
    assert not np.array_equal(first, TABLES[0].draw(64))  # equal by chance with less than 2^-200
