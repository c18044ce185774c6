"""Guarantees: every promised sentence, its check, and its result on this session's run.

The ledger of claims with this run's findings, planted faults, and what is not promised.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from hefl_core.checks.claims.claim import Claim
from hefl_core.checks.claims.ledger import LEDGER, NOT_PROMISED
from hefl_core.runtime.result import ClaimVerdict, Finding, RunResult
from pages.parts import blindness_panel, frame, predictions, run_progress
from pages.parts.i18n import _
from pages.parts.quoting import quoted

LEGAL = Path(__file__).parents[1] / "docs" / "legal.md"


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Guarantees"), anchor=False)
    st.write(
        _(
            "Every sentence below has a check that ran on this session's run, or a source. Plant a fault and watch it fail. "
            "A check that lacks what it needs says so: it is neither green nor red."
        )
    )
    predictions.section("guarantees")
    run_progress.ensure_run()
    result = frame.session().result
    if result is not None:
        run_progress.where(frame.session())
    blindness_panel.section()
    result = frame.session().result  # read again: the panel may have added a blindness test
    findings = {finding.id: finding for finding in result.claims} if result else {}
    for claim in LEDGER:
        _row(claim, findings.get(claim.id), result)
    st.subheader(_("Not promised"), anchor=False)
    for sentence in NOT_PROMISED:
        st.markdown(f":orange-badge[:material/gpp_maybe: {_('not promised')}] {_(sentence)}")
    with st.expander(_("What this means under GDPR and HIPAA, and what it does not")):
        st.markdown(LEGAL.read_text(encoding="utf-8"))


def _row(claim: Claim, finding: Finding | None, result: RunResult | None) -> None:
    with st.container(border=True, key=f"claim-{claim.id}"):
        planted: Finding | None = st.session_state.get(f"planted:{claim.id}")
        left, right = st.columns([84, 16], vertical_alignment="center")
        left.markdown(f"{_badge(claim, planted or finding, result)} **{_(claim.sentence)}**")
        shown = planted or finding
        seat = _("seen from: {seat}").format(seat=claim.seat)
        left.caption(f"`{claim.id}` · {seat} · {claim.source}" + (f"  \n{quoted(shown.evidence)}" if shown else ""))
        if planted is not None:
            right.button(_("Take it back"), on_click=_take_back, args=(claim,), key=f"plant-{claim.id}")
        elif finding is not None and result is not None and finding.verdict is not ClaimVerdict.NOT_CHECKED:
            for number, control in enumerate(claim.controls):
                right.button(
                    _("Plant fault {number}").format(number=number + 1),
                    on_click=_plant,
                    args=(claim, result, number),
                    key=f"plant-{claim.id}" + (f"-{number + 1}" if number else ""),
                    help=control.__doc__,
                )


def _badge(claim: Claim, finding: Finding | None, result: RunResult | None) -> str:
    if claim.kind == "argued":
        return f":gray-badge[:material/menu_book: {_('argued')}]"
    if finding is not None:
        return {
            ClaimVerdict.HOLDS: f":green-badge[:material/check: {_('executed: holds')}]",
            ClaimVerdict.FAILS: f":red-badge[:material/close: {_('executed: FAILS')}]",
            ClaimVerdict.NOT_CHECKED: f":gray-badge[:material/question_mark: {_('not checked')}]",
        }[finding.verdict]
    if result is not None:
        return f":gray-badge[{_('executed: does not speak of this run')}]"
    return f":gray-badge[{_('executed: not run yet')}]"


def _plant(claim: Claim, result: RunResult, number: int) -> None:
    st.session_state[f"planted:{claim.id}"] = claim.examine(claim.controls[number](result))


def _take_back(claim: Claim) -> None:
    st.session_state.pop(f"planted:{claim.id}", None)


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
