"""What the KMS and the coordinator can do together: one list for screens, docs and the ledger.

Together they sign and relay all that a party learns of the others. The list says what stops them where, and what nothing stops.
"""

from __future__ import annotations

from typing import Final

KMS_AND_COORDINATOR: Final[tuple[str, ...]] = (
    "With a dealt key, individual or t of n: a KMS that keeps the key it dealt opens every update with the coordinator's bytes, "
    "and both can change a sum so that its tag still fits; the auditor's re-adding shows that.",
    "Where no kit was compared (one process, Ray, or strict mode without comparing its fingerprint): they invent the auditor "
    "and all clients but one, and open that client's updates, whatever the custody. The roster's fingerprint, compared with the "
    "other parties by another way, shows it.",
    "Without a dealer and with a compared kit: they open no update and forge no tag, unless a client deviates with them. They can "
    "leave clients out, as revoked or as without a sealing key, down to min_cohort; the sums are then over fewer clients, whom the "
    "roster names.",
    "Without a dealer and with a compared kit: they can show parties different rosters of one epoch. The auditor follows one of "
    "them, so only its clients' sums are confirmed; the others stand still.",
    "In every case: they delay rounds and keys, end the run, and see who takes part, when, and with how many bytes.",
)
"""What the two can do together, in the order of what stops it."""
