"""No request leaves the machine: a browser's requests are watched on every page, and the main job runs without any route."""

import json
import re
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import nbformat
import pytest
from nbclient import NotebookClient

from benchmarks.browser import ARGUMENTS, CHROMIUM, ROOT, serving
from hefl_core.app.report import to_html
from hefl_core.checks.faults import namespaces

HERE = {"127.0.0.1", "localhost"}
SCHEMES = {"data", "blob", "about", "file"}
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "__init__")
LONG = {"attack", "limits", "costs"}
"""Pages that work for a minute before they are drawn to their end: their first tab's frame is watched."""
HIDDEN = """() => [...document.querySelectorAll('link[rel*=icon], link[rel=stylesheet], link[rel*=preload], img, script, iframe')]
  .map(one => one.href || one.src).filter(Boolean)"""
"""A browser without a screen may leave some of these alone, the tab's icon first of all."""

in_a_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def leaves(url):
    """Whether somebody else's machine would be asked."""
    parts = urlsplit(url)
    return parts.scheme not in SCHEMES and parts.hostname not in HERE


def test_the_look_at_a_url_tells_home_from_abroad():
    assert leaves("https://fonts.gstatic.com/x.svg") and leaves("http://127.0.0.1.evil.invalid/")
    assert not leaves("ws://127.0.0.1:8501/_stcore/stream") and not leaves("data:image/svg+xml;base64,AA")


class Watched:
    """A page of a browser, and every address that it asked for or would show."""

    def __init__(self, opened, **look):
        self.context = opened.new_context(viewport={"width": 1440, "height": 900}, **look)
        self.context.set_default_timeout(240_000)
        self.asked = set()
        self.context.on("request", lambda request: self.asked.add(request.url))
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: self.asked.add(socket.url))

    def visit(self, url, *, whole=True):
        """Open a page; ``whole``: wait until it is drawn to its end."""
        self.page.goto(url)
        self.page.wait_for_selector("[data-testid=stMain] h1, .board, .stepper", state="attached")
        if whole:
            self.page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], .st-key-stop-run')")
        self.asked |= set(self.page.evaluate(HIDDEN))

    @property
    def abroad(self):
        return sorted(url for url in self.asked if leaves(url))


@pytest.fixture(scope="module")
def opened():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address():
    with serving(HEFL_RUNTIME="local", HEFL_MAX_SESSIONS="40") as found:
        yield found


class TestBrowser:
    pytestmark = in_a_browser

    @pytest.mark.parametrize(
        ("look", "language", "pages"), [("light", "en", PAGES), ("dark", "de", ["start", "one_round", "report"])]
    )
    def test_every_page_asks_this_machine_only(self, opened, address, look, language, pages):
        watched = Watched(opened, color_scheme=look)
        for page in pages:
            watched.visit(f"{address}/{page}?clients=3&rounds=1&language={language}", whole=page not in LONG)
        assert watched.abroad == []
        assert any(urlsplit(url).scheme == "ws" for url in watched.asked), "the watch sees no web sockets"
        assert any(url.endswith(".woff2") for url in watched.asked), "the watch sees no fonts"
        assert any(url.startswith("data:image/svg+xml") for url in watched.asked), "the watch sees no icon"
        watched.context.close()

    def test_the_watch_sees_the_icon_that_a_font_host_would_have_served(self, opened, tmp_path):
        """The control: the page as it was."""
        app = tmp_path / "app.py"
        app.write_text('import streamlit as st\nst.set_page_config(page_icon=":material/lock:")\nst.title("x")\n')
        watched = Watched(opened)
        with serving(app) as address:
            watched.visit(address)
            watched.page.wait_for_function("!!document.querySelector('link[rel*=icon][href*=material]')")
            watched.asked |= set(watched.page.evaluate(HIDDEN))
        assert any("fonts.gstatic.com" in url for url in watched.abroad)
        watched.context.close()

    def test_a_report_opened_from_a_file_asks_nobody(self, opened, small_result, tmp_path):
        report = tmp_path / "report.html"
        report.write_text(to_html(small_result), encoding="utf-8")
        watched = Watched(opened)
        watched.page.goto(report.as_uri())
        watched.page.locator(".js-plotly-plot .main-svg").first.wait_for()
        watched.page.locator(".js-plotly-plot").first.hover()
        watched.asked |= set(watched.page.evaluate(HIDDEN))
        assert watched.abroad == [] and watched.asked
        watched.context.close()


