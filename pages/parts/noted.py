"""Remarks on a run in the language of the interface: sentences of hefl_core/federation/remarks.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import streamlit as st

from hefl_core.errors import HeflError
from hefl_core.federation.remarks import Remark, ceiling_remarks, custody_remarks
from hefl_core.runtime.client_home import dealt_data
from hefl_core.terms.experiment import Experiment
from pages.parts.i18n import _
from pages.parts.quoting import quoted


def say(remarks: Iterable[Remark]) -> None:
    """One line each."""
    for remark in remarks:
        st.caption(f":material/info: {_(remark.sentence).format(*remark.values)}")


def warn(name: str, signs: Iterable[Remark]) -> None:
    """Signs that a training went wrong, beside its name."""
    for sign in signs:
        st.warning(f"{quoted(name)}: {_(sign.sentence).format(*sign.values)}")


def say_ceiling(experiment: Experiment) -> None:
    """Show the remarks on a custody that hold for every model."""
    _or_why_not(lambda: ceiling_remarks(experiment))


def say_custody(experiment: Experiment) -> None:
    """Show the remarks on this experiment's custody, for its model."""
    _or_why_not(lambda: custody_remarks(experiment, dealt_data(experiment).model.parameters))


def _or_why_not(remarks: Callable[[], Iterable[Remark]]) -> None:
    try:
        say(remarks())
    except HeflError as error:
        st.caption(f":material/error: {quoted(error)}")
