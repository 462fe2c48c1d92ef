"""Where commands of the service take their settings from, and the flags they share."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from scheduler.cli.exits import USAGE, end
from scheduler.config import BadConfig, load_settings
from scheduler.settings import Settings

#: Looked for in this order when neither --config nor CORRIDOR_CONFIG names a file.
CONFIG_FILES: Final = (Path("corridor.toml"), Path("/etc/corridor/corridor.toml"))
_ENVIRONMENT: Final = "CORRIDOR_CONFIG"

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings as TOML. Default: ./corridor.toml, else /etc/corridor/corridor.toml.",
    ),
]
DataDir = Annotated[
    str | None, typer.Option("--data-dir", metavar="DIR", help="Where database and journals are.")
]
Database = Annotated[
    str | None,
    typer.Option("--database", metavar="URL", help="Another database than SQLite in --data-dir."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any setting of `corridor config`, such as loop.tick_s=2.",
    ),
]


def read_settings(
    command: str,
    config: Path | None,
    flags: Mapping[str, object],
    assignments: Sequence[str] | None = None,
) -> Settings:
    """Return the effective settings; a wrong one ends the command with exit code 2."""
    given = dict(flags)
    for text in assignments or ():
        name, equals, value = text.partition("=")
        if not equals:
            end(command, f"--set {text}: must be NAME=VALUE, such as loop.tick_s=2", USAGE)
        given[name] = value
    try:
        return load_settings(config or config_file(), os.environ, given)
    except BadConfig as error:
        end(command, error.message, USAGE)


def config_file() -> Path | None:
    """Return the settings file to read when no flag names one."""
    named = os.environ.get(_ENVIRONMENT)
    if named:
        return Path(named)
    return next((path for path in CONFIG_FILES if path.is_file()), None)
