"""``corridor demo``: the whole service on three days of real jobs, checked in the end."""

import asyncio
import os
import signal
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scheduler.cli.exits import ERROR, USAGE, end
from scheduler.cli.extras import server_packages

if TYPE_CHECKING:
    from scheduler.demo.run import Options

_INTERRUPTED = 130


class Ray(StrEnum):
    """Whether the planner moves to Ray."""

    AUTO = "auto"
    OFF = "off"


class Language(StrEnum):
    """Language of what is printed."""

    EN = "en"
    ZH = "zh"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", rich_help_panel="Service")(demo)


def demo(
    ctx: typer.Context,
    serve: Annotated[
        bool, typer.Option("--serve", help="Leave the service up afterwards, until Ctrl-C.")
    ] = False,
    speed: Annotated[
        float, typer.Option(min=1, help="How many times as fast as real time the clock runs.")
    ] = 4_800,
    days: Annotated[
        float, typer.Option(min=0.001, help="Only the first days of the workload.")
    ] = 3,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Only so many jobs of the workload.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of failures, cancellations and what else is made up.")
    ] = 1,
    ray: Annotated[Ray, typer.Option(help="Plan on a local Ray, or in the service.")] = Ray.AUTO,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Where all data goes. Default: a new one."),
    ] = None,
    remove: Annotated[bool, typer.Option("--rm", help="Remove all data afterwards.")] = False,
    serve_speed: Annotated[
        float, typer.Option(min=1, help="The clock's speed while it is left up.")
    ] = 60,
    lang: Annotated[Language | None, typer.Option(help="English (default) or Chinese.")] = None,
) -> None:
    """Run the whole service on a three-day workload with two simulated centers.

    Starts the real service in a new directory and drives the workload through the public API with
    tokens of enterprises of all five cities. Ends with tables by city and center and with checks:
    exit code 0 only if all of them held.
    """
    with server_packages("demo"):
        from scheduler.demo.run import Options
    if directory is not None and directory.exists() and any(directory.iterdir()):
        end("demo", f"--dir {directory}: is not empty; give a new directory", USAGE)
    language = _language(ctx, lang)
    options = Options(
        directory, speed, days, jobs, seed, ray.value, serve, serve_speed, language, remove
    )
    raise typer.Exit(run(options))


def _language(ctx: typer.Context, lang: Language | None) -> str:
    """The language of the command, else of ``corridor --lang``, the environment, or English."""
    if lang is not None:
        return lang.value
    given = getattr(ctx.find_root().obj, "lang", None) or os.environ.get("CORRIDOR_LANG")
    return given if given in set(Language) else Language.EN.value


def run(options: "Options") -> int:
    """Run a demonstration in this process; returns the exit code."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    import grpc

    from scheduler.client import problem_of
    from scheduler.demo.run import Demonstration
    from scheduler.errors import CorridorError

    async def until_ended() -> int:
        task = asyncio.current_task()
        assert task is not None, "this is a task"
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            return await Demonstration(options).run()
        except asyncio.CancelledError:
            return _INTERRUPTED

    failures: list[str] = []
    try:
        return asyncio.run(until_ended())
    except* CorridorError as group:
        failures += [error.message for error in _flat(group) if isinstance(error, CorridorError)]
    except* grpc.RpcError as group:
        failures += [
            problem_of(error).message for error in _flat(group) if isinstance(error, grpc.RpcError)
        ]
    return end("demo", failures[0], ERROR)


def _flat(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors in a group, whatever groups they are in."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error
