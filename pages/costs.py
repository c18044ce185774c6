"""Costs: forecast before, measured after, and who pays.

A round's cost: the forecast before it, the measurement after it, each party's share, and its growth.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from hefl_core.attacks import selective
from hefl_core.errors import HeflError
from hefl_core.figures import costs as figures
from hefl_core.measure import costs
from hefl_core.measure.forecast import Forecast, Outlook, forecast
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.result import with_forecast
from hefl_core.schemes.presets import PRESETS
from pages.parts import frame, noted, run_progress
from pages.parts.chart import chart
from pages.parts.i18n import _, numeral

OFFERED = (
    *(name for name, preset in PRESETS.items() if not preset.insecure and preset.family != "paillier"),
    "paillier-packed",
)
FIRST = ("plaintext", "bfv-compact", "bfv-lean", "ckks-lean", "ckks-tutorial")


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Costs"), anchor=False)
    st.markdown(_("What does encryption cost in a round, in bytes and in computing time (CPU), and who pays?"))
    chosen = frame.experiment()
    try:
        parameters = dealt_data(chosen).model.parameters
        with st.spinner(_("Measuring this machine once for {scheme} …").format(scheme=chosen.scheme)):
            said = forecast(chosen, parameters)
    except HeflError as error:
        frame.explain(error)
        return
    _head(said)
    _in_words(said)
    noted.say_custody(chosen)
    found = _after()
    left, right = st.columns(2, gap="large")
    with left:
        st.header(_("CPU by phase"), anchor=False)
        off = found.error.cpu if found else None
        came = found.measured.cpu if found else None
        chart(figures.phases(said.cpu, came, dark=frame.dark()), key="costs:phases")
        st.caption(figures.phases_caption(said.cpu, came, off, _))
        if found is None:
            _run_button()
    with right:
        st.header(_("Who pays"), anchor=False)
        parties = costs.bills(said)
        chart(figures.payers(parties, dark=frame.dark()), key="costs:payers")
        st.caption(figures.payers_caption(*parties, _))
        st.caption(
            _(
                "Memory of the heaviest step, above what the process has anyway (forecast): client {client}, coordinator "
                "{coordinator}."
            ).format(client=figures.nbytes(said.client_memory), coordinator=figures.nbytes(said.coordinator_memory))
        )
    _shared(parameters)
    _schemes(parameters)
    _selective()


def _head(said: Forecast) -> None:
    """The forecast in four numbers."""
    cells = st.columns(4)
    cells[0].metric(_("Upload of one client, forecast"), numeral(figures.nbytes(said.bytes_up)), border=True)
    cells[1].metric(_("Upload against plain float32, forecast"), numeral(f"{said.expansion:.2f} ×"), border=True)
    cells[2].metric(_("Download of one client, forecast"), numeral(figures.nbytes(said.bytes_down)), border=True)
    cells[3].metric(_("Encryption CPU, everybody, forecast"), numeral(f"{1000 * said.cpu.total:.0f} ms"), border=True)
    st.caption(
        _(
            "Forecast of one round: {scheme}, {custody}, {clients} clients, {d} parameters. Bytes are computed from the messages' "
            "layout, CPU from a short calibration of this machine. A sum is larger than an "
            "upload: it carries the signed headers of the updates in it."
        ).format(scheme=said.scheme, custody=said.custody, clients=said.clients, d=f"{said.parameters:,}")
    )


def _in_words(said: Forecast) -> None:
    """Whether it is a lot, and what the preset is."""
    kinds = {
        "bfv": _("exact after rounding the numbers"),
        "ckks": _("approximate, with a small error"),
        "paillier": _("exact after rounding the numbers, slow"),
        "onetime": _("exact after rounding the numbers, under a key that is used once"),
        "plaintext": _("no encryption, for comparison"),
    }
    st.markdown(
        _(
            "**Answer:** one client uploads {up} instead of {plain} (float32: 4 bytes a number): on a slow line ({line} Mbit/s) "
            "{slow:.0f} ms instead of {before:.0f} ms a round."
        ).format(
            up=figures.nbytes(said.bytes_up),
            plain=figures.nbytes(said.plaintext_update),
            line=costs.HOME_LINE,
            slow=costs.on_a_slow_line(said.bytes_up),
            before=costs.on_a_slow_line(said.plaintext_update),
        )
    )
    default = frame.DEFAULT.scheme
    st.markdown(
        _("Preset: {kind} ({name}), the default.").format(kind=kinds[PRESETS[default].family], name=default)
        if said.scheme == default
        else _("Preset: {kind} ({name}); the default is {default_kind} ({default}).").format(
            kind=kinds[PRESETS[said.scheme].family],
            name=said.scheme,
            default_kind=kinds[PRESETS[default].family],
            default=default,
        )
    )


def _shared(parameters: int) -> None:
    """What it costs that several must come together to decrypt."""
    st.header(_("What do shared keys cost?"), anchor=False)
    try:
        with st.spinner(_("Measuring shared keys on this machine, once …")):
            found = costs.shared_keys(frame.experiment(), parameters)
    except HeflError as error:
        frame.explain(error)
        return
    if found is None:
        st.markdown(_("A key of this scheme cannot be shared, or there are too few clients."))
        return
    st.markdown(
        _(
            "With the key held {custody} ({scheme}) a client uploads {up} and everybody computes {cpu:.0f} ms a round: "
            "**{times:.1f} times the bytes and {cpu_times:.1f} times the computing time** of a key that each client holds alone "
            "({alone}). For that, fewer than {threshold} holders open nothing, as long as they follow the protocol."
        ).format(
            custody=found.together.custody.removeprefix("dealer-free:"),
            threshold=found.threshold,
            scheme=found.together.scheme,
            up=figures.nbytes(found.together.bytes_up),
            cpu=1000 * found.together.cpu.total,
            times=found.upload,
            cpu_times=found.cpu,
            alone=found.alone.scheme,
        )
    )


def _after() -> Outlook | None:
    """Forecast beside the measured cost of this session's run, if it is a run of this experiment."""
    session = frame.session()
    if session.running and session.experiment == frame.experiment():
        run_progress.watch(session)
    result = session.result
    if result is None or result.experiment != frame.experiment():
        return None
    found = with_forecast(result).forecast
    if found is not None and found.measured.cpu is not None and found.error.cpu is not None:
        bytes_off, cpu_off = found.error.bytes_up, found.error.cpu
        st.success(
            _(
                "Measured after the run: upload {up} (forecast off by {bytes_off}), CPU {cpu} (off by {cpu_off})."
            ).format(
                up=f"{found.measured.bytes_up:,} B",
                bytes_off=f"{bytes_off:.2%}",
                cpu=f"{1000 * found.measured.cpu.total:.0f} ms",
                cpu_off=f"{cpu_off:.0%}",
            ),
            icon=":material/speed:",
        )
        if result.runtime == "local":
            st.caption(
                _(
                    "A local run shares its process with this screen, whose CPU is counted along: run it on Ray to compare."
                )
            )
    return found


