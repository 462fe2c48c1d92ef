"""Groups of commands: modules loaded when used, help in two languages, wrong use in one line."""

import importlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from scheduler.cli import exits
from scheduler.cli.lines import complain, one_line

#: Panels of the commands, in the order help shows them.
PANELS: Final = (
    "Jobs", "Quotas and money", "Centers and people", "This machine", "Service", "Planning",
)  # fmt: skip
Command = Any  # of typer's private copy of click


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command whose module of ``scheduler.cli`` is imported when it is used.

    ``help`` is the first paragraph of its help: a test holds that they are the same.
    """

    module: str
    panel: str
    help: str


class Stub(TyperCommand):
    """Stands for a lazy command in lists of commands."""

    def __init__(self, name: str, lazy: Lazy) -> None:
        super().__init__(name, help=lazy.help, rich_help_panel=lazy.panel)
        self._lazy = lazy

    def load(self) -> Command:
        """Import the module and return the command itself."""
        module = importlib.import_module(f"scheduler.cli.{self._lazy.module}")
        app = typer.Typer(add_completion=False)
        module.register(app)
        loaded = typer.main.get_group(app).commands[str(self.name)]
        reflow(loaded)
        return loaded


class ClientGroup(TyperGroup):
    """A group of commands that answers wrong use with one line and exit code 2."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of their panels, then as they were added."""

        def rank(name: str) -> int:
            panel = str(getattr(self.commands[name], "rich_help_panel", None))
            return PANELS.index(panel) if panel in PANELS else len(PANELS)

        return sorted(super().list_commands(ctx), key=rank)

    def resolve_command(
        self, ctx: Any, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """Return the command that is called, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Stub) else command, rest

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run as always, but for how wrong use is told; always exits the process."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except TyperException as error:
            _tell(error, "--json" in given)
            sys.exit(getattr(error, "exit_code", exits.USAGE))
        except typer.Abort:
            complain("")
            sys.exit(exits.ERROR)
        sys.exit(code if isinstance(code, int) else exits.OK)


def lazily(commands: Mapping[str, Lazy]) -> type[ClientGroup]:
    """Return the class of a group that also has these commands."""

    class LazyGroup(ClientGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            for name, lazy in commands.items():
                self.add_command(Stub(name, lazy), name)

    return LazyGroup


def _tell(error: TyperException, as_json: bool) -> None:
    """Say in one line (or JSON) that a command was used wrongly."""
    context = getattr(error, "ctx", None)
    path = context.command_path.partition(" ")[2] if context is not None else ""
    message = one_line(error.format_message())
    if not message:  # a group was called without a command, and its help is printed already
        return
    command = f"corridor {path}".strip()
    if as_json:
        found = {"command": path, "message": message, "exit_code": exits.USAGE}
        complain(json.dumps({"error": found}, ensure_ascii=False))
    else:
        complain(f"{command}: {message.rstrip('.')}; see {command} --help")


def reflow(command: Command) -> None:
    """Let the help of a command, and of those under it, wrap where the terminal ends."""
    for one in (command, *getattr(command, "commands", {}).values()):
        if one.help:
            one.help = re.sub(r"(?<!\n)\n(?!\n)", " ", one.help)
