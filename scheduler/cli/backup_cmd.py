"""``corridor backup`` and ``corridor restore``: a copy of a database, and a database of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scheduler.cli.exits import ERROR, USAGE, end
from scheduler.cli.extras import server_packages
from scheduler.cli.lines import complain
from scheduler.cli.settings_source import ConfigFile, Database, DataDir, Set, read_settings

if TYPE_CHECKING:
    from scheduler.backing_up import Backup
    from scheduler.store.backups import Checked, Contents

_SHOWN_MAX: Final = 20


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup", rich_help_panel="Service")(backup)
    app.command("restore", rich_help_panel="Service")(restore)


def backup(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that is not there yet, or is empty.")
    ],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    assignments: Set = None,
) -> None:
    """Copy the database into a folder, and verify the copy.

    Services may go on. Of SQLite by its online backup, of PostgreSQL by pg_dump. The folder gets
    the copy and a manifest of what is in it. Keep `ledger-key.pem` and the digests beside it: they
    are files of the data directory, not of the database.
    """
    settings = read_settings(
        "backup", config, {"store.data_dir": data_dir, "store.url": database}, assignments
    )
    with server_packages("backup"):
        from scheduler import backing_up
    from scheduler.errors import CorridorError

    try:
        done = backing_up.back_up(settings, folder)
    except CorridorError as error:
        end("backup", error.message, ERROR)
    _print("backup", done, as_json, f"Copied to {done.file}: {_size(done.size_bytes)}")


def restore(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", exists=True, file_okay=False, help="A backup."),
    ] = None,
    recovered: Annotated[
        bool,
        typer.Option(
            "--recovered",
            help="The database was brought back by its own tools: verify it, and go on from there.",
        ),
    ] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    assignments: Set = None,
) -> None:
    """Make the database from a backup, and verify it.

    Only where there is none yet: of SQLite no file, of PostgreSQL an empty database. What happened
    after the backup is not in it: read in docs/operator.md what centers still have then.
    """
    settings = read_settings(
        "restore", config, {"store.data_dir": data_dir, "store.url": database}, assignments
    )
    with server_packages("restore"):
        from scheduler import backing_up
        from scheduler.store import migrate
    from scheduler.errors import CorridorError

    if (folder is None) is not recovered:
        end("restore", "give the folder of a backup, or --recovered", USAGE)
    try:
        if folder is None:
            contents, checked = backing_up.recovered(settings)
            _print_books("restore", contents, checked, as_json, "Recovered")
            return
        done = backing_up.restore(settings, folder)
    except CorridorError as error:
        end("restore", error.message, ERROR)
    _print("restore", done, as_json, f"Restored from {done.file}")
    if done.contents.revision != migrate.head() and not as_json:
        typer.echo("Run `corridor migrate` now, and `corridor ledger verify` once a service runs.")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:,.1f} MB"


def _print(command: str, done: "Backup", as_json: bool, what: str) -> None:
    copy = {
        "file": str(done.file),
        "database": done.kind,
        "size_bytes": done.size_bytes,
        "sha256": done.sha256,
        "made_ms": done.made_ms,
    }
    _print_books(command, done.contents, done.checked, as_json, what, copy)


def _print_books(
    command: str,
    contents: "Contents",
    checked: "Checked",
    as_json: bool,
    what: str,
    copy: Mapping[str, object] = MappingProxyType({}),
) -> None:
    if as_json:
        found = {
            **copy,
            **contents.as_json(),
            "verified_transfers": checked.transfer_count,
            "verified_runs": checked.run_count,
            "problems": list(checked.problems),
        }
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        rows = sum(contents.tables.values())
        typer.echo(
            f"{what}, revision {contents.revision}, {rows:,} rows in {len(contents.tables)} tables."
        )
    if checked.problems:
        for problem in checked.problems[:_SHOWN_MAX]:
            complain(problem)
        end(command, f"{len(checked.problems)} problems were found; keep all copies", ERROR)
    if as_json:
        return
    if checked.transfer_count is None:
        typer.echo("Its books were not verified: this version verifies those of its own schema.")
    else:
        typer.echo(
            f"Verified: {checked.transfer_count:,} entries in {len(contents.heads)} chains,"
            f" {checked.run_count:,} settled runs, digests and budgets."
        )
