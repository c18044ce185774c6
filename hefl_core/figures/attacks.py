"""Attacks drawn: one record from five seats, an inversion as it runs, ROC curves on log axes, keys, forgeries, a lying client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hefl_core.attacks.five_seats import Curve, Film, Noised, Portrait, SeatRate, SeatRow
from hefl_core.attacks.rates import MeasuredRate
from hefl_core.attacks.result import AttackResult
from hefl_core.attacks.scoring import MATCH_DB, wilson
from hefl_core.attacks.trials import CROWD
from hefl_core.attacks.view import Doubles
from hefl_core.figures.style import COLOURS, Say, figure, label, line

GREY = "Greys_r"
FEW = 2
"""Most lines whose names fit above a picture."""
PICTURED = {
    "plain": "fresh model, one picture",
    "mean of 5": "mean of 5 clients",
    "coordinator": "encrypted",
    "B=2": "2 pictures",
    "B=4": "4 pictures",
    "B=8": "8 pictures",
    "E=5": "5 steps",
    "trained 5": "trained 5 passes",
}
"""Case of attacks/rates.py → what is changed against the first."""
LETTERED = {
    "plain": "one letter",
    "B=4": "4 letters",
    "B=8": "8 letters",
    "B=16": "16 letters",
    "B=32": "32 letters",
    "E=8": "8 local steps",
    "trained 5": "trained 5 passes",
    "noise 0.001": "noise .001",
    "noise 0.01": "noise .01",
    "coordinator": "encrypted",
}
"""Case of attacks/rates.py → what is changed against the first."""
TITLES = {"private": "private", "plain FL": "plain FL", "coordinator": "HE coordinator", "client": "decrypted mean"}


def portraits(row: SeatRow, *, dark: bool = False) -> go.Figure:
    """The same record from five seats, as pictures. Raises: nothing; tables have :func:`card`."""
    side = row.side or 1
    picture = make_subplots(
        1, len(row.portraits), horizontal_spacing=0.02, subplot_titles=[_title(p) for p in row.portraits]
    )
    for column, one in enumerate(row.portraits, 1):
        values = np.clip(one.values.reshape(side, side), 0, 1)
        picture.add_heatmap(
            z=values, colorscale=GREY, zmin=0, zmax=1, showscale=False, row=1, col=column, hoverinfo="z"
        )
    as_pictures(picture, dark=dark, height=300)
    for note in picture.layout.annotations:
        note.font.size = 16
    return picture


def portraits_caption(row: SeatRow, rates: Sequence[SeatRate], say: Say = str) -> str:
    """The picture in a sentence: this record's PSNR, and over many records how often each seat names its record.

    One record's place is left out: among 100 candidates it is the first by luck alone once in a hundred times.
    """
    of = {rate.seat: rate for rate in rates}
    sentence = say("{seat} ({reads}): {psnr} dB; over {records} records: {rate}")
    said = [
        sentence.format(
            seat=say(_title(one)),
            reads=say(one.reads).format(of=one.of),
            psnr=round(one.psnr),  # not "-0 dB"
            records=of[one.seat].records,
            rate=rate_words(of[one.seat], say),
        )
        for one in row.portraits
        if one.seat in of
    ]
    return ". ".join(said) + say(". A blind guess names 1 in {crowd}.").format(crowd=CROWD)


def rate_words(rate: SeatRate, say: Say = str) -> str:
    """How often a record is named, with its interval.

    >>> rate_words(SeatRate("plain FL", np.full(100, 9.7), np.repeat([1.0, 2.0], [75, 25])))
    'median 10 dB, named among 100: 75 % (66 to 82 %)'
    """
    low, high = rate.interval
    return say("median {psnr} dB, named among {crowd}: {named:.0f} % ({low:.0f} to {high:.0f} %)").format(
        psnr=round(rate.psnr), crowd=CROWD, named=100 * rate.named, low=100 * low, high=100 * high
    )


def _title(one: Portrait) -> str:
    return TITLES.get(one.seat, one.seat)


def as_pictures(picture: go.Figure, *, dark: bool, height: int) -> None:
    """Heat maps without axes, each a square of its own."""
    picture.update_xaxes(visible=False)
    picture.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
    base = figure(dark=dark, height=height).layout
    picture.update_layout(
        height=height,
        paper_bgcolor=base.paper_bgcolor,
        plot_bgcolor=base.plot_bgcolor,
        font=base.font,
        margin={"l": 5, "r": 5, "t": 40, "b": 5},
    )
    for at in range(1, 12):  # each picture keeps its own square
        name = "" if at == 1 else str(at)
        if f"yaxis{name}" in picture.layout:
            picture.layout[f"yaxis{name}"].scaleanchor = f"x{name}"


def card(row: SeatRow, *, most: int = 30, dark: bool = False) -> go.Figure:
    """A table's record from the seats, standardised, one group of points per feature."""
    picture = figure(dark=dark, height=460, y="standard deviations from the mean")
    shown = [p for p in row.portraits if p.seat in ("private", "plain FL", "coordinator", "client")]
    for place, one in enumerate(shown):
        style = line(place)
        style["marker"]["size"] = 16 if one.seat == "private" else 9
        if one.seat == "private":
            style["marker"] |= {"symbol": "circle-open", "line": {"width": 2}}
        picture.add_scatter(
            x=[label(name) for name in row.names[:most]],
            y=np.clip(one.values[:most], -6, 6),
            name=_title(one),
            mode="markers",
            marker=style["marker"],
        )
    picture.add_hline(y=0, line_dash="dot", line_color="grey", annotation_text="blind guess: the average")
    picture.update_xaxes(tickangle=-45, tickfont={"size": 11})
    picture.update_layout(margin_b=130, hovermode="x")
    return picture


