"""Federated learning under homomorphic encryption, to see, step through and check."""

from __future__ import annotations

import importlib
from typing import Any

from hefl_core import dumps as _dumps

_dumps.switch_off()

import tenseal as _tenseal  # noqa: E402, F401  before TensorFlow: the other order makes serialisation crash

__version__ = "0.2.0"

_HOME = {
    "CiphertextVector": "hefl_core.schemes.base",
    "Experiment": "hefl_core.terms.experiment",
    "Quorum": "hefl_core.schemes.quorum",
    "Transcript": "hefl_core.federation.record.transcript",
    "open_scheme": "hefl_core.schemes.registry",
    "run_experiment": "hefl_core.runtime.launch",
}
__all__ = ["CiphertextVector", "Experiment", "Quorum", "Transcript", "open_scheme", "run_experiment"]


def __getattr__(name: str) -> Any:
    """Load the public names on first use, so that ``import hefl_core`` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'hefl_core' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
