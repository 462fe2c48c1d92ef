"""Groups of commands: modules loaded when used, help in two languages, wrong use in one line."""

import importlib
import json
import os
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
        self.lang = "en"

    def load(self) -> Command:
        """Import the module and return the command itself."""
        module = importlib.import_module(f"scheduler.cli.{self._lazy.module}")
        app = typer.Typer(add_completion=False)
        module.register(app)
        loaded = typer.main.get_group(app).commands[str(self.name)]
        say_help(loaded, self.lang)
        return loaded


class ClientGroup(TyperGroup):
    """A group of commands that answers wrong use with one line and exit code 2."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of their panels, then as they were added."""

        panels = [str(getattr(one, "rich_help_panel", None)) for one in self.commands.values()]
        order = [panel for panel in dict.fromkeys((*PANELS, *panels)) if panel in panels]
        ranks = dict(zip(self.commands, map(order.index, panels), strict=True))
        return sorted(super().list_commands(ctx), key=ranks.__getitem__)

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
        say_help(self, language_of(given))
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
    # A choice that is none is named by a word of the library's own.
    message = one_line(error.format_message()).replace("Value error, ", "")
    if not message:  # a group was called without a command, and its help is printed already
        return
    command = f"corridor {path}".strip()
    if as_json:
        found = {"command": path, "message": message, "exit_code": exits.USAGE}
        complain(json.dumps({"error": found}, ensure_ascii=False))
    else:
        complain(f"{command}: {message.rstrip('.')}; see {command} --help")


def language_of(args: Sequence[str]) -> str:
    """Return the language of help, which is shown before any option is read."""
    from scheduler.cli import profiles

    flags: dict[str, str | None] = {"--lang": None, "--profile": None}
    for at, word in enumerate(args):
        name, equals, value = word.partition("=")
        if name in flags:
            flags[name] = value if equals else next(iter(args[at + 1 : at + 2]), None)
    try:
        named = flags["--profile"] or os.environ.get(profiles.PROFILE_VARIABLE, "")
        profile = profiles.read_profiles(profiles.config_path(os.environ)).get(named)
    except profiles.BadProfile:  # told by the command itself
        profile = profiles.Profile()
    return profiles.language(flags["--lang"], os.environ, profile)


def say_help(command: Command, lang: str) -> None:
    """Let the help of a command and those under it be in ``lang``, and wrap where lines end."""
    for name in ("help", "epilog"):
        words = getattr(command, name)
        if words:
            setattr(command, name, _in(lang, re.sub(r"(?<!\n)\n(?!\n)", " ", words)))
    for param in command.params:
        for name in ("help", "rich_help_panel"):
            if words := getattr(param, name, None):
                setattr(param, name, _in(lang, words))
    for one in getattr(command, "commands", {}).values():
        if getattr(one, "rich_help_panel", None):
            one.rich_help_panel = _in(lang, one.rich_help_panel)
        if isinstance(one, Stub):
            one.lang, one.help = lang, _in(lang, one.help or "")
        else:
            say_help(one, lang)


def _in(lang: str, words: str) -> str:
    """Return help in ``lang``; what has no Chinese stays English."""
    if lang == "en":
        return words
    from scheduler.cli.texts.help_zh import HELP

    return HELP.get(words, words)
