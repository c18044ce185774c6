"""The teachers' material: every link leads to a screen that exists, in a state that the application accepts."""

import re
from urllib.parse import parse_qsl, urlencode

import pytest

from hefl_core.federation.experiment import Experiment
from hefl_core.teaching import lessons
from lessons import answers

ROOT = lessons.FOLDER.parent
LINK = re.compile(r"\]\(http://localhost:8501/?([^)?]*)\??([^)]*)\)")
FIELDS = set(Experiment.__dataclass_fields__)
SCREEN = {"seat", "cursor", "audience", "presenter", "language"}
TEXTS = [ROOT / "docs" / "teaching.md", *(lessons.FOLDER / f"{name}.py" for name in lessons.names())]
LINKS = [(path.name, *found) for path in TEXTS for found in LINK.findall(path.read_text(encoding="utf-8"))]


def problem(page, query):
    """What is wrong with a link, or ""."""
    if not (ROOT / "pages" / f"{page or 'start'}.py").exists():
        return f"no page {page!r}"
    given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    if unknown := set(given) - FIELDS - SCREEN:
        return f"unknown {unknown}"
    if given.get("audience", "class") not in ("class", "thesis", "stakeholder"):
        return f"audience {given['audience']!r}"
    Experiment.from_query(urlencode({name: value for name, value in given.items() if name in FIELDS}))
    return ""


def test_there_are_links():
    assert len(LINKS) > 30 and {name for name, *_ in LINKS} == {path.name for path in TEXTS}


@pytest.mark.parametrize(("name", "page", "query"), LINKS)
def test_a_link_leads_to_its_state(name, page, query):
    assert problem(page, query) == ""


def test_a_wrong_link_is_noticed():
    assert problem("nowhere", "") and problem("keys", "shceme=bfv-lean") and problem("keys", "audience=boss")


def test_the_answer_key_is_made_from_the_exercises():
    assert answers.FILE.read_text(encoding="utf-8") == answers.key(), "run python -m lessons.answers"


def test_misconceptions_have_pages():
    table = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8").split("## Common misconceptions")[1]
    rows = [row for row in table.split("## ")[0].splitlines() if row.startswith("|")][2:]
    assert len(rows) >= 12 and all(LINK.search(row) for row in rows)
