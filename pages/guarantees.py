"""Guarantees: every promised sentence, its check, and what this session's run says."""

from pages.parts import ledger

ledger.page()
