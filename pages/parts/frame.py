"""The frame of every page: the experiment in the sidebar and in the URL, this browser's session, the style.

Pages take these from here only: :func:`experiment`, :func:`session`, :func:`presenter`, :func:`audience`, :func:`dark`,
:func:`patient`, :func:`tabs`, :func:`explain`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from urllib.parse import urlencode

import streamlit as st
from streamlit.errors import StreamlitAPIException

from hefl_core.app.led_run import LED_RUN
from hefl_core.app.session import SESSIONS, WARM_UP, Session
from hefl_core.checks.claims.ledger import check_claims
from hefl_core.errors import HeflError, ParameterError, QuorumError, RuntimeUnavailable
from hefl_core.ids import OBSERVER
from hefl_core.learning.datasets import DATASET_NAMES
from hefl_core.measure.costs import TOGETHER
from hefl_core.schemes.presets import PRESETS
from hefl_core.teaching.walks import WALKS, Walk, find_walk
from hefl_core.terms.experiment import Experiment
from pages.parts.access import access
from pages.parts.history import history
from pages.parts.i18n import _, language, source
from pages.parts.quoting import STYLE as QUOTED
from pages.parts.quoting import quoted

AUDIENCES = ("class", "thesis", "stakeholder")
DATASETS = tuple(name for name in DATASET_NAMES if name not in ("mnist", "letters"))
"""Without mnist: Keras loads it, and this process never imports Keras."""
DEFAULT = Experiment(dataset="breast_cancer", batch=16)
_FIELDS = tuple(field.name for field in fields(Experiment))
_ALWAYS = ("dataset", "scheme")
_SCREEN = ("audience", "presenter", "language", "seat", "cursor", "tab", "patient", "walk", "stop", "follow")
_LARGEST = 10**6
QUEUE_SECONDS = 2.0


# -- what pages ask --------------------------------------------------------------------------------------------


def experiment() -> Experiment:
    """The sidebar's experiment."""
    chosen: Experiment = st.session_state.get("experiment", DEFAULT)
    return chosen


def set_experiment(chosen: Experiment) -> None:
    """Set the sidebar's experiment, for example from a button of a page, and redraw the page."""
    _remember(chosen)
    st.rerun()


def session() -> Session:
    """This browser session's runs; freed when the tab closes. Past the limit the page shows a number in the queue and stops."""
    found = _session()
    if SESSIONS.number(found):
        _queue(found)
        st.stop()
    return found


@st.fragment(run_every=QUEUE_SECONDS)
def _queue(waiting: Session) -> None:
    """The number in the queue, and what there is to do meanwhile."""
    number = SESSIONS.number(waiting)
    if not number:
        again()
    said = _(
        "This machine runs {limit} sessions at a time. You are number {n} in the queue; this page goes on by itself."
    )
    st.info(said.format(limit=SESSIONS.limit, n=number), icon=":material/hourglass_top:")
    if LED_RUN.session is not None:
        follow_leader(waiting)


def follow_leader(mine: Session | None = None) -> None:
    """A button that leads to the run that somebody shows; who waits leaves the queue."""
    if st.button(_("Follow the run that is shown"), icon=":material/visibility:", key="follow-leader"):
        if mine is not None:
            SESSIONS.leave_queue(mine)
        st.session_state["follow"] = True
        _go("one_round")


def following() -> bool:
    """Whether this session watches the leader's run instead of having its own."""
    return bool(st.session_state.get("follow", False))


def stop_following() -> None:
    """Have a run of one's own again, or a number in the queue."""
    st.session_state["follow"] = False


def presenter() -> bool:
    """Whether the screen is a projector: large type, no sidebar, arrow keys."""
    return bool(st.session_state.get("presenter", False))


def audience() -> str:
    """The audience: class, thesis or stakeholder."""
    return str(st.session_state.get("audience", AUDIENCES[0]))


def dark() -> bool:
    """Whether the theme is dark."""
    return st.context.theme.type == "dark"


def explain(error: HeflError) -> None:
    """Show what happened and what to do; never a traceback."""
    what = {
        ParameterError: _("These settings do not go together."),
        QuorumError: _("Too few key holders came together."),
        RuntimeUnavailable: _("A part of the machinery did not answer."),
    }.get(type(error), _("This was refused."))
    st.error(f"**{what}** {quoted(error)}", icon=":material/error:")


def patient() -> int:
    """The record that a walk follows over its pages: a row of the training data, counted from 0."""
    return int(st.session_state.get("record", 0))


def follow(record: int) -> None:
    """Make this record the patient of the other pages."""
    st.session_state["record"] = record
    mirror()


