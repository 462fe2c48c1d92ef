"""How a command of the client is put on the command line.

A command is a function of a ``Session`` and its own options that returns an exit code or None.
``add`` gives it the options all have, opens the session, and turns whatever it raises into one line
on stderr and an exit code; a traceback is shown under ``--verbose`` only.
"""

import errno
import inspect
import os
import traceback
from collections.abc import Callable
from typing import Any

import grpc
import typer

from scheduler.cli import exits
from scheduler.cli.failures import Failed, FailedCall
from scheduler.cli.flaws import BadFile
from scheduler.cli.given import Given, declare
from scheduler.cli.profiles import BadProfile
from scheduler.cli.session import Session


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
    shared = list(inspect.signature(declare, eval_str=True).parameters.values())
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
