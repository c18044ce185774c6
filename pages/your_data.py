"""Your data: training on the visitor's own table under encryption; nothing is kept.

Check a CSV, deal it to the clients, train on it under encryption. The table exists in this session only.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from pathlib import Path

import streamlit as st

from hefl_core.app.comparison import Choice, Comparison
from hefl_core.checks.claims.ledger import check_claims
from hefl_core.errors import HeflError
from hefl_core.federation.experiment import Experiment
from hefl_core.learning.base import Dataset
from hefl_core.learning.datasets import load_csv
from hefl_core.runtime.result import ClaimVerdict
from pages import training as training_page
from pages.parts import frame
from pages.parts.i18n import _
from pages.parts.quoting import quoted

NAME = "own-comparison"
_SIGNS = {
    ClaimVerdict.HOLDS: ("green", "check"),
    ClaimVerdict.FAILS: ("red", "close"),
    ClaimVerdict.NOT_CHECKED: ("gray", "question_mark"),
}


class Kept:
    """The uploaded table in a folder that only its owner can read; removed with this object, at the latest with the session."""

    def __init__(self, raw: bytes) -> None:
        folder = tempfile.mkdtemp(prefix="hefl-")
        self.forget = weakref.finalize(self, shutil.rmtree, folder, True)
        self.path = Path(folder) / "table.csv"
        self.path.write_bytes(raw)
        self.digest = hashlib.sha256(raw).digest()
        header = raw[:10_000].decode("utf-8", errors="replace").splitlines()[:1]
        self.columns = tuple(name.strip().strip('"') for name in header[0].split(",")) if header else ()


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Your data"), anchor=False)
    st.write(
        _(
            "A CSV with a header, numbers in every column but the label, at most 5 MB. It is read here, dealt to the clients "
            "of the sidebar's experiment, and forgotten with this tab."
        )
    )
    uploaded = st.file_uploader(_("Table"), type=["csv"], key="own:file", max_upload_size=5)
    if uploaded is None:
        _forget()
        return
    try:
        _with_table(uploaded.getvalue())
    except HeflError as error:
        frame.explain(error)


def _with_table(raw: bytes) -> None:
    kept = _keep(raw)
    label = st.selectbox(_("Label"), (None, *kept.columns), format_func=lambda n: n or _("guess it"), key="own:label")
    dataset = load_csv(raw, label)
    _preview(dataset)
    suffix = f":{label}" if label else ""
    experiment = frame.experiment().but(dataset=f"csv:{kept.path}{suffix}", partition="iid", trainer="numpy")
    training_page.partition(experiment)
    _train(experiment)


def _keep(raw: bytes) -> Kept:
    """Write the upload to a file that the clients' homes can read; the one before is deleted."""
    kept: Kept | None = st.session_state.get("own:kept")
    if kept is None or kept.digest != hashlib.sha256(raw).digest():
        _forget()
        kept = Kept(raw)
        st.session_state["own:kept"] = kept
    return kept


def _forget() -> None:
    kept: Kept | None = st.session_state.pop("own:kept", None)
    if kept is not None:
        kept.forget()
    comparison: Comparison | None = st.session_state.pop(NAME, None)
    if comparison is not None:
        comparison.cancel()


def _preview(dataset: Dataset) -> None:
    st.success(
        _("{train} rows to train on, {test} held out, {columns} columns, classes: {classes}.").format(
            train=len(dataset.train),
            test=len(dataset.test),
            columns=len(dataset.feature_names),
            classes=quoted(", ".join(dataset.classes[:8])),
        ),
        icon=":material/check:",
    )
    with st.expander(_("The first rows, standardised as the clients train on them")):
        rows = dataset.train.features[:6]
        st.dataframe([dict(zip(dataset.feature_names, row.tolist(), strict=True)) for row in rows], hide_index=True)


def _train(experiment: Experiment) -> None:
    if st.button(_("Train on it under encryption"), type="primary", icon=":material/play_arrow:", key="own:train"):
        training_page.begin(NAME, experiment, Choice((experiment.scheme,)))
    comparison: Comparison | None = st.session_state.get(NAME)
    if comparison is None:
        return
    training_page.show(comparison)
    result = comparison.results.get(experiment.scheme)
    if result is not None:
        for finding in check_claims(result).claims:
            colour, icon = _SIGNS[finding.verdict]
            st.markdown(f":{colour}-badge[:material/{icon}: {finding.id}] {quoted(finding.evidence)}")


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