def raw_values(row: SeatRow, say: Say = str, *, most: int = 4) -> str:
    """The first measurements that the coordinator of plain FL reads, in the table's own units."""
    at = [portrait.seat for portrait in row.portraits].index("plain FL")
    read = list(zip(row.names, row.raw[at], strict=True))[:most]
    return "; ".join(say("{name} {value:.4g}").format(name=say(name), value=value) for name, value in read)


def pictures_measured(rates: Mapping[str, MeasuredRate], *, dark: bool = False) -> go.Figure:
    """Of 100 pictures 28 x 28, how many the search names among 100, by what the seat sees; 95 % intervals, chance dotted."""
    picture = _measured([rates[f"pictures named: {case}"] for case in PICTURED], [*PICTURED.values()], dark=dark)
    picture.update_yaxes(title=f"named among {CROWD}")
    picture.add_hline(y=1 / CROWD, line_dash="dot", line_color="grey")
    return picture


def letters_measured(rates: Mapping[str, MeasuredRate], *, dark: bool = False) -> go.Figure:
    """Of 100 updates of letters the share of the words that is named, by what the seat sees; 95 % intervals, guessing marked."""
    found = [rates[f"letters: {case}"] for case in LETTERED]
    picture = _measured(found, [*LETTERED.values()], dark=dark)
    picture.update_yaxes(title="words named")
    guessing = {"symbol": "line-ew-open", "size": 12, "color": COLOURS[1], "line": {"width": 3}}
    picture.add_scatter(
        x=[*range(len(found))],
        y=[one.prior for one in found],
        mode="markers",
        marker=guessing,
        name="another update's guess",
    )
    picture.update_layout(showlegend=True)
    return picture


def letters_caption(rates: Mapping[str, MeasuredRate], say: Say = str) -> str:
    """The picture in a sentence."""
    said = []
    for case, name in LETTERED.items():
        one = rates[f"letters: {case}"]
        low, high = (100 * end for end in _ends(one))
        said.append(
            say("{name}: {named:.0f} % ({low:.0f} to {high:.0f} %; guessing {guess:.0f} %)").format(
                name=say(name), named=100 * one.value, low=low, high=high, guess=100 * one.prior
            )
        )
    each = say("Of {trials} updates or more each. Bars: 95 %.").format(trials=rates["letters: plain"].trials)
    return "; ".join(said) + ". " + each


def _ends(rate: MeasuredRate) -> tuple[float, float]:
    """The 95 % interval. Where all trials agree a bootstrap's has no width: then Wilson's of as many trials."""
    return (rate.low, rate.high) if rate.low < rate.high else wilson(rate.value * rate.trials, rate.trials)