def tabs(drawn: dict[str, Callable[[], None]], key: str) -> None:
    """A tab per entry; only the open one is drawn and does work. The address opens it, and says which one is open."""
    state = st.session_state
    names = {tab_name(label): label for label in drawn}
    if key in state and state[key] not in drawn:  # it was opened in another language
        del state[key]
    wanted = state.pop("tab", "") or ("" if key in state else state["tabs"].get(key, ""))
    if wanted in names:
        state[key] = names[wanted]
    shown = st.tabs(tuple(drawn), key=key, on_change="rerun")
    name = next((name for name, tab in zip(names, shown, strict=True) if tab.open), next(iter(names)))
    state["tabs"][key] = state["open tab"] = name
    mirror()
    for tab, draw in zip(shown, drawn.values(), strict=True):
        if tab.open:
            with tab:
                draw()


def older(shown: Experiment, wanted: Experiment, besides: Collection[str] = ()) -> None:
    """Say with which settings something was computed, where they are not those of the screen; ``besides`` do not count."""
    changed = [
        f"{name} = {getattr(shown, name)}"
        for name in _FIELDS
        if name not in besides and getattr(shown, name) != getattr(wanted, name)
    ]
    if changed:
        said = _("What stands here belongs to older settings: {settings}.").format(settings=quoted(", ".join(changed)))
        st.warning(said, icon=":material/history:")


def tab_name(label: str) -> str:
    """A tab in an address: the same in every language.

    >>> tab_name("Who was in the data?")
    'who-was-in-the-data'
    """
    return re.sub(r"[^a-z0-9]+", "-", source(label).lower()).strip("-")


def redraw() -> None:
    """Redraw the current fragment, or the page outside of a fragment's run."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:
        st.rerun()


# -- state -----------------------------------------------------------------------------------------------------


def _release(session: Session) -> None:
    """The tab is closed: the place is free, and who follows this session sees it end."""
    LED_RUN.end(session)
    SESSIONS.close(session)


@st.cache_resource(scope="session", on_release=_release, show_spinner=False)
def _session() -> Session:
    return SESSIONS.open(check_claims)


def _remember(chosen: Experiment) -> None:
    """Store the experiment and reset the sidebar's widgets to it."""
    st.session_state["experiment"] = chosen
    for key in [key for key in st.session_state if str(key).startswith("w:")]:
        del st.session_state[key]


def begin() -> None:
    """Called first in every run of the script: reads the URL once, starts Ray."""
    WARM_UP.begin()
    state = st.session_state
    if not state.pop("by itself", False):
        state["first run"] = "experiment" not in state
    if "experiment" not in state:
        state["tabs"] = {}
        state["jump"] = 0
        _read(st.query_params.to_dict())


def arrive(page: str) -> None:
    """Called with the page that is about to be drawn; another one, when the first address asks for a walk's stop there.

    After *Back* the address is that of the page before, and its state is shown again. A page that is opened from the
    navigation has no query yet.
    """
    state, query = st.session_state, st.query_params.to_dict()
    before, state["page"] = state.get("page"), page
    if before is not None and before != page:
        state["tab"] = state["open tab"] = ""
        if query:
            _read(query)
    walk = walking()
    if before is None and walk is not None and walk.at(state["stop"]).page != page:
        _go(walk.at(state["stop"]).page)


def _go(page: str) -> None:
    """Draw another page with the state that was read for it."""
    st.session_state["page"], st.session_state["open tab"] = page, ""
    st.session_state["by itself"] = True
    st.switch_page(f"pages/{page}.py")


def walking() -> Walk | None:
    """The walk under way; its stop's number is in the session's state."""
    return find_walk(str(st.session_state.get("walk", "")))


def open_stop(walk: Walk, number: int) -> None:
    """Show a stop of a walk, with the session's runs as they are."""
    kept = {"language": language()} if st.session_state.get("language") else {}
    on = {} if presenter() == walk.presenter else {"presenter": str(int(presenter()))}
    _read({"walk": walk.name, "stop": str(number)} | kept | on)
    _go(walk.at(number).page)


def leave_walk() -> None:
    """Go on without a walk, on the page and with the experiment as they are."""
    st.session_state["walk"] = ""


def _read(query: Mapping[str, str]) -> None:
    """Take the screen's state from a query; a query that cannot be shown brings a message and the default."""
    state = st.session_state
    state["url-error"] = None
    base = _begin_stop(query.get("walk", ""), query.get("stop", ""))
    given = {name: value for name, value in (base | dict(query)).items() if name in _FIELDS}
    _remember(_experiment_of(given))
    wanted = base | dict(query)
    state["audience"] = wanted.get("audience") if wanted.get("audience") in AUDIENCES else AUDIENCES[0]
    state["presenter"] = wanted.get("presenter") == "1"
    state["language"] = wanted.get("language", "")[:8]
    state["seat"] = wanted.get("seat", "")[:40]
    state["tab"] = wanted.get("tab", "")[:60]
    state["record"] = _number(wanted.get("patient", ""))
    state["cursor"] = _number(wanted.get("cursor", ""))
    state["follow"] = wanted.get("follow") == "1"
    state["jump"] += 1
    state["replayed"] = any(name in _FIELDS for name in query)


