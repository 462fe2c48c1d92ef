"""Opens what this replica leads with: its line to the database, and each term of leadership.

Adapters are opened for a term and closed after it: nobody may follow a center who does not lead.
"""

import dataclasses
import os
import random
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import grpc
import structlog

from adapters.agent.remote import RemoteCenter
from adapters.contract import CenterAdapter
from scheduler import __version__, databases, openers
from scheduler.clock import Clock, ScaledClock, WallClock
from scheduler.config import BadConfig
from scheduler.control.beating import BeatTimes
from scheduler.control.bookkeeping import BookDesk
from scheduler.control.leadership import Leadership
from scheduler.control.loop import ControlLoop
from scheduler.control.tracing import TraceDesk
from scheduler.metrics import Metrics
from scheduler.rpc.job_spec import decode_spec
from scheduler.rpc.server import MESSAGE_MAX_BYTES, METADATA_MAX_BYTES
from scheduler.settings import Settings
from scheduler.store import center_file, database_names, leader, newest
from scheduler.store.centers import CenterRow
from scheduler.store.database import Connection, Database
from scheduler.store.lease_line import LeaseLine, OnlyLine
from scheduler.store.replicas import Newcomer

log = structlog.get_logger()

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_metadata_size", METADATA_MAX_BYTES),
    ("grpc.absolute_max_metadata_size", 2 * METADATA_MAX_BYTES),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # the caller decides what may be repeated
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)


class TermOpener:
    """Opens terms, one at a time; ``adapters`` and ``remote`` are those of the last one.

    ``given`` are adapters that replace what the store says of centers, for the first term.
    """

    def __init__(
        self,
        settings: Settings,
        db: Database,
        time: Clock,
        metrics: Metrics,
        given: Mapping[str, CenterAdapter] | None,
        tracing: TraceDesk | None = None,
    ) -> None:
        self._tracing = tracing
        self._settings, self._db, self._time, self._metrics = settings, db, time, metrics
        self._file = openers.centers_of_file(settings)
        self._books: BookDesk = openers.book_desk(settings)
        self._ready, self._given = given, given is not None
        self.adapters: Mapping[str, CenterAdapter] = {}
        self.remote: dict[str, RemoteCenter] = {}

    async def prepare(self) -> list[CenterRow]:
        """Open the adapters, so that what is wrong shows at the start; returns the centers."""
        rows = await self._planned()
        check_pace(self._db, rows, self._time)
        if self._ready is None:
            self._ready = self._adapters(rows)
        return rows

    async def put_away(self) -> None:
        """Close the adapters that were prepared, if no term has begun with them; keep those that
        were given."""
        if not self._given:
            await self.close()

    async def close(self) -> None:
        """Close the adapters with which no term has begun."""
        ready, self._ready = self._ready, None
        for adapter in (ready or {}).values():
            await adapter.close()

    async def open(self, epoch: int) -> ControlLoop:
        """Begin a term under an epoch. Raises what is wrong with the settings; then nothing of it
        is left open."""
        newest_ms, name = await self._db.read(
            lambda c: (newest.newest_ms(c), database_names.name_of(c))
        )
        catch_up(self._time, newest_ms)
        adapters = self._ready
        if adapters is None:
            adapters = self._adapters(await self._planned())
        self._ready, self._given = None, False
        loop = ControlLoop(
            db=self._db,
            clock=self._time,
            adapters=adapters,
            metrics=self._metrics,
            settings=dataclasses.replace(
                openers.loop_settings(self._settings), ray_namespace=f"corridor-{name}"
            ),
            decode_spec=decode_spec,
            holder=process_name(),
            rng=random.Random(),
            books=self._books,
            tracing=self._tracing,
        )
        try:
            await self._apply_centers(epoch)
            self.adapters = adapters
            self.remote.clear()
            self.remote.update(openers.remote_centers(adapters, self._db, self._metrics))
            await loop.start(epoch)
        except BaseException:
            await loop.stop()
            raise
        return loop

    def _adapters(self, rows: Sequence[CenterRow]) -> dict[str, CenterAdapter]:
        named = {one.center for one in self._file}
        return dict(openers.adapters(self._settings, rows, self._time, self._metrics, named))

    async def _planned(self) -> list[CenterRow]:
        given, now_ms = self._file, self._time.now_ms()
        return await self._db.read(lambda c: center_file.planned(c, given, now_ms))

    async def _apply_centers(self, epoch: int) -> None:
        """Bring the store in line with the file of centers, if there is one."""
        source, given, time = self._settings.centers.file, self._file, self._time
        if not source:
            return

        def apply(connection: Connection) -> center_file.Applied:
            leader.check(connection, epoch)
            return center_file.apply(connection, given, source, time.now_ms(), openers.wall_ms())

        applied = await self._db.write(apply)
        log.info(
            "centers_applied",
            file=source,
            added=applied.added,
            changed=applied.changed,
            only_stored=applied.only_stored,
        )


