"""Pieces of HTML that Streamlit has no widget for: bytes as a heat map, values as a strip, the matrix, badges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import streamlit as st

from hefl_core.checks.claims.ledger import LEDGER
from hefl_core.figures.knowledge import Matrix, Secret, State
from hefl_core.figures.sequence import parties_in
from hefl_core.figures.thing import SAMPLE_VALUES, Private, Thing
from hefl_core.runtime.result import ClaimVerdict, Finding
from pages.parts import labels
from pages.parts.frame import dark
from pages.parts.i18n import _, numeral
from pages.parts.quoting import in_html, quoted

BLUE, ORANGE, GREEN, VERMILLION, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9"

STYLE = """<style>
.hx { font-family: "Source Code Pro", ui-monospace, monospace; font-size: .8rem; line-height: 1.45;
  display: grid; grid-template-columns: repeat(16, 1fr); border-radius: .5rem; overflow: hidden; text-align: center; }
.hx span { padding: .05rem 0; }
.strip { display: grid; grid-template-columns: repeat(40, 1fr); gap: 1px; }
.strip i { aspect-ratio: 1; border-radius: 1px; }
.facts { display: grid; grid-template-columns: auto 1fr; gap: .1rem .8rem; font-size: .9rem; margin-bottom: .5rem; }
.facts b { font-weight: 500; opacity: .7; } .facts span { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.note { font-size: .85rem; opacity: .75; margin: .25rem 0 .5rem; }
.st-key-follows .note { font-size: .76rem; opacity: .85; margin: 0; } .st-key-follows .note.read { font-size: .92rem; opacity: 1; }
table.know { border-collapse: separate; border-spacing: 3px; width: 100%; font-size: .88rem; table-layout: fixed; border: 0; }
table.know th, table.know td { border: 0 !important; }
table.know th { font-weight: 600; text-align: center; padding: 0 .1rem; line-height: 1.15; font-size: .76rem;
  vertical-align: bottom; }
table.know th.corner { width: 10.5em; opacity: .7; }
table.know th.seat { font-size: .88rem; }
@media (max-width: 1000px) {
  table.know { font-size: .74rem; border-spacing: 2px; } table.know th { font-size: .6rem; overflow-wrap: anywhere; }
  table.know tr th.seat { font-size: .74rem; white-space: normal; overflow-wrap: normal; } table.know th.corner { width: 7em; }
}
table.know th.seat { text-align: left; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; font-weight: 500; }
table.know td { text-align: center; border-radius: .35rem; padding: .06rem .1rem; font-size: .82rem; line-height: 1.35; }
table.know tr.me th.seat { font-weight: 750; } table.know tr.me th.seat::before { content: "▸ "; }
table.know tr.me td { box-shadow: 0 0 0 1.5px currentColor inset; }
.st-key-follows[data-behind] { opacity: .3; }
[data-testid="stMain"] .katex { font-size: 1.05rem; }
[data-testid="stMain"] .katex-display { margin: .3rem 0; padding-bottom: .6rem; }
[data-testid="stMain"] [data-testid="stVerticalBlock"] { gap: .7rem; }
</style>"""


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Label and value, line by line."""
    rows = "".join(f"<b>{in_html(_(label))}</b><span>{in_html(numeral(value))}</span>" for label, value in pairs)
    return f'<div class="facts">{rows}</div>'


def heat(raw: bytes) -> str:
    """Bytes in hexadecimal, each on a colour of its own value."""
    cells = []
    for value in raw:
        strength = 8 + 52 * value // 255  # so weak that the page's ink is legible on it in both themes
        cells.append(f'<span style="background:color-mix(in srgb,{BLUE} {strength}%,transparent)">{value:02x}</span>')
    return f'<div class="hx" role="img" aria-label="{len(raw)} bytes">{"".join(cells)}</div>'


def bytes_of(thing: Thing) -> str:
    """As many bytes as there is room for, with their position."""
    raw = thing.raw[:64]
    where = _("bytes {a} to {b} of {n}").format(a=thing.start, b=thing.start + len(raw), n=f"{thing.total:,}")
    return f'{heat(raw)}<div class="note">{in_html(where)}</div>'


def strip(values: Sequence[float]) -> str:
    """Values as coloured squares: orange below zero, blue above; the largest has full colour."""
    shown = list(values[:SAMPLE_VALUES])
    most = max((abs(value) for value in shown), default=0.0) or 1.0
    cells = "".join(
        f'<i style="background:color-mix(in srgb,{SKY if value > 0 else ORANGE} {round(100 * abs(value) / most)}%,'
        f'{"#22303d" if dark() else "#eef2f5"})"></i>'
        for value in shown
    )
    return f'<div class="strip" role="img" aria-label="{len(shown)} values">{cells}</div>'


def private(vector: Private) -> str:
    """The plaintext that this seat knows, in numbers and as a strip."""
    some = numeral("; ".join(f"{value:+.4f}" for value in vector.values[:4]))
    what = (
        _("Δ of {who}, {n} examples").format(who=labels.party(vector.client).lower(), n=vector.examples)
        if vector.of == "update"
        else _("what a client decrypts from it: the mean of {n} examples").format(n=vector.examples)
    )
    note = _("{what}: {some}, … ({d} numbers; {shown} shown)").format(
        what=what, some=some, d=f"{len(vector.values):,}", shown=min(SAMPLE_VALUES, len(vector.values))
    )
    return f'{strip([float(v) for v in vector.values[:SAMPLE_VALUES]])}<div class="note">{in_html(note)}</div>'


MOST_IN_WORDS = 6
"""Columns up to which their headings have words; of more, the legend has them."""


_GLYPHS = {
    State.NOT_YET: "",
    State.NOTHING: "·",
    State.SEALED: "✉",
    State.CIPHERTEXT: "🔒&#xFE0E;",
    State.DEALT: "†",
    State.CAN_OPEN: "◑",
    State.KNOWS: "●",
}


def matrix(found: Matrix, seat: str) -> str:
    """The knowledge matrix: a table with a tooltip per cell that says why."""
    secrets = [secret for secret in found.secrets if secret.kind != "records"]
    name = labels.column if len(secrets) <= MOST_IN_WORDS else labels.symbol
    head = "".join(f'<th title="{in_html(labels.secret(secret))}">{in_html(name(secret))}</th>' for secret in secrets)
    named, states = [(secret, labels.secret(secret)) for secret in secrets], labels.states()
    rows = "".join(_row(found, name, named, states, mine=name == seat) for name in found.seats)
    corner = f'<th class="seat corner">{in_html(_("Seat"))}</th>'
    return f'<table class="know" data-sent="{found.sent}"><tr>{corner}{head}</tr>{rows}</table>'


def _row(
    found: Matrix, seat: str, secrets: Sequence[tuple[Secret, str]], states: Mapping[str, str], *, mine: bool
) -> str:
    who = labels.party(seat)
    cells = "".join(_cell(found, seat, secret, f"{who}: {name}", states) for secret, name in secrets)
    return f'<tr class="{"me" if mine else ""}"><th class="seat">{in_html(who)}</th>{cells}</tr>'


def _cell(found: Matrix, seat: str, secret: Secret, what: str, states: Mapping[str, str]) -> str:
    cell = found.cell(seat, secret.name)
    leak = found.leaks(seat, secret)
    colour, strength = {
        State.KNOWS: (GREEN, 55),
        State.CAN_OPEN: (GREEN, 30),
        State.CIPHERTEXT: (BLUE, 22),
        State.SEALED: (BLUE, 12),
        State.SHARE: (ORANGE, 30),
        State.DEALT: (ORANGE, 30),
    }.get(cell.state, ("#888888", 7))
    if leak:
        colour, strength = VERMILLION, 75
    glyph = f"{cell.have}/{cell.need}" if cell.state is State.SHARE else _GLYPHS[cell.state]
    why = states[cell.state.value]
    if cell.evidence:
        why += _(" (from message {n})").format(n=", ".join(str(number) for number in cell.evidence[:6]))
    title = f"{what}: {why}"
    return (
        f'<td data-cell="{in_html(seat)}|{in_html(secret.name)}|{cell.state.value}" title="{in_html(title)}" '
        f'style="background:color-mix(in srgb,{colour} {strength}%,transparent)">{glyph}</td>'
    )


def legend(found: Matrix) -> str:
    """Legend of the matrix: its signs, and its columns where these have no words."""
    words = labels.states()
    told = [
        ("●", "knows"),
        ("◑", "can open"),
        ("🔒&#xFE0E;", "ciphertext"),
        ("✉", "sealed"),
        ("†", "dealt"),
        ("·", "nothing"),
    ]
    signs = " &nbsp; ".join(f"{sign} {in_html(words[state])}" for sign, state in told)
    if sum(secret.kind != "records" for secret in found.secrets) > MOST_IN_WORDS:
        signs = f"{in_html(_('sk: secret key · Δₖ: update of client k · Σ: their sum · θ: model'))}<br>{signs}"
    return f'<div class="note">{signs} &nbsp; <b style="color:{VERMILLION}">■</b> {in_html(_("not meant to"))}</div>'


def caption(found: Matrix, seat: str) -> str:
    """The matrix row of a seat, as a sentence with its numbers."""
    others = [s for s in found.secrets if s.kind == "update" and s.owner not in parties_in(seat)]
    readable = sum(found.cell(seat, secret.name).state.readable for secret in others)
    return _("Messages so far: {sent}. {seat} can read {n} of {of} other parties' updates.").format(
        sent=found.sent, seat=labels.party(seat), n=readable, of=len(others)
    )


def badges(ids: Sequence[str], findings: Sequence[Finding], plain: Mapping[str, str] | None = None) -> None:
    """Guarantee sentences, each with its badge: executed, with the check's result in this run, or argued.

    ``plain``: by claim, a sentence without symbols to show instead; the precise one goes into the help.
    """
    results = {finding.id: finding for finding in findings}
    for claim in LEDGER:
        if claim.id not in ids:
            continue
        finding = results.get(claim.id)
        if claim.kind == "argued":
            badge, said = f":gray-badge[:material/menu_book: {_('argued')}]", claim.source
        elif finding is None:
            badge, said = f":gray-badge[:material/hourglass_empty: {_('not checked here')}]", claim.source
        elif finding.verdict is ClaimVerdict.HOLDS:
            badge, said = f":green-badge[:material/check: {_('executed')}]", quoted(finding.evidence)
        elif finding.verdict is ClaimVerdict.NOT_CHECKED:
            badge, said = f":gray-badge[:material/question_mark: {_('not checked')}]", quoted(finding.evidence)
        else:
            badge, said = f":red-badge[:material/close: {_('FAILED')}]", quoted(finding.evidence)
        shown = (plain or {}).get(claim.id)
        more = f"{_(claim.sentence)} " if shown else ""
        st.markdown(f"{badge} {shown or _(claim.sentence)}", help=f"`{claim.id}`: {more}{said}")


def what_badges_mean() -> str:
    """The badges in one line, for the place where they stand."""
    return _(
        "*executed*: a check ran on this session's run and says what it found · *argued*: rests on the named source, no check can "
        "show it · *not checked*: no run yet, or the run lacks what the check needs."
    )


def log_share(value: int, most: int) -> float:
    """Length of a bar on a logarithmic scale, in percent of the longest."""
    return 100 * math.log1p(value) / math.log1p(max(1, most))
