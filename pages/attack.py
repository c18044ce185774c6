"""Attack lab: one record, five seats, and how the leak falls.

The same record from five seats, a search frame by frame, membership in the data, and what more clients change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import streamlit as st

from hefl_core.attacks import catalogue, five_seats, letter_seats
from hefl_core.attacks.five_seats import NOISED, Curve, Film, Noised, SeatRate, SeatRow
from hefl_core.attacks.lab import CLIENT, COORDINATOR, PLAIN, USER
from hefl_core.attacks.letter_seats import LetterSeats, WordsRead
from hefl_core.attacks.methods import gradient_inversion
from hefl_core.attacks.rates import measured
from hefl_core.attacks.result import AttackResult
from hefl_core.attacks.scoring import MATCH_DB
from hefl_core.attacks.trials import CROWD
from hefl_core.errors import HeflError
from hefl_core.figures import attacks as figures
from hefl_core.learning.models import WIDTH
from hefl_core.schemes.presets import PRESETS
from pages.parts import attack_own_run, frame, predictions
from pages.parts.chart import chart
from pages.parts.i18n import _, numeral
from pages.parts.quoting import in_html

PICTURES, PATIENTS = "digits", "breast_cancer"
FIRST_RECORD = {PICTURES: 3, PATIENTS: 0}
"""Shown first; the patient is the one that the page Start opens with."""
LOOKED_AT = "bfv-lean"
"""Used when the sidebar's scheme does not encrypt, or is slow."""


@st.cache_data(max_entries=64, show_spinner=False)
def _row(dataset: str, record: int, scheme: str, clients: int, batch: int, noise: float, seed: int) -> SeatRow:
    return five_seats.five_seats(dataset, record, scheme=scheme, clients=clients, batch=batch, noise=noise, seed=seed)


@st.cache_data(max_entries=64, show_spinner=False)
def _rates(dataset: str, scheme: str, clients: int, batch: int, noise: float, seed: int) -> tuple[SeatRate, ...]:
    return five_seats.naming_rates(dataset, scheme=scheme, clients=clients, batch=batch, noise=noise, seed=seed)


@st.cache_data(max_entries=16, show_spinner=False)
def _film(record: int, seat: str, scheme: str, search: str, seed: int) -> Film:
    return five_seats.film(record, seat=seat, scheme=scheme, search=search, seed=seed)


@st.cache_data(max_entries=32, show_spinner=False)
def _letter(letter: int, scheme: str, batch: int, steps: int, seed: int) -> LetterSeats:
    return letter_seats.letter_seats(letter, scheme=scheme, batch=batch, local_epochs=steps, seed=seed)


@st.cache_data(max_entries=32, show_spinner=False)
def result_of(name: str, seat: str, scheme: str, clients: int, seed: int, batch: int | None = None) -> AttackResult:
    """One attack from one seat, cached by everything that it depends on."""
    return catalogue.run(name, seat, scheme=scheme, clients=clients, seed=seed, batch=batch)


@st.cache_data(max_entries=8, show_spinner=False)
def _curves(across: str, dataset: str, seed: int) -> tuple[Curve, ...]:
    if across == "E":
        return (five_seats.after_steps(dataset, seed=seed),)
    return (five_seats.over_clients if across == "K" else five_seats.over_batches)(dataset, seed=seed)


@st.cache_data(max_entries=8, show_spinner=False)
def _noised(dataset: str, seed: int) -> tuple[Noised, ...]:
    return five_seats.over_noise(dataset, seed=seed)


def encrypting_scheme() -> str:
    """The sidebar's scheme, or a lean one if that encrypts nothing or is slow to attack 400 times."""
    chosen = frame.experiment().scheme
    return chosen if PRESETS[chosen].family in ("bfv", "ckks") else LOOKED_AT


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Attack lab"), anchor=False)
    st.markdown(
        _(
            "What can be computed from what each party sees? The same attack runs in every seat; a seat decides only what it is "
            "given."
        )
    )
    predictions.section("attack")
    frame.tabs(_tabs(), key="attack:tab")


def _tabs() -> dict[str, Callable[[], None]]:
    """The tabs, beginning with the kind of data that the address names."""
    picture = {_("A picture"): partial(_seats, PICTURES)}
    patient = {_("A patient"): partial(_seats, PATIENTS)}
    own = {_("Your run"): attack_own_run.section}
    first = {**patient, **own, **picture} if frame.experiment().dataset == PATIENTS else {**picture, **own, **patient}
    return {
        **first,
        _("A letter"): _letters,
        _("Search"): _search,
        _("Who was in the data?"): _members,
        _("More clients, larger batches"): _more,
    }


