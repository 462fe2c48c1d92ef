"""``corridor serve``: run the service until it is told to stop."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from scheduler.cli.exits import ERROR, OK, end
from scheduler.cli.extras import server_packages
from scheduler.cli.settings_source import ConfigFile, Database, DataDir, Set, read_settings

if TYPE_CHECKING:
    from scheduler.settings import Settings

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KILLED = 130
_GC_THRESHOLDS = (10_000, 20, 20)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve", rich_help_panel="Service")(serve)


def serve(
    config: ConfigFile = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the API listens.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    centers: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What the centers are made of (docs/centers.md)."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where Prometheus scrapes; empty for nowhere."),
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option(metavar="FILE", help="PEM certificate of the API.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="PEM key of it.")] = None,
    insecure: Annotated[
        bool | None,
        typer.Option("--insecure", help="Plain text outside loopback: only behind a TLS proxy."),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="auto|off", help="Plan on Ray, or in this process.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Join this Ray cluster.")
    ] = None,
    shards: Annotated[int | None, typer.Option(help="Planner shards on Ray.")] = None,
    log_format: Annotated[str | None, typer.Option(metavar="auto|console|json")] = None,
    log_level: Annotated[str | None, typer.Option(metavar="debug|info|warning|error")] = None,
    clock_speed: Annotated[
        float | None, typer.Option(help="Above 1 time runs faster: demonstrations only.")
    ] = None,
    assignments: Set = None,
) -> None:
    """Run the service: API, planner, control loop, metrics.

    Run `corridor init` once before. On SIGTERM or Ctrl-C it takes no new calls, finishes those
    under way and ends; a second signal ends it at once, which is safe at any moment.
    """
    settings = read_settings(
        "serve",
        config,
        {
            "server.listen": listen,
            "server.tls_cert": tls_cert,
            "server.tls_key": tls_key,
            "server.insecure": insecure or None,
            "store.data_dir": data_dir,
            "store.url": database,
            "centers.file": centers,
            "metrics.listen": metrics,
            "log.format": log_format,
            "log.level": log_level,
            "clock.speed": clock_speed,
            "planner.ray": ray,
            "planner.ray_address": ray_address,
            "planner.shards": shards,
        },
        assignments,
    )
    raise typer.Exit(run(settings))


def run(settings: "Settings") -> int:
    """Serve in this process until a signal; returns the exit code."""
    with server_packages("serve"):
        from scheduler import bootstrap, logs
    from scheduler.errors import CorridorError

    logs.set_up(settings.log.format, settings.log.level)

    async def until_stopped() -> int:
        starting = asyncio.ensure_future(bootstrap.start_service(settings))
        signals = _Signals(starting.cancel)
        try:
            service = await starting
        except asyncio.CancelledError:
            return OK
        signals.first = service.ask_to_stop
        collect_seldom()
        reason = await service.wait_stopped()
        await service.stop()
        if reason is bootstrap.StopReason.FENCED:
            end("serve", "another service leads on this database now; this one has stopped", ERROR)
        return OK

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(until_stopped())
    except CorridorError as error:
        end("serve", error.message, ERROR)


def collect_seldom() -> None:
    """Have the collector of cycles hold up calls as little as a service that has started needs."""
    # What start-up made stays for good: no collection need look through it again, which would hold
    # up every call for some 50 ms each time.
    gc.collect()
    gc.freeze()
    # Batches make very many objects that live for some milliseconds, and hardly any cycles.
    gc.set_threshold(*_GC_THRESHOLDS)


class _Signals:
    """The first signal calls ``first``, the second ends the process at once."""

    def __init__(self, first: Callable[[], object]) -> None:
        self.first = first
        self._seen = False
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._take)

    def _take(self) -> None:
        if self._seen:
            os._exit(_KILLED)
        self._seen = True
        self.first()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return how to make uvloop's event loop, None for the standard one where there is none."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
