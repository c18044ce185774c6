"""Lessons that run: their text, their exercises and the functions for a student's notebook."""

from hefl_core.teaching.lessons import check, hint

__all__ = ["check", "hint"]
