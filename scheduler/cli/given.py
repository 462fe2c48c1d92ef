"""Options that every command of the client takes."""

from dataclasses import dataclass
from typing import Annotated, Final

import typer

PANEL: Final = "Connection"

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        help="The service; several replicas with commas.",
        rich_help_panel=PANEL,
    ),
]
Lang = Annotated[
    str | None,
    typer.Option("--lang", metavar="zh|en", help="Language of the output.", rich_help_panel=PANEL),
]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="A profile to use.", rich_help_panel=PANEL),
]


@dataclass(frozen=True, slots=True)
class Given:
    """The options as given; None and False are not given."""

    server: str | None = None
    token: str | None = None
    profile: str | None = None
    tls_ca: str | None = None
    tls_name: str | None = None
    insecure: bool = False
    timeout_s: float | None = None
    lang: str | None = None
    as_json: bool = False
    verbose: bool = False


def declare(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; errors too.", rich_help_panel=PANEL)
    ] = False,
    server: Server = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="A token; better in CORRIDOR_TOKEN or a profile, where others do not see it.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    profile: ProfileName = None,
    tls_ca: Annotated[
        str | None,
        typer.Option(
            "--tls-ca",
            metavar="FILE",
            help="Authority whose TLS certificates to trust.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    tls_name: Annotated[
        str | None,
        typer.Option(
            "--tls-name",
            metavar="NAME",
            help="Name that the service's certificate has, where that is not the host asked.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Speak without TLS to another machine.", rich_help_panel=PANEL
        ),
    ] = False,
    timeout_s: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0.001,
            help="How long a call may take.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    lang: Lang = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more.", rich_help_panel=PANEL)
    ] = False,
) -> None:
    """Declare the options; the names of the parameters are those of ``Given``."""
