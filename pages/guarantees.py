"""Guarantees: every promised sentence, its check, and its result on this session's run.

The ledger of claims with this run's findings, planted faults, and what is not promised.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from hefl_core.checks.claims.claim import Claim
from hefl_core.checks.claims.count import count
from hefl_core.checks.claims.ledger import LEDGER, NOT_PROMISED
from hefl_core.runtime.result import ClaimVerdict, Finding, RunResult
from pages.parts import blindness_panel, frame, predictions, run_progress
from pages.parts.i18n import _
from pages.parts.plain_claims import FIVE, plain_sentences
from pages.parts.quoting import quoted

LEGAL = Path(__file__).parents[1] / "docs" / "legal.md"


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Guarantees"), anchor=False)
    st.markdown(
        _(
            "What is promised, and what was checked? Each sentence has a badge. Plant a fault and watch its check fail: a check "
            "that cannot fail shows nothing."
        )
    )
    st.markdown(
        _(
            "*executed: holds*: a check ran on this session's run and found no fault · *executed: FAILS*: it found one · *argued*: "
            "rests on the named source, no check can show it · *nothing to check in this run*: the "
            "run has not what the sentence is about (shared keys, several key epochs, a search of the memory) · *not checked*: the "
            "run lacks what the check needs; neither green nor red."
        )
    )
    predictions.section("guarantees")
    run_progress.ensure_run()
    session = frame.session()
    if session.result is not None:
        run_progress.where(session)
    first = [claim for name in FIVE for claim in LEDGER if claim.id == name]
    others = [claim for claim in LEDGER if claim.id not in FIVE]
    _rows(first, session.result)
    _answer(session.result)
    st.markdown(
        _(
            "**Is a ciphertext personal data?** For whoever holds a key, yes; for the server, which has none, it can still be: "
            "treat it as personal data. Encryption is not anonymisation (GDPR, the European data protection regulation, Art. 4(5) "
            "and Recital 26; more at the end of this page and in docs/legal.md)."
        )
    )
    blindness_panel.section()
    # the panel may have added a blindness test to the session's result
    if frame.audience() == "stakeholder":
        with st.expander(_("The other {n} sentences, in their precise words").format(n=len(others))):
            _rows(others, session.result)
    else:
        st.header(_("The other {n} sentences").format(n=len(others)), anchor=False)
        _rows(others, session.result)
    st.header(_("Not promised"), anchor=False)
    for sentence in NOT_PROMISED:
        st.markdown(f":orange-badge[:material/gpp_maybe: {_('not promised')}] {_(sentence)}")
    with st.expander(_("What this means under GDPR and HIPAA, and what it does not")):
        st.markdown(LEGAL.read_text(encoding="utf-8"))


def _rows(claims: list[Claim[RunResult]], result: RunResult | None) -> None:
    findings = {finding.id: finding for finding in result.claims} if result else {}
    for claim in claims:
        _row(claim, findings.get(claim.id), result)


def _planted(claim: Claim[RunResult]) -> Finding | None:
    """What the check says of this session's run with the fault that the visitor planted."""
    return st.session_state.get(f"planted:{claim.id}")


def _answer(result: RunResult | None) -> None:
    """How many sentences hold on this run, planted faults included."""
    if result is None:
        return
    findings = {finding.id: finding for finding in result.claims}
    findings |= {claim.id: planted for claim in LEDGER if (planted := _planted(claim)) is not None}
    found = count(LEDGER, findings.values())
    st.markdown(
        _(
            "**Answer:** of {all} sentences {holds} hold on this run, {fails} fail, {silent} were not checked or had "
            "nothing to check in it, {argued} are argued."
        ).format(all=len(LEDGER), holds=found.holds, fails=found.fails, silent=found.silent, argued=found.argued)
    )


def _row(claim: Claim[RunResult], finding: Finding | None, result: RunResult | None) -> None:
    with st.container(border=True, key=f"claim-{claim.id}"):
        planted = _planted(claim)
        plain = plain_sentences().get(claim.id)
        st.markdown(f"{_badge(claim, planted or finding, result)} **{plain or _(claim.sentence)}**")
        shown = planted or finding
        seat = _("seen from: {seat}").format(seat=claim.seat)
        said = f"`{claim.id}` · {seat} · {claim.source}" + (f"  \n{quoted(shown.evidence)}" if shown else "")
        board = frame.audience() == "stakeholder"
        if board:
            with st.expander(_("Precise words and evidence")):
                st.markdown(f"{_(claim.sentence)}  \n{said}")
        else:
            st.caption(f"{_(claim.sentence)}  \n{said}" if plain else said)
        with st.container(horizontal=True, gap="small"):
            if planted is not None:
                st.button(_("Take it back"), on_click=_take_back, args=(claim,), key=f"plant-{claim.id}")
            elif finding is not None and result is not None and finding.verdict is not ClaimVerdict.NOT_CHECKED:
                for number, control in enumerate(claim.controls[: 1 if board else None]):
                    st.button(
                        _("Plant a fault") if board else _("Plant fault {number}").format(number=number + 1),
                        on_click=_plant,
                        args=(claim, result, number),
                        key=f"plant-{claim.id}" + (f"-{number + 1}" if number else ""),
                        help=control.__doc__,
                    )


def _badge(claim: Claim[RunResult], finding: Finding | None, result: RunResult | None) -> str:
    if claim.kind == "argued":
        return f":gray-badge[:material/menu_book: {_('argued')}]"
    if finding is not None:
        return {
            ClaimVerdict.HOLDS: f":green-badge[:material/check: {_('executed: holds')}]",
            ClaimVerdict.FAILS: f":red-badge[:material/close: {_('executed: FAILS')}]",
            ClaimVerdict.NOT_CHECKED: f":gray-badge[:material/question_mark: {_('not checked')}]",
        }[finding.verdict]
    if result is not None:
        return f":gray-badge[{_('nothing to check in this run')}]"
    return f":gray-badge[{_('executed: not run yet')}]"


def _plant(claim: Claim[RunResult], result: RunResult, number: int) -> None:
    st.session_state[f"planted:{claim.id}"] = claim.examine(claim.controls[number](result))


def _take_back(claim: Claim[RunResult]) -> None:
    st.session_state.pop(f"planted:{claim.id}", None)


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
