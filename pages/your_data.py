"""Your data: training on the visitor's own table under encryption; nothing is kept.

Read a table as a clerk would, show and change every decision, deal it to the clients, train on it under encryption. The
table exists in this session only.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Literal, overload

import streamlit as st

from hefl_core.app.comparison import Choice, Comparison
from hefl_core.app.own_table import OwnArrays, OwnTable, Upload
from hefl_core.checks.claims.ledger import check_claims
from hefl_core.errors import HeflError
from hefl_core.learning.own_sets import GivenSource
from hefl_core.tables.declared import SEPARATORS, Declared, DeclaredColumn, Kind
from hefl_core.tables.rows.dialect import SEPARATOR_NAMES
from hefl_core.tables.said import cut_at
from hefl_core.tables.source import TableSource
from hefl_core.terms.experiment import Experiment
from pages import training as training_page
from pages.parts import decisions, frame, hospitals
from pages.parts.decisions import cut_box, sentence
from pages.parts.findings import list_findings
from pages.parts.i18n import _
from pages.parts.quoting import quoted

NAME = "own-comparison"
_KEPT, _COLUMNS = "own:kept", "own:columns"
_SHOWN_FEATURES = 40


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Your data"), anchor=False)
    st.markdown(
        _(
            "Does it work with a table of your own, and where does the table go? It is dealt to the clients of this session on "
            "this server, and forgotten when this browser tab closes. What the coordinator gets is encrypted, as on every page."
        )
    )
    frame.tabs({_("One table"): _one, _("One file for each hospital"): _several}, "your_data:tab")


def _one() -> None:
    """One table, dealt to the clients."""
    st.write(
        _(
            "A table as your programs write it, at most 5 MB: comma, semicolon, tab or bar; yes and no, dates, percents "
            "and categories are read, and every decision is shown and can be changed. The sidebar "
            "says how many clients there are."
        )
    )
    st.caption(
        _(
            "Arrays as .npz (features and labels) or .npy (the last column is the label), and pictures as a .zip with one folder "
            "for each class, train as well."
        )
    )
    types = ["csv", "tsv", "tab", "txt", "npz", "npy", "zip"]
    uploaded = st.file_uploader(_("Table"), type=types, key="own:file", max_upload_size=5)
    if uploaded is None:
        _forget()
        return
    suffix = PurePath(uploaded.name).suffix.lower()
    if suffix in (".npz", ".npy", ".zip"):
        _with_arrays(uploaded.getvalue(), suffix)
        return
    _with_table(uploaded.getvalue())


def _several() -> None:
    """A file for each hospital; they agree first."""
    experiment = hospitals.agreed_experiment()
    if experiment is None:
        return
    try:
        training_page.partition(experiment)
        _train(experiment)
    except HeflError as error:
        frame.explain(error)


def _with_table(content: bytes) -> None:
    """Each part stands on its own: where the reading fails, what can be declared stays on the screen."""
    mark = hashlib.sha256(content).hexdigest()[:12]
    whole, mark_missing = _whole(mark)
    upload = Upload(content, whole, st.session_state.get(_COLUMNS, {}).get(mark, ()), mark_missing)
    try:
        names = upload.names
    except HeflError as error:
        _forget()
        frame.explain(error)
        return
    label = st.selectbox(_("Label"), (None, *names), format_func=lambda n: n or _("guess it"), key=f"own:label:{mark}")
    above = cut_box(f"own:above:{mark}")
    try:
        table = _keep(upload.source(label, cut_at(above)))
        _preview(table)
    except HeflError as error:
        _forget()
        frame.explain(error)
        _change(upload, names, mark)
        return
    _change(upload, names, mark)
    try:
        _deal_and_train(table.name)
    except HeflError as error:
        frame.explain(error)


def _with_arrays(content: bytes, suffix: str) -> None:
    """Arrays or pictures: nothing to decide but where the labels are, and one size."""
    mark = hashlib.sha256(content).hexdigest()[:12]
    label, side, above = None, None, ""
    if suffix != ".zip":
        above = cut_box(f"own:above:{mark}")
    if suffix == ".npz":
        label = st.text_input(_("Array with the labels; empty: by its usual name"), key=f"own:array:{mark}").strip()
    if suffix == ".zip":
        side = st.number_input(_("Side of every picture in pixels; 0: as they are"), 0, 256, 0, key=f"own:side:{mark}")
    form: Literal["arrays", "pictures"] = "pictures" if suffix == ".zip" else "arrays"
    try:
        own = _keep(GivenSource(form, content, label or None, side or None, cut_at(above)))
        data = own.given.dataset
        said = _("{train} rows to train on, {test} held out, {columns} columns, classes: {classes}.")
        st.success(
            said.format(
                train=len(data.train),
                test=len(data.test),
                columns=len(data.feature_names),
                classes=quoted(", ".join(data.classes[:8])),
            ),
            icon=":material/check:",
        )
        for warning in own.given.warnings:
            st.warning(quoted(sentence(warning)), icon=":material/warning:")
        _deal_and_train(own.name)
    except HeflError as error:
        frame.explain(error)


def _deal_and_train(name: str) -> None:
    """Raises: DataError for fewer examples than the clients need."""
    experiment = frame.experiment().but(dataset=name, partition="iid", trainer="numpy")
    training_page.partition(experiment)
    _train(experiment)


def _whole(mark: str) -> tuple[Declared, bool]:
    """What is declared about the file as a whole, and whether gaps are marked."""
    with st.expander(_("How the file is read")):
        with st.container(horizontal=True):
            header = st.selectbox(
                _("Names of the columns"),
                ("auto", "first", "none"),
                format_func=lambda n: {
                    "auto": _("as found"), "first": _("in the first line"), "none": _("there are none")
                }[n],
                key=f"own:header:{mark}",
            )  # fmt: skip
            separator = st.selectbox(
                _("Separator"),
                (None, *SEPARATORS),
                format_func=lambda n: _(SEPARATOR_NAMES[n]) if n else _("as found"),
                key=f"own:separator:{mark}",
            )
            decimal = st.selectbox(
                _("Decimal mark"),
                (None, "point", "comma"),
                format_func=lambda n: _(n) if n else _("as found"),
                key=f"own:decimal:{mark}",
            )
            summary = st.selectbox(
                _("Lines that look like totals"),
                ("ask", "data", "drop"),
                format_func=lambda n: {"ask": _("is refused"), "data": _("is a row"), "drop": _("is left out")}[n],
                key=f"own:summary:{mark}",
            )
        missing = st.text_input(_("Codes that mean missing, such as -999"), key=f"own:missing:{mark}")
        unlabelled = st.toggle(_("Leave out rows without an outcome"), key=f"own:unlabelled:{mark}")
        marked = st.toggle(_("Say in a column of its own where a value was missing"), key=f"own:marked:{mark}")
    codes = tuple(missing.split())
    declared = Declared(
        header=header, separator=separator, decimal=decimal, missing=codes, summary=summary, drop_unlabelled=unlabelled
    )
    return declared, marked


@overload
def _keep(source: TableSource) -> OwnTable: ...
@overload
def _keep(source: GivenSource) -> OwnArrays: ...
def _keep(source: TableSource | GivenSource) -> OwnTable | OwnArrays:
    """Put the data on the shelf; those before are taken down. Raises: DataError."""
    kept: OwnTable | OwnArrays | None = st.session_state.get(_KEPT)
    if kept is None or kept.source != source:
        _forget()
        kept = OwnTable(source) if isinstance(source, TableSource) else OwnArrays(source)
        st.session_state[_KEPT] = kept
    return kept


def _forget() -> None:
    kept: OwnTable | OwnArrays | None = st.session_state.pop(_KEPT, None)
    comparison: Comparison | None = st.session_state.pop(NAME, None)
    if comparison is not None:
        comparison.cancel()
    if kept is not None:
        kept.forget()


def _preview(own: OwnTable) -> None:
    """What was read, and every decision. The table's text is data: it reaches no Markdown unquoted."""
    dataset, table = own.shelved.dataset, own.shelved.table
    st.success(
        _("{train} rows to train on, {test} held out, {columns} columns, classes: {classes}.").format(
            train=len(dataset.train),
            test=len(dataset.test),
            columns=len(table.learnt),
            classes=quoted(", ".join(dataset.classes[:8])),
        ),
        icon=":material/check:",
    )
    st.markdown(f"{quoted(sentence(table.label.decision))}")
    st.caption(_("Source SHA-256: {digest} …").format(digest=quoted(table.digest[:12])))
    for warning in own.shelved.warnings:
        st.warning(quoted(sentence(warning)), icon=":material/warning:")
    st.html(decisions.columns_table(own.rows))
    with st.expander(_("The file's own form")):
        for decision in table.decisions:
            st.markdown(f"- {quoted(sentence(decision))}")
    with st.expander(_("The first rows, standardised as the clients train on them")):
        names, rows = dataset.feature_names[:_SHOWN_FEATURES], dataset.train.features[:6]
        st.dataframe([dict(zip(names, row.tolist(), strict=False)) for row in rows], hide_index=True)


