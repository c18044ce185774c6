"""Take docs/screenshots/ anew from the running application: every page in light, dark and presenter mode.

python benchmarks/screenshots.py [PAGE ...]
"""

from __future__ import annotations

import sys
from typing import Any

from browser import ROOT, chromium, serving

OUT = ROOT / "docs" / "screenshots"
QUERIES = {"one_round": "cursor=22", "keys": "scheme=bfv-threshold&custody=3-of-5", "training": "rounds=10"}
"""What a page is opened with, so that there is something to see."""
CLICKS = {"training": ("Train",)}
MODES = {"light": ("light", ""), "dark": ("dark", ""), "presenter": ("light", "presenter=1")}


def pages() -> list[str]:
    """Every page that exists."""
    return sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "__init__")


def settle(page: Any, name: str) -> None:
    """Wait until a run is over and nothing moves any more."""
    page.wait_for_selector("[data-testid=stMainBlockContainer]", timeout=30_000)
    for label in CLICKS.get(name, ()):
        page.get_by_role("button", name=label, exact=True).click(timeout=15_000)
    page.wait_for_timeout(3_000)
    page.wait_for_function(
        "!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSpinner], .st-key-stop-run')",
        timeout=60_000,
    )
    page.wait_for_timeout(1_500)


def main() -> None:
    """Start, visit, photograph, stop."""
    OUT.mkdir(exist_ok=True)
    with serving() as address, chromium() as browser:
        for mode, (scheme, query) in MODES.items():
            for name in sys.argv[1:] or pages():
                context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
                page = context.new_page()
                asked = "&".join(part for part in (QUERIES.get(name, ""), query) if part)
                page.goto(f"{address}/{'' if name == 'start' else name}?{asked}")  # the first page has the bare address
                settle(page, name)
                page.screenshot(path=OUT / f"{name}-{mode}.png")
                context.close()
                print(f"{name}-{mode}.png", flush=True)


if __name__ == "__main__":
    main()
