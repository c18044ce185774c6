"""CKKS as in TenSEAL's own tutorial: load bytes, decrypt, no check in between. The control for damaged bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tenseal as ts

DEGREE = 8192
PRIME_BITS = [60, 40, 40, 60]
SCALE = 2.0**40
REFUSALS = (RuntimeError, ValueError, IndexError, MemoryError, TypeError, OverflowError)
"""What TenSEAL raises when it rejects bytes. Source: its bindings pass C++ exceptions on."""


class BareTenseal:
    """A context with its secret key, without any of this package's protection."""

    def __init__(self) -> None:
        self._context = ts.context(ts.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=PRIME_BITS, n_threads=1)
        self._context.global_scale = SCALE

    def encrypt(self, x: npt.NDArray[np.float64]) -> bytes:
        """A serialised ``ckks_vector``. Shapes: (d,), d at most 4,096."""
        return bytes(ts.ckks_vector(self._context, x.tolist()).serialize())

    def decrypt(self, data: bytes) -> npt.NDArray[np.float64]:
        """Whatever TenSEAL makes of the bytes. Raises: one of ``REFUSALS``, when it does."""
        return np.array(ts.ckks_vector_from(self._context, data).decrypt(), dtype=np.float64)
