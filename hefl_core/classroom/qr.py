"""A QR code of the class's address, for the projector and for a terminal."""

from __future__ import annotations

import io

import segno


def qr_svg(url: str) -> str:
    """As inline SVG, black on white whatever the theme: a camera needs the contrast."""
    found: str = segno.make(url, error="m", micro=False).svg_inline(scale=8, border=3, dark="#000", light="#fff")
    return found


def qr_text(url: str) -> str:
    """For a terminal, in half blocks."""
    out = io.StringIO()
    segno.make(url, error="m", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()