# -- what is written to files --------------------------------------------------------------------------------------

LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'\s>]+""", re.I)
"""What a browser fetches by itself; a link to click is none."""


def test_the_look_at_a_file_sees_what_is_loaded():
    assert LOADED.search('<script src="https://cdn.invalid/x.js"></script>') and LOADED.search(
        "<img src=//x.invalid/y>"
    )
    assert not LOADED.search('<a href="https://x.invalid">x</a> <img src="data:image/png;base64,AA">')


def test_no_lesson_loads_anything():
    for path in sorted((ROOT / "lessons").rglob("*.ipynb")):
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        for cell in notebook.cells:
            assert not LOADED.search(cell.source) and "![" not in cell.source, path.name
            assert not LOADED.search(json.dumps(cell.get("outputs", []))), path.name


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_figure_in_a_notebook_brings_its_library_along():
    cell = "from hefl_core.figures.style import figure\nfigure(dark=False).add_scatter(y=[1, 2])"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = [text for output in notebook.cells[0].outputs for text in output.get("data", {}).values()]
    assert shown and not any(LOADED.search(text) for text in shown if isinstance(text, str))


# -- what the processes do -----------------------------------------------------------------------------------------

WATCH = """
import sys, os
def _watch(event, arguments):
    if event == "socket.connect":
        one, where = arguments
        import socket
        stream = one.family in (socket.AF_INET, socket.AF_INET6) and one.type & socket.SOCK_STREAM
        if stream: _say(str(where[0]))
    elif event == "socket.getaddrinfo": _say(str(arguments[0]))
    elif event == "urllib.Request": _say(str(arguments[0]))
def _say(where):
    with open(os.environ["WATCHED"], "a") as file: file.write(where + "\\n")
sys.addaudithook(_watch)
"""
"""Every Python process below notes whom it calls. A datagram socket that is only connected sends nothing (Ray finds its own
address so)."""


def called(command, tmp_path, **environment):
    """Whom a command and its children called by TCP or looked up."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    noted = tmp_path / "called"
    noted.touch()
    path = f"{tmp_path}:{ROOT}"
    given = {
        "PYTHONPATH": path,
        "WATCHED": str(noted),
        "PATH": "/usr/sbin:/usr/bin:/bin",
        "HOME": str(tmp_path),
    } | environment
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {line for line in noted.read_text().splitlines()}


def own_names():
    import socket

    return HERE | {
        "::1",
        "0.0.0.0",
        "",
        "None",
        "b'127.0.0.1'",
        socket.gethostname(),
        socket.gethostbyname(socket.gethostname()),
    }


def test_a_run_calls_nobody(tmp_path):
    command = [sys.executable, "-m", "hefl_core", "demo", "--rounds", "1", "--trainer", "numpy", "--runtime", "local"]
    assert called(command, tmp_path) <= own_names()


def test_the_watch_hears_a_call(tmp_path):
    said = "import socket\ntry: socket.create_connection(('192.0.2.1', 9), 0.01)\nexcept OSError: pass"
    assert "192.0.2.1" in called([sys.executable, "-c", said], tmp_path)


def test_ray_reports_to_nobody_even_when_it_is_told_to(tmp_path):
    said = "from hefl_core.runtime.ray import cluster; import os; assert os.environ['RAY_USAGE_STATS_ENABLED'] == '0'"
    assert called([sys.executable, "-c", said], tmp_path, RAY_USAGE_STATS_ENABLED="1") <= own_names()


no_namespace = namespaces.why_not() or ("" if shutil.which("ip") else "not installed: ip")


@pytest.mark.ray
@pytest.mark.keras
@pytest.mark.skipif(bool(no_namespace), reason=no_namespace or "there are namespaces")
def test_the_demo_runs_where_no_route_leads_anywhere():
    """A network namespace with a loopback and nothing else: Ray, TensorFlow and all parties' processes."""
    inside = 'ip link set lo up && test -z "$(ip route)" && exec $0 -m hefl_core demo --rounds 1'
    command = ["unshare", "--net", "sh", "-c", inside, sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0 and "claims hold" in done.stdout + done.stderr, done.stderr[-2000:]
