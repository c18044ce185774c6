"""Inside a ciphertext: its bytes, its residues against uniform, its layout, its noise growth, which parameters are safe."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from hefl_core.figures.style import COLOURS, Say, figure, line
from hefl_core.measure.precision import Security, Wear
from hefl_core.measure.specimen import Twice, Uniformity, WordLayout
from hefl_core.schemes.base import Vector
from hefl_core.schemes.ring.rlwe import Residues

SIDE = 64


def heat(values: npt.NDArray[np.float64], *, dark: bool = False) -> go.Figure:
    """Numbers in 0..1, up to 4,096 of them, as a square of colours; noise has no pattern."""
    piece = values[: SIDE * SIDE]
    rows = piece[: len(piece) // SIDE * SIDE].reshape(-1, SIDE)
    picture = figure(dark=dark, height=330)
    picture.add_heatmap(
        z=rows, colorscale="Cividis", zmin=0, zmax=1, showscale=False, hovertemplate="%{z:.3f}<extra></extra>"
    )
    picture.update_layout(
        xaxis={"visible": False},
        yaxis={"visible": False, "autorange": "reversed", "scaleanchor": "x"},
        margin={"l": 5, "r": 5, "t": 5, "b": 5},
        hovermode="closest",
    )
    return picture


def byte_heat(words: Residues, bits: int, *, dark: bool = False) -> go.Figure:
    """The full bytes of residues of ``bits`` bits: the topmost is not full and would draw stripes."""
    full = bits // 8
    raw = np.ascontiguousarray(words.reshape(-1)[: SIDE * SIDE // full + 1], dtype="<u8").view(np.uint8)
    return heat(raw.reshape(-1, 8)[:, :full].reshape(-1) / 255.0, dark=dark)


def update_heat(update: Vector, *, dark: bool = False) -> go.Figure:
    """An update, entry by entry: most lie near zero."""
    most = float(np.max(np.abs(update))) or 1.0
    return heat(0.5 + update / (2 * most), dark=dark)


def heat_caption(words: Residues, bits: int, say: Say = str) -> str:
    """The picture in a sentence."""
    full = bits // 8
    raw = np.ascontiguousarray(words.reshape(-1), dtype="<u8").view(np.uint8).reshape(-1, 8)[:, :full]
    _, count = np.unique(raw, return_counts=True)
    share = count / count.sum()
    entropy = float(-np.sum(share * np.log2(share)))
    return say(
        "{size:,} bytes (the {full} full ones of each residue): {entropy:.3f} of 8 bits of entropy per byte."
    ).format(size=raw.size, full=full, entropy=entropy)


def residues(cipher: Uniformity, plain: Uniformity, *, dark: bool = False) -> go.Figure:
    """How often each thirty-second of the range occurs: residues of the ciphertext, and the update's own entries."""
    picture = figure(dark=dark, height=330, x="place in the range from 0 to 1", y="share, uniform = 1")
    for place, (name, found) in enumerate((("the update itself", plain), ("ciphertext residues", cipher))):
        count = len(found.bins)
        picture.add_bar(
            x=[(at + 0.5) / count for at in range(count)],
            y=[value * count / found.count for value in found.bins],
            name=name,
            opacity=0.85,
            marker={"color": COLOURS[1 - place], "pattern": {"shape": ["/", ""][place]}},
        )
    picture.add_hline(y=1, line={"dash": "dot", "color": COLOURS[5]})
    picture.update_layout(barmode="overlay", bargap=0.05)
    return picture


def residues_caption(cipher: Uniformity, plain: Uniformity, say: Say = str) -> str:
    """The picture in a sentence, with the Kolmogorov-Smirnov numbers."""
    return say(
        "Kolmogorov-Smirnov distance from uniform: {distance:.4f} for {count:,} residues (p = {p:.2f}: {verdict}), "
        "{its_distance:.3f} for the update's {its_count:,} entries (p {its_p})."
    ).format(
        distance=cipher.distance,
        count=cipher.count,
        p=cipher.p_value,
        verdict=say("no difference from uniform is found" if cipher.looks_uniform else "they differ from uniform"),
        its_distance=plain.distance,
        its_count=plain.count,
        its_p=_p(plain.p_value),
    )


def twice_caption(found: Twice, say: Say = str) -> str:
    """The pictures in a sentence."""
    return say(
        "{equal:,} of {residues:,} residues are equal, and yet both decrypt to the same numbers."
        if found.equal_plaintexts
        else "{equal:,} of {residues:,} residues are equal, and both decrypt to different numbers."
    ).format(equal=found.equal, residues=found.residues)


def word_bits(found: WordLayout, *, dark: bool = False) -> go.Figure:
    """The bits of one word from the lowest: values, and the head-room that sums grow into."""
    return _strip([(name, width) for name, width in found.bits], f"bits of one {found.unit}, lowest first", dark=dark)


def block_words(found: WordLayout, *, dark: bool = False) -> go.Figure:
    """The use of the first block's words."""
    return _strip(list(found.words), f"{found.unit}s of the first block", dark=dark)


