"""What the JavaScript of an evidence file cannot know by itself: the protocol's table, limits, and the preset's numbers.

They are written as JSON from the Python that uses them, so that no number stands in two places.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hefl_core.federation.outside import MAX_REASON, Whereabouts, reason
from hefl_core.federation.record.protocol_table import TABLE
from hefl_core.federation.record.transcript import MAX_LINE_BYTES
from hefl_core.keys.sealing import EARLIER_WRAPPED_BYTES, WRAPPED_BYTES
from hefl_core.schemes.presets import (
    PRESETS,
    BFVPreset,
    CKKSPreset,
    PaillierPreset,
    PlaintextPreset,
    Preset,
)
from hefl_core.schemes.registry import block_count, fresh_nbytes, opened_count, partial_nbytes
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.messages import LACKED, MAX_ATTEMPTS, lacking
from hefl_core.wire.envelope import Position
from hefl_core.wire.limits import MAX_HEADER_BYTES, MAX_MESSAGE_BYTES

LABELLED: Final = 128
"""The head-room that a preset without a limit of its own allows."""


def terms_of(manifest: Manifest) -> dict[str, Any]:
    """Everything for this run, ready for JSON; bytes as {"$hex": digits}."""
    experiment, d = manifest.experiment, manifest.parameters
    preset, bound = experiment.preset, experiment.declared_bound
    collective = experiment.quorum.collective
    return {
        "rows": [_row(row) for row in TABLE],
        "limits": {
            "line": MAX_LINE_BYTES,
            "header": MAX_HEADER_BYTES,
            "message": MAX_MESSAGE_BYTES,
            "attempts": MAX_ATTEMPTS,
            "reason": MAX_REASON,
            "wrapped": WRAPPED_BYTES,
            "wrapped_before": EARLIER_WRAPPED_BYTES,
        },
        "lacked": LACKED,
        "lacking": reason(lacking("client-1"), Whereabouts("client-1", "upload", Position(1, 1), experiment.clients)),
        "schemes": list(PRESETS),
        "scheme": experiment.scheme,
        "preset": preset.name,
        "family": preset.family,
        "preset_digest": _hex(preset.digest),
        "tagged": preset.tagged,
        "bound": None if bound is None else float(bound),
        "max_terms": getattr(preset, "max_terms", LABELLED),
        "blocks": block_count(preset, d),
        "opened": opened_count(preset, d),
        "fresh": [list(sizes) for sizes in fresh_nbytes(preset, d, experiment.quorum)],
        "partial": partial_nbytes(preset) if collective else 0,
        "sample": None,
        **_form(preset),
    }


def _row(row: Any) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "sender": row.sender,
        "receivers": list(row.receivers),
        "when": row.when.value,
        "after": list(row.after),
        "after_all": row.after_all,
        "to_each": row.to_each,
        "sealed": row.sealed,
        "names": list(row.names),
        "body": None if row.body is None else row.body.__name__,
        "under": row.under.value,
        "kept": row.kept,
        "most_bytes": row.most_bytes,
    }


def _form(preset: Preset) -> dict[str, Any]:
    """How the ciphertexts of a preset are added; ``form`` None where that takes SEAL itself, or a one-time key's body."""
    if isinstance(preset, PlaintextPreset):
        return {"form": "plain"}
    if isinstance(preset, PaillierPreset):
        return {"form": "paillier", "modulus_bits": preset.modulus_bits}
    if isinstance(preset, BFVPreset | CKKSPreset) and not (preset.seeded or preset.compressed):
        return {"form": "residues", **_ring(preset)}
    return {"form": None}


def _ring(preset: BFVPreset | CKKSPreset) -> dict[str, Any]:
    from hefl_core.schemes.ring import blocks, rlwe, seal

    ring = seal.open_ring(preset)
    primes = rlwe.data_primes(ring)
    zeros = np.zeros((2, len(primes), ring.degree), dtype=np.uint64)
    prefix = blocks.write(preset, ring, zeros)[: -zeros.nbytes]
    return {"degree": ring.degree, "primes": [str(prime) for prime in primes], "prefix": _hex(prefix)}


def _hex(raw: bytes) -> dict[str, str]:
    return {"$hex": raw.hex()}
