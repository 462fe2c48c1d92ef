"""The composition root: opens everything a service is made of, in order, and closes it in reverse.

``start_service`` is what ``corridor serve`` runs, ``initialize`` what ``corridor init`` does. The
API takes jobs as soon as it listens; the planner's snapshot and Ray come up beside it.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import structlog

from adapters.contract import CenterAdapter
from scheduler import __version__, databases, leading, openers, setting_up
from scheduler.clock import Clock, WallClock
from scheduler.config import BadConfig
from scheduler.control.leaders_view import LeadersCenters, LeadersPlanner
from scheduler.control.leadership import Leadership
from scheduler.control.loop import ControlLoop
from scheduler.control.simulations import RayPlayer, Simulations
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import IdGenerator
from scheduler.doors import Doors, open_doors
from scheduler.errors import TemporarilyAway
from scheduler.health_opener import health_watch
from scheduler.metrics import Metrics
from scheduler.openers import wall_ms
from scheduler.rpc import server
from scheduler.rpc.adapter_servicer import Agents
from scheduler.rpc.call_trace import CallTraces
from scheduler.rpc.forwarding import Forwarder
from scheduler.rpc.job_servicer import JobServicer
from scheduler.rpc.server import ServingServer
from scheduler.services import identity
from scheduler.services.context import Context
from scheduler.settings import Settings
from scheduler.store import migrate, newest, seed
from scheduler.store.centers import CenterRow
from scheduler.store.database import Connection, Database
from scheduler.store.lease_line import application_of, with_application
from scheduler.tracing_opener import open_tracing

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
    leadership: Leadership
    metrics: Metrics
    opener: leading.TermOpener
    address: str
    metrics_address: str
    _serving: ServingServer
    _opened: contextlib.AsyncExitStack

    def __post_init__(self) -> None:
        self._asked = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None

    @property
    def loop(self) -> ControlLoop:
        """The loop of the present term. Raises ``TemporarilyAway`` while another replica leads."""
        if self.leadership.present is None:
            raise TemporarilyAway("this replica does not lead")
        return self.leadership.present

    @property
    def adapters(self) -> Mapping[str, CenterAdapter]:
        """The adapters of the present term, or of the last one."""
        return self.opener.adapters

    def ask_to_stop(self) -> None:
        """Let ``wait_stopped`` return: what a signal does."""
        self._asked.set()

    async def wait_stopped(self) -> StopReason:
        """Wait until the service is asked to stop, or was replaced and cannot follow."""
        waits = [
            asyncio.create_task(self._asked.wait()),
            asyncio.create_task(self.leadership.ended.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        return StopReason.FENCED if self.leadership.ended.is_set() else StopReason.ASKED

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
    metrics = Metrics()
    doors = open_doors(settings, metrics.security)
    tracing = open_tracing(settings, leading.replica_name(settings), metrics.tracing.spans)
    instance = secrets.token_hex(6)
    async with contextlib.AsyncExitStack() as opened:
        if tracing is not None:
            opened.push_async_callback(asyncio.to_thread, tracing.close)
        db = _open_database(settings, database, instance, opened)
        db.hear_others()
        newest_ms, newest_uid = await db.read(lambda c: (newest.newest_ms(c), newest.newest_uid(c)))
        time = openers.clock(settings, newest_ms) if clock is None else clock
        desk = None if tracing is None else tracing.desk
        opener = leading.TermOpener(settings, db, time, metrics, adapters, desk)
        opened.push_async_callback(opener.close)
        rows = await opener.prepare()
        line = leading.line(settings, db, time, instance)
        opened.callback(line.close)
        number = await asyncio.to_thread(line.join)
        ids = IdGenerator(number, wall_ms, newest_uid)
        leadership = Leadership(
            line, number, opener.open, metrics.lead, times=leading.times(settings),
            alone=leading.is_alone(db, rows), renumber=ids.renumber,
        )  # fmt: skip
        context = _context(settings, db, time, ids, leadership, rows, metrics)
        jobs = JobServicer(context, metrics.accepted)
        lead = leading.KnownLead(leadership, instance)
        forwarder = Forwarder(
            lead, leading.replica_name(settings), partial(leading.open_peer, settings)
        )
        opened.push_async_callback(forwarder.close)
        agents = Agents(
            opener.remote, lambda: leadership.epoch, settings.server.agents_listen,
            doors.caller_problem,
        )  # fmt: skip
        calls = None if tracing is None else tracing.calls
        serving = _build_server(settings, context, jobs, metrics, doors, agents, forwarder, calls)
        leadership.on_reach = serving.reaches_store
        metrics_address = ""
        if settings.metrics.listen:
            metrics_address, close = openers.metrics_endpoint(settings.metrics.listen, metrics)
            opened.callback(close)
        opened.push_async_callback(leadership.stop)
        health = health_watch(settings, db, lambda: leadership.present, metrics, jobs.watched_to)
        opened.push_async_callback(health.stop)
        health.start()
        await serving.start()  # first: Ray, which a leader raises, takes seconds of this process
        opened.push_async_callback(serving.drain, 0.0)
        await asyncio.to_thread(line.listens_at, leading.advertised(settings, serving.port))
        await leadership.start()
        await opener.put_away()
        address = f"{settings.server.listen.rpartition(':')[0]}:{serving.port}"
        service = Service(
            settings, context, db, time, leadership, metrics, opener, address, metrics_address,
            serving, opened.pop_all(),
        )  # fmt: skip
    _say_serving(service, rows, tls=doors.credentials is not None)
    return service


def _context(
    settings: Settings,
    db: Database,
    time: Clock,
    ids: IdGenerator,
    leadership: Leadership,
    rows: Sequence[CenterRow],
    metrics: Metrics,
) -> Context:
    """Return what use cases are given; the planner and the centers are those of whoever leads."""

    def ray_player() -> RayPlayer | None:
        loop = leadership.present
        return None if loop is None else loop.planner.ray_player()

    def present() -> ControlLoop | None:
        return leadership.present

    policy = openers.loop_settings(settings).policy
    return Context(
        db=db,
        clock=time,
        wall_ms=wall_ms,
        ids=ids,
        planner=LeadersPlanner(present),
        centers=LeadersCenters(present),
        simulated=not isinstance(time, WallClock) or any(row.simulated for row in rows),
        version=__version__,
        simulator=Simulations(db, time, policy, settings.simulation, ray_player),
        approvals=_approvals(settings),
        on_verified=metrics.health.verified,
    )


def _approvals(settings: Settings) -> Approvals:
    given = settings.approvals
    return Approvals(given.threshold_fen, given.two_person, given.window_days)


def _open_database(
    settings: Settings, database: Database | None, instance: str, opened: contextlib.AsyncExitStack
) -> Database:
    """Lock the data directory, open the database and hold it to this version's schema."""
    url = settings.database_url if database is None else database.url
    path = databases.sqlite_file(url)
    if path is not None and not path.is_file():
        raise migrate.BadSchema(f"there is no database {path}; run `corridor init` first")
    opened.callback(openers.data_lock(settings).close)
    if database is None:
        named = with_application(databases.url(settings), application_of(instance))
        database = Database(named, databases.limits(settings))
    db = database
    opened.callback(db.close)
    migrate.check(db.engine)
    return db


