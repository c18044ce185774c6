"""Training lab: encrypted, plain, alone and together, round by round.

What encryption changes in a training (nothing visible), and what it costs in bytes and seconds.
"""

from __future__ import annotations

import streamlit as st

from hefl_core.app.comparison import Choice, Comparison
from hefl_core.errors import HeflError
from hefl_core.federation.remarks import hold_out_remark, mean_remark
from hefl_core.figures import training
from hefl_core.learning.partition import label_table
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.result import RunResult
from hefl_core.schemes.presets import PRESETS
from hefl_core.terms.experiment import Experiment
from pages.parts import frame, noted
from pages.parts.chart import chart
from pages.parts.i18n import _
from pages.parts.quoting import quoted

QUICK = tuple(
    name
    for name, preset in PRESETS.items()
    if preset.family in ("bfv", "ckks") and not preset.insecure and not preset.collective
)
"""Schemes fast enough for a live training."""
MOST_AT_ONCE = 60
"""Rounds times clients up to which a training begins when the page opens."""


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Training lab"), anchor=False)
    st.markdown(
        _(
            "Does a model that is trained under encryption get worse? The same training with the same seed: encrypted, in plain "
            "(FedAvg, federated averaging), by each client alone, and with all data in one place."
        )
    )
    chosen = frame.experiment()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        default = [chosen.scheme] if chosen.scheme in QUICK else ["bfv-lean"]
        schemes = st.multiselect(_("Encrypted by"), QUICK, default, max_selections=4, key="lab:schemes")
        st.toggle(_("Each client alone"), True, key="lab:alone")
        st.toggle(_("All data in one place"), True, key="lab:centralised")
        st.toggle(_("Differential privacy"), False, key="lab:dp")
        pressed = st.button(_("Train"), type="primary", icon=":material/play_arrow:", key="lab:train")
    try:
        _privacy(chosen)
        curves = st.container()
        _dealt(chosen)
    except HeflError as error:
        frame.explain(error)
        return
    with curves:
        _trained(chosen, tuple(schemes), pressed=pressed)


def _trained(chosen: Experiment, schemes: tuple[str, ...], *, pressed: bool) -> None:
    """The curves of this session's comparison, which a short one begins by itself."""
    if pressed or ("comparison" not in st.session_state and _is_short(chosen)):
        _begin(schemes)
    comparison: Comparison | None = st.session_state.get("comparison")
    if comparison is None:
        st.info(_("Press Train: plain FedAvg first, then the same training under encryption, with the same seed."))
        return
    frame.older(comparison.experiment, _noised(chosen), besides=("scheme", "custody", "trainer", "min_cohort"))
    show(comparison)


def _dealt(chosen: Experiment) -> None:
    """Below the curves: with which settings they came, and who has which labels. Raises: DataError, ParameterError."""
    st.caption(
        _("Rounds: {rounds}; clients: {clients}; {model}; labels {skew}. Change it in the sidebar.").format(
            rounds=chosen.rounds,
            clients=chosen.clients,
            model=chosen.model,
            skew=_skew(chosen),
        )
    )
    partition(chosen)
    noted.say([mean_remark(_noised(chosen))])


def _is_short(chosen: Experiment) -> bool:
    """Whether the page may train at once, without being asked."""
    return chosen.model != "mlp-large" and chosen.rounds * chosen.clients <= MOST_AT_ONCE


def _skew(chosen: Experiment) -> str:
    """How the sidebar's experiment deals the labels."""
    if chosen.alpha is not None:
        law = _("by client") if chosen.partition == "dirichlet-by-client" else _("by class")
        return f"Dirichlet α = {chosen.alpha:g}, {law}"
    return {"hospital": _("by hospital"), "shards": _("in two shards each")}.get(chosen.partition, _("dealt evenly"))


def _begin(schemes: tuple[str, ...]) -> None:
    choice = Choice(schemes, st.session_state["lab:alone"], st.session_state["lab:centralised"])
    try:
        begin("comparison", _noised(frame.experiment()), choice)
    except HeflError:
        return  # the page shows the error beside the noise


def _privacy(chosen: Experiment) -> None:
    """Where differential privacy is on: its numbers, and its guarantee. Raises: ParameterError."""
    if not st.session_state["lab:dp"]:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(_("Clip to norm"), 0.01, 100.0, 1.0, key="lab:clip")
        st.number_input(_("Noise on the sum, in clips"), 0.01, 20.0, 1.0, key="lab:noise")
    mechanism = _noised(chosen).mechanism
    if mechanism is not None:
        st.caption(mechanism.guarantee(chosen.rounds).sentence)


def _noised(chosen: Experiment) -> Experiment:
    """The sidebar's experiment under the lab's noise. Raises: ParameterError."""
    if not st.session_state.get("lab:dp"):
        return chosen
    clip, noise = st.session_state.get("lab:clip", 1.0), st.session_state.get("lab:noise", 1.0)
    return chosen.but(clip_norm=clip, dp_noise=noise, bound=None)


def begin(name: str, experiment: Experiment, choice: Choice) -> None:
    """Start a comparison and keep it in this session under a name; the one before is cancelled."""
    before: Comparison | None = st.session_state.get(name)
    if before is not None:
        before.cancel()
    comparison = Comparison(experiment, choice)
    comparison.start()
    st.session_state[name] = comparison


