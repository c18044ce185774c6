"""Commands that are imported when they are called, so that `--help` is fast."""

from __future__ import annotations

import importlib
import keyword
from dataclasses import dataclass
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

CODES: Final = (
    "Exit codes: 0 done; 1 a check failed; 2 bad arguments or input; 3 the run broke; 4 done, but an output could not be "
    "written: it was kept elsewhere or printed, and stderr says where; 129, 130, 143 ended by SIGHUP, Ctrl-C, SIGTERM; "
    "141 nobody read the output to its end."
)
"""What a script may rely on; below every command's help."""


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command's name, the module that defines it under that name, and its line in `--help`."""

    name: str
    module: str
    summary: str

    def load(self) -> Any:
        """Import the command: a function, or a Typer application with subcommands."""
        # `class` cannot be the name of a function
        attribute = f"{self.name}_" if keyword.iskeyword(self.name) else self.name
        found = getattr(importlib.import_module(self.module), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(self.name)(found)
            found = alone
        command = get_command(found)
        command.epilog = CODES
        from hefl_core.cli.applies import guard  # `--help` needs no rule

        guard(command, self.name)
        return command


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
