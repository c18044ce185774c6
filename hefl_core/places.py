"""Folder of the application: beside this package in a clone and in the image, ``hefl_app`` where the wheel is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_AROUND: Final = Path(__file__).parents[1]
_INSTALLED: Final = _AROUND / "hefl_app"
APPLICATION: Final = _INSTALLED if _INSTALLED.is_dir() else _AROUND
"""The folder with app.py, pages, lessons and locale."""
