"""The composition root: opens everything a service is made of, in order, and closes it in reverse.

``start_service`` is what ``corridor serve`` runs, ``initialize`` what ``corridor init`` does. The
API takes jobs as soon as it listens; the planner's snapshot and Ray come up beside it.
"""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import grpc
import structlog

from adapters.contract import CenterAdapter
from scheduler import __version__, databases, openers, setting_up
from scheduler.clock import Clock, WallClock
from scheduler.config import BadConfig
from scheduler.control.loop import ControlLoop
from scheduler.control.simulations import Simulations
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import IdGenerator
from scheduler.health_opener import health_watch
from scheduler.metrics import Metrics
from scheduler.openers import wall_ms
from scheduler.rpc import server
from scheduler.rpc.adapter_servicer import Agents
from scheduler.rpc.job_servicer import JobServicer
from scheduler.rpc.job_spec import decode_spec
from scheduler.rpc.server import ServingServer
from scheduler.services import identity
from scheduler.services.context import Context
from scheduler.settings import Settings
from scheduler.store import center_file, centers, migrate, newest, seed
from scheduler.store.centers import CenterRow
from scheduler.store.database import Connection, Database
from scheduler.store.seed_centers import SeedCenter

log = structlog.get_logger()


class StopReason(StrEnum):
    """Why a service is to end."""

    ASKED = "ASKED"
    FENCED = "FENCED"


