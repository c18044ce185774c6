"""Lessons: the course's text with exercises that check themselves, and the glossary."""

from pages.parts import course

course.page()