def _measured(found: Sequence[MeasuredRate], names: Sequence[str], *, dark: bool) -> go.Figure:
    """Rates as bars with their 95 % intervals."""
    values = np.array([one.value for one in found])
    bars = {
        "type": "data",
        "array": np.array([_ends(one)[1] for one in found]) - values,
        "arrayminus": values - np.array([_ends(one)[0] for one in found]),
    }
    picture = figure(dark=dark, height=360)
    picture.add_bar(x=[*range(len(names))], y=values, error_y=bars, marker_color=COLOURS[0], name="measured")
    picture.update_xaxes(tickvals=[*range(len(names))], ticktext=[*names])
    picture.update_yaxes(range=[0, 1.05], tickformat=".0%")
    return picture


def pictures_caption(rates: Mapping[str, MeasuredRate], say: Say = str) -> str:
    """The picture in a sentence."""
    said = []
    for case, name in PICTURED.items():
        near, named = rates[f"pictures: {case}"], rates[f"pictures named: {case}"]
        said.append(
            say("{name}: {named:.0f} % ({low:.0f} to {high:.0f} %) of {trials}, {psnr} dB on average").format(
                name=say(name),
                named=100 * named.value,
                low=100 * named.low,
                high=100 * named.high,
                trials=named.trials,
                psnr=round(near.value),
            )
        )
    return "; ".join(said) + say(". A blind guess names 1 in {crowd}.").format(crowd=CROWD) + say(" Bars: 95 %.")


def animation(film: Film, *, dark: bool = False) -> go.Figure:
    """The inversion frame by frame, played in the browser, beside the record it looks for."""
    picture = make_subplots(
        1, 2, subplot_titles=["the attacker's guess", "the private record"], horizontal_spacing=0.05
    )
    for column, values in ((1, film.frames[0]), (2, film.target)):
        picture.add_heatmap(
            z=square(values, film.side),
            colorscale=GREY,
            zmin=0,
            zmax=1,
            showscale=False,
            row=1,
            col=column,
            hoverinfo="skip",
        )
    as_pictures(picture, dark=dark, height=400)
    picture.frames = [
        go.Frame(data=[go.Heatmap(z=square(frame, film.side))], traces=[0], name=str(at))
        for at, frame in enumerate(film.frames)
    ]
    steps = [
        {
            "method": "animate",
            "label": f"{quality:.0f} dB",
            "args": [[str(at)], {"mode": "immediate", "frame": {"duration": 0}, "transition": {"duration": 0}}],
        }
        for at, quality in enumerate(film.psnr)
    ]
    play = {
        "type": "buttons",
        "x": 0.0,
        "y": -0.1,
        "xanchor": "left",
        "yanchor": "top",
        "showactive": False,
        "font": {"color": "#1b2733"},
        "buttons": [
            {
                "label": "▶ play",
                "method": "animate",
                "args": [None, {"frame": {"duration": 160}, "transition": {"duration": 0}, "fromcurrent": False}],
            }
        ],
    }
    slider = {
        "steps": steps,
        "x": 0.14,
        "len": 0.84,
        "y": -0.02,
        "currentvalue": {"prefix": "PSNR ", "xanchor": "right"},
    }
    picture.update_layout(updatemenus=[play], sliders=[slider], margin_b=90)
    return picture


def animation_caption(film: Film, say: Say = str) -> str:
    """The picture in a sentence: from where to where. A place among candidates is luck too, so one record's is not said."""
    first, last = film.psnr[0], film.psnr[-1]
    return say(
        "{frames} frames of the search: {first:.0f} dB at the start, {last:.0f} dB at the end; above {same:.0f} dB it is the "
        "record: here {ends}."
    ).format(
        frames=len(film.frames),
        first=first,
        last=last,
        same=MATCH_DB,
        ends=say("the record") if last > MATCH_DB else say("not the record"),
    )


def square(values: Doubles, side: int) -> Doubles:
    """Pixels in 0..1 as rows of a picture. Shapes: (side²,) to (side, side)."""
    return np.asarray(np.clip(values.reshape(side, side), 0, 1))


