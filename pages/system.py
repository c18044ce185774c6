"""System: processes, keys, log, versions.

The parties' processes, the keys, the KMS's audit log, refusals, and versions.
"""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from hefl_core.app.session import SESSIONS, WARM_UP
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.measure.processes import own_processes
from hefl_core.runtime.result import Environment, RunResult
from hefl_core.runtime.run import Run
from hefl_core.shown import bare_name, visible
from hefl_core.wire.canonical import decode
from pages.parts import frame, run_progress
from pages.parts.i18n import _
from pages.parts.quoting import quoted


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("System"), anchor=False)
    st.markdown(
        _(
            "What runs on this machine, and who could read whose memory? A party is a role (KMS, coordinator, auditor, client); "
            "parties in one line of the table share a process, and nothing but the protocol keeps them apart there."
        )
    )
    run = run_progress.ensure_run()
    _processes(run)
    if run is not None:
        _keys(run)
        _troubles(run, frame.session().result)
    st.header(_("Versions"), anchor=False)
    here = Environment.here()
    st.dataframe(
        [
            {_("what"): name, _("version"): str(getattr(here, name))}
            for name in ("python", "tenseal", "phe", "ray", "tensorflow", "numpy", "machine", "cpus")
        ],
        hide_index=True,
    )


def _processes(run: Run | None) -> None:
    st.header(_("Processes"), anchor=False)
    absent = _("starting") if WARM_UP.coming else _("switched off")
    state = _("up") if WARM_UP.ready else quoted(WARM_UP.failure) if WARM_UP.failure else absent
    st.write(
        _(
            "Ray (it runs each party in a process of its own): {state}. Sessions open: {n} of {most}. The application "
            "listens on this machine only; Ray listens on every interface by its nature and is guarded by a token of this run."
        ).format(state=state, n=len(SESSIONS), most=SESSIONS.limit)
    )
    named = [(host.pid, ", ".join(host.parties)) for host in run.hosts] if run is not None else []
    st.dataframe(
        [
            {"pid": line.pid, _("who"): line.what, _("memory, MiB"): None if line.mib is None else round(line.mib)}
            for line in own_processes(named)
        ],
        hide_index=True,
    )
    if run is not None:
        run_progress.where(frame.session())


def _keys(run: Run) -> None:
    st.header(_("Key epochs"), anchor=False)
    announcements = [
        decode(run.transcript.body(sent), EpochAnnouncement) for sent in run.transcript.sent if sent.step == "epoch"
    ]
    st.dataframe(
        [
            {
                _("epoch"): one.record.epoch,
                _("key"): one.public_key.id.short,
                _("held"): str(one.record.quorum),
                _("dealer"): one.record.dealer,
                _("rounds"): f"{one.record.first_round}-{one.record.last_round}",
                _("ciphertexts per holder, at most"): one.record.max_decryptions,
            }
            for one in announcements
        ],
        hide_index=True,
    )
    st.header(_("What the KMS logged, signed and chained"), anchor=False)
    entries = announcements[-1].audit if announcements else ()
    st.dataframe(
        [
            {
                "#": entry.sequence,
                _("time (UTC)"): datetime.fromtimestamp(entry.time, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                _("action"): entry.action,
                _("subject"): entry.subject,
            }
            for entry in entries
        ],
        hide_index=True,
    )


def _troubles(run: Run, result: RunResult | None) -> None:
    """Parties left out and messages refused; the parties' own counts are known at the end of the run."""
    st.header(_("Left out, and refused"), anchor=False)
    absences = run.transcript.left_out
    refusals = [
        {_("party"): bare_name(party), _("kind of error"): visible(kind), _("times"): times}
        for party, kinds in (result.refusals if result else {}).items()
        for kind, times in kinds.items()
    ]
    if not absences and not refusals:
        st.caption(_("Nobody was left out, and no party refused a message."))
        return
    if absences:
        st.caption(_("On record: a party that refused a letter or gave no answer in time, and why."))
        st.dataframe(
            [
                {
                    _("party"): bare_name(one.party),
                    _("round"): one.position.round,
                    _("attempt"): one.position.attempt,
                    _("step"): bare_name(one.step),
                    _("reason"): visible(one.reason),
                }
                for one in absences
            ],
            hide_index=True,
            key="left-out",
        )
    if refusals:
        st.caption(_("Counted by the parties: messages that they refused, or had already."))
        st.dataframe(refusals, hide_index=True, key="refusals")


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
