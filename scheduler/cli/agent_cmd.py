"""``corridor agent``: work near one center for a scheduler that is somewhere else."""

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scheduler.cli.exits import ERROR, OK, end
from scheduler.cli.extras import server_packages

if TYPE_CHECKING:
    from scheduler.agent.process import AgentOptions

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_KILLED: Final = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("agent", rich_help_panel="Service")(agent)


_Server = Annotated[
    list[str],
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        help="The service to dial; several with commas between, or given again, are tried in"
        " turn until one leads.",
    ),
]
_TokenFile = Annotated[
    Path,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="File with a token of role agent and of this center; read again at each dial.",
    ),
]
_Cert = Annotated[
    Path | None,
    typer.Option(
        "--cert", metavar="FILE", help="Certificate of its center to show, if that is asked."
    ),
]
_Key = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Key of that certificate.")
]


def agent(
    center: Annotated[
        str, typer.Option("--center", metavar="CENTER", help="The center it works at.")
    ],
    centers: Annotated[
        Path,
        typer.Option(
            "--centers",
            metavar="FILE",
            help="Centers file with that center's kind and settings; it stays on this machine.",
        ),
    ],
    server: _Server,
    token_file: _TokenFile,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca", metavar="FILE", help="Authority whose TLS certificates to trust, as PEM."
        ),
    ] = None,
    cert: _Cert = None,
    key: _Key = None,
    state_dir: Annotated[
        Path,
        typer.Option(
            "--state-dir", metavar="DIR", help="Where its journal is; keep it over restarts."
        ),
    ] = Path("corridor-agent"),
    as_json: Annotated[bool, typer.Option("--json", help="Log as JSON lines.")] = False,
    log_level: Annotated[
        str, typer.Option("--log-level", metavar="debug|info|warning|error", help="What to log.")
    ] = "info",
) -> None:
    """Work near one center: the service reaches it without a port that is open to it.

    The agent dials out to the service, over TLS unless that is on this machine, and speaks to its
    center by the adapter that the centers file names, as the service would. It journals each
    command before it acts on it, so that nothing is lost or started twice whatever dies; while the
    service is away it follows its runs and tells of them later.

    First make its identity: corridor token create agent-wuhan-sc --role agent --center wuhan-sc
    > token; and have the service's centers file say kind: agent for that center. On SIGTERM the
    agent ends at once; jobs at the center go on.
    """
    with server_packages("agent"):
        from scheduler import logs
        from scheduler.addresses import each_given
        from scheduler.agent.process import AgentOptions

    if log_level not in ("debug", "info", "warning", "error"):
        end("agent", f"--log-level is debug, info, warning or error, not {log_level!r}", 2)
    logs.set_up("json" if as_json else "auto", log_level)
    options = AgentOptions(
        center,
        centers,
        each_given(server),
        token_file,
        state_dir,
        ca,
        cert,
        key,
    )
    raise typer.Exit(run(options))


def run(options: "AgentOptions") -> int:
    """Work in this process until a signal; returns the exit code."""
    from scheduler.agent import process
    from scheduler.errors import CorridorError

    async def until_stopped() -> None:
        asked = asyncio.Event()

        def take() -> None:
            if asked.is_set():
                os._exit(_KILLED)  # a second signal: the journal is whole at any moment
            asked.set()

        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, take)
        async with process.opened(options) as opened:
            await opened.run(asked)

    try:
        asyncio.run(until_stopped())
    except CorridorError as error:
        end("agent", error.message, ERROR)
    return OK
