"""``corridor health``: whether a service takes calls, for probes."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from scheduler.cli.exits import ERROR, OK, UNAVAILABLE, USAGE, end
from scheduler.cli.profiles import SERVER_DEFAULT
from scheduler.client import is_loopback, split_address
from scheduler.probing import Health, probe

_EXITS = {Health.SERVING: OK, Health.NOT_SERVING: ERROR, Health.UNREACHABLE: UNAVAILABLE}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("health", rich_help_panel="Service")(health)


def health(
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="The service. Default: CORRIDOR_SERVER, else this machine.",
        ),
    ] = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            "--tls-ca", metavar="FILE", help="Authority whose TLS certificates to trust, as PEM."
        ),
    ] = None,
    tls_name: Annotated[
        str | None,
        typer.Option(
            "--tls-name",
            metavar="NAME",
            help="Name that its certificate has, where that is not the host asked.",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Speak without TLS to another machine.")
    ] = False,
    alive: Annotated[
        bool, typer.Option("--alive", help="Be content if it answers, whatever it says.")
    ] = False,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait for it."),
    ] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Ask a service whether it takes calls, without a token.

    Exit codes: 0 it does; 1 it answers, and does not: it ends, or its database is away; 5 it does
    not answer. Plain text is spoken to this machine, unless --tls-ca or --tls-name is given.
    """
    asked = address or os.environ.get("CORRIDOR_SERVER") or SERVER_DEFAULT
    try:
        plain = insecure or (
            tls_ca is None and tls_name is None and is_loopback(split_address(asked)[0])
        )
        found, why = probe(
            asked, tls_ca=tls_ca, tls_name=tls_name, insecure=plain, timeout_s=timeout_s
        )
    except ValueError as error:
        end("health", f"--address: {error}", USAGE)
    except OSError as error:
        end("health", f"--tls-ca: cannot read {tls_ca}: {error.strerror}", USAGE)
    code = OK if alive and found is not Health.UNREACHABLE else _EXITS[found]
    if as_json:
        typer.echo(json.dumps({"address": asked, "health": found, "why": why}))
    else:
        typer.echo(f"{asked} {found}{f' ({why})' if why else ''}", err=code != OK)
    raise typer.Exit(code)
