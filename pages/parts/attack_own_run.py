"""Attacks on the visitor's run: its messages from a chosen seat, beside the same run in plaintext."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from hefl_core.app.attacked import plain_twin
from hefl_core.app.captured_run import of_result, of_run
from hefl_core.app.comparison import Comparison
from hefl_core.attacks import on_run
from hefl_core.attacks.capture import Capture
from hefl_core.attacks.on_run import Reading
from hefl_core.attacks.result import AttackResult
from hefl_core.errors import HeflError
from hefl_core.figures import attacks as figures
from hefl_core.figures import own_run as drawn
from hefl_core.learning.datasets import load_dataset
from hefl_core.schemes.presets import PRESETS
from hefl_core.terms.experiment import Experiment
from pages.parts import frame, labels, run_progress
from pages.parts.chart import chart
from pages.parts.i18n import _
from pages.parts.quoting import quoted

SMALL_CLIENTS, SKEW = 12, 0.05
"""A partition that leaves some clients with two records."""
KEPT_SEAT = "own-run:kept-seat"


@dataclass(frozen=True)
class Side:
    """A run under attack, with its name."""

    name: str
    capture: Capture


def section() -> None:
    """Choose run, seat and round; then one row per attack."""
    st.markdown(
        _(
            "**The messages of a run of this session**, not a laboratory's. Choose who you are: you get what that party "
            "received, the attacks get nothing else, and only the score is told the truth. Beside it the same attacks on the "
            "**same run without encryption**."
        )
    )
    capture = _chosen()
    if capture is None:
        return
    experiment = capture.transcript.manifest.experiment
    cells = st.columns([2, 1, 2], vertical_alignment="bottom")
    seat = _seat(cells[0], capture.seats)
    rounds = capture.rounds
    round_ = rounds[0]
    if len(rounds) > 1:
        round_ = int(cells[1].select_slider(_("Round"), rounds, rounds[0], key="own-run:round"))
    with cells[2]:
        _unequal(experiment)
    _about(experiment, seat)
    sides = [Side(experiment.scheme, capture)]
    if PRESETS[experiment.scheme].family != "plaintext":
        try:
            sides.append(Side(_("not encrypted"), _twin(experiment)))
        except HeflError as error:
            frame.explain(error)
    for name, question in _questions().items():
        with st.container(border=True):
            with st.spinner(_("Attacking …")):
                found = [_result_of(side.capture, name, seat, round_) for side in sides]
            if isinstance(found[0], str):
                st.info(quoted(found[0]), icon=":material/block:")
                if name == "membership":
                    return  # this attack suits every model: if it is refused, the seat has nothing to attack
                continue
            _row(name, question, [side.name for side in sides], found, experiment)


def _seat(place: DeltaGenerator, seats: Sequence[str]) -> str:
    """The visitor's seat; remembered while another run is under way, when there is no seat to choose."""
    kept = st.session_state.get(KEPT_SEAT)
    first = seats.index(kept) if kept in seats else 0
    seat = str(place.selectbox(_("You are"), seats, first, format_func=labels.party, key="own-run:seat"))
    st.session_state[KEPT_SEAT] = seat
    return seat


def _questions() -> dict[str, str]:
    return {
        "membership": _("Was this record in a client's data?"),
        "property": _("Which share of a client's records has which label?"),
        "records": _("What does a record say?"),
    }


# -- which run -------------------------------------------------------------------------------------------------


def _chosen() -> Capture | None:
    """The run of the page One round (started here if there is none), or a run of the Training lab."""
    comparison: Comparison | None = st.session_state.get("comparison")
    trained = dict(comparison.results) if comparison is not None else {}
    options: dict[str, Callable[[], Capture | None]] = {_("the run of One round"): _live}
    for scheme, result in trained.items():
        options[_("Training lab: {scheme}").format(scheme=scheme)] = partial(of_result, result)
    chosen = next(iter(options))
    if len(options) > 1:
        chosen = st.selectbox(_("Run"), options, key="own-run:which")
    try:
        return options[chosen]()
    except HeflError as error:
        frame.explain(error)
        return None


def _live() -> Capture | None:
    run = run_progress.ensure_run()
    return None if run is None else of_run(run)