def _change(upload: Upload, names: tuple[str, ...], mark: str) -> None:
    """Declare how one column is read."""
    with st.expander(_("Change how a column is read"), icon=":material/tune:"):
        name = st.selectbox(_("Column"), names, key=f"own:column:{mark}")
        said = Declared(upload.columns).of(name)
        place = f"{mark}:{names.index(name)}"
        with st.container(horizontal=True):
            kinds = ("", *Kind)
            kind = st.selectbox(
                _("Kind"),
                kinds,
                kinds.index(said.kind or ""),
                format_func=lambda n: _(str(n)) if n else _("as found"),
                key=f"own:kind:{place}",
            )
            uses = ("found", "keep", "drop")
            use = st.selectbox(
                _("Learn from it"),
                uses,
                uses.index("keep" if said.keep else "drop" if said.drop else "found"),
                format_func=lambda n: {"found": _("as found"), "keep": _("yes"), "drop": _("no")}[n],
                key=f"own:use:{place}",
            )
            dates = st.selectbox(
                _("First in 03/04/2025"),
                ("", "day", "month"),
                ("", "day", "month").index(said.dates or ""),
                format_func=lambda n: _(n) if n else _("as found"),
                key=f"own:dates:{place}",
            )
        missing = st.text_input(_("Cells that mean missing"), " ".join(said.missing), key=f"own:gaps:{place}")
        present = st.text_input(
            _("Cells that are values, such as None"), " ".join(said.present), key=f"own:present:{place}"
        )
        changed = DeclaredColumn(
            name, kind or None, dates=dates or None, drop=use == "drop", keep=use == "keep",
            missing=tuple(missing.split()), present=tuple(present.split()),
        )  # fmt: skip
        if st.button(_("Read it so"), disabled=changed == said, key=f"own:change:{mark}"):
            st.session_state.setdefault(_COLUMNS, {})[mark] = upload.declaring(changed)
            st.rerun()


def _train(experiment: Experiment) -> None:
    if st.button(_("Train on it under encryption"), type="primary", icon=":material/play_arrow:", key="own:train"):
        training_page.begin(NAME, experiment, Choice((experiment.scheme,)))
    comparison: Comparison | None = st.session_state.get(NAME)
    if comparison is None:
        return
    training_page.show(comparison)
    result = comparison.results.get(experiment.scheme)
    if result is not None:
        list_findings(check_claims(result).claims)


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
