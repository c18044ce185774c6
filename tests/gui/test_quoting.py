"""What others wrote reaches no screen as Markdown or HTML: read off the pages' sources, and tried with hostile texts."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hefl_core.shown import LONGEST, visible
from pages.parts.quoting import in_html, quoted
from tests.gui.conftest import ROOT
from tests.security.screen_sinks import Source

OURS = {
    "written in this program: names, notes, words of glossary, ledger, exercises, attacks and presets": (
        "claim.id", "finding.id", "*.source", "claim.*", "term.*", "ask.*", "meaning(*", "*.attack.*", "preset.*",
        "chosen.scheme", "chosen.model", "said.scheme", "said.custody", "experiment.scheme", "experiment.custody",
        "found.experiment.scheme", "*.note",
        "result.metric", "result.prior_is", "verdict.check", "verdict.who", "verdict.forgery", "verdict.caught_by",
        "control.planted", "control.__doc__", "remark.*",
        "one.title", "line.what", "line.formula", "mechanism.guarantee(*).sentence", "here.title",
        "hand.*", "str.upper", "*progress.text", "event.text", "LEGAL.read_text(*", "(lessons.FOLDER*",
        "_HEADING.sub(*", "asked.evidence", "{'dlg': *", "{PLAIN: *", "result.note[0]", "on_run.threat(seat)",
        "result.shared_processes", "error_line(*",
        "found.command", "rates[[]0].records", "one.hits",
        "attack.title", "attack.remedy", "plain_sentences()", "frame.DEFAULT.scheme", "walk.title", "stop.ask", "stop.say",
        "ask(*", "_verdict(answer)", "_verdict(why)", "sign.sentence", "sign.values", "shown.dataset", "shown.scheme",
    ),
    "drawn from results: numbers, and names of schemes, seats and built-in data sets": (
        "figures.*", "drawn.*_caption(*", "training.caption(*", "row.label", "chosen.dataset", "experiment.dataset",
        "formula(*", "life.wanted", "found.alone.scheme", "found.together.scheme", "found.together.custody",
    ),
    "the experiment refuses other texts in them, also in a record that was uploaded": ("*xperiment*.insecure", "seats_of(*"),
    "one HTML file by a template that escapes": ("to_html(*", "replace(cover*"),
    "numbers": (
        "*.clients", "*.rounds", "*.trials", "*.limit", "*.fraction", "*.progress", "min(*", "*.blocks", "*.length",
        "*.applied", "*.round", "*.epoch", "*.have", "*.need", "*.security_bits", "table.sizes", "sizes.*", "found.sent",
        "found.controls_found", "found.guessing.*", "costs.most_clients(name)", "found.needles",
        "message_count(*", "roster.fingerprint", "knowledge(*", "cell.state.value", "found.when", "found.key_id",
        "curve.at", "curve.nothing_from", "found.threshold", "found.holds", "found.fails", "found.silent", "found.argued",
        "found.attacks", "found.at_the_server", "found.unstopped", "found.recovered", "_numbers(rounds)",
        "state.arrived", "state.of", "state.round.*", "addend.seat", "answer.count",
        "job.tables", "_own(files)", "note.sums", "walk.minutes(*", "SESSIONS.number(*", "leak.same",
    ),
    "what a widget or a caller of the same page hands over, judged there": (
        "lambda(i)", "lambda(n)", "_button(icon)", "_button(label)", "_calibrated(names)", "_choice(label)", "_fits(name)",
        "_row(question)", "_show(title)", "_verdict(name)", "_and(parts)", "_matrix(found)",
        "_nothing_from(label)", "badges(plain)", "tabs(drawn)", "comparison.curves.values()",
        "st.session_state*",
    ),
}  # fmt: skip
"""Everything shown that is not quoted, and why it need not be."""


LISTED = tuple(pattern for some in OURS.values() for pattern in some)


def pages():
    found = {}
    for path in [*sorted((ROOT / "pages").rglob("*.py")), ROOT / "app.py"]:
        name = path.parent.name if path.stem == "__init__" else path.stem
        found[name] = Source(path.read_text(encoding="utf-8"), LISTED, found)
    return found


def test_all_that_is_shown_is_ours_or_quoted():
    found = {(name, *one) for name, source in pages().items() for one in source.unsafe()}
    assert found == set(), "quote it (pages/parts/quoting.py), or say in OURS why it need not be"


@pytest.mark.parametrize(
    "page",
    [
        "try:\n    f()\nexcept HeflError as error:\n    st.error(f'**x** {error}')",
        "try:\n    f()\nexcept HeflError as error:\n    st.caption(_('no: {error}').format(error=error))",
        "try:\n    f()\nexcept HeflError as error:\n    said = str(error)\n    left.warning('a' + said)",
        "def g(error):\n    return _('x {e}').format(e=error)\nst.success(g(1))",
        "for one in absences:\n    st.markdown(one.reason)",
        "st.info(' '.join(dataset.classes))",
        "st.html(f'<b>{thing.name}</b>')",
        "st.html(f'<b>{quoted(thing.name)}</b>')",
        "st.markdown(in_html(thing.name))",
        "st.button('x', help=finding.evidence)",
        "st.pills('x', thing.names)",
        "st.radio('x', (1, 2), format_func=lambda n: thing.name)",
        "st.progress(0.5, session.text)",
        "st.metric('x', thing.name)",
        "a, b = 1, thing.name\nst.write(b)",
        "st.text('x')\nst.toast(given['name'])",
    ],
)
def test_the_reader_of_sources_sees_each_of_them(page):
    assert Source(page).unsafe()


@pytest.mark.parametrize(
    "page",
    [
        "try:\n    f()\nexcept HeflError as error:\n    st.error(f'**x** {quoted(error)}')",
        "st.html(f'<b>{in_html(thing.name)}</b>')",
        "st.caption(_('{n} of {m:.2f}').format(n=len(x), m=thing.value))",
        "def g(n: int):\n    return f'{n} times'\nst.success(g(1))",
        "st.selectbox('x', thing.names)",
    ],
)
def test_what_is_quoted_or_a_number_passes(page):
    assert not Source(page).unsafe()


def test_no_page_has_another_way_to_mark_a_text_as_safe():
    """Raw HTML in Markdown, and iframes other than the report's."""
    for name, source in pages().items():
        text = ast.unparse(source.tree)
        assert "unsafe_allow_html" not in text and "iframe" not in text, name
        assert "components.html" not in text or name == "report"
        assert not re.search(r"^from html import|^import html", text, re.M) or name == "quoting"


