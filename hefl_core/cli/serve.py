"""``serve``: one party, or the GUI, as a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hefl_core.ops.settings import ROLES, Settings


def serve(
    role: Annotated[str, typer.Argument(help=" | ".join(ROLES))],
    config: Annotated[Path | None, typer.Option(help="TOML file; the environment (HEFL_…) goes before it")] = None,
) -> None:
    """Run one party as a service until SIGTERM: health and metrics over HTTP, one JSON object per line on stderr."""
    settings = Settings.load(role, config)
    from hefl_core.runtime.services.service import serve as run  # a slow import: a wrong setting is reported before it

    run(settings)