def _about(experiment: Experiment, seat: str) -> None:
    """The run in a line, the seat's threat, and why it may lack shares."""
    st.caption(
        _("{data}, {clients} clients, {scheme}, custody {custody}. You are {who}.").format(
            data=experiment.dataset,
            clients=experiment.clients,
            scheme=experiment.scheme,
            custody=experiment.custody,
            who=on_run.threat(seat),
        )
    )
    session = frame.session()
    if "+" in seat and session.runtime == "ray" and session.experiment is not None:
        st.info(
            _(
                "This run's shares lie in their clients' processes, where this page cannot fetch them: the seat has what its "
                "client decrypted, and no share."
            )
        )
        st.button(
            _("Run it again in one process, and collude"),
            icon=":material/handshake:",
            on_click=run_progress.begin,
            args=(session, session.experiment, "local"),
            key="own-run:local",
        )


def _unequal(experiment: Experiment) -> None:
    """A button for a partition in which records come back whole: some clients have two records."""
    if experiment.alpha == SKEW or experiment != frame.experiment():
        return
    if st.button(
        _("Make some clients very small"),
        icon=":material/person:",
        help=_(
            "{clients} clients, labels dealt unequally (Dirichlet α = {alpha}): some are left with two records."
        ).format(clients=SMALL_CLIENTS, alpha=SKEW),
        key="own-run:small",
    ):
        t = experiment.quorum.threshold
        custody = "individual" if t == 1 else f"{t}-of-{SMALL_CLIENTS}"
        frame.set_experiment(experiment.but(clients=SMALL_CLIENTS, alpha=SKEW, custody=custody))


@st.cache_resource(scope="session", max_entries=4, show_spinner=False)
def _twin(experiment: Experiment) -> Capture:
    """The same run in plaintext, kept for this session."""
    return of_result(plain_twin(experiment))


# -- one attack ------------------------------------------------------------------------------------------------


def _result_of(capture: Capture, name: str, seat: str, round_: int) -> AttackResult | str:
    manifest = capture.transcript.manifest
    return _attacked(manifest.id, len(capture.shares), name, seat, round_, manifest.experiment.seed, capture)


@st.cache_data(scope="session", max_entries=128, show_spinner=False)
def _attacked(
    run: str, shares: int, name: str, seat: str, round_: int, seed: int, _capture: Capture
) -> AttackResult | str:
    """An attack's result, cached for this session under the run's id, or the reason why there is none."""
    try:
        return on_run.attack_run(_capture, name, seat, round_, seed)
    except HeflError as error:
        return str(error)


def _row(name: str, question: str, called: list[str], found: list[AttackResult | str], experiment: Experiment) -> None:
    """One attack on all runs: numbers, and one picture."""
    results = [one for one in found if isinstance(one, AttackResult)]
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(f"## {question}")
        for side, result in zip(called, results, strict=True):
            st.markdown(_verdict(side, result))
            st.caption(labels.measured(result))
    with right:
        _picture(name, results, called, experiment)


def _verdict(name: str, result: AttackResult) -> str:
    match on_run.reading(result):
        case Reading.READ:
            colour, icon, said = "red", "visibility", _("reads it")
        case Reading.HINT:
            said = _("a hint: guessing does as well in one of {n} runs").format(n=f"{on_run.luck(result):,}")
            colour, icon = "orange", "visibility"
        case Reading.NOTHING:
            colour, icon, said = "green", "lock", _("no better than guessing")
        case Reading.TOO_FEW:
            colour, icon, said = "gray", "help", _("too few victims to tell")
    return _("**{name}**: {metric} {value:.3g} :{colour}-badge[:material/{icon}: {said}]").format(
        name=name, metric=_(result.metric), value=result.value, colour=colour, icon=icon, said=said
    )


def _picture(name: str, results: list[AttackResult], called: list[str], experiment: Experiment) -> None:
    dark = frame.dark()
    if name == "membership":
        chart(figures.roc(results, called, dark=dark), key="own-run:roc")
    elif name == "property":
        chart(drawn.label_shares(results, called, dark=dark), key="own-run:shares")
    else:
        data = load_dataset(experiment.dataset)
        picture = (
            drawn.nearest_picture(results, called, data.image_side, dark=dark)
            if data.image_side
            else drawn.nearest_row(results, called, data.feature_names, dark=dark)
        )
        chart(picture, key="own-run:nearest")
        st.caption(drawn.nearest_caption(results, called, _))
