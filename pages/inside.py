"""Inside a ciphertext: Paillier by hand, what ring ciphertexts look like, how they wear, and which parameters are safe.

By hand with small numbers, then real ciphertexts under a throw-away key.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from hefl_core.errors import HeflError
from hefl_core.figures import ciphertext as figures
from hefl_core.measure import precision, specimen
from hefl_core.measure.precision import Wear
from hefl_core.measure.specimen import LAB_PRESETS, Specimen
from hefl_core.runtime.client_home import dealt_data
from hefl_core.schemes.base import CiphertextVector, Vector
from hefl_core.schemes.paillier.by_hand import LARGEST_PRIME, ByHand
from hefl_core.schemes.presets import LIMIT_2024
from hefl_core.schemes.registry import load_preset
from pages.parts import frame, html
from pages.parts.chart import chart
from pages.parts.i18n import _, numeral
from pages.parts.quoting import quoted

LENGTH = 2410
REAL_PAILLIER = "paillier-packed"


@dataclass(frozen=True)
class Sample:
    """A key of this browser session, an invented update, and its ciphertext."""

    specimen: Specimen
    update: Vector
    vector: CiphertextVector


@st.cache_resource(scope="session", max_entries=6, show_spinner=False)
def _sample(preset: str) -> Sample:
    made = Specimen.make(preset)
    update = specimen.sample_update(64 if preset == REAL_PAILLIER else LENGTH)
    return Sample(made, update, made.encrypt(update))


@st.cache_data(max_entries=16, show_spinner=False)
def _wear(preset: str) -> Wear:
    return precision.wear(preset)


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Inside a ciphertext"), anchor=False)
    _question()
    frame.tabs(
        {
            _("Paillier by hand"): _by_hand,
            _("What it looks like"): _looks,
            _("Until it breaks"): _wears,
            _("Flip a bit"): _flipped,
            _("Choose parameters"): _explorer,
        },
        key="inside:tab",
    )


def _question() -> None:
    """What the page asks, and exact or approximate for each scheme."""
    st.markdown(_("What does a locked number look like, and is what comes out exactly what went in?"))
    st.markdown(
        _(
            "**Exact or approximate?** Paillier and BFV (Brakerski, Fan, Vercauteren): numbers are rounded to a fixed step before "
            "encryption (quantised); after that sums are exact, in BFV while the noise fits. CKKS (Cheon, Kim, Kim, Song): "
            "approximate, each decryption carries a small error. **Noise**: small random numbers that hide the message in BFV and "
            "CKKS; each addition adds them up, and when they outgrow their room, the noise budget, decryption fails."
        )
    )


# -- by hand -----------------------------------------------------------------------------------------------------


@st.fragment
def _by_hand() -> None:
    left, right = st.columns([58, 42], gap="large")
    with left:
        st.markdown(_(":red-badge[:material/lock_open: INSECURE] numbers to follow with a pencil; change any of them"))
        fields = st.columns(6)
        numbers = {
            name: int(column.number_input(label, 0, 10**6, start, key=f"hand:{name}", persist_state="session"))
            for column, (name, label, start) in zip(
                fields,
                (("p", "p", 11), ("q", "q", 13), ("m1", "m₁", 7), ("r1", "r₁", 23), ("m2", "m₂", 5), ("r2", "r₂", 31)),
                strict=True,
            )
        }
        try:
            _calculation(ByHand(**numbers))
        except HeflError as error:
            frame.explain(error)
            st.caption(_("Primes up to {most}; messages and masks below n = p·q.").format(most=LARGEST_PRIME))
    with right:
        _real_paillier()


def _calculation(hand: ByHand) -> None:
    rows = r" \\[5pt] ".join(rf"\text{{{_(line.what)}}} & \displaystyle {line.formula}" for line in hand.lines())
    st.latex(rf"\begin{{array}}{{ll}} {rows} \end{{array}}")
    if hand.overflows:
        st.warning(
            _("m₁ + m₂ is {total} and n only {n}: the sum wrapped around. Head-room is what prevents this.").format(
                total=hand.m1 + hand.m2, n=hand.n
            )
        )
    else:
        st.success(
            _("Decrypted: {m}. It is {a} + {b}, and whoever multiplied c₁ and c₂ saw neither.").format(
                m=hand.decrypted, a=hand.m1, b=hand.m2
            )
        )
    st.caption(_("Change r₁ alone: the same message, another ciphertext. That is why equal updates look different."))


def _real_paillier() -> None:
    st.markdown(_("**The real one**, {preset}").format(preset=REAL_PAILLIER))
    with st.spinner(_("Making a 2048-bit key …")):
        sample = _sample(REAL_PAILLIER)
    preset = load_preset(REAL_PAILLIER)
    block = sample.vector.blocks[0]
    st.html(html.STYLE + html.heat(block[:160]))
    st.caption(
        _(
            "The first 160 of {n} bytes of one ciphertext: a number with {digits} digits. Factoring n would take about 2^{bits} "
            "steps; above, it takes you a second."
        ).format(n=len(block), digits=len(str(int.from_bytes(block, "big"))), bits=preset.security_bits)
    )
    st.caption(
        _("Such ciphertexts that carry an update of {values} numbers, packed: {blocks}. Source: {source}.").format(
            values=sample.vector.length, blocks=len(sample.vector.blocks), source=preset.source
        )
    )


# -- what it looks like ------------------------------------------------------------------------------------------


def _preset(key: str) -> str:
    chosen = frame.experiment().scheme
    default = LAB_PRESETS.index(chosen) if chosen in LAB_PRESETS else 0
    return str(st.segmented_control(_("Scheme"), LAB_PRESETS, default=LAB_PRESETS[default], required=True, key=key))


@st.fragment
def _looks() -> None:
    name = _preset("looks:preset")
    sample, dark = _sample(name), frame.dark()
    cipher = specimen.ciphertext_uniformity(sample.specimen, sample.vector)
    plain = specimen.plaintext_uniformity(sample.update)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**" + _("Its residues against chance") + "**")
        chart(figures.residues(cipher, plain, dark=dark), key="looks:residues")
        st.caption(figures.residues_caption(cipher, plain, _))
    with right:
        st.markdown("**" + _("What lies where before encryption") + "**")
        _where(name)
    st.markdown("**" + _("The same plaintext, encrypted twice") + "**")
    both = specimen.twice(sample.specimen, sample.update)
    bits = specimen.primes(sample.specimen)[0].bit_length()
    one, other, plaintext = st.columns(3)
    for column, title, vector in ((one, _("first"), both.first), (other, _("second"), both.second)):
        words = specimen.residues(sample.specimen, vector)
        column.caption(title)
        chart(figures.byte_heat(words, bits, dark=dark), key=f"looks:{title}", on=column)
        column.caption(figures.heat_caption(words, bits, _))
    plaintext.caption(_("the update itself, entry by entry"))
    chart(figures.update_heat(sample.update, dark=dark), key="looks:plain", on=plaintext)
    plaintext.caption(figures.twice_caption(both, _))


def _where(name: str) -> None:
    """Bits of a word and words of a block, for the sidebar's model if its data set can be loaded."""
    chosen, dark = frame.experiment(), frame.dark()
    try:
        parameters = dealt_data(chosen).model.parameters
        found = specimen.layout(name, chosen.clients, parameters)
    except HeflError as error:
        frame.explain(error)
        return
    chart(figures.word_bits(found, dark=dark), key="looks:bits")
    chart(figures.block_words(found, dark=dark), key="looks:words")
    st.caption(figures.layout_caption(found, _))