def _number(text: str) -> int:
    return min(int(text), _LARGEST) if text.isdecimal() and len(text) < 7 else 0


def _begin_stop(name: str, stop: str) -> dict[str, str]:
    """The state of a walk's stop; empty where no walk is asked for."""
    walk = find_walk(name)
    st.session_state["walk"] = walk.name if walk else ""
    if name and walk is None:
        known = ", ".join(one.name for one in WALKS)
        st.session_state["url-error"] = ParameterError(f"walk: expected one of {known}, found {name[:40]!r}")
    if walk is None:
        return {}
    st.session_state["stop"] = min(max(1, _number(stop)), len(walk.stops))
    return walk.query(st.session_state["stop"])


def _experiment_of(given: dict[str, str]) -> Experiment:
    """The experiment of a query, or the default with a message why."""
    if given.get("dataset", DEFAULT.dataset) not in DATASETS:
        st.session_state["url-error"] = ParameterError(
            f"dataset: expected one of {', '.join(DATASETS)}, found {given.pop('dataset')[:40]!r}",
            "files are chosen on the page Your data",
        )
    if not given:
        return DEFAULT
    base = {} if "dataset" in given else {"dataset": DEFAULT.dataset, "batch": str(DEFAULT.batch)}
    try:
        return Experiment.from_query(urlencode(base | given))
    except HeflError as error:
        st.session_state["url-error"] = error
        return DEFAULT


def _query() -> dict[str, str]:
    """What the address has to say: the walk and its stop, and every difference from them; else from the defaults."""
    state, chosen, walk = st.session_state, experiment(), walking()
    base = walk.query(state["stop"]) if walk else {}
    default = Experiment.from_query(urlencode({n: v for n, v in base.items() if n in _FIELDS}))
    query = {
        name: str(getattr(chosen, name))
        for name in _FIELDS
        if (name in _ALWAYS and not walk) or getattr(chosen, name) != getattr(default, name)
    }
    screen = {
        "audience": (audience(), AUDIENCES[0]),
        "presenter": (str(int(presenter())), "0"),
        "language": (state.get("language") or "", ""),
        "seat": (state.get("seat") or OBSERVER, OBSERVER),
        "cursor": (str(state.get("cursor", 0)), "0"),
        "patient": (str(patient()), "0"),
        "tab": (state.get("open tab") or state.get("tab") or "", ""),
        "follow": (str(int(following())), "0"),
    }
    query |= {name: value for name, (value, usual) in screen.items() if value != base.get(name, usual)}
    return query | ({"walk": walk.name, "stop": str(state["stop"])} if walk else {})


def mirror() -> None:
    """Write the page's state into the URL; until the visitor does something the browser writes it (see :func:`address`)."""
    query = _query()
    if not st.session_state["first run"] and st.query_params.to_dict() != query:
        st.query_params.from_dict(query)


def address() -> None:
    """The address as the browser has to write it: Streamlit would add an entry to its history before ours can replace it."""
    history(urlencode(_query()) if st.session_state["first run"] else "")
    access(language())


def place(cursor: int, seat: str) -> None:
    """Remember what the visitor chose in a fragment of the page, and write it into the address."""
    state = st.session_state
    if (cursor, seat) != (state["cursor"], state["seat"]):
        state["cursor"], state["seat"], state["first run"] = cursor, seat, False
    mirror()


def again() -> None:
    """Draw the page again because a run went on, not because the visitor did something."""
    st.session_state["by itself"] = True
    st.rerun()


# -- what a page changes ----------------------------------------------------------------------------------------


def hold(threshold: int, *, dealer_free: bool = False) -> None:
    """Require ``threshold`` holders for decryption; a preset whose key cannot be shared is replaced by one whose key can."""
    chosen, preset = experiment(), PRESETS[experiment().scheme]
    scheme = chosen.scheme if threshold == 1 or preset.collective else TOGETHER.get(preset.family, chosen.scheme)
    together = f"{'dealer-free:' if dealer_free else ''}{threshold}-of-{chosen.clients}"
    floor = None if chosen.min_cohort is None else max(chosen.min_cohort, threshold + 1)
    try:
        _remember(chosen.under(scheme, custody="individual" if threshold == 1 else together, min_cohort=floor))
    except HeflError as error:
        st.session_state["hold-error"] = error
    st.session_state["cursor"] = 0


def live(rounds: int) -> None:
    """Set the number of rounds that a key serves."""
    _remember(experiment().but(epoch_rounds=rounds))
    st.session_state["cursor"] = 0