def _strip(parts: list[tuple[str, int]], title: str, *, dark: bool) -> go.Figure:
    picture = figure(dark=dark, height=125, x=title)
    colours: dict[str, str] = {}
    total = sum(width for _, width in parts)
    for name, width in parts:
        kind = name.split(" ")[0]
        neutral = kind in ("zero", "unused", "head-room")
        colours.setdefault(kind, COLOURS[6] if neutral else COLOURS[len(colours) % 6])
        picture.add_bar(
            y=[""],
            x=[width],
            name=name,
            orientation="h",
            showlegend=False,
            text=[f"{name}: {width}"] if width > total / 14 else [""],
            textposition="inside",
            insidetextanchor="middle",
            marker={
                "color": colours[kind],
                "pattern": {"shape": "/" if neutral else ""},
                "line": {"width": 1, "color": "white"},
            },
            hovertemplate=f"{name}: {width}<extra></extra>",
        )
    picture.update_layout(barmode="stack", hovermode="closest", margin={"l": 5, "r": 5, "t": 5, "b": 45})
    picture.update_yaxes(visible=False)
    return picture


def layout_caption(found: WordLayout, say: Say = str) -> str:
    """Both pictures in a sentence."""
    bits = ", ".join(f"{name} {width}" for name, width in found.bits)
    words = ", ".join(say("{count:,} × {name}").format(count=count, name=name) for name, count in found.words)
    return say("One {unit}, in bits: {bits}. The first block: {words}.").format(unit=found.unit, bits=bits, words=words)


def wear(found: Wear, *, dark: bool = False) -> go.Figure:
    """Bits left after additions; a cross where decryption is wrong."""
    picture = figure(dark=dark, height=340, x="terms in the sum", y=found.unit)
    for place, (name, points) in enumerate(
        (("different ciphertexts, as in a round", found.independent), ("one ciphertext with itself", found.doubled))
    ):
        picture.add_scatter(
            x=[point.terms for point in points],
            y=[point.bits for point in points],
            name=name,
            mode="lines+markers",
            **line(place),
        )
    wrong = [point for point in (*found.independent, *found.doubled) if not point.right]
    if wrong:
        picture.add_scatter(
            x=[point.terms for point in wrong],
            y=[point.bits for point in wrong],
            name="decrypts wrongly, or is refused",
            mode="markers",
            marker={"symbol": "x", "size": 16, "color": COLOURS[5]},
        )
    most = max(point.bits for point in (*found.independent, *found.doubled))
    picture.add_scatter(
        x=[found.head_room] * 2,
        y=[0, most],
        name=f"the preset stops at {found.head_room}",
        mode="lines",
        line={"color": COLOURS[6], "dash": "dash", "width": 2},
    )
    last = max(point.terms for point in (*found.independent, *found.doubled))
    step = 1 if last < 1 << 12 else 3
    ticks = [1 << power for power in range(0, last.bit_length(), step)]
    picture.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks])
    picture.update_yaxes(rangemode="tozero")
    return picture


def wear_caption(found: Wear, say: Say = str) -> str:
    """The picture in a sentence."""
    first, last = found.independent[0], found.independent[-1]
    text = say("{unit}: {fresh:.1f} fresh, {left:.1f} after {terms} different terms").format(
        unit=say(found.unit), fresh=first.bits, left=last.bits, terms=last.terms
    )
    if found.breaks_at is None:
        end = say("; added to itself it still decrypts at {terms:,} terms.").format(terms=found.doubled[-1].terms)
    else:
        end = say("; added to itself it breaks at {terms:,} terms, the preset refuses more than {most}.").format(
            terms=found.breaks_at, most=found.head_room
        )
    return text + end


def security(found: Security, *, dark: bool = False) -> go.Figure:
    """Bits of all primes beside what each table allows: shorter is safer."""
    picture = figure(dark=dark, height=170, x=f"bits of all coefficient primes at N = {found.degree:,}")
    rows = (("2024 guidelines", found.limit_2024), ("2018 standard", found.limit_2018), ("yours", found.used))
    picture.add_bar(
        y=[name for name, _ in rows],
        x=[value for _, value in rows],
        orientation="h",
        text=[str(value) for _, value in rows],
        marker={"color": [COLOURS[6], COLOURS[6], COLOURS[2] if found.fits else COLOURS[5]]},
        showlegend=False,
    )
    picture.update_layout(hovermode="closest", margin={"l": 130, "r": 15, "t": 5, "b": 45})
    return picture


def security_caption(found: Security, say: Say = str) -> str:
    """The picture in a sentence."""
    return say("{used} bits used; allowed {now} (eprint 2024/463) and {before} (2018): {verdict}.").format(
        used=found.used,
        now=found.limit_2024,
        before=found.limit_2018,
        verdict=say(
            "within both tables: at least 128 bits" if found.fits else "beyond a table: less than 128 bits, refused"
        ),
    )


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"= {value:.3f}"