@dataclass
class Service:
    """A running service; ``address`` and ``metrics_address`` are ``host:port`` as bound.

    ``metrics_address`` is empty if no metrics are served.
    """

    settings: Settings
    context: Context
    db: Database
    clock: Clock
    loop: ControlLoop
    metrics: Metrics
    adapters: Mapping[str, CenterAdapter]
    address: str
    metrics_address: str
    _serving: ServingServer
    _opened: contextlib.AsyncExitStack

    def __post_init__(self) -> None:
        self._asked = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None

    def ask_to_stop(self) -> None:
        """Let ``wait_stopped`` return: what a signal does."""
        self._asked.set()

    async def wait_stopped(self) -> StopReason:
        """Wait until the service is asked to stop, or another leader took over."""
        waits = [
            asyncio.create_task(self._asked.wait()),
            asyncio.create_task(self.loop.fenced.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        return StopReason.FENCED if self.loop.fenced.is_set() else StopReason.ASKED

    async def stop(self, drain: bool = True) -> None:
        """End in order: no new calls, those under way within ``server.drain_s``, then the rest.

        Without ``drain`` calls under way are cancelled. A second call waits for the first.
        """
        if self._stopping is None:
            grace_s = self.settings.server.drain_s if drain else 0.0
            self._stopping = asyncio.create_task(self._stop(grace_s))
        await asyncio.shield(self._stopping)

    async def _stop(self, grace_s: float) -> None:
        log.info("stopping", grace_s=grace_s)
        await self._serving.drain(grace_s)
        await self._opened.aclose()
        log.info("stopped")


async def start_service(
    settings: Settings,
    *,
    clock: Clock | None = None,
    database: Database | None = None,
    adapters: Mapping[str, CenterAdapter] | None = None,
) -> Service:
    """Start a service and return it once it takes calls.

    What is given replaces what the settings say, and is closed with the service. Raises
    ``CorridorError`` (``BadConfig``, ``BadSchema``, ``DataInUse``) with a message that says what
    to do; then nothing is left open.
    """
    credentials = openers.credentials(settings)
    async with contextlib.AsyncExitStack() as opened:
        db = _open_database(settings, database, opened)
        newest_ms, newest_uid = await db.read(lambda c: (newest.newest_ms(c), newest.newest_uid(c)))
        time = openers.clock(settings, newest_ms) if clock is None else clock
        given = openers.centers_of_file(settings)
        rows = await db.read(lambda c: center_file.planned(c, given, time.now_ms()))
        metrics = Metrics()
        if adapters is None:  # before the store is changed: what cannot be opened is not stored
            named = {one.center for one in given}
            adapters = openers.adapters(settings, rows, time, metrics, named)
        rows = await _apply_centers(settings, db, given, time)
        loop = ControlLoop(
            db=db,
            clock=time,
            adapters=adapters,
            metrics=metrics,
            settings=openers.loop_settings(settings),
            decode_spec=decode_spec,
            holder=f"{socket.gethostname()}:{os.getpid()}",
            rng=random.Random(),
            books=openers.book_desk(settings),
        )
        context = Context(
            db=db,
            clock=time,
            wall_ms=wall_ms,
            ids=IdGenerator(0, wall_ms, newest_uid),
            planner=loop.planner,
            centers=loop.centers,
            simulated=not isinstance(time, WallClock) or any(row.simulated for row in rows),
            version=__version__,
            simulator=_simulations(settings, loop),
            approvals=_approvals(settings),
            on_verified=metrics.health.verified,
        )
        agents = openers.agents(adapters, loop, metrics, settings.server.agents_listen)
        jobs = JobServicer(context, metrics.accepted)
        serving = _build_server(settings, context, jobs, metrics, credentials, agents)
        metrics_address = ""
        if settings.metrics.listen:
            metrics_address, close = openers.metrics_endpoint(settings.metrics.listen, metrics)
            opened.callback(close)
        opened.push_async_callback(loop.stop)
        health = health_watch(settings, db, lambda: loop, metrics, jobs.watched_to)
        opened.push_async_callback(health.stop)
        health.start()
        await serving.start()  # first: Ray, which the loop raises, takes seconds of this process
        opened.push_async_callback(serving.drain, 0.0)
        await loop.start()
        address = f"{settings.server.listen.rpartition(':')[0]}:{serving.port}"
        service = Service(
            settings, context, db, time, loop, metrics, adapters, address, metrics_address,
            serving, opened.pop_all(),
        )  # fmt: skip
    _say_serving(service, rows, tls=credentials is not None)
    return service


def _simulations(settings: Settings, loop: ControlLoop) -> Simulations:
    policy = openers.loop_settings(settings).policy
    player = loop.planner.ray_player
    return Simulations(loop.db, loop.clock, policy, settings.simulation, player)


def _approvals(settings: Settings) -> Approvals:
    given = settings.approvals
    return Approvals(given.threshold_fen, given.two_person, given.window_days)


async def _apply_centers(
    settings: Settings, db: Database, given: Sequence[SeedCenter], time: Clock
) -> list[CenterRow]:
    """Bring the store in line with the file of centers, if there is one; returns all centers."""
    source = settings.centers.file
    if source:
        applied = await db.write(
            lambda c: center_file.apply(c, given, source, time.now_ms(), wall_ms())
        )
        log.info(
            "centers_applied",
            file=source,
            added=applied.added,
            changed=applied.changed,
            only_stored=applied.only_stored,
        )
    return await db.read(lambda c: centers.list_centers(c, time.now_ms()))


def _open_database(
    settings: Settings, database: Database | None, opened: contextlib.AsyncExitStack
) -> Database:
    """Lock the data directory, open the database and hold it to this version's schema."""
    url = settings.database_url if database is None else database.url
    path = databases.sqlite_file(url)
    if path is not None and not path.is_file():
        raise migrate.BadSchema(f"there is no database {path}; run `corridor init` first")
    opened.callback(openers.data_lock(settings).close)
    db = databases.opened(settings) if database is None else database
    opened.callback(db.close)
    migrate.check(db.engine)
    return db


def _build_server(
    settings: Settings,
    context: Context,
    jobs: JobServicer,
    metrics: Metrics,
    credentials: grpc.ServerCredentials | None,
    agents: Agents,
) -> ServingServer:
    try:
        return server.build(
            context,
            jobs,
            listen=settings.server.listen,
            on_call=metrics.rpc,
            credentials=credentials,
            agents=agents,
            agents_port=openers.agents_port(settings),
        )
    except OSError as error:
        raise BadConfig(f"server.listen: {error}") from error


def _say_serving(service: Service, rows: list[CenterRow], *, tls: bool) -> None:
    settings = service.settings
    metrics = service.metrics_address
    log.info(
        "serving",
        address=service.address,
        tls=tls,
        database=service.db.engine.url.render_as_string(hide_password=True),
        metrics=f"http://{metrics}/metrics" if metrics else "none",
        planner="in process" if settings.planner.ray == "off" else "in process until Ray is up",
        centers=[row.center for row in rows if not row.simulated],
        simulated_centers=[row.center for row in rows if row.simulated],
        clock_speed=settings.clock.speed,
        version=service.context.version,
    )


# --- corridor init --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Initialized:
    """What ``initialize`` did.

    ``revision_before`` is None if the database was empty; ``loaded`` is None if no data files were
    read; ``token`` is a new operator's token, shown only here, or empty if one is known already.
    """

    database: str
    revision_before: str | None
    revision: str
    loaded: seed.Loaded | None
    token: str
    token_id: str


def initialize(
    settings: Settings,
    *,
    data: Path | None = None,
    now_ms: int | None = None,
    new_token: bool = False,
    subject: str = "operator",
) -> Initialized:
    """Bring the schema up to date, load data files once, and make the first operator's token.

    Doing it again upgrades the schema and leaves data alone, unless ``data`` names a directory:
    then what is missing is added. ``now_ms`` is scheduling time (default: the wall clock). Raises
    ``BadSchema``, ``BadSeed``, and ``DataInUse`` if the schema must change under a running service.
    """
    openers.data_directory(settings)
    databases.check_folder(settings)
    db = databases.opened(settings)
    try:
        before = migrate.current(db.engine)
        setting_up.upgrade(settings, db.engine)
        loaded = None
        if data is not None or not db.read_sync(newest.is_loaded):
            source, at_ms = data or seed.DATA, wall_ms() if now_ms is None else now_ms

            def load(connection: Connection) -> seed.Loaded | None:
                migrate.wait_for_others(connection)
                if data is None and newest.is_loaded(connection):
                    return None  # another one did it meanwhile
                return seed.load(connection, source, at_ms)

            loaded = db.write_future(load).result()
        token, token_id = "", ""
        if new_token or not db.read_sync(lambda c: newest.has_operator(c, wall_ms())):
            row, token = identity.bootstrap_operator(db, subject, wall_ms=wall_ms())
            token_id = row.token_id
        shown = db.engine.url.render_as_string(hide_password=True)
        return Initialized(shown, before, migrate.head(), loaded, token, token_id)
    finally:
        db.close()
