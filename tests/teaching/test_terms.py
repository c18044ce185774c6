"""A term of the glossary is set off where the course first uses it: that is where the sentence explains it."""

import re

from hefl_core.teaching import lessons
from hefl_core.teaching.glossary import TERMS
from hefl_core.teaching.lessons import LessonCell
from tests.teaching.prose import Text

EMPHASIS = re.compile(r"\*\*[^*]+\*\*|\*[^*\n]+\*")


def course():
    """(place, words) of all that a student reads in order, without goals, requirements and links at the top."""
    for name in lessons.names():
        for number, cell in enumerate(lessons.read(name).cells):
            if cell.markdown:
                yield f"lesson {name[:2]}, cell {number}", body(cell, first=number == 0)


def body(cell, *, first):
    paragraphs = cell.source.split("\n\n")
    return Text.of("", "\n\n".join(p for p in paragraphs if not (first and p.startswith("**")))).words


def not_set_off(texts):
    """Terms whose first use is plain text, with the place and the words around it."""
    found = {}
    for term in TERMS:
        use = re.compile(rf"(?<!\w){re.escape(term.name)}(?:e?s)?(?!\w)".replace(r"\ ", "[ -]"), re.IGNORECASE)
        for place, words in texts:
            if first := use.search(words):
                spans = [m.span() for m in EMPHASIS.finditer(words)]
                if not any(begin < first.start() and first.end() < end for begin, end in spans):
                    found[term.name] = f"{place}: …{words[max(0, first.start() - 50) : first.end() + 40]}…"
                break
    return found


def test_the_first_use_of_a_term_is_set_off():
    assert not not_set_off(list(course()))


def test_a_term_used_before_it_is_introduced_is_found():
    texts = [("here", body(LessonCell("Clients send an update.", markdown=True), first=True)), *course()]
    assert set(not_set_off(texts)) == {"client", "update"}


def test_most_terms_of_the_glossary_are_taught():
    words = " ".join(words for _, words in course()).casefold()
    assert sum(term.name.casefold() in words for term in TERMS) > 0.6 * len(TERMS)