def catch_up(time: Clock, newest_ms: int | None) -> None:
    """Let a clock not be behind what is stored: another replica's may have been ahead of it."""
    if newest_ms is None or not isinstance(time, WallClock | ScaledClock):
        return
    behind_ms = newest_ms - time.now_ms()
    if behind_ms > 0:
        log.warning("clock_behind", by_ms=behind_ms, hint="another replica's clock is ahead")
        time.not_before(newest_ms + 1)


def process_name() -> str:
    """Return how this process is named in the leader's row."""
    return f"{socket.gethostname()}:{os.getpid()}"


def replica_name(settings: Settings) -> str:
    """Return how this replica is called."""
    return settings.server.name or socket.gethostname()


def line(settings: Settings, db: Database, time: Clock, instance: str) -> LeaseLine | OnlyLine:
    """Return this replica's line to the database."""
    me = Newcomer(instance, replica_name(settings), "", __version__)
    if db.is_sqlite:
        return OnlyLine(db, me, process_name(), time.now_ms)
    return LeaseLine(databases.url(settings), me, round(settings.leader.lease_s * 1_000))


def times(settings: Settings) -> BeatTimes:
    """Return the times of the lease."""
    given = settings.leader
    return BeatTimes(given.lease_s, given.renew_s, given.look_s)


def is_alone(db: Database, rows: Sequence[CenterRow]) -> bool:
    """Whether no other replica can take over from this one: it alone has the database, or the
    journal of a center that is simulated in its process."""
    return db.is_sqlite or any(row.kind == "simulated" for row in rows)


def check_pace(db: Database, rows: Sequence[CenterRow], time: Clock) -> None:
    """Raise ``BadConfig`` if another replica can take over, whose time would be another.

    A scaled clock begins at the newest instant stored when its process starts: two of them are
    hours apart soon, and so would be queue deadlines, budgets and bills of one corridor.
    """
    if isinstance(time, ScaledClock) and time.speed != 1 and not is_alone(db, rows):
        raise BadConfig(
            f"clock.speed is {time.speed:g}, and other replicas can work on this database, each"
            " with a time of its own: set clock.speed to 1, or use a database of SQLite, which one"
            " service has for itself (docs/replicas.md)"
        )


def advertised(settings: Settings, port: int) -> str:
    """Return the address at which other replicas reach this one, which listens on ``port``."""
    given = settings.server
    if given.advertise:
        openers.split_address("server.advertise", given.advertise)
        return given.advertise
    host = given.listen.rpartition(":")[0]
    if host.strip("[]") in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"{host}:{port}"


def open_peer(settings: Settings, address: str) -> grpc.aio.Channel:
    """Return a channel to another replica, which speaks TLS if this one does."""
    given = settings.server
    if not given.tls_cert:
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    roots = None
    if given.peers_ca:
        try:
            roots = Path(given.peers_ca).read_bytes()
        except OSError as error:
            raise BadConfig(
                f"server.peers_ca: cannot read {given.peers_ca}: {error.strerror}"
            ) from error
    options: list[tuple[str, str | int]] = list(_OPTIONS)
    if given.peers_name:
        options.append(("grpc.ssl_target_name_override", given.peers_name))
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(roots), options=options)


class KnownLead:
    """Who leads, as this replica knows (``rpc.forwarding.Lead``); ``instance`` is its own."""

    def __init__(self, leadership: Leadership, instance: str) -> None:
        self._leadership, self._instance = leadership, instance

    def leads(self) -> bool:
        """Whether this process does."""
        return self._leadership.epoch is not None

    def leader(self) -> str:
        """Where the leader is reached; empty if nobody else leads, or its lease has run out."""
        lease = self._leadership.lease
        if lease is None or lease.holder == self._instance or self._leadership.overdue:
            return ""
        return lease.address
