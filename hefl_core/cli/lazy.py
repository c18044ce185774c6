"""Commands that are imported when they are called, so that `--help` is fast."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command's name, the module that defines it under that name, and its line in `--help`."""

    name: str
    module: str
    summary: str

    def load(self) -> Any:
        """Import the command: a function, or a Typer application with subcommands."""
        found = getattr(importlib.import_module(self.module), self.name)
        if isinstance(found, typer.Typer):
            return get_command(found)
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(found)
        return get_command(alone)


def lazy_group(commands: tuple[LazyCommand, ...]) -> type[TyperGroup]:
    """A group that lists these commands with their summaries and imports a command only to run it."""
    by_name = {command.name: command for command in commands}

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            listed = {command.name: TyperCommand(command.name, help=command.summary) for command in commands}
            super().__init__(**{**attributes, "commands": listed})

        def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
            name, _, rest = super().resolve_command(ctx, args)
            return name, by_name[name].load() if name else None, rest

    return LazyGroup
