"""The sidebar of every page: the experiment, the audience, the walks, and the state of Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from hefl_core.app.session import WARM_UP
from hefl_core.errors import HeflError
from hefl_core.learning.trainers import trainers_here
from hefl_core.measure.costs import TOGETHER
from hefl_core.schemes.flooding import at_ceiling
from hefl_core.schemes.presets import PRESETS, USUAL, packs
from hefl_core.teaching.glossary import meaning
from hefl_core.terms.experiment import SMALLEST_COHORT, Experiment
from pages.parts import frame, noted
from pages.parts.i18n import _
from pages.parts.quoting import quoted

SCHEMES = tuple(PRESETS)
BITS = (2, 3, 4, 6, 8, 12, 16)
SKEWS = ("dirichlet-by-class", "dirichlet-by-client", "shards")


def show(walks: Callable[[], None]) -> None:
    """The experiment, the audience, the walks, and the state of Ray."""
    with st.sidebar:
        before = frame.experiment()
        _choice("dataset", _("Data"), frame.DATASETS, before)
        _choice("scheme", _("Scheme"), SCHEMES, before, _scheme_label)
        cohort = st.session_state.get("w:min_cohort", before.min_cohort)
        least = min(before.clients, cohort or SMALLEST_COHORT)
        clients = st.slider(
            _("Clients"), least, 12, min(before.clients, 12), key="w:clients", help=_(meaning("client"))
        )
        _custody(before, clients)
        left, right = st.columns(2)
        left.number_input(_("Rounds"), 1, 50, min(before.rounds, 50), key="w:rounds", help=_(meaning("round")))
        right.number_input(_("Seed"), 0, 2**31, before.seed, key="w:seed", help=_(meaning("seed")))
        with st.expander(_("Training")):
            _choice("trainer", _("Trainer"), trainers_here(), before)
            _choice("model", _("Model"), ("logistic", "mlp", "mlp-large"), before)
            skewed = before.alpha is not None or before.partition in SKEWS
            if st.toggle(_("Unequal labels"), skewed, key="w:skew"):
                _skew(before)
            _min_cohort(before, clients)
            st.number_input(
                _("Learning rate"),
                0.001,
                5.0,
                before.learning_rate,
                format="%.3f",
                key="w:learning_rate",
                help=_(meaning("learning rate")),
            )
            _bits(before)
        _take(before)
        for reason in frame.experiment().insecure:
            st.markdown(f":red-badge[:material/lock_open: INSECURE] {reason}")
        noted.say_ceiling(frame.experiment())
        st.divider()
        st.segmented_control(
            _("Audience"),
            frame.AUDIENCES,
            default=frame.audience(),
            format_func=lambda name: {"class": _("Class"), "thesis": _("Thesis"), "stakeholder": _("Stakeholder")}[
                name
            ],
            key="w:audience",
            on_change=_set_audience,
            required=True,
        )
        st.button(
            _("Presenter mode"),
            icon=":material/slideshow:",
            on_click=frame.set_presenter,
            args=(True,),
            key="presenter-on",
            width="stretch",
        )
        walks()
        _ray_label()


def _skew(before: Experiment) -> None:
    """The law by which labels are skewed, and its α."""
    named = {
        "dirichlet-by-class": _("Dirichlet, by class"),
        "dirichlet-by-client": _("Dirichlet, by client"),
        "shards": _("Two shards each"),
    }
    at = SKEWS.index(before.partition) if before.partition in SKEWS else 0
    law = st.selectbox(_("Law"), SKEWS, at, format_func=named.__getitem__, key="w:law", help=_law())
    if law != "shards":
        st.slider(_("Dirichlet α"), 0.05, 5.0, before.alpha or 0.5, key="w:alpha", help=_(meaning("Dirichlet α")))


def _law() -> str:
    return _(
        "By class: each class is dealt in random shares (Yurochkin 2019). By client: each client draws its mix of classes "
        "(Hsu 2019). Shards: sorted by label, two pieces each, mostly two classes (McMahan 2017)."
    )


def _min_cohort(before: Experiment, clients: int) -> None:
    """Fewer contributors are refused; only what the number of clients allows is offered."""
    sizes = (0, *range(2, clients + 1))
    chosen = before.min_cohort or 0
    st.selectbox(
        _("Smallest cohort (min_cohort)"),
        sizes,
        sizes.index(chosen) if chosen in sizes else 0,
        format_func=lambda size: str(size or "auto"),
        key="w:min_cohort",
        help=_(
            "Fewer contributors than this are refused. auto: the smallest safe one; less is a lab experiment, marked INSECURE."
        ),
    )


def _choice(name: str, label: str, options: tuple[str, ...], before: Experiment, label_of=str) -> None:  # type: ignore[no-untyped-def]
    value = getattr(before, name)
    known = options if value in options else (*options, value)
    st.selectbox(label, known, known.index(value), format_func=label_of, key=f"w:{name}")


def _scheme_label(name: str) -> str:
    preset = PRESETS[name]
    bits = _("INSECURE") if preset.insecure else f"{preset.security_bits} bit" if preset.security_bits else _("none")
    stated = at_ceiling(preset, USUAL)
    if stated is None:
        return f"{name} · {bits}"
    kind = _("demonstration flooding") if stated.demonstration else _("flooding")
    return f"{name} · {kind} 2^-{stated.exponent} · {bits}"


def _custody(before: Experiment, clients: int) -> None:
    """The number of holders needed to decrypt; at 1 each client holds the key."""
    scheme = st.session_state.get("w:scheme", before.scheme)
    most = clients if before.min_cohort is not None else clients - 1
    threshold = min(before.quorum.threshold, most)
    if not PRESETS[scheme].collective:
        st.caption(_("Key held individually; this preset cannot be shared out."))
        other = TOGETHER.get(PRESETS[scheme].family)
        if other and clients > 2:
            st.button(
                _("Hold it together ({preset})").format(preset=other),
                on_click=frame.hold,
                args=(2,),
                type="tertiary",
                icon=":material/groups:",
                key="hold-together",
            )
        return
    st.slider(_("Holders needed to decrypt"), 1, most, threshold, key="w:threshold", help=_together())


def _bits(before: Experiment) -> None:
    """How many bits a value has, where the scheme packs whole numbers."""
    if not packs(PRESETS[st.session_state.get("w:scheme", before.scheme)]):
        return
    sizes = (0, *(bits for bits in BITS if bits != before.bits), *((before.bits,) if before.bits else ()))
    st.selectbox(
        _("Bits per value"),
        sorted(sizes),
        sorted(sizes).index(before.bits or 0),
        format_func=lambda bits: str(bits or "auto"),
        key="w:bits",
        help=_(
            "auto: the preset's fields. Fewer bits make smaller uploads: a public rotation spreads large entries first, and "
            "what rounding leaves out comes with the next update."
        ),
    )


def _coding(before: Experiment) -> dict[str, Any]:
    """Bits as the widget says; a rotation that a link asked for stays."""
    state = st.session_state
    if not packs(PRESETS[state["w:scheme"]]):
        return {}
    return {"bits": state.get("w:bits", before.bits) or None, "rotate": before.rotate}


def _together() -> str:
    return _("1: each client holds the whole key. More: so many clients must answer, fewer open nothing.")


def _dealing(before: Experiment) -> dict[str, Any]:
    """Partition and α as the widgets say; Dirichlet by class keeps its older spelling, so that links stay the same."""
    state = st.session_state
    if not state["w:skew"]:
        return {"partition": "hospital" if before.partition == "hospital" else "iid", "alpha": None}
    law = state.get("w:law", SKEWS[0])
    if law == "shards":
        return {"partition": law, "alpha": None}
    return {"partition": "iid" if law == SKEWS[0] else law, "alpha": state.get("w:alpha", before.alpha or 0.5)}


def _take(before: Experiment) -> None:
    """Read the widgets into one Experiment; an invalid combination keeps the last valid one."""
    state = st.session_state
    state["refused"] = False
    clients, threshold = state["w:clients"], state.get("w:threshold", 1)
    threshold = min(threshold, clients) if PRESETS[state["w:scheme"]].collective else 1
    if before.custody.startswith("dealer-free") and threshold > 1:
        custody = f"dealer-free:{threshold}-of-{clients}"
    else:
        custody = "individual" if threshold == 1 else f"{threshold}-of-{clients}"
    try:
        chosen = before.under(
            state["w:scheme"],
            dataset=state["w:dataset"],
            **_coding(before),
            clients=clients,
            custody=custody,
            rounds=state["w:rounds"],
            seed=state["w:seed"],
            trainer=state["w:trainer"],
            model=state["w:model"],
            **_dealing(before),
            min_cohort=state["w:min_cohort"] or None,
            learning_rate=state["w:learning_rate"],
        )
    except HeflError as error:
        state["refused"] = True
        frame.explain(error)
        return
    if chosen != before:
        state["experiment"] = chosen
        state["cursor"] = 0
        state["replayed"] = False
        state["url-error"] = None


def _set_audience() -> None:
    st.session_state["audience"] = st.session_state["w:audience"] or frame.AUDIENCES[0]


def _ray_label() -> None:
    """The state of Ray; refreshed every second while it starts."""
    _ray_fragment(1.0 if WARM_UP.coming else None)


def _ray_fragment(every: float | None) -> None:
    @st.fragment(run_every=every)
    def look() -> None:
        progress = WARM_UP.progress
        if WARM_UP.ready:
            st.caption(_(":green[●] Ray is up: runs have processes of their own"))
        elif WARM_UP.failure is not None:
            st.caption(_(":orange[●] Ray did not start; runs stay in one process"), help=quoted(WARM_UP.failure))
        elif progress is None:
            st.caption(_("○ Ray is switched off; runs stay in one process"))
        else:
            st.progress(progress.fraction or 0.0, f"{progress.text} …")

    look()
