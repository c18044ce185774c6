"""Which ciphertexts of an opened sum are looked at: no holder can know it when it answers."""

from types import SimpleNamespace

from hefl_core.federation.holder import MOST_NOISE_BLOCKS, Holder
from hefl_core.schemes.presets import PRESETS
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import threshold
from hefl_core.wire.envelope import Position


def drawn(monkeypatch, blocks):
    monkeypatch.setattr(threshold, "opened_noise", lambda preset, ring, total, parts, chosen: chosen)
    holder = SimpleNamespace(
        scheme=SimpleNamespace(preset=PRESETS["bfv-threshold"]),
        enrolment=SimpleNamespace(record=SimpleNamespace(quorum=Quorum(3, 5))),
        sum_at=lambda position: SimpleNamespace(total=SimpleNamespace(blocks=range(blocks))),
        _partials=lambda position: [],
    )
    return Holder.opened_noise(holder, Position(1, 1))


def test_of_many_ciphertexts_some_are_drawn_after_the_answers(monkeypatch):
    """Ten draws of 16 out of 64 are alike with a chance below 10^-120, and none is the first 16."""
    found = [tuple(drawn(monkeypatch, 64)) for _ in range(10)]
    assert all(len(set(one)) == MOST_NOISE_BLOCKS and 0 <= min(one) and max(one) < 64 for one in found)
    assert len(set(found)) == 10 and tuple(range(MOST_NOISE_BLOCKS)) not in found


def test_of_few_ciphertexts_all_are_looked_at(monkeypatch):
    assert drawn(monkeypatch, 5) == [0, 1, 2, 3, 4]