def _run_button() -> None:
    session, wanted = frame.session(), frame.experiment()
    if session.error is not None and session.experiment == wanted:
        frame.explain(session.error)
    st.button(
        _("Run it and compare"),
        icon=":material/play_arrow:",
        type="primary",
        key="costs:run",
        disabled=session.running,
        on_click=partial(run_progress.begin, session, wanted),
    )


def _schemes(parameters: int) -> None:
    chosen = frame.experiment()
    st.header(_("Schemes side by side"), anchor=False)
    default = [name for name in FIRST if costs.can_carry(name, chosen.clients)]
    if chosen.scheme in OFFERED and chosen.scheme not in default:
        default.append(chosen.scheme)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = st.multiselect(_("Schemes"), OFFERED, default, max_selections=8, key="costs:schemes")
        what = st.segmented_control(
            _("Measure"),
            ("bytes", "cpu"),
            default="bytes",
            format_func=lambda name: {"bytes": _("bytes"), "cpu": _("CPU")}[name],
            required=True,
            key="costs:what",
        )
    names = [name for name in names if _fits(name)]
    if not names:
        st.info(_("Choose a scheme."))
        return
    if not _calibrated(names):
        return
    said = costs.side_by_side(chosen, parameters, names)
    st.caption(
        _(
            "These pictures have a logarithmic scale: equal steps multiply a value, so that lengths cannot be compared as on a "
            "ruler."
        )
    )
    chart(figures.schemes(said, what, dark=frame.dark()), key="costs:side")
    st.caption(figures.schemes_caption(said, _))
    left, right = st.columns(2, gap="large")
    by_d = [costs.with_model_size(chosen, name) for name in names]
    by_k = [costs.with_cohort(chosen, name, parameters) for name in names]
    for column, lines, of in ((left, by_d, "d"), (right, by_k, "K")):
        with column:
            chart(figures.growth(lines, what, of, dark=frame.dark()), key=f"costs:growth:{of}")
            st.caption(figures.growth_caption(lines, what, of, _))


def _fits(name: str) -> bool:
    clients = frame.experiment().clients
    if not costs.can_carry(name, clients):
        st.warning(
            _("{name}: its sums have room for {most} updates, this experiment has {clients} clients.").format(
                name=name, most=costs.most_clients(name), clients=clients
            )
        )
        return False
    return True


def _calibrated(names: list[str]) -> bool:
    """Measure each scheme once, with progress; show refusals."""
    done = st.session_state.setdefault("costs:calibrated", set())
    waiting = [name for name in names if name not in done]
    if not waiting:
        return True
    bar = st.progress(0.0, _("measuring this machine"))
    for place, name in enumerate(waiting):
        bar.progress(place / len(waiting), _("measuring {name} on this machine, once").format(name=name))
        try:
            costs.side_by_side(frame.experiment(), 1000, (name,))
        except HeflError as error:
            frame.explain(error)
            return False
        done.add(name)
    bar.empty()
    return True


@st.cache_data(max_entries=8, show_spinner=False)
def _leaks(dataset: str, scheme: str) -> tuple[selective.Leak, ...]:
    return selective.compare(dataset, scheme)


def _selective() -> None:
    """A comparison, not a switch: no run here leaves a part unencrypted."""
    st.header(_("Encrypt only a part?"), anchor=False)
    st.markdown(
        _(
            "Some systems encrypt the entries that look most sensitive and send the rest open (FedML-HE, 2023). hefl never "
            "does. Here is the reason, measured: updates of one record each, and what somebody reads from the open part."
        )
    )
    chosen = frame.experiment()
    scheme = chosen.scheme if PRESETS[chosen.scheme].family in ("bfv", "ckks") else "bfv-lean"
    dataset = chosen.dataset if chosen.dataset in ("digits", "breast_cancer") else "digits"
    if not st.toggle(
        _("Measure it: {dataset}, {scheme}").format(dataset=dataset, scheme=scheme), key="costs:selective"
    ):
        return
    with st.spinner(_("Reading records from what is left open …")):
        leaks = _leaks(dataset, scheme)
    chart(figures.selective(leaks, dark=frame.dark()), key="costs:leaks")
    st.caption(figures.selective_caption(leaks, _))


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
