"""The application under AppTest, without Ray: every party is an object in this process."""

import os
import time
from pathlib import Path

os.environ["HEFL_RUNTIME"] = "local"

import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest, app_test

ROOT = Path(__file__).parents[2]
PATIENCE = 300
"""Seconds until a state that is waited for must be there; it usually is at once. Other programs may keep the machine busy."""


class FramedPages(PagesManager):
    """AppTest forgets between runs that app.py navigates itself (see pages/__init__.py)."""

    def __init__(self, *args, **kwargs):
        PagesManager.uses_pages_directory = False
        super().__init__(*args, **kwargs)


@pytest.fixture
def app(monkeypatch):
    """A fresh session of the application, not yet run."""
    monkeypatch.setattr(app_test, "PagesManager", FramedPages)
    monkeypatch.setattr("hefl_core.app.session.RAY_ALLOWED", False)
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE)


def run_on(app, page, **query):
    """Open a page with a query."""
    for name, value in query.items():
        app.query_params[name] = str(value)
    app.run()
    app.switch_page(f"pages/{page}.py").run()
    return settled(app)


def settled(app):
    """The page once no run is under way and no key is being made."""
    end = time.monotonic() + PATIENCE
    while _busy(app) and time.monotonic() < end:
        time.sleep(0.2)
        app.run()
    assert not app.exception, app.exception
    return app


def _busy(app):
    making = app.session_state["key_life"].running if "key_life" in app.session_state else False
    example = any("they replace it in some seconds" in item.value for item in app.info)
    return making or example or any(button.key in ("stop-run", "lab:stop") for button in app.button)
