"""One replica's own line to the database, by which it keeps its number and the lease.

It shares nothing with the pool: a pool that is full, or a writer that waits for a lock, must not
keep a leader from saying that it lives. All but the take-over are single statements, each a
transaction of its own, so that a process which is stopped between two of them holds no lock.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from scheduler.domain.leases import Lease
from scheduler.errors import CorridorError
from scheduler.store import leader, replicas
from scheduler.store.database import Database
from scheduler.store.engine import open_engine
from scheduler.store.leader import Candidate
from scheduler.store.replicas import Newcomer

log = structlog.get_logger()

T = TypeVar("T")

#: A line that hangs is of no use: others would take over meanwhile.
_LIMITS: Final = (
    "-c lock_timeout=1s -c statement_timeout=2s -c idle_in_transaction_session_timeout=2s"
    " -c jit=off"
)
_TIMES: Final = {
    "connect_timeout": "2",
    "tcp_user_timeout": "3000",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "2",
}


class LineLost(CorridorError):
    """The database did not answer, or not in time."""

    reason = "DATABASE_AWAY"


def with_application(url: str, application: str) -> str:
    """Return a URL of PostgreSQL whose connections name an application; any other as it is."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return url  # who opens it says what is wrong
    if parsed.drivername == "sqlite":
        return url
    named = parsed.update_query_dict({"application_name": application})
    return named.render_as_string(hide_password=False)


def application_of(instance: str) -> str:
    """Return how the connections of one start of a replica are called at the database."""
    return f"corridor/{instance}"


class LeaseLine:
    """See the module; of one thread at a time. Every method may raise ``LineLost``.

    ``url`` is of PostgreSQL, ``lasts_ms`` how long a lease lasts.
    """

    def __init__(self, url: str, me: Newcomer, lasts_ms: int) -> None:
        self.me, self._lasts_ms = me, lasts_ms
        parsed = make_url(with_application(url, application_of(me.instance)))
        given = str(parsed.query.get("options", ""))
        parsed = parsed.update_query_dict({**_TIMES, "options": f"{given} {_LIMITS}".strip()})
        self._engine = open_engine(parsed.render_as_string(hide_password=False))
        self._each = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def join(self) -> int:
        """Get a number; see ``replicas.join``."""
        return self._whole(lambda c: replicas.join(c, self.me, leader.database_ms(c)))

    def seen(self, number: int) -> bool:
        """Say that this replica lives; False if its number is another's by now."""
        instance = self.me.instance
        return self._alone(lambda c: replicas.seen(c, number, instance, leader.database_ms(c)))

    def look(self) -> tuple[Lease | None, int]:
        """Return the lease and the database's clock."""
        return self._alone(lambda c: (leader.read_lease(c), leader.database_ms(c)))

    def take(self, judged: Lease | None) -> int | None:
        """Take a lease that was judged to be over; None if somebody else was faster.

        The one before may be stopped in the middle of a write, with the epoch's row locked.
        """
        if judged is not None and judged.holder:
            self._end_writes_of(judged)
        me = self.me
        candidate = Candidate(me.instance, me.name, me.address, self._lasts_ms)
        return self._whole(lambda c: leader.take_lease(c, judged, candidate, leader.database_ms(c)))

    def _end_writes_of(self, judged: Lease) -> None:
        application = application_of(judged.holder)
        older_ms = judged.lasts_ms // 2
        try:
            ended = self._whole(lambda c: leader.end_open_transactions(c, application, older_ms))
        except DBAPIError as error:
            log.warning("writes_not_ended", of=judged.name, error=str(error.orig))
            return
        if ended:
            log.warning("writes_ended", of=judged.name, connections=ended)

    def renew(self, epoch: int) -> bool:
        """Renew the lease; False if another one leads."""
        instance = self.me.instance
        return self._alone(lambda c: leader.renew_lease(c, epoch, instance, leader.database_ms(c)))

    def release(self, epoch: int) -> None:
        """Let go of the lease."""
        self._alone(lambda c: leader.release_lease(c, epoch, self.me.instance))

    def listens_at(self, address: str) -> None:
        """Note where this replica is reached."""
        self.me = self.me._replace(address=address)
        self._alone(lambda c: replicas.named(c, self.me.instance, address))

    def leave(self) -> None:
        """Say that this replica ends in order."""
        self._alone(lambda c: replicas.leave(c, self.me.instance, leader.database_ms(c)))

    def close(self) -> None:
        """Let go of the connection."""
        self._engine.dispose()

    def _whole(self, call: Callable[[Connection], T]) -> T:
        """Run a call in one transaction."""
        try:
            with self._engine.begin() as connection:
                return call(connection)
        except OperationalError as error:
            raise LineLost(str(error.orig)) from error

    def _alone(self, call: Callable[[Connection], T]) -> T:
        """Run a call each of whose statements is committed by itself."""
        try:
            with self._each.connect() as connection:
                return call(connection)
        except OperationalError as error:
            raise LineLost(str(error.orig)) from error


class OnlyLine:
    """The line of the one process that works on a database of SQLite: it leads whenever it asks.

    ``holder`` names it in the leader's row, ``now_ms`` is its clock.
    """

    def __init__(self, db: Database, me: Newcomer, holder: str, now_ms: Callable[[], int]) -> None:
        self._db, self._me, self._holder, self._now_ms = db, me, holder, now_ms

    def join(self) -> int:
        """Take the one number there is."""
        return self._db.write_future(
            lambda c: replicas.join(c, self._me, leader.database_ms(c))
        ).result()

    def seen(self, number: int) -> bool:
        """Nobody looks."""
        return True

    def look(self) -> tuple[Lease | None, int]:
        """Nobody else can lead."""
        return None, 0

    def take(self, judged: Lease | None) -> int | None:
        """Take the lead; returns the new epoch."""
        now_ms = self._now_ms()
        return self._db.write_future(
            lambda c: leader.take_over(c, self._holder, now_ms), alone=True
        ).result()

    def renew(self, epoch: int) -> bool:
        """There is no lease: a write that is fenced says when it is over."""
        return True

    def release(self, epoch: int) -> None:
        """There is none."""

    def listens_at(self, address: str) -> None:
        """Note where this service is reached."""
        self._db.write_future(lambda c: replicas.named(c, self._me.instance, address)).result()

    def leave(self) -> None:
        """Nobody misses it."""

    def close(self) -> None:
        """There is no line."""
