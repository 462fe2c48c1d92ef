"""Exit codes of the command line, and how a command ends with one clear line."""

from typing import Final, NoReturn

import typer

OK: Final = 0
ERROR: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
AUTH: Final = 4
UNAVAILABLE: Final = 5
#: Nothing fails, and something should be looked at.
WARNINGS: Final = 6


def end(command: str, message: str, code: int = ERROR) -> NoReturn:
    """End the process with ``code`` after one line on stderr."""
    typer.echo(f"corridor {command}: {message}", err=True)
    raise typer.Exit(code)
