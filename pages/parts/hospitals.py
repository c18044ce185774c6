"""Several files, one for each hospital: what each one says, round zero, and the training on what was agreed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from hefl_core.app.agreement_job import AgreementJob, declared_in
from hefl_core.errors import HeflError
from hefl_core.runtime.agreement import Agreement
from hefl_core.tables.declared import Declared
from hefl_core.tables.said import cut_at
from hefl_core.terms.experiment import Experiment
from pages.parts import frame
from pages.parts.decisions import cut_box, sentence
from pages.parts.findings import list_findings
from pages.parts.i18n import _
from pages.parts.quoting import quoted

_JOB = "own:agreement"
LEAST = 3
"""With two hospitals each would know the other's totals."""


def agreed_experiment() -> Experiment | None:
    """Take the hospitals' files, run round zero, and show what came out; None until it has."""
    st.write(
        _(
            "Upload one file for each hospital, three or more. The files may differ in separators, decimal marks, languages of "
            "yes and no, and categories. In **round zero** the hospitals agree on columns and scaling: three encrypted sums. "
            "Every hospital learns the totals, the coordinator learns nothing of them."
        )
    )
    files = st.file_uploader(
        _("One file for each hospital"),
        type=["csv", "tsv", "tab", "txt"],
        key="own:files",
        accept_multiple_files=True,
        max_upload_size=5,
    )
    if len(files) < LEAST:
        st.caption(_("{found} of at least {least} files.").format(found=len(files), least=LEAST))
        return None
    with st.expander(_("How the files are read")):
        label = st.text_input(_("Label: the column to learn, named alike in every file"), key="own:hospitals:label")
        above = cut_box("own:hospitals:above")
        said = st.text_input(
            _("Declarations for all files, such as missing=-999 kind=ward=code kind=outcome=boolean"),
            key="own:hospitals:declare",
        )
    try:
        job = _job(files, label.strip() or None, replace(declared_in(said), label_above=cut_at(above)))
    except HeflError as error:
        frame.explain(error)
        return None
    _own(job, files)
    return _result(job)


def _job(files: Sequence[UploadedFile], label: str | None, declared: Declared) -> AgreementJob:
    """Round zero with these files; begun anew when they, what is said of them, or the sidebar's experiment change.

    Raises: DataError.
    """
    contents = [file.getvalue() for file in files]
    asked = (frame.experiment(), tuple(hashlib.sha256(one).digest() for one in contents), label, declared)
    kept = st.session_state.get(_JOB)
    if kept is None or kept[0] != asked:
        job = AgreementJob(frame.experiment(), contents, label, declared)
        job.start()
        kept = (asked, job)
        st.session_state[_JOB] = kept
    found: AgreementJob = kept[1]
    return found


def _own(job: AgreementJob, files: Sequence[UploadedFile]) -> None:
    """One expander for each hospital: what it reads in its own file. Names of files are data, too."""
    for at, (table, file) in enumerate(zip(job.tables, files, strict=True), start=1):
        title = _("Hospital {number}: {rows} rows, {columns} columns").format(
            number=at, rows=len(table), columns=len(table.learnt)
        )
        with st.expander(title):
            st.markdown(f"{quoted(file.name)} · {quoted(sentence(table.label.decision))}")
            for decision in (*table.decisions, *table.warnings):
                st.markdown(f"- {quoted(sentence(decision))}")


@st.fragment(run_every=0.5)
def _wait(job: AgreementJob) -> None:
    st.progress(0.5, _("round zero: the hospitals agree, under encryption"))
    if not job.running:
        st.rerun()


def _result(job: AgreementJob) -> Experiment | None:
    if job.running:
        _wait(job)
        return None
    if job.error is not None:
        frame.explain(job.error)
        return None
    if job.agreement is None:
        return None
    _agreed(job.agreement)
    with st.expander(_("The claims, checked on round zero")):
        list_findings(job.agreement.result.claims)
    return job.agreement.experiment


def _agreed(agreement: Agreement) -> None:
    """What all hospitals know after round zero, and what the coordinator saw of it."""
    note = agreement.note
    st.success(
        _("{clients} hospitals agreed on {features} features from {rows} rows in {sums} encrypted sums.").format(
            clients=note.clients, features=len(note.features), rows=f"{note.rows:,}", sums=note.sums
        ),
        icon=":material/handshake:",
    )
    st.caption(
        _(
            "Round zero sent {size} bytes per hospital. Every hospital learned the totals below, and that each category exists, "
            "not where. The coordinator saw ciphertexts of one size."
        ).format(size=f"{note.upload_per_client:,}")
    )
    for warning in agreement.warnings:
        st.warning(quoted(sentence(warning)), icon=":material/warning:")
    rows = [
        {_("class"): name, _("rows in all"): count} for name, count in zip(note.classes, note.class_rows, strict=True)
    ]
    st.dataframe(rows, hide_index=True)
    with st.expander(_("The agreed columns")):
        shown = [
            {
                _("column"): column.name,
                _("kind"): _(str(column.kind)),
                _("categories"): ", ".join(column.categories),
                _("mean"): column.centre if column.standardised else None,
                _("deviation"): column.spread if column.standardised else None,
            }
            for column in agreement.agreed.schema.learnt
        ]
        st.dataframe(shown, hide_index=True)