# -- the two helpers -----------------------------------------------------------------------------------------------

ANY = st.text(alphabet=st.characters(), max_size=1500)


@given(ANY)
def test_markdown_gets_one_code_span_whatever_the_text(text):
    """CommonMark 6.1: a span ends at the first run of as many backticks as it began with, and nothing inside is parsed."""
    shown = quoted(text)
    fence = re.match(r"\*(`+)", shown)[1]
    inside = shown[1 + len(fence) : -1 - len(fence)]
    assert shown == f"*{fence}{inside}{fence}*"
    assert fence not in [run for run in re.findall("`+", inside)]
    assert not inside.startswith("`") and not inside.endswith("`") and "\n" not in inside and "\r" not in inside


@given(ANY)
def test_nothing_is_invisible_turned_around_or_endless(text):
    import unicodedata

    shown = visible(text)
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}
    assert len(shown) <= 8 * LONGEST + 20


@given(ANY)
def test_html_gets_text_only(text):
    assert not set(in_html(text)) & set("<>\"'")


def test_what_is_harmless_is_shown_as_it_is():
    said = "dp_noise: expected fields wider than 12 bits, found 8 (bfv-compact); use --runtime local, größer als 0.5 µs"
    assert visible(said) == said and quoted(said) == f"*`{said}`*" and quoted("") == "*`–`*"
