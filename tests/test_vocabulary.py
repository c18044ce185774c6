"""One name per thing: the names that were given up stand nowhere, and no sentence of the docs begins with who."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("hefl_core", "pages", "lessons", "docs", "benchmarks", "deploy", "tests")
KINDS = {".py", ".md", ".po", ".html", ".js", ".toml", ".yaml"}
GIVEN_UP = ("attendant", "errand", "household", "tally", "tallies", "liar", "settler", "keyroom", "keyheist", "inquiry")
RETIRED = re.compile(rf"\b({'|'.join(GIVEN_UP)})s?\b", re.IGNORECASE)
BEGINS_WITH_WHO = re.compile(r"(?:^|[.:!] |\| )(?:Who|Whoever)\b[^?|.]*\.", re.MULTILINE)


def texts():
    """Everything that is read or shown; the changelog names old words beside the new ones."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in KINDS]
    files += [*ROOT.glob("*.md"), ROOT / "app.py", ROOT / "locale" / "de" / "LC_MESSAGES" / "hefl.po"]
    return [
        path for path in files if path.name not in {"CHANGELOG.md", "test_vocabulary.py"} and ".venv" not in path.parts
    ]


def test_words_that_were_given_up_stand_nowhere():
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}" for path in texts() for hit in RETIRED.finditer(path.read_text("utf-8"))
    ]
    assert not found, found


def test_no_sentence_of_the_docs_begins_with_who():
    docs = [*(ROOT / "docs").rglob("*.md"), *(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md")]
    found = [f"{path.name}: {hit[0]}" for path in docs for hit in BEGINS_WITH_WHO.finditer(path.read_text("utf-8"))]
    assert not found, found


@pytest.mark.parametrize("text", ["A liar sends more.", "the tallies of a run"])
def test_a_word_that_was_given_up_is_found(text):
    assert RETIRED.search(text)


@pytest.mark.parametrize(
    ("text", "found"), [("Who adds must ask.", True), ("Done. Whoever adds asks.", True), ("Who adds?", False)]
)
def test_a_sentence_that_begins_with_who_is_found(text, found):
    assert bool(BEGINS_WITH_WHO.search(text)) is found
