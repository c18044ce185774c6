import pytest

from hefl_core.schemes.presets import load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring.bfv import BFVScheme
from tests.classroom import javascript


@pytest.fixture(scope="module")
def js(tmp_path_factory):
    """The phone's modules, in Node or Chromium."""
    yield from javascript.started(tmp_path_factory.mktemp("phone"))


class Held:
    """A key under one preset, dealt 3 of 5 where the preset can be, and what phones get of it."""

    def __init__(self, name):
        from hefl_core.classroom import bridge

        self.preset = load_preset(name)
        self.scheme = BFVScheme(self.preset)
        self.quorum = Quorum(3, 5) if self.preset.collective else Quorum(1, 5)
        self.key, self.shares = self.scheme.keygen(self.quorum)
        self.phone = bridge.phone_key(self.key, self.preset)
        self.given = {"parameters": self.phone.parameters.decode(), "raw": self.phone.raw}

    def upload(self, raw, *, length=1, integers=3, bound=1.0, max_terms=40):
        from hefl_core.classroom import bridge

        how = {"length": length, "integers": integers, "tagged": False, "bound": bound, "max_terms": max_terms}
        return bridge.upload(raw, self.key, self.preset, **how)


@pytest.fixture(scope="session")
def held():
    """Keys by preset, each made once."""
    made = {}

    def of(name):
        return made.setdefault(name, made.get(name) or Held(name))

    return of
