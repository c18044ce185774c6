"""Findings of the claims ledger on a run, one line each."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from hefl_core.runtime.result import ClaimVerdict, Finding
from pages.parts.quoting import quoted

_SIGNS = {
    ClaimVerdict.HOLDS: ("green", "check"),
    ClaimVerdict.FAILS: ("red", "close"),
    ClaimVerdict.NOT_CHECKED: ("gray", "question_mark"),
}


def list_findings(findings: Iterable[Finding]) -> None:
    """Verdict, claim and evidence of each."""
    for finding in findings:
        colour, icon = _SIGNS[finding.verdict]
        st.markdown(f":{colour}-badge[:material/{icon}: {finding.id}] {quoted(finding.evidence)}")
