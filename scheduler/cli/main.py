"""``corridor``: the command line of enterprises, city admins and operators.

``scheduler.cli.commands`` lists the commands; each command's module registers itself, and is
imported only when it is used.
"""

import sys
from typing import Annotated

import typer

from scheduler import __version__
from scheduler.cli.commands import COMMANDS
from scheduler.cli.exits import ERROR
from scheduler.cli.given import Given, Lang, ProfileName, Server
from scheduler.cli.groups import lazily
from scheduler.errors import CorridorError

app = typer.Typer(
    name="corridor",
    cls=lazily(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with `corridor demo`, or with `corridor init` and `corridor serve`."
    " `corridor COMMAND --help` explains each command.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"corridor {__version__}")
        raise typer.Exit


@app.callback()
def corridor(
    ctx: typer.Context,
    server: Server = None,
    profile: ProfileName = None,
    lang: Lang = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Corridor 光谷科创大走廊算力调度: one queue, one quota book, one subsidy ledger.

    Exit codes: 0 done, 1 error or failed job, 2 wrong use, 3 refused by quota or money, 4 not
    allowed, 5 service not reachable, 6 warnings of the doctor.
    """
    ctx.obj = Given(server=server, profile=profile, lang=lang)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except CorridorError as error:
        typer.echo(f"corridor: {error.message}", err=True)
        sys.exit(ERROR)
