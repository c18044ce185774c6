"""The site of `make docs`: built strictly, every package in it, and nothing in it comes from another host."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="pip install -e '.[docs]' brings mkdocs"),
]
LOADED = re.compile(
    r"<(?:script|img|iframe|audio|video|source)\b[^>]*\bsrc=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|dns-prefetch|icon|shortcut))[^>]*\bhref=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|@import\s+(?:url\()?[\"']?((?:https?:)?//[^\"')\s]+)|url\([\"']?((?:https?:)?//[^\"')]+)",
    re.IGNORECASE,
)


def loaded(text):
    """Addresses that a browser would fetch by itself to show this."""
    return [next(filter(None, found)) for found in LOADED.findall(text)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_package_and_its_docstrings_are_there(site):
    packages = [".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "hefl_core").rglob("__init__.py")]
    assert len(packages) > 10
    for package in packages:
        assert (site / "api" / f"{package}.html").is_file(), package
    page = (site / "api" / "hefl_core.html").read_text(encoding="utf-8")
    assert 'id="hefl_core.errors.ParameterError"' in page and "language-pycon" in page


def test_nothing_is_loaded_from_elsewhere(site):
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    found = {(path.name, one) for path in files for one in loaded(path.read_text(encoding="utf-8"))}
    assert len(files) > 30 and found == set()


@pytest.mark.parametrize(
    "planted",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<link href=//fonts.example/css rel=stylesheet>",
        '<link rel="preconnect" href="https://fonts.example">',
        "@import url('https://fonts.example/css');",
        "src: url(https://fonts.example/a.woff2)",
        '<img alt="x" src="http://host.example/badge.svg">',
    ],
)
def test_what_is_loaded_from_elsewhere_is_seen(planted):
    assert loaded(planted)
    assert not loaded('<a href="https://example.org">a link is followed by a person</a>')
