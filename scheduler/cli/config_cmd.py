"""``corridor config``: the service's effective settings and where each came from."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scheduler.cli.settings_source import ConfigFile, Set, config_file, read_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("config", rich_help_panel="Service")(config)


def config(
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
    assignments: Set = None,
) -> None:
    """Print the effective settings of the service and where each came from.

    Later ones win: defaults, the TOML file, CORRIDOR_SECTION_KEY variables, flags of `corridor
    serve`. Passwords in URLs are hidden.
    """
    settings = read_settings("config", config, {}, assignments)
    file = config or config_file()
    if as_json:
        found = {
            "file": str(file) if file else None,
            "settings": {
                name: {"value": value, "origin": origin} for name, value, origin in settings.rows()
            },
        }
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("setting", "value", "origin"):
        table.add_column(column, overflow="fold")
    for name, value, origin in settings.rows():
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        style = None if origin == "default" else "bold"
        table.add_row(name, shown or "-", origin, style=style)
    console = Console()
    console.print(table)
    console.print(f"\nfile: {file or 'none'}", highlight=False)