# -- until it breaks ---------------------------------------------------------------------------------------------


@st.fragment
def _wears() -> None:
    name = _preset("wear:preset")
    with st.spinner(_("Adding until it breaks, under a throw-away key …")):
        found = _wear(name)
    chart(figures.wear(found, dark=frame.dark()), key="wear:picture")
    st.caption(figures.wear_caption(found, _))
    st.info(
        _(
            "Nothing in a round comes near: the preset refuses sums past its head-room before the noise matters, and a decryption "
            "that would be wrong is refused, never guessed."
        )
    )


# -- flip a bit --------------------------------------------------------------------------------------------------


@st.fragment
def _flipped() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = _preset("flip:preset")
        sample = _sample(name)
        size = len(sample.vector.blocks[0])
        position = int(st.number_input(_("Byte"), 0, size - 1, min(1000, size - 1), key=f"flip:byte:{name}"))
        bit = int(st.number_input(_("Bit"), 0, 7, 3, key="flip:bit"))
    damaged = specimen.flip(sample.vector, position, bit)
    before, after = sample.vector.blocks[0][position], damaged.blocks[0][position]
    st.caption(
        _(
            "Byte {at} of {size}: {before} became {after}. Each check below ran for real, as if those before it did not exist."
        ).format(at=position, size=f"{size:,}", before=f"{before:08b}", after=f"{after:08b}")
    )
    for verdict in specimen.examine(sample.specimen, sample.vector, damaged, sample.update):
        badge = (
            f":green-badge[:material/check: {_('stopped here')}]"
            if verdict.refused
            else f":orange-badge[:material/visibility_off: {_('not noticed')}]"
        )
        st.markdown(f"{badge} **{verdict.who}**, {_(verdict.check)}")
        st.caption(quoted(verdict.said))


