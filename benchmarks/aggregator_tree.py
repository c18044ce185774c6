"""A tree of Ray aggregators: each adds a few ciphertext vectors with the public key alone and hands its sum up.

One aggregator reads and adds K vectors one after another. A tree of fan-in f does it in log_f K steps, many at a time, but every
inner node writes and reads one vector more: it pays only with cores or machines to spread over (docs/scale.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from hefl_core.errors import ParameterError
from hefl_core.runtime.ray.cluster import CLUSTER, ray
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.registry import open_scheme


def add_all(key: bytes, *vectors: bytes) -> bytes:
    """What one aggregator does: a running sum of canonical bytes. Leaks: nothing, it holds ciphertext and a public key.

    Raises: KeyMismatch, WireError, EncodingError as :meth:`Scheme.add`; WireError for bytes that are no vector.
    """
    public = PublicKey.from_bytes(key)
    running = open_scheme(public.id.preset).accumulator(public)
    for vector in vectors:
        running.add(CiphertextVector.from_bytes(vector))
    return running.total().to_bytes()


def tree_sum(key: PublicKey, vectors: Sequence[CiphertextVector | ray.ObjectRef], fan_in: int) -> CiphertextVector:
    """⊞ over all vectors by aggregators of ``fan_in`` inputs each; ``fan_in`` ≥ their number: one aggregator.

    ``vectors`` may lie in the object store already, as canonical bytes. Needs a running Ray (:data:`CLUSTER`).

    Raises: ParameterError for no vectors or a fan-in under 2; KeyMismatch, WireError, EncodingError from an aggregator.
    """
    if fan_in < 2 or not vectors:
        raise ParameterError(f"tree: expected vectors and a fan-in of at least 2, found {len(vectors)} and {fan_in}")
    CLUSTER.wait()
    work = ray.remote(add_all)
    public = ray.put(key.to_bytes())
    level = [ray.put(one.to_bytes()) if isinstance(one, CiphertextVector) else one for one in vectors]
    while True:
        parts = [level[at : at + fan_in] for at in range(0, len(level), fan_in)]
        level = [work.remote(public, *part) if len(part) > 1 or len(parts) == 1 else part[0] for part in parts]
        if len(level) == 1:
            try:
                return CiphertextVector.from_bytes(ray.get(level[0]))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
