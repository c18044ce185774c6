"""Largest sizes of messages, checked on the length alone before anything is parsed."""

from __future__ import annotations

MIB = 1 << 20
MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 512 * MIB
"""Room for one million parameters in the least compact preset (paillier-naive: 515 bytes each), and for hardly more."""
MAX_MESSAGE_BYTES = 64 * MIB
"""Control messages: plans (which carry θ_0), rosters, lists, confirmations."""
