"""``corridor init``: database, data files and the first token; again, to upgrade."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scheduler.cli.exits import ERROR, end
from scheduler.cli.extras import server_packages
from scheduler.cli.settings_source import ConfigFile, Database, DataDir, Set, read_settings

if TYPE_CHECKING:
    from scheduler.bootstrap import Initialized


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init", rich_help_panel="Service")(init)


def init(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    database: Database = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Cities, centers, quotas, prices, programmes, enterprises as YAML. Default:"
            " samples with simulated centers, once. Given again, what is missing is added.",
        ),
    ] = None,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Print a further operator's token.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    assignments: Set = None,
) -> None:
    """Make the database, load the data files, print the first operator's token.

    Safe to do again: it brings the schema up to date and leaves data alone. The token is shown
    only here; stored is a hash of it.
    """
    settings = read_settings(
        "init", config, {"store.data_dir": data_dir, "store.url": database}, assignments
    )
    with server_packages("init"):
        from scheduler import bootstrap
    from scheduler.errors import CorridorError

    try:
        done = bootstrap.initialize(settings, data=data, new_token=new_token, subject=_who())
    except CorridorError as error:
        end("init", error.message, ERROR)
    if as_json:
        _print_json(done)
    else:
        _print(done, settings.server.listen)


def _who() -> str:
    name = os.environ.get("SUDO_USER") or os.environ.get("USER") or "operator"
    return f"{name} (corridor init)"


def _counts(done: "Initialized") -> dict[str, int]:
    loaded = done.loaded
    if loaded is None:
        return {}
    names = ("cities", "centers", "flavors", "quotas", "prices", "programmes", "enterprises")
    return {name: getattr(loaded, name) for name in names}


def _print_json(done: "Initialized") -> None:
    typer.echo(
        json.dumps(
            {
                "database": done.database,
                "revision_before": done.revision_before,
                "revision": done.revision,
                "loaded": _counts(done),
                "token": done.token,
                "token_id": done.token_id,
            },
            ensure_ascii=False,
            indent=2,
        )
    )


def _print(done: "Initialized", listen: str) -> None:
    before, now = done.revision_before, done.revision
    if before is None:
        schema = f"made, schema at revision {now}"
    elif before == now:
        schema = f"schema is up to date (revision {now})"
    else:
        schema = f"schema upgraded from revision {before} to {now}"
    typer.echo(f"Database {done.database}: {schema}.")
    counts = _counts(done)
    if any(counts.values()):
        typer.echo("Loaded " + ", ".join(f"{n} {name}" for name, n in counts.items() if n) + ".")
    elif counts:
        typer.echo("The data files say nothing that was missing; nothing was changed.")
    else:
        typer.echo("Data was left alone; --data DIR adds what data files have and it has not.")
    if not done.token:
        typer.echo("An operator's token is known already; --new-token makes a further one.")
        return
    typer.echo(f"\nThe operator's token ({done.token_id}), shown only now:\n\n  {done.token}\n")
    typer.echo("Use it as\n")
    typer.echo(f"  export CORRIDOR_TOKEN={done.token}")
    typer.echo("  corridor serve                 # in another terminal")
    typer.echo(f"  corridor center list           # asks {listen}")
