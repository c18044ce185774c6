"""Claims of the ledger in plain words, for a board: the precise sentence and its evidence stand behind them."""

from __future__ import annotations

from pages.parts.i18n import _

FIVE = ("coordinator-blind", "shares-sealed", "epochs-apart", "equals-fedavg", "sums-confirmed")
"""The claims that a board asks for, in the order of its questions."""


def plain_sentences() -> dict[str, str]:
    """By claim: one sentence without symbols."""
    return {
        "coordinator-blind": _(
            "In all that was searched, the server got no hospital's update, and nothing that opens without a key."
        ),
        "shares-sealed": _(
            "The secret key stays with the hospitals: each share of it travels sealed, to one hospital."
        ),
        "epochs-apart": _("A stolen key opens only the rounds of its own period (key epoch)."),
        "equals-fedavg": _("The hospitals get the same average as without encryption, up to a stated rounding."),
        "sums-confirmed": _(
            "An honest auditor adds the encrypted updates again: a server that changes the sum on its own is noticed."
        ),
        "scheme-security": _("Whoever lacks the key cannot tell what a ciphertext holds: a mathematical assumption."),
    }
