"""``corridor demo``: the whole service on three days of real jobs, checked in the end."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scheduler.cli.exits import ERROR, UNAVAILABLE, USAGE, end
from scheduler.cli.extras import server_packages

_INTERRUPTED = 130


class Ray(StrEnum):
    """Whether the planner moves to Ray."""

    AUTO = "auto"
    OFF = "off"


class Centers(StrEnum):
    """Which centers the demonstration has."""

    SIMULATED = "simulated"
    REAL = "real"


class Language(StrEnum):
    """Language of what is printed."""

    EN = "en"
    ZH = "zh"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", rich_help_panel="Service")(demo)


def demo(
    ctx: typer.Context,
    centers: Annotated[
        Centers,
        typer.Option(help="Simulated ones, or a real Slurm and a test server of ModelArts (root)."),
    ] = Centers.SIMULATED,
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

    With --centers real a few dozen small real programs run at a real Slurm of this machine and at a
    test server of ModelArts, in real time; exit code 5 if those cannot be started here.
    """
    with server_packages("demo"):
        from scheduler.demo.real_run import RealDemonstration, RealOptions
        from scheduler.demo.run import Demonstration, Options
    if directory is not None and directory.exists() and any(directory.iterdir()):
        end("demo", f"--dir {directory}: is not empty; give a new directory", USAGE)
    language = _language(ctx, lang)
    if centers is Centers.REAL:
        _refuse_given(ctx, "speed", "days", "serve_speed")
        real = RealOptions(directory, jobs, seed, ray.value, serve, language, remove)
        raise typer.Exit(run(RealDemonstration(real).run))
    options = Options(
        directory, speed, days, jobs, seed, ray.value, serve, serve_speed, language, remove
    )
    raise typer.Exit(run(Demonstration(options).run))


def _refuse_given(ctx: typer.Context, *names: str) -> None:
    """Refuse options that mean nothing among real centers, where time is real."""
    for name in names:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            option = f"--{name.replace('_', '-')}"
            end("demo", f"{option} is for simulated centers: real ones run in real time", USAGE)


def _language(ctx: typer.Context, lang: Language | None) -> str:
    """The language of the command, else of ``corridor --lang``, the environment, or English."""
    if lang is not None:
        return lang.value
    given = getattr(ctx.find_root().obj, "lang", None) or os.environ.get("CORRIDOR_LANG")
    return given if given in set(Language) else Language.EN.value


def run(demonstration: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a demonstration in this process; returns the exit code."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    import grpc

    from scheduler.client import problem_of
    from scheduler.demo.real_centers import NoRealCenters
    from scheduler.errors import CorridorError

    async def until_ended() -> int:
        task = asyncio.current_task()
        assert task is not None, "this is a task"
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            return await demonstration()
        except asyncio.CancelledError:
            return _INTERRUPTED

    failures: list[str] = []
    code = ERROR
    try:
        return asyncio.run(until_ended())
    except* NoRealCenters as group:
        failures += [error.message for error in _flat(group) if isinstance(error, NoRealCenters)]
        code = UNAVAILABLE
    except* CorridorError as group:
        failures += [error.message for error in _flat(group) if isinstance(error, CorridorError)]
    except* grpc.RpcError as group:
        failures += [
            problem_of(error).message for error in _flat(group) if isinstance(error, grpc.RpcError)
        ]
    return end("demo", failures[0], code)


def _flat(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors in a group, whatever groups they are in."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error