def set_presenter(on: bool) -> None:
    """Switch presenter mode."""
    st.session_state["presenter"] = on
    _remember(experiment())


# -- how it looks ----------------------------------------------------------------------------------------------

_STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding: 2.4rem 2rem 2rem; max-width: 1680px; }
.st-key-history, .st-key-access { display: none; }
.st-key-walk-question p { font-size: 1.15rem; line-height: 1.25; }
@media (min-width: 1000px) {
  .st-key-walk-bar { flex-wrap: nowrap !important; }
  .st-key-walk-bar > :has(.st-key-walk-question) { min-width: 0; }
}
[data-testid="stMetricLabel"], [data-testid="stMetricLabel"] :is(div, p) {
  white-space: normal !important; overflow: visible !important;
}
.st-key-seats [data-testid="stButtonGroup"] button { padding: .1rem .55rem; }
.st-key-seats [data-testid="stButtonGroup"] button p { font-size: .8rem; }
.st-key-walk-bar { min-height: 2.4rem; }
[data-testid="stHeader"] { background: transparent; pointer-events: none; }
[data-testid="stHeader"] button, [data-testid="stHeader"] a { pointer-events: auto; }
h1 { font-size: 1.9rem !important; padding: 0 !important; }
[data-testid="stMain"] h2 { font-size: 1.45rem; padding: .4rem 0 .2rem; }
[data-testid="stMain"] h3 { font-size: 1.2rem; padding: .3rem 0 .1rem; }
[data-testid="stMain"] h4 { font-size: 1.05rem; }
[data-testid="stMain"] [class*="st-key-follows"] h2 { font-size: 1.05rem; padding: 0; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] :is(p, li, em) { color: inherit !important; }
[data-testid="stCaptionContainer"] { opacity: .85 !important; }
[data-testid="stBaseButton-primary"], [data-testid="stBaseButton-primary"] p, [data-testid="stMultiSelect"] [data-tag],
[data-testid="stMultiSelect"] [data-baseweb="tag"] span { color: light-dark(#fff, #10171f) !important; }
[data-testid="stCode"] .token { color: light-dark(#1b2733, #e8eef4) !important; }
[data-testid="stCode"] :is(.keyword, .builtin, .parameter) { color: light-dark(#0a5a96, #7cc4f2) !important; }
[data-testid="stCode"] :is(.number, .boolean) { color: light-dark(#00664a, #5fd3ae) !important; }
[data-testid="stCode"] :is(.string, .triple-quoted-string) { color: light-dark(#8a3d00, #f0b273) !important; }
[data-testid="stCode"] .comment { color: light-dark(#55606b, #a9b4bf) !important; }
[data-testid="stSidebarContent"] label p { font-size: .85rem; }
[data-testid="stSidebarHeader"] { height: 2.2rem; }
[data-testid="stSidebarUserContent"] { padding-top: .5rem; }
[data-testid="stButtonGroup"] button { min-height: 1.9rem; padding: .1rem .7rem; }
[data-testid="stMultiSelect"] input { min-width: 1.6rem; min-height: 1.6rem; }
[data-testid="stButtonGroup"] button p { font-size: .88rem; }
[class*="st-key-predict-"] button :is(div, p) { white-space: normal !important; overflow: visible !important; }
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation: none !important; transition: none !important; scroll-behavior: auto !important; }
}
</style>"""
_PRESENTER = """<style>
html { font-size: 20px; }
[data-testid="stMain"] [data-testid="stWidgetLabel"] p { font-size: .92rem; }
[data-testid="stMain"] button p { font-size: .92rem; }
.st-key-seats [data-testid="stButtonGroup"] button { padding: .1rem .38rem; }
.st-key-seats button p { font-size: .74rem !important; }
[data-testid="stSidebar"], [data-testid="stSidebarCollapsedControl"], [data-testid="stExpandSidebarButton"],
[data-testid="stHeader"] { display: none !important; }
[data-testid="stMainBlockContainer"] { padding: .6rem 2rem 1rem; max-width: none; }
</style>"""


def style() -> None:
    """Type and margins; larger in presenter mode."""
    st.html(_STYLE + QUOTED + (_PRESENTER if presenter() else ""))


def url_notice() -> None:
    """Explain why the URL's experiment was refused, or that the sidebar's was and older settings are shown."""
    if st.session_state.get("refused") and not presenter():
        shown = experiment()
        st.warning(
            _(
                "The sidebar's settings were refused. What stands here belongs to the last that go together: {dataset}, "
                "{scheme}; clients: {clients}, rounds: {rounds}."
            ).format(dataset=shown.dataset, scheme=shown.scheme, clients=shown.clients, rounds=shown.rounds),
            icon=":material/history:",
        )
    error = st.session_state.get("url-error")
    if error is not None:
        explain(error)
        st.caption(_("The screen shows the default experiment instead."))