# -- parameters --------------------------------------------------------------------------------------------------


@st.fragment
def _explorer() -> None:
    left, right = st.columns([38, 62], gap="large")
    with left:
        family = st.segmented_control(
            _("Family"), ("bfv", "ckks"), default="bfv", format_func=str.upper, required=True, key="explore:family"
        )
        degrees = [degree for degree in LIMIT_2024 if 2048 <= degree <= 16384]
        degree = int(st.select_slider("N", degrees, 4096, key="explore:degree"))
        first = int(st.slider(_("First prime, bits"), 20, 60, 60, key="explore:first"))
        more = int(st.slider(_("Further data primes of 40 bits"), 0, 3, 0, key="explore:more"))
        special = int(st.slider(_("Special prime, bits (0: none)"), 0, 60, 20, key="explore:special"))
        terms = int(st.slider(_("Terms in a sum"), 2, 128, 16, key="explore:terms"))
        if family == "bfv":
            plain = int(st.slider(_("Plaintext modulus t, bits"), 10, 60, 43, key="explore:plain"))
            fields = int(st.slider(_("Fields per coefficient"), 1, 5, 2, key="explore:fields"))
            width = int(st.slider(_("Bits per field"), 5, 40, 21, key="explore:width"))
        else:
            scale = int(st.slider(_("Scale, bits"), 10, 100, 40, key="explore:scale"))
    primes = precision.prime_list(first, more, special)
    with right:
        table = precision.security(degree, primes)
        chart(figures.security(table, dark=frame.dark()), key="explore:security")
        st.caption(figures.security_caption(table, _))
        try:
            if family == "bfv":
                preset = precision.explored_bfv(degree, primes, plain, fields, width, terms)
            else:
                preset = precision.explored_ckks(degree, primes, scale, terms)
            _performance(preset)
        except HeflError as error:
            st.error(f"**{_('Refused.')}** {quoted(error)}", icon=":material/block:")


def _performance(preset: precision.Explored) -> None:
    found = precision.performance(preset)
    st.success(_("Safe by every rule that the shipped presets obey."), icon=":material/check:")
    cells = st.columns(3)
    cells[0].metric(_("Bytes per parameter"), numeral(f"{found.bytes_per_parameter:.2f}"), border=True)
    cells[1].metric(_("One block"), numeral(f"{found.block:,} B"), border=True)
    cells[2].metric(_("Largest error of the sum"), numeral(f"{found.error:.2g}"), border=True)
    cells = st.columns(3)
    cells[0].metric(_("Encrypt a block"), numeral(f"{found.encrypt:,.0f} µs"), border=True)
    cells[1].metric(_("Add two blocks"), numeral(f"{found.add:,.0f} µs"), border=True)
    cells[2].metric(_("Decrypt a block"), numeral(f"{found.decrypt:,.0f} µs"), border=True)
    st.caption(_("Measured just now on this machine with a throw-away key; a plain float32 takes 4 bytes."))


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()