def roc(results: Sequence[AttackResult], names: Sequence[str], *, dark: bool = False) -> go.Figure:
    """Membership: true against false positives on log axes, which show an attack that is sure of a few."""
    picture = figure(dark=dark, height=420, x="false positives", y="true positives")
    for place, (result, name) in enumerate(zip(results, names, strict=True)):
        curve = np.maximum(result.array("roc"), 1e-3)
        picture.add_scatter(
            x=curve[:, 0], y=curve[:, 1], name=f"{name}: AUC {result.value:.2f}", mode="lines", line=line(place)["line"]
        )
    picture.add_scatter(
        x=[1e-3, 1], y=[1e-3, 1], name="a coin", mode="lines", line={"color": COLOURS[6], "dash": "dot"}
    )
    for update in (picture.update_xaxes, picture.update_yaxes):
        update(type="log", range=[-3.03, 0.05], dtick=1)
    picture.update_layout(hovermode="closest")
    if len(results) > FEW:
        picture.update_layout(legend={"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1.0, "yanchor": "top"})
    return picture


def roc_caption(results: Sequence[AttackResult], names: Sequence[str], say: Say = str) -> str:
    """The picture in a sentence."""
    said = [
        say("{name} AUC {value:.2f} ({low:.2f} to {high:.2f}, {trials} members)").format(
            name=name, value=r.value, low=r.low, high=r.high, trials=r.trials
        )
        for r, name in zip(results, names, strict=True)
    ]
    return "; ".join(said) + say(". A coin has {coin:.2f}. After Carlini 2022.").format(coin=0.5)


def curves(found: Sequence[Curve], across: str, *, dark: bool = False) -> go.Figure:
    """Leak against a quantity, with 95 % intervals; chance dotted."""
    picture = figure(dark=dark, height=360, x=across, y="share recovered, or AUC")
    for place, one in enumerate(found):
        values = np.array([result.value for result in one.results])
        picture.add_scatter(
            x=list(one.at),
            y=values,
            name=one.name,
            mode="lines+markers",
            error_y={
                "type": "data",
                "array": np.array([r.high for r in one.results]) - values,
                "arrayminus": values - np.array([r.low for r in one.results]),
                "thickness": 1.2,
            },
            **line(place),
        )
        picture.add_scatter(
            x=list(one.at),
            y=list(one.chance),
            name=f"{one.name}, by guessing",
            mode="lines",
            line={"color": COLOURS[place], "dash": "dot", "width": 1.5},
        )
    picture.update_xaxes(type="log", tickvals=sorted({at for one in found for at in one.at}))
    picture.update_yaxes(range=[-0.03, 1.05])
    return picture


def curves_caption(found: Sequence[Curve], letter: str, say: Say = str) -> str:
    """The picture in a sentence."""
    parts, point = [], say("{letter} = {at}: {value:.2f}")
    for one in found:
        said = [
            point.format(letter=letter, at=at, value=result.value)
            for at, result in zip(one.at, one.results, strict=True)
        ]
        parts.append(f"{say(one.name)}: {', '.join(said)}")
    guessed = [say("{name} {value:.2f}").format(name=say(one.name), value=one.chance[-1]) for one in found]
    dotted = say(" Dotted, by guessing: {guessed}.").format(guessed=", ".join(guessed))
    return "; ".join(parts) + "." + say(" Bars: 95 %.") + dotted


def two_bars(found: Sequence[Noised], *, dark: bool = False) -> go.Figure:
    """Against noise: how often this attack still names its record, and whether the noise proves something (ε)."""
    names = [f"{one.level:g}" for one in found]
    titles = ("names its record, of 100 (dotted: guessing)", "proves something? ε of one round (dotted: 10)")
    picture = make_subplots(1, 2, horizontal_spacing=0.1, subplot_titles=titles)
    values = np.array([one.rate.named for one in found])
    low, high = np.array([one.rate.interval for one in found]).T
    bars = {"type": "data", "array": high - values, "arrayminus": values - low}
    picture.add_bar(x=names, y=values, error_y=bars, marker_color=COLOURS[0], row=1, col=1)
    picture.add_bar(x=names, y=[one.epsilon for one in found], marker_color=COLOURS[1], row=1, col=2)
    picture.add_hline(y=1 / CROWD, line_dash="dot", line_color="grey", row=1, col=1)
    picture.add_hline(y=10, line_dash="dot", line_color="grey", row=1, col=2)
    picture.update_yaxes(type="log", row=1, col=2)
    picture.update_xaxes(type="category", title_text="noise / clipping norm")
    plain = figure(dark=dark, height=340)
    picture.update_layout(template=plain.layout.template, height=340, showlegend=False)
    return picture


def two_bars_caption(found: Sequence[Noised], say: Say = str) -> str:
    """The picture in a sentence."""
    said = [
        say("noise {level:g}: {rate}, ε = {epsilon:.3g}").format(
            level=one.level, rate=rate_words(one.rate, say), epsilon=one.epsilon
        )
        for one in found
    ]
    guessing = float(np.mean([one.result.prior for one in found]))
    return "; ".join(said) + say(". Guessing: {guessing:.0f} dB, 1 in {crowd}; {records} records a bar.").format(
        guessing=guessing, crowd=CROWD, records=found[0].rate.records
    )


def key(result: AttackResult, *, shown: int = 64, dark: bool = False) -> go.Figure:
    """The solution's first coefficients: a key has -1, 0 and 1 only."""
    found = result.array("key")[:shown]
    picture = figure(dark=dark, height=260, x="coefficient of the key", y="recovered")
    small = bool(np.all(np.abs(found) <= 1))
    values = found if small else np.sign(found) * np.log10(np.abs(found) + 1)
    picture.add_bar(y=values, marker={"color": COLOURS[5] if small else COLOURS[6]}, name="recovered")
    picture.update_yaxes(
        title={"text": "recovered" if small else "sign · log10"}, tickvals=[-1, 0, 1] if small else None
    )
    return picture


def opened(result: AttackResult, *, shown: int = 80, dark: bool = False) -> go.Figure:
    """A client's update, and its ciphertext decrypted with the stolen key."""
    picture = figure(dark=dark, height=260, x="entry of client 1's update", y="value")
    truth, found = result.array("update")[:shown], result.array("opened")[:shown]
    picture.add_scatter(y=truth, name="what client 1 encrypted", mode="lines", line=line(0)["line"])
    limit = 3 * float(np.max(np.abs(truth)))
    marker = line(5)["marker"] | {"size": 6}
    picture.add_scatter(y=np.clip(found, -limit, limit), name="what the thief reads", mode="markers", marker=marker)
    return picture


def coalition(result: AttackResult, *, dark: bool = False) -> go.Figure:
    """How many clients the coordinator needs."""
    reach = result.array("opened")
    picture = figure(dark=dark, height=260, x="clients that collude with the coordinator", y="victim's update opened")
    colours = [COLOURS[5] if value else COLOURS[2] for value in reach]
    picture.add_bar(
        x=[str(at) for at in range(len(reach))], y=np.where(reach > 0, 1.0, 0.04), marker={"color": colours}
    )
    picture.update_yaxes(tickvals=[0, 1], ticktext=["no", "yes"], range=[0, 1.1])
    return picture


def lying_client(result: AttackResult, *, dark: bool = False) -> go.Figure:
    """Accuracy per round with and without one client that lies."""
    picture = figure(dark=dark, height=300, x="round", y="accuracy (hold-out)")
    for place, (name, what) in enumerate((("all honest", "honest"), ("one lying client", "poisoned"))):
        values = result.array(what)
        picture.add_scatter(
            x=list(range(1, len(values) + 1)), y=values, name=name, mode="lines+markers", **line(place * 5)
        )
    picture.update_xaxes(dtick=1)
    picture.update_yaxes(range=[0, 1])
    return picture


def silhouettes(record: Doubles, theirs: Doubles, ours: Doubles, side: int, *, dark: bool = False) -> go.Figure:
    """A digit, what phe's exponents reveal of its update, and what integers of one scale reveal."""
    titles = ["private record", "phe's exponents", "our integers"]
    picture = make_subplots(1, 3, horizontal_spacing=0.03, subplot_titles=titles)
    for column, values in enumerate((record, theirs, ours), 1):
        said = values if np.ptp(values) else np.full_like(values, 0.6)  # no information: grey, not white on white
        picture.add_heatmap(
            z=square(np.asarray(said, float), side),
            colorscale=GREY,
            zmin=0,
            zmax=1,
            showscale=False,
            row=1,
            col=column,
        )
    as_pictures(picture, dark=dark, height=250)
    return picture