# -- five seats --------------------------------------------------------------------------------------------------


@st.fragment
def _seats(dataset: str) -> None:
    cells = st.columns(4)
    first = frame.patient() if dataset == PATIENTS else FIRST_RECORD[dataset]
    title = _("Patient") if dataset == PATIENTS else _("Record")
    record = int(cells[0].number_input(title, 1, 301, first + 1, key=f"attack:{dataset}:record")) - 1
    clients = int(cells[1].select_slider(_("Clients K"), (2, 3, 5, 10, 32), 5, key=f"attack:{dataset}:clients"))
    batch = int(cells[2].select_slider(_("Records per client"), (1, 2, 4, 8), 1, key=f"attack:{dataset}:batch"))
    noise = float(
        cells[3].select_slider(
            _("Noise / clipping norm"), (0.01, 0.05, 0.1, 1.0), 0.05, format_func=_level, key=f"attack:{dataset}:noise"
        )
    )
    try:
        with st.spinner(_("Training one client and attacking its update …")):
            scheme, seed = encrypting_scheme(), frame.experiment().seed
            row = _row(dataset, record, scheme, clients, batch, noise, seed)
            rates = _rates(dataset, scheme, clients, batch, noise, seed)
    except HeflError as error:
        frame.explain(error)
        return
    draw = figures.portraits if row.side else figures.card
    if predictions.awaited("attack"):
        st.markdown(_("What each seat computes appears when the question is answered. This is the record itself:"))
        row = replace(row, portraits=row.portraits[:1])
        chart(draw(row, dark=frame.dark()), key=f"attack:{dataset}:private", config={"displayModeBar": False})
        return
    st.markdown(_verdict(rates))
    chart(draw(row, dark=frame.dark()), key=f"attack:{dataset}:row", config={"displayModeBar": False})
    st.markdown(figures.portraits_caption(row, rates, _))
    if dataset == PATIENTS:
        st.markdown(
            _("Read from the plain update, in the table's own units: **{values}** (diagnosis: {label}).").format(
                values=figures.raw_values(row, _), label=row.label
            )
        )
    st.markdown(
        _(
            "FL: federated learning, updates in plain. HE: homomorphic encryption, updates encrypted. dB (decibel) says how "
            "close a guess comes: above {same:.0f} dB it is the record. A record is named when it is the likest to the guess of "
            "{crowd} candidates. One record proves nothing: a blind guess names one in {crowd}, so the rate is over {crowd} "
            "records, with its 95 % interval."
        ).format(same=MATCH_DB, crowd=CROWD)
    )
    st.markdown(
        _(
            "Encryption closes the coordinator's seat. It does not close the client's: every member decrypts the mean. Noise "
            "blurs the record for both and costs accuracy; how much it *proves* is said by ε, in the last tab."
        )
    )
    own_clients()


def _level(noise: float) -> str:
    return numeral(f"{noise:g}")


def own_clients() -> None:
    """Why the clients here are not the sidebar's."""
    st.caption(
        _(
            "Clients K is this attack's own, to try out; the experiment in the sidebar keeps its number: {clients}."
        ).format(clients=frame.experiment().clients)
    )


def _verdict(rates: tuple[SeatRate, ...]) -> str:
    """The picture in one sentence: of how many records each seat's guess names its own."""
    names = {
        PLAIN: _("the server without encryption"),
        COORDINATOR: _("the server with encryption"),
        CLIENT: _("a client, from the decrypted mean"),
        NOISED: _("whoever sees the update with noise"),
    }
    said = "; ".join(f"{names[one.seat]} **{one.hits}**" for one in rates)
    return _("**Answer:** of {records} records are named by {said}. A blind guess names 1 in {crowd}.").format(
        records=rates[0].records, said=said, crowd=CROWD
    )


# -- the search ----------------------------------------------------------------------------------------------------


