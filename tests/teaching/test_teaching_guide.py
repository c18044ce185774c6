"""The teacher's papers: every link opens a page in a state that exists; the answer key is the exercises'."""

import re
from dataclasses import fields
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from hefl_core.errors import HeflError
from hefl_core.federation.record.transcript import EAVESDROPPER
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, OBSERVER, client_name
from hefl_core.teaching import lessons
from hefl_core.teaching.glossary import TERMS
from hefl_core.teaching.walks import WALKS, find_walk
from hefl_core.terms.experiment import Experiment
from lessons.tools import answers
from pages.parts import frame

ROOT = lessons.FOLDER.parent
GUIDE = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
INTO = "http://localhost:8501/"
TABS = tuple(
    frame.tab_name(text)
    for name in ("attack", "limits", "inside", "lessons")
    for text in re.findall(r'_\("([^"]+)"\): ', (ROOT / "pages" / f"{name}.py").read_text(encoding="utf-8"))
)
FIELDS = {field.name for field in fields(Experiment)}


def opened(link):
    """The experiment that the application takes from a link, as frame.begin reads it.

    Raises: HeflError or AssertionError for what the application would not show.
    """
    found = urlsplit(link)
    assert found.path != "/start", "the first page has the bare address; the browser finds no page at this one"
    page, query = (
        found.path.strip("/") or "start",
        dict(parse_qsl(found.query, keep_blank_values=True, strict_parsing=True)),
    )
    assert (ROOT / "pages" / f"{page}.py").exists(), f"no page {page!r}"
    if "walk" in query:
        walk = find_walk(query["walk"])
        assert walk is not None and query["stop"] in map(str, range(1, len(walk.stops) + 1))
        assert walk.at(int(query["stop"])).page == page
        query = walk.query(int(query.pop("stop"))) | {n: v for n, v in query.items() if n != "walk"}
    given = {name: value for name, value in query.items() if name in FIELDS}
    base = {} if "dataset" in given else {"dataset": frame.DEFAULT.dataset, "batch": frame.DEFAULT.batch}
    experiment = Experiment.from_query(urlencode(base | given))
    assert experiment.dataset in frame.DATASETS
    for name, value in query.items():
        if name in FIELDS:
            continue
        assert name in frame._SCREEN, f"{name}: the application reads no such parameter"
        known = {
            "audience": frame.AUDIENCES,
            "presenter": ("1",),
            "language": ("de",),
            "seat": (
                OBSERVER,
                COORDINATOR,
                AUDITOR,
                KMS,
                EAVESDROPPER,
                *map(client_name, range(1, experiment.clients + 1)),
            ),
            "tab": TABS,
            "patient": tuple(map(str, range(1, 7))),
            "cursor": tuple(map(str, range(1, 200))),
        }[name]
        assert value in known, f"{name}: expected one of {known[:6]}, found {value!r}"
    return experiment


def links(text):
    return [link for _, link in LINK.findall(text) if link.startswith(INTO)]


def test_links_of_the_guide_open_what_they_say():
    found = links(GUIDE)
    assert len(found) >= 25
    for link in found:
        opened(link)


@pytest.mark.parametrize("name", lessons.names())
def test_links_of_the_lessons_open_what_they_say(name):
    found = links("".join(cell.source for cell in lessons.read(name).cells if cell.markdown))
    assert found
    for link in found:
        opened(link)


@pytest.mark.parametrize(
    "query",
    (
        *("one_rounds", "start?dataset=digits", "keys?scheme=bfv-leaner", "keys?client=3", "keys?audience=boss"),
        *("one_round?clients=3&seat=client-4", "limits?clients=2", "one_round?walk=class&stop=1"),
        *("limits?walk=class&stop=7", "limits?tab=the-sum-itself-", "costs?walk=student&stop=1"),
    ),
)
def test_a_link_that_would_not_open_is_found(query):
    with pytest.raises((AssertionError, HeflError)):
        opened(INTO + query)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_the_guide_has_each_walk_as_the_application_walks_it(walk):
    rows = [line for line in GUIDE.splitlines() if f"?walk={walk.name}&" in line]
    assert len(rows) == len(walk.stops)
    for number, (row, stop) in enumerate(zip(rows, walk.stops, strict=True), start=1):
        begins, ends = walk.minutes(number)
        assert row.startswith(f"| {begins}-{ends} | ")
        assert row.endswith(f'(http://localhost:8501{walk.address(number)}) | {stop.say} | "{stop.ask}" |')
    assert f"\n## {ends} minutes: " in GUIDE


def test_files_that_the_guide_names_exist():
    named = [link for _, link in LINK.findall(GUIDE) if not link.startswith("http")]
    assert named
    assert not [link for link in named if not (ROOT / "docs" / link).exists()]


def test_four_walks_and_a_dozen_misconceptions():
    titles = re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)
    for minutes in ("45 minutes", "90 minutes", "15 minutes", "5 minutes"):
        assert sum(title.startswith(minutes) for title in titles) == 1
    section = GUIDE.split("## Common misconceptions")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 12
    assert all(links(row) for row in rows), "each misconception names the page that corrects it"


def test_the_answer_key_has_every_exercise():
    made = answers.key()
    every = [one for name in lessons.names() for one in lessons.read(name).exercises]
    assert every and all(f"**{one.name}** {one.question}" in made and one.why in made for one in every)


def test_tooltips_quote_the_glossary():
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "pages").rglob("*.py")]
    quoted = {name for text in pages for name in re.findall(r'\bmeaning\("([^"]+)"\)', text)}
    assert len(quoted) >= 5
    assert quoted <= {term.name for term in TERMS}
