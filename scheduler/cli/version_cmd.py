"""``corridor version``: what is installed here."""

import json
import platform
from importlib import metadata
from typing import Annotated

import typer

from scheduler import __version__

_SHOWN = ("grpcio", "protobuf", "sqlmodel", "sqlalchemy", "ray")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("version")(version)


def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Print the versions of Corridor, its API and what it runs on."""
    found = {
        "corridor": __version__,
        "api": "corridor.v1",
        "python": platform.python_version(),
        **{name: _installed(name) for name in _SHOWN},
    }
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name:<11}{value or 'not installed (needed by the service only)'}")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