@st.fragment
def _search() -> None:
    st.markdown(
        _(
            "Gradient inversion: start from noise, change it until its gradient is the update. From the plain update it ends at "
            "the record; from ciphertext bytes it ends at nothing, with the same patience. This is one record to watch; how often "
            "it succeeds is in the table of all attacks, on the page What HE does not stop."
        )
    )
    left, right = st.columns([1, 3], gap="large")
    with left:
        record = int(st.number_input(_("Record"), 1, 301, 4, key="attack:film:record")) - 1
        seat = st.radio(
            _("The attacker is"),
            (PLAIN, COORDINATOR),
            format_func={PLAIN: _("server of plain FL"), COORDINATOR: _("coordinator, ciphertext")}.get,
            key="attack:film:seat",
        )
        search = st.radio(
            _("It compares gradients by"),
            (*gradient_inversion.SEARCHES, five_seats.PICTURES),
            format_func={
                "dlg": _("squared distance (DLG, Zhu 2019)"),
                "cosine-tv": _("cosine + total variation (Geiping 2020)"),
                five_seats.PICTURES: _("the same on larger pictures and a convolutional network"),
            }.get,
            key="attack:film:search",
            help=_(
                "Cosine ignores how long the update is; total variation prefers smooth pictures, which costs decibels where the "
                "gradient alone says everything."
            ),
        )
        st.caption(
            _(
                "The first two searches are written out for one hidden dense layer, and take the digits. The third lets TensorFlow "
                "differentiate, in a process of its own that is sent the update and no key: some seconds to start."
            )
        )
    with right:
        with st.spinner(_("Searching …")):
            try:
                film = _film(record, str(seat), encrypting_scheme(), str(search), frame.experiment().seed)
            except HeflError as error:
                frame.explain(error)
                return
        chart(figures.animation(film, dark=frame.dark()), key="attack:film")
        st.markdown(figures.animation_caption(film, _))
    if search == five_seats.PICTURES:
        _pictures_measured()


def _pictures_measured() -> None:
    found = measured()
    st.markdown(
        _(
            "**How often it succeeds.** A fresh model and one step on one picture are the attacker's best case. What is left "
            "after batches, several local steps, earlier training and the mean of clients is in the bars; where it is less, that "
            "is luck and no protection. Encryption leaves a blind guess. Measured by `{command}`."
        ).format(command=found.command)
    )
    chart(figures.pictures_measured(found.rates, dark=frame.dark()), key="attack:pictures")
    st.markdown(figures.pictures_caption(found.rates, _))


# -- letters -------------------------------------------------------------------------------------------------------

_WORDS_STYLE = """<style>
.words { display: flex; flex-wrap: wrap; gap: .3rem; font-size: 1.05rem; line-height: 1.4; }
.words span { padding: .05rem .4rem; border-radius: .35rem; border: 1.5px dashed currentColor; animation: word .3s both; }
.words span.right { border: 1.5px solid #009E73; background: color-mix(in srgb, #009E73 18%, transparent); font-weight: 600; }
@keyframes word { from { opacity: 0; transform: translateY(.4rem); } }
</style>"""
_APART = 0.12
"""Seconds from one word to the next."""
_LONGEST_SHOW = 4.0
"""Seconds after which the last word is there, however many they are."""


@st.fragment
def _letters() -> None:
    st.markdown(
        _(
            "A client trains on discharge letters and sends one update. The gradient of an attention layer is a mixture of the "
            "vectors of the words that occur, and of nothing else: so each word of the vocabulary can be tested alone (DAGER, "
            "Petrov 2024). Every name, age and case in these letters is invented."
        )
    )
    cells = st.columns(3)
    letter = int(cells[0].number_input(_("Letter"), 1, 720, 1, key="attack:letter:record")) - 1
    batch = int(cells[1].select_slider(_("Letters per update"), (1, 2, 4, 8, 16, 32), 1, key="attack:letter:batch"))
    steps = int(cells[2].select_slider(_("Local steps"), (1, 2, 4, 8), 1, key="attack:letter:steps"))
    with st.spinner(_("Training one client and attacking its update …")):
        try:
            found = _letter(letter, encrypting_scheme(), batch, steps, frame.experiment().seed)
        except HeflError as error:
            frame.explain(error)
            return
    who = {PLAIN: _("The server without encryption reads"), COORDINATOR: _("The server with encryption guesses")}
    for one in found.seats:
        st.markdown(f"**{who[one.seat]}**")
        st.html(_WORDS_STYLE + _appearing(one))
        st.markdown(_words_said(one, batch))
    with st.expander(_("The letters themselves")):
        for text in found.letters:
            st.html(f"<div>{in_html(text)}</div>")
    _letters_measured()


def _letters_measured() -> None:
    found = measured()
    st.markdown(
        _(
            "**How often it succeeds.** More local steps and a trained model hide no word, because the vectors of the words stay "
            "the same. What hides words is more of them than a vector has numbers, here {width}; noise; and encryption. Measured "
            "by `{command}`."
        ).format(width=WIDTH, command=found.command)
    )
    chart(figures.letters_measured(found.rates, dark=frame.dark()), key="attack:letters")
    st.markdown(figures.letters_caption(found.rates, _))


