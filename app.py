"""The application: `streamlit run app.py`. Pages appear when their file exists; the common parts are in the frame.

The server imports this file once, for :data:`app`, and with it what takes seconds to import, so that no visitor waits for
that. Each rerun of a browser's session runs it as a script, for :func:`draw`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from hefl_core.app.led_routes import FOLLOWING
from hefl_core.ops.host_names import HostNames, NamedOnly

if __name__ == "__main__":  # not in the server: the components of pages/ register with the runtime of a session
    from pages.parts import frame, sidebar, walk_bar
    from pages.parts.i18n import _

HERE = Path(__file__).parent
ICON = HERE / "pages" / "parts" / "icon.svg"
"""Our own file: for a tab's icon Streamlit would fetch its named icons from a font host."""
ALL = ("class", "thesis", "stakeholder")


@dataclass(frozen=True)
class Entry:
    """A page: its file under pages/ (also its address), its title and icon, and its audiences."""

    name: str
    title: str
    icon: str
    audiences: tuple[str, ...] = ALL[:2]


def grouped() -> dict[str, tuple[Entry, ...]]:
    """Every page, by group, in the URL's language."""
    return {
        _("See it"): (
            Entry("start", _("What leaves the hospital?"), "local_hospital", ALL),
            Entry("keys", _("Keys"), "key"),
            Entry("one_round", _("One round"), "swap_calls"),
            Entry("inside", _("Inside a ciphertext"), "lock"),
        ),
        _("Try it"): (
            Entry("training", _("Training lab"), "show_chart"),
            Entry("attack", _("Attack lab"), "visibility", ALL),
            Entry("limits", _("What HE does not stop"), "gpp_maybe", ALL),
            Entry("costs", _("Costs"), "speed"),
            Entry("your_data", _("Your data"), "upload_file"),
            Entry("live_class", _("Live class"), "co_present"),
        ),
        _("Know it"): (
            Entry("lessons", _("Lessons"), "school"),
            Entry("guarantees", _("Guarantees"), "verified", ALL),
            Entry("report", _("Report"), "description", ALL),
            Entry("system", _("System"), "memory"),
        ),
    }


def pages() -> dict[str, list[st.Page]]:
    """The pages that exist, in their groups, for this audience."""
    groups = {}
    for group, entries in grouped().items():
        found = [
            st.Page(
                HERE / "pages" / f"{entry.name}.py",
                title=entry.title,
                icon=f":material/{entry.icon}:",
                url_path=entry.name,
                default=entry.name == "start",
                visibility="visible" if frame.audience() in entry.audiences else "hidden",
            )
            for entry in entries
            if (HERE / "pages" / f"{entry.name}.py").exists()
        ]
        if found:
            groups[group] = found
    return groups


def draw() -> None:
    """Draw the frame, and in it the current page."""
    frame.begin()
    st.set_page_config(page_title="hefl", page_icon=str(ICON), layout="wide")
    frame.style()
    groups = pages()
    here = st.navigation(groups, position="hidden" if frame.presenter() else "sidebar", expanded=True)
    frame.arrive(here.url_path or "start")
    if not frame.presenter():
        sidebar.show(walk_bar.choose)
    frame.mirror()
    walk_bar.bar([page for group in groups.values() for page in group], here)
    frame.url_notice()
    frame.address()
    here.run()


if __name__ == "__main__":
    draw()
else:
    for heavy in ("hefl_core.app.session", "hefl_core.app.report"):
        import_module(heavy)
    PagesManager.uses_pages_directory = (
        False  # until st.navigation has run, a folder pages/ is listed by its file names
    )
    app = st.App(
        __file__,
        routes=FOLLOWING.routes(),
        middleware=[Middleware(NamedOnly, names=HostNames.here(st.get_option("server.address") or ""))],
    )
