"""Costs of a round: by phase before and after, by party, by scheme, by size. Log axes where sizes span decades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go

from hefl_core.attacks.selective import Leak
from hefl_core.figures.style import COLOURS, MOST_LINES, Say, figure, line
from hefl_core.measure.costs import Bill, Growth
from hefl_core.measure.forecast import Forecast, PhaseSeconds

PHASES = ("encrypt", "aggregate", "decrypt")
_HATCH = {"forecast": "/", "measured": ""}


def phases(said: PhaseSeconds, came: PhaseSeconds | None, *, dark: bool = False) -> go.Figure:
    """CPU per phase: the forecast hatched, and beside it what was measured."""
    picture = figure(dark=dark, height=320, y="CPU milliseconds per round")
    bars = [("forecast", said, COLOURS[4])] + ([("measured", came, COLOURS[0])] if came else [])
    for name, cpu, colour in bars:
        values = [1000 * getattr(cpu, phase) for phase in PHASES]
        picture.add_bar(
            x=list(PHASES),
            y=values,
            name=name,
            text=[_ms(value / 1000) for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={"color": colour, "pattern": {"shape": _HATCH[name]}},
        )
    picture.update_layout(barmode="group", hovermode="closest", margin_t=40, showlegend=True)
    return picture


def phases_caption(said: PhaseSeconds, came: PhaseSeconds | None, off: float | None, say: Say = str) -> str:
    """The picture in a sentence; ``say`` translates its template."""
    if came is None or off is None:
        return say("Forecast: {said} of CPU per round for the encryption, all parties together.").format(
            said=_ms(said.total)
        )
    return say(
        "Forecast: {said} of CPU per round for the encryption, all parties together; measured: {came}; off by {off}."
    ).format(said=_ms(said.total), came=_ms(came.total), off=f"{off:.0%}")


def payers(bills: Sequence[Bill], *, dark: bool = False) -> go.Figure:
    """Bytes that one client and the coordinator send and receive in a round."""
    picture = figure(dark=dark, height=220, x="bytes per round")
    for place, (name, values) in enumerate(
        (("sent", [bill.sent for bill in bills]), ("received", [bill.received for bill in bills]))
    ):
        picture.add_bar(
            y=[bill.party for bill in bills],
            x=values,
            name=name,
            orientation="h",
            text=[nbytes(value) for value in values],
            textposition="outside",
            marker={"color": COLOURS[place], "pattern": {"shape": ["", "/"][place]}},
        )
    most = max(value for bill in bills for value in (bill.sent, bill.received))
    picture.update_xaxes(range=[0, 1.25 * most])  # room for the numbers
    picture.update_layout(barmode="group", hovermode="closest", margin_l=110)
    return picture


def payers_caption(client: Bill, coordinator: Bill, say: Say = str) -> str:
    """The picture in a sentence; ``say`` translates its template."""
    return say(
        "Per round: one client sends {sent}, receives {received}, computes {cpu}; the coordinator sends {its_sent}, receives "
        "{its_received}, computes {its_cpu}."
    ).format(
        sent=nbytes(client.sent),
        received=nbytes(client.received),
        cpu=_ms(client.cpu_seconds),
        its_sent=nbytes(coordinator.sent),
        its_received=nbytes(coordinator.received),
        its_cpu=_ms(coordinator.cpu_seconds),
    )


def schemes(said: Sequence[Forecast], what: Literal["bytes", "cpu"], *, dark: bool = False) -> go.Figure:
    """Schemes side by side on a log axis: bytes on the wire per parameter, or CPU per parameter of one client's part."""
    title = "upload, bytes per parameter" if what == "bytes" else "CPU, all parties, ns per parameter and client"
    picture = figure(dark=dark, height=90 + 42 * len(said), x=title)
    values = [_per_parameter(one, what) for one in said]
    picture.add_bar(
        y=[one.scheme for one in said],
        x=values,
        orientation="h",
        text=[f"{value:,.3g}" for value in values],
        marker={"color": [COLOURS[0] if one.scheme != "plaintext" else COLOURS[6] for one in said]},
        showlegend=False,
    )
    picture.update_xaxes(type="log")
    picture.update_yaxes(autorange="reversed")
    picture.update_layout(hovermode="closest", margin_l=190)
    if what == "bytes":
        picture.add_vline(x=4, line={"dash": "dot", "color": COLOURS[5]}, annotation_text="float32: 4")
    return picture


def schemes_caption(said: Sequence[Forecast], say: Say = str) -> str:
    """The picture in a sentence."""
    parts = [
        say("{scheme} {size:.3g} B ({times:.2g} × float32)").format(
            scheme=one.scheme, size=_per_parameter(one, "bytes"), times=one.expansion
        )
        for one in said
    ]
    return say("Upload per parameter: {parts}.").format(parts="; ".join(parts))


