"""A synthetic table of card payments, some of them fraudulent: the banks' story without real payments."""

from __future__ import annotations

import numpy as np

from hefl_core.learning.base import RawTable

CREDIT_ROWS = 6000
CREDIT_CLASSES = ("honest", "fraud")
CREDIT_FEATURES = (
    "amount",
    "hour of day",
    "distance from home",
    "minutes since last payment",
    "payments in 24 h",
    "failed PINs in a week",
    "account age",
    "new device",
    "abroad",
    "online",
    "merchant risk",
    "share of credit limit used",
)
_SEED = 4_711
_FRAUD_SHARE = 0.05


def credit_table() -> RawTable:
    """Card payments and whether each is fraud, the same at every call.

    Fraud is rare (about one payment in twenty, far more than in real life, so that a few thousand rows suffice) and
    follows from a score with one interaction (a large amount on a new device) and some noise: learnable, not separable.

    Shapes: rows (6000, 12), labels (6000,).
    Units: euros, hours 0-24, kilometres, minutes, days for the account's age; the rest counts, yes/no and shares 0-1.
    """
    draw = np.random.Generator(np.random.PCG64(_SEED))
    n = CREDIT_ROWS
    amount = draw.lognormal(3.6, 1.0, n)
    hour = np.mod(draw.normal(14.5, 4.5, n), 24)
    distance = draw.lognormal(1.5, 1.4, n)
    since_last = draw.lognormal(6.0, 1.5, n)
    payments = draw.poisson(2.5, n).astype(np.float64)
    failed = draw.poisson(0.2, n).astype(np.float64)
    age = draw.uniform(20, 4000, n)
    new_device, abroad, online = (draw.random(n) < share for share in (0.10, 0.08, 0.45))
    risk = draw.beta(2, 6, n)
    used = draw.beta(2, 4, n)
    score = (
        0.8 * (np.log(amount) - 3.6)
        + 0.5 * (np.log(distance) - 1.5)
        - 0.5 * (np.log(since_last) - 6.0)
        + 0.3 * (payments - 2.5)
        + 1.2 * failed
        - 0.0004 * age
        + 1.8 * new_device
        + 1.5 * abroad
        + 0.4 * online
        + 4.0 * risk
        + 1.5 * used
        + 1.2 * new_device * (np.log(amount) - 3.6)
        + 0.9 * (hour < 6)
        + draw.logistic(0.0, 0.35, n)
    )
    labels = (score > np.quantile(score, 1 - _FRAUD_SHARE)).astype(np.int64)
    columns = (
        amount.round(2), hour.round(1), distance.round(1), since_last.round(1), payments, failed, age.round(),
        new_device, abroad, online, risk.round(3), used.round(3),
    )  # fmt: skip
    rows = np.column_stack([np.asarray(column, np.float64) for column in columns])
    return RawTable("credit", CREDIT_FEATURES, rows, labels, CREDIT_CLASSES)
