"""How a command of the client is put on the command line.

A command is a function of a ``Session`` and its own options that returns an exit code or None.
``add`` gives it the options all have, opens the session, and turns whatever it raises into one line
on stderr and an exit code; a traceback is shown under ``--verbose`` only.
"""

import errno
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import grpc
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from scheduler.cli import exits
from scheduler.cli.failures import Failed, FailedCall, usage_line
from scheduler.cli.flaws import BadFile
from scheduler.cli.output import complain
from scheduler.cli.profiles import BadProfile
from scheduler.cli.session import Given, Session

PANEL: Final = "Connection"
#: Panels of the commands, in the order help shows them.
PANELS: Final = (
    "Jobs", "Quotas and money", "Centers and people", "This machine", "Service", "Planning",
)  # fmt: skip
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="HOST:PORT", help="The service.", rich_help_panel=PANEL),
]
Lang = Annotated[
    str | None,
    typer.Option("--lang", metavar="zh|en", help="Language of the output.", rich_help_panel=PANEL),
]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="A profile to use.", rich_help_panel=PANEL),
]


def _shared(
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
        typer.Option("--tls-ca", metavar="FILE", help="Authority to trust.", rich_help_panel=PANEL),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Without TLS beyond this machine.", rich_help_panel=PANEL),
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
    """Declare the options that every command of the client takes."""


def add(
    app: typer.Typer,
    name: str,
    function: Callable[..., int | None],
    *,
    panel: str | None = None,
) -> None:
    """Put a command on ``app``; its help is the docstring of ``function``."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    shared = list(inspect.signature(_shared, eval_str=True).parameters.values())
    context = inspect.Parameter("ctx", keyword, annotation=typer.Context)
    parameters = [one.replace(kind=keyword) for one in (context, *own, *shared)]

    def run(ctx: typer.Context, **values: Any) -> None:
        given = Given(**{one.name: values.pop(one.name) for one in shared})
        code = _run(_command_path(ctx), function, values, _with_outer(given, ctx.obj))
        if code:
            raise typer.Exit(code)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__doc__ = function.__doc__
    app.command(name, rich_help_panel=panel)(run)


def _command_path(ctx: typer.Context) -> str:
    return ctx.command_path.partition(" ")[2]


def _with_outer(given: Given, outer: object) -> Given:
    """Return the options with those given before the command's name where it has none."""
    if not isinstance(outer, Given):
        return given
    merged = {
        name: getattr(given, name) or getattr(outer, name) for name in Given.__dataclass_fields__
    }
    return Given(**merged)


def _run(
    command: str, function: Callable[..., int | None], values: dict[str, Any], given: Given
) -> int:
    session = Session(command, given, os.environ)
    try:
        session.check()
        return function(session, **values) or exits.OK
    except (BadFile, Failed, FailedCall, grpc.RpcError) as error:
        return session.reporter.report(error)
    except BadProfile as error:
        return session.reporter.report(Failed(error.key, exits.USAGE, **error.values))
    except (typer.Exit, typer.Abort):
        raise
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        return session.reporter.report(Failed("call.output", why=error.strerror or error))
    except Exception as error:
        if session.verbose:
            traceback.print_exc()
        return session.reporter.report(error)
    finally:
        session.close()


class ClientGroup(TyperGroup):
    """A group of commands that answers wrong use with one line and exit code 2."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of their panels, then as they were added."""

        def rank(name: str) -> int:
            panel = str(getattr(self.commands[name], "rich_help_panel", None))
            return PANELS.index(panel) if panel in PANELS else len(PANELS)

        return sorted(super().list_commands(ctx), key=rank)

    def main(  # the process' exit is ours, so standalone_mode is not heeded
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run as always, but for how wrong use is told; exits the process."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except TyperException as error:
            context = getattr(error, "ctx", None)
            if type(error).__name__ == "NoArgsIsHelpError":
                complain(error.format_message())
            else:
                path = context.command_path.partition(" ")[2] if context is not None else ""
                message = _with_hint(error.format_message(), path)
                usage_line(path, message, "--json" in given, complain)
            sys.exit(error.exit_code)
        except typer.Abort:
            complain("")
            sys.exit(exits.ERROR)
        sys.exit(code if isinstance(code, int) else exits.OK)


def _with_hint(message: str, path: str) -> str:
    command = f"corridor {path}".strip()
    return f"{message.rstrip('.')}; see {command} --help"