def growth(
    lines: Sequence[Growth], what: Literal["bytes", "cpu"], of: Literal["d", "K"], *, dark: bool = False
) -> go.Figure:
    """Cost against model size or cohort, both axes logarithmic: parallel lines grow alike."""
    across = "parameters d" if of == "d" else "clients K"
    up = "upload of one client, bytes" if what == "bytes" else "CPU seconds per round, all parties"
    picture = figure(dark=dark, height=340, x=across, y=up)
    for place, one in enumerate(lines[:MOST_LINES]):
        picture.add_scatter(
            x=list(one.at),
            y=list(one.bytes_up if what == "bytes" else one.cpu_seconds),
            name=one.scheme,
            mode="lines+markers",
            **line(place),
        )
    picture.update_xaxes(type="log", dtick=1 if of == "d" else None)
    picture.update_yaxes(type="log", dtick=1, exponentformat="power")
    if of == "K" and lines:
        ticks = sorted({k for one in lines for k in one.at})
        picture.update_xaxes(tickvals=ticks, ticktext=[str(tick) for tick in ticks])
    return picture


def growth_caption(
    lines: Sequence[Growth], what: Literal["bytes", "cpu"], of: Literal["d", "K"], say: Say = str
) -> str:
    """The picture in a sentence: each line's last value."""
    said = [
        say("{scheme} {cost}").format(
            scheme=one.scheme, cost=nbytes(one.bytes_up[-1]) if what == "bytes" else _ms(one.cpu_seconds[-1])
        )
        for one in lines
        if one.at
    ]
    most = max((one.at[-1] for one in lines if one.at), default=0)
    return say("At {of} = {most:,}: {costs}.").format(of=of, most=most, costs="; ".join(said)) if said else ""


def selective(leaks: Sequence[Leak], *, dark: bool = False) -> go.Figure:
    """Leak of the open part against the encrypted share; a dot per selection, with its interval."""
    picture = figure(dark=dark, height=320, x="share of the entries encrypted", y="record read, PSNR in dB")
    families = {"most sensitive entries": True, "one layer": False}
    for place, (name, by_share) in enumerate(families.items()):
        chosen = [leak for leak in leaks if leak.what.startswith("most sensitive") is by_share]
        style = line(place)
        picture.add_scatter(
            x=[leak.encrypted for leak in chosen],
            y=[leak.psnr for leak in chosen],
            error_y={
                "array": [leak.high - leak.psnr for leak in chosen],
                "arrayminus": [leak.psnr - leak.low for leak in chosen],
            },
            name=name,
            mode="lines+markers" if by_share else "markers",
            text=[f"{leak.what}: {nbytes(leak.nbytes)}, names {leak.named:.0%} of {leak.crowd}" for leak in chosen],
            hovertemplate="%{text}<br>%{y:.0f} dB<extra></extra>",
            **style,
        )
    picture.update_xaxes(tickformat=".0%", range=[-0.03, 1.03])
    picture.update_yaxes(rangemode="tozero")
    picture.update_layout(hovermode="closest")
    return picture


def selective_caption(leaks: Sequence[Leak], say: Say = str) -> str:
    """The picture in a sentence: the smallest share that stops the naming of records, and its bytes."""
    by_share = [leak for leak in leaks if leak.what.startswith("most sensitive")]
    nothing, everything = by_share[0], by_share[-1]
    partial = by_share[1]
    return say(
        "{share:.0%} of the entries encrypted, the most sensitive ones: {size}, the record comes back at {psnr:.0f} dB and "
        "{named:.0%} are named among {crowd}. Everything encrypted: {whole}, {average:.0f} dB, which is an average record. "
        "Nothing: {open}, {read:.0f} dB. {trials} records of one update each."
    ).format(
        share=partial.encrypted,
        size=nbytes(partial.nbytes),
        psnr=partial.psnr,
        named=partial.named,
        crowd=partial.crowd,
        whole=nbytes(everything.nbytes),
        average=everything.psnr,
        open=nbytes(nothing.nbytes),
        read=nothing.psnr,
        trials=everything.trials,
    )


def nbytes(value: float) -> str:
    """A size in words."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} B"


def _per_parameter(one: Forecast, what: Literal["bytes", "cpu"]) -> float:
    if what == "bytes":
        return one.bytes_up / one.parameters
    return 1e9 * one.cpu.total / one.clients / one.parameters


def _ms(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{1000 * seconds:.3g} ms"
