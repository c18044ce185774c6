"""The numbers that a lesson's sentences state: everything a student reads, without what is a formula, code or a citation."""

import re
from dataclasses import dataclass

from hefl_core.teaching import lessons
from hefl_core.teaching.exercise import Choice

_WORDS = (
    "three four five six seven eight nine ten eleven twelve fourteen sixteen nineteen twenty thirty fifty hundreds? "
    "thousands? million half halves quarter third tenth twice double[ds]?"
).split()
_NUMBER = re.compile(rf"(?<![\w.])[−-]?(?:\d[\d,.]*\d|\.?\d+)|\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)
_NO_STATEMENT = re.compile(
    "|".join(
        (
            r"(?s:\$\$.*?\$\$)",  # formulas
            r"\$[^$\n]*\$",
            r"`[^`\n]*`",  # code
            r"\]\([^)]*\)",  # where a link leads
            r"^#+ Further reading\n\n(?:[- ] .*(?:\n|\Z))*",  # citations
            r"\*\*Further reading\*\*(?s:.*)",
            r"^#+ .*$",  # headings are numbered
            r"\*\*(?:Minutes:|Time)\*\*.*",  # a promise; test_lessons.py holds it to 45 minutes
            r"\b[Ll]essons? \d\d(?: \([^)]*\))?(?:(?:,| and|;) \d\d(?: \([^)]*\))?)*",  # references
            r"\bsections? \d+\b",
            r"\beprint \d+/\d+",
            r"\bSHA-256\b",
            r"\b(?:19[5-9]\d|20[0-3]\d)\b",  # years
            r"\b\d-of-\d\b",  # names
            r"\bclient-\d\b",
            r"\b127\.0\.0\.1\b",
        )
    ),
    re.MULTILINE,
)


@dataclass(frozen=True)
class Text:
    """One piece of prose: where it stands, and its sentences on one line, with what states nothing blanked out."""

    place: str
    words: str

    @classmethod
    def of(cls, place, source):
        return cls(place, " ".join(_NO_STATEMENT.sub(" … ", source).split()))

    def unstated(self, phrases):
        """Every number that stands in none of these phrases, with the words around it."""
        spans = [m.span() for phrase in phrases for m in re.finditer(re.escape(phrase), self.words)]
        for found in _NUMBER.finditer(self.words):
            if not any(begin <= found.start() and found.end() <= end for begin, end in spans):
                yield self.words[max(0, found.start() - 50) : found.end() + 40]


def of_lesson(lesson):
    """Its Markdown cells; of each exercise the question, the right option, the reason and the hints."""
    for number, cell in enumerate(lesson.cells):
        if cell.markdown:
            yield Text.of(f"cell {number}", cell.source)
    for ask in lesson.exercises:
        right = (ask.options[ask.right],) if isinstance(ask, Choice) else ()
        for source in (ask.question, *right, ask.why, *ask.hints):
            yield Text.of(ask.name, source)


def of_role(name):
    """The Markdown cells of one notebook of the role play."""
    for number, cell in enumerate(lessons.cells_of(lessons.FOLDER / "roles" / f"{name}.py")):
        if cell.markdown:
            yield Text.of(f"{name}, cell {number}", cell.source)
