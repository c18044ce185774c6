"""Lessons that run: their text, their exercises and what a student calls in a notebook."""

from hefl_core.teaching.lessons import check, hint

__all__ = ["check", "hint"]