def _appearing(read: WordsRead) -> str:
    """The words one after another; at once where the reader asks for no motion (frame.py)."""
    apart = min(_APART, _LONGEST_SHOW / len(read.words))
    spans = (
        f'<span{" class=right" if right else ""} style="animation-delay:{apart * at:.2f}s">{in_html(word)}</span>'
        for at, (word, right) in enumerate(zip(read.words, read.right, strict=True))
    )
    return f'<div class="words" data-words="{in_html(read.seat)}">{"".join(spans)}</div>'


def _words_said(read: WordsRead, batch: int) -> str:
    """What the boxes mean, in numbers."""
    right = len({word for word, there in zip(read.words, read.right, strict=True) if there})
    if read.whole and batch == 1:
        return _("**The whole letter**, every word at its place.")
    said = _("**{right} of {all} words** of these letters are named, and {wrong} words that do not occur (dashed).")
    return said.format(right=right, all=right + len(read.missing), wrong=sum(not there for there in read.right))


# -- members ---------------------------------------------------------------------------------------------------------


@st.fragment
def _members() -> None:
    scheme, seed = encrypting_scheme(), frame.experiment().seed
    st.markdown(
        _(
            "Was this record in the training data? From one update of 16 records, from the mean of five, from ciphertext, and "
            "from the finished model, which encryption cannot protect because everybody is meant to have it."
        )
    )
    with st.spinner(_("Attacking 400 candidates, and training shadow models …")):
        found = [
            result_of("membership", PLAIN, scheme, 5, seed),
            result_of("membership", CLIENT, scheme, 5, seed),
            result_of("membership", COORDINATOR, scheme, 5, seed),
            result_of("loss", USER, scheme, 5, seed),
            result_of("lira", USER, scheme, 5, seed),
        ]
    names = [_("plain update"), _("mean of 5"), _("ciphertext"), _("model, loss"), _("model, LiRA")]
    better = [name for name, result in zip(names, found, strict=True) if not result.at_chance()]
    st.markdown(
        _("**Answer:** better than a coin: {better}. No better than a coin (the dotted line): {coin}.").format(
            better=", ".join(better) or _("none"),
            coin=", ".join(name for name in names if name not in better) or _("none"),
        )
    )
    chart(figures.roc(found, names, dark=frame.dark()), key="attack:roc")
    st.markdown(figures.roc_caption(found, names, _))
    st.markdown(
        _(
            "AUC (area under the curve): shown a member and a stranger, how often the attack picks the member; 0.50 is a coin, 1 "
            "is always. LiRA: the likelihood-ratio attack, which compares with models trained without the record."
        )
    )


# -- more clients ----------------------------------------------------------------------------------------------------


@st.fragment
def _more() -> None:
    dataset = frame.experiment().dataset
    dataset = dataset if dataset in (PICTURES, PATIENTS) else PICTURES
    for across, label, said in (
        ("K", _("clients K"), _("What one curious client reads from the decrypted mean, as clients are added.")),
        ("B", _("records per update"), _("What a plain update gives away, by an honest model and by one made for it.")),
        (
            "E",
            _("local passes"),
            _("The same as each client trains several passes before it sends: four records each."),
        ),
    ):
        st.markdown(f"**{said}**")
        with st.spinner(_("Dealing, training and attacking …")):
            found = _curves(across, dataset, frame.experiment().seed)
        chart(figures.curves(found, label, dark=frame.dark()), key=f"attack:curve:{across}")
        st.markdown("  \n".join(_nothing_from(one, label) for one in found))
        st.markdown(figures.curves_caption(found, across, _))
    st.markdown(
        _(
            "**Noise has two bars to clear.** Does it stop *this* attack from naming its record more often than a blind guess? And "
            "does it prove something about the next attack? The second takes much more."
        )
    )
    with st.spinner(_("Dealing, training and attacking …")):
        levels = _noised(dataset, frame.experiment().seed)
    chart(figures.two_bars(levels, dark=frame.dark()), key="attack:noise")
    st.markdown(figures.two_bars_caption(levels, _))


def _nothing_from(curve: Curve, label: str) -> str:
    """From which quantity on the attack finds nothing, in words."""
    names = {
        "records": _("records read"),
        "membership": _("members found"),
        "imprint": _("records read, by a model made for it"),
    }
    if curve.nothing_from is None:
        return _("**{what}**: still above guessing at {most} {label}, the most that was tried.").format(
            what=names[curve.name], most=curve.at[-1], label=label
        )
    return _("**{what}**: no better than guessing from {at} {label} on.").format(
        what=names[curve.name], at=curve.nothing_from, label=label
    )


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