def _build_server(
    settings: Settings,
    context: Context,
    jobs: JobServicer,
    metrics: Metrics,
    doors: Doors,
    agents: Agents,
    forwarder: Forwarder,
    calls: CallTraces | None,
) -> ServingServer:
    def on_call(method: str, code: str, seconds: float) -> None:
        trace = None if calls is None else calls.end(code)
        metrics.rpc(method, code, seconds, "" if trace is None else trace.trace_id)

    try:
        return server.build(
            context,
            jobs,
            listen=settings.server.listen,
            on_call=metrics.rpc if calls is None else on_call,
            on_begin=None if calls is None else calls.begin,
            credentials=doors.credentials,
            agents=agents,
            agents_port=doors.agents_port,
            guard=doors.guard,
            on_unknown=metrics.security.not_known,
            forwarder=forwarder,
        )
    except OSError as error:
        raise BadConfig(f"server.listen: {error}") from error


def _say_serving(service: Service, rows: list[CenterRow], *, tls: bool) -> None:
    settings = service.settings
    metrics = service.metrics_address
    url = service.db.engine.url.difference_update_query(["application_name"])
    log.info(
        "serving",
        address=service.address,
        tls=tls,
        database=url.render_as_string(hide_password=True),
        metrics=f"http://{metrics}/metrics" if metrics else "none",
        leads=service.leadership.epoch is not None,
        planner="in process" if settings.planner.ray == "off" else "in process until Ray is up",
        traces=settings.tracing.endpoint or "none",
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