def partition(experiment: Experiment) -> None:
    """Show each client's labels. Raises: DataError, ParameterError."""
    whole = dealt_data(experiment)
    with st.expander(_("Who has which labels")):
        table = label_table(whole.parts, whole.dataset.classes)
        chart(training.labels(table, dark=frame.dark()), key="lab:labels")
        st.caption(_("Examples per client: {sizes}.").format(sizes=", ".join(str(size) for size in table.sizes)))


def show(comparison: Comparison) -> None:
    """Show a comparison's curves, live."""
    with st.container(horizontal=True):
        measure = st.segmented_control(
            _("Measure"),
            training.MEASURES,
            default="accuracy",
            format_func=lambda name: {
                "accuracy": _("accuracy"),
                "balanced_accuracy": _("balanced accuracy"),
                "average_precision": _("average precision"),
                "loss": _("loss"),
            }[name],
            key="lab:measure",
        )
        against = st.segmented_control(
            _("Against"),
            tuple(training.AXES),
            default="round",
            format_func=lambda name: {"round": _("rounds"), "megabytes": _("bytes"), "seconds": _("seconds")}[name],
            key="lab:against",
        )

    was_running = comparison.running

    @st.fragment(run_every=0.5 if was_running else None)
    def look() -> None:
        if was_running and not comparison.running:
            st.rerun()  # the whole page: the results below the curves are available now
        if comparison.running:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.progress(comparison.progress, _("training"))
                st.button(_("Stop"), on_click=comparison.cancel, icon=":material/stop:", key="lab:stop")
        _pictures(comparison, measure or "accuracy", against or "round")

    look()


def _pictures(comparison: Comparison, measure: training.Measure, against: training.Against) -> None:
    if comparison.error is not None:
        frame.explain(comparison.error)
    lines = list(comparison.curves.values())
    if not lines:
        return
    _answer(comparison, lines)
    left, right = st.columns([3, 2])
    chart(training.curves(lines, measure, against, dark=frame.dark()), key="lab:curves", on=left)
    right.markdown("**" + _("The difference to plain FedAvg") + "**")
    chart(training.differences(lines, measure, dark=frame.dark()), key="lab:differences", on=right)
    st.caption(training.caption(lines, measure, _))
    for name, result in comparison.results.items():
        noted.warn(name, result.signs)
    _beside_accuracy(lines, dealt_data(comparison.experiment).dataset.classes)


def _answer(comparison: Comparison, lines: list[training.Curve]) -> None:
    """Each finished encrypted training beside plain FedAvg, in a sentence."""
    for one in training.beside_control(lines, tuple(comparison.results)):
        if one.name in comparison.choice.schemes:
            st.markdown(
                _(
                    "**Answer:** trained under {scheme} the model is right in {mine} of the records that it never saw, in "
                    "plain in {plain}; in no round do the two differ by more than {gap}."
                ).format(
                    scheme=quoted(one.name),
                    mine=f"{one.accuracy:.1%}",
                    plain=f"{one.control:.1%}",
                    gap=f"{one.gap:.1%}",
                )
                + _within(comparison.results[one.name])
            )
    alone = training.alone_beats_together(lines)
    if alone is not None:
        st.markdown(
            _(
                "The best client alone ({best}) beats training together ({together}) here. Joining still pays for the others: "
                "the worst client alone reaches {worst}, and nobody knows beforehand which client will be the best."
            ).format(best=f"{alone.best:.1%}", together=f"{alone.together:.1%}", worst=f"{alone.worst:.1%}")
        )


def _within(result: RunResult) -> str:
    """The largest error of a decrypted mean beside its stated bound; empty where a round has none."""
    errors = [(one.max_abs_error, one.error_bound) for one in result.rounds]
    measured = [(error, bound) for error, bound in errors if error is not None and bound is not None]
    if not measured:
        return ""
    return " " + _("Largest error of a decrypted mean: {error:.2g}; stated bound: {bound:.2g}.").format(
        error=max(error for error, _bound in measured), bound=max(bound for _error, bound in measured)
    )


def _beside_accuracy(lines: list[training.Curve], classes: tuple[str, ...]) -> None:
    """What accuracy hides of a rare class, after the last round of each training."""
    found = training.last_metrics(lines)
    if found is None:
        return
    noted.say(hold_out_remark(found, classes))
    st.markdown(
        _("Always naming the most frequent class is right in {share:.3f} of the hold-out rows: {name}").format(
            name=quoted(classes[found.most], 40), share=found.majority_share
        )
    )
    if len(classes) == 2:
        st.caption(
            _("Average precision is that of the rarer class: {name}").format(name=quoted(classes[found.rarest], 40))
        )
    with st.expander(_("Confusion matrix after the last round")):
        measured = [one for one in lines if training.last_metrics([one]) is not None]
        names = [one.name for one in measured]
        chosen = st.selectbox(_("Training"), names, len(names) - 1, key="lab:confusion")
        metrics = training.last_metrics([one for one in measured if one.name == chosen])
        if metrics is not None:
            chart(training.confusion(metrics, classes, dark=frame.dark()), key="lab:confusion-matrix")


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
