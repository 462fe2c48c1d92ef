"""``corridor migrate``: the schema of the database, brought to this version."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from scheduler.cli.exits import ERROR, end
from scheduler.cli.extras import server_packages
from scheduler.cli.settings_source import ConfigFile, Database, DataDir, Set, read_settings

if TYPE_CHECKING:
    from scheduler.store.migrate import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate", rich_help_panel="Service")(migrate)


def migrate(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    database: Database = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    assignments: Set = None,
) -> None:
    """Bring the schema of the database to this version.

    Stop every service on the database and back it up before. Of several that run this at the same
    time one changes the schema, in one transaction, and the others wait for it. Where there is
    nothing to do, nothing is locked and nothing stopped.
    """
    settings = read_settings(
        "migrate", config, {"store.data_dir": data_dir, "store.url": database}, assignments
    )
    with server_packages("migrate"):
        from scheduler import setting_up
    from scheduler.errors import CorridorError

    try:
        plan = setting_up.planned(settings) if dry_run else setting_up.migrated(settings)
    except CorridorError as error:
        end("migrate", error.message, ERROR)
    _print(plan, dry_run, as_json)


def _print(plan: "Plan", dry_run: bool, as_json: bool) -> None:
    if as_json:
        found = {
            "dry_run": dry_run,
            "revision_before": plan.found,
            "revision": plan.head,
            "steps": [{"revision": one.revision, "what": one.words} for one in plan.steps],
            "serving": plan.serving if dry_run else "",
        }
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    if not plan.steps:
        typer.echo(f"The schema is up to date (revision {plan.head}).")
        return
    before = "empty" if plan.found is None else f"at revision {plan.found}"
    typer.echo(f"The database {'is' if dry_run else 'was'} {before}.")
    for one in plan.steps:
        typer.echo(f"  {one.revision}  {one.words}")
    if not dry_run:
        typer.echo(f"It is at revision {plan.head} now.")
    elif plan.serving:
        typer.echo(f"It would be refused now: {plan.serving}. Stop every service first.")
    else:
        typer.echo(f"So it would come to revision {plan.head}. Nothing was changed.")
