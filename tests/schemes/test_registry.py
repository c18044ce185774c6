"""Opening a scheme: one object per preset, and only the library that it needs."""

import subprocess
import sys

import pytest

from hefl_core.errors import ParameterError
from hefl_core.schemes.presets import PRESETS
from hefl_core.schemes.registry import load_presets, open_scheme


def test_every_preset_is_listed():
    assert [preset.name for preset in load_presets()] == list(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_scheme_is_opened_once(name):
    scheme = open_scheme(name)
    assert scheme.preset is PRESETS[name] and open_scheme(name) is scheme


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ParameterError, match="expected one of plaintext"):
        open_scheme("rot13")


def test_the_registry_imports_no_family_before_it_is_needed():
    code = (
        "import sys; from hefl_core.schemes import registry; registry.load_presets(); "
        "assert not {'phe', 'hefl_core.schemes.ring.bfv', 'hefl_core.schemes.paillier.scheme'} & set(sys.modules); "
        "registry.open_scheme('plaintext'); assert 'hefl_core.schemes.ring.bfv' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
