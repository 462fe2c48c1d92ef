"""Runs that the platform orders to end: guarded transitions of active runs, each ordered once.

An order is only a mark on the run. Its center's worker has the program told, then ended; that end
is ingested like any other, and what it means is decided by the order (``domain.outcome``). So a
leader that dies between any two of these steps is followed by one that goes on from the mark.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.evicting import EVICTIONS_MAX, EvictCause
from scheduler.domain.states import RUN_TERMINAL
from scheduler.placement.model import Eviction
from scheduler.store import feed, leader, starting
from scheduler.store.database import bulk_read, bulk_update

_ACTIVE: Final = "r.state NOT IN ({})".format(", ".join(f"'{s}'" for s in sorted(RUN_TERMINAL)))
_COLUMNS: Final = (
    "r.job_uid, r.attempt, r.center, r.city, r.enterprise, r.flavor, r.state, j.state, j.notice_s,"
    " (SELECT c.drain_deadline_ms FROM center c WHERE c.code = r.center AND c.state = 'DRAINING')"
)

#: Not ordered yet; a run that began after all may be ordered to end for another cause.
_UNORDERED: Final = (
    "(r.evict_cause IS NULL"
    f" OR (r.evict_cause = '{EvictCause.START_TIMEOUT}' AND r.state = 'RUNNING'))"
)
#: A city or an enterprise is being emptied.
_STOPPED: Final = (
    "'cities/' || r.city IN (SELECT node FROM stop_state WHERE state = 'DRAIN')"
    " OR 'enterprises/' || r.enterprise IN (SELECT node FROM stop_state WHERE state = 'DRAIN')"
)


class Ordered(NamedTuple):
    """A run that is to end by order."""

    uid: int
    attempt: int
    center: str
    cause: EvictCause
    grace_ms: int


class Late(NamedTuple):
    """Which runs are late: sent before an instant to one of these centers, and not begun.

    The centers are those that were heard: what another has begun by now is not known.
    """

    sent_before_ms: int
    centers: Sequence[str]

    def condition(self) -> tuple[str, tuple[str, ...]]:
        """Return it as SQL, with the values of its marks."""
        marks = ", ".join("?" * len(self.centers)) or "NULL"
        return (
            "r.settled_ms IS NULL AND r.state = 'ACCEPTED' AND r.evict_cause IS NULL"
            f" AND r.submitting_ms <= {self.sent_before_ms} AND NOT j.cancel_requested"
            f" AND r.center IN ({marks})",
            tuple(self.centers),
        )


class Emptying(NamedTuple):
    """How nodes are emptied now: programs get ``grace_ms``, unless their job wishes less.

    A center that is to be empty by a deadline has its runs ordered to end ``ahead_ms`` before their
    grace must begin, for telling takes a look at the center. Those that end by then anyway, by
    their wall limit, are left; those that have not begun, and would not, are taken back at once.
    """

    grace_ms: int
    now_ms: int
    ahead_ms: int = 0

    def condition(self) -> str:
        """Return as SQL which runs are to be ordered to end."""
        now = self.now_ms
        grace = (
            f"CASE WHEN j.notice_s > 0 AND j.notice_s * 1000 < {self.grace_ms}"
            f" THEN j.notice_s * 1000 ELSE {self.grace_ms} END"
        )
        began = "CASE WHEN r.restart_ms > r.start_ms THEN r.restart_ms ELSE r.start_ms END"
        late = (
            f"c.drain_deadline_ms IS NULL OR c.drain_deadline_ms <= {now}"
            f" OR ((r.start_ms IS NULL OR r.restart_ms = -1)"
            f" AND {now} + r.wall_limit_s * 1000 > c.drain_deadline_ms)"
            f" OR ({began} + r.wall_limit_s * 1000 > c.drain_deadline_ms"
            f" AND {now + self.ahead_ms} + {grace} >= c.drain_deadline_ms)"
        )
        return (
            f"r.settled_ms IS NULL AND {_ACTIVE} AND {_UNORDERED} AND NOT j.cancel_requested"
            f" AND (EXISTS (SELECT 1 FROM center c WHERE c.code = r.center"
            f" AND c.state = 'DRAINING' AND ({late})) OR {_STOPPED})"
        )


@dataclass(slots=True)
class Orders:
    """What came of wishes to end runs: those ordered now, and jobs whose runs go on."""

    ordered: list[Ordered] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    #: (city, flavor, cause) of each order.
    counted: list[tuple[str, str, str]] = field(default_factory=list)

    def and_also(self, other: "Orders") -> "Orders":
        """Return both together."""
        return Orders(
            self.ordered + other.ordered,
            self.refused + other.refused,
            self.counted + other.counted,
        )


class _Found(NamedTuple):
    """A run that may be ordered to end, as it stands."""

    uid: int
    attempt: int
    center: str
    city: str
    enterprise: str
    flavor: str
    state: str
    job_state: str
    notice_s: int
    drain_deadline_ms: int | None

    def grace_ms(self, most_ms: int) -> int:
        """How long its program gets: what its job wishes, if it does, but not more than that."""
        return min(most_ms, self.notice_s * 1_000) if self.notice_s else most_ms


def reclaim(
    connection: Connection, epoch: int, evictions: Sequence[Eviction], now_ms: int
) -> Orders:
    """Order the planned evictions; what lost its guard is refused and goes on.

    A run is evicted while it runs there, its job may be interrupted and is not to be cancelled,
    and whom it is for still waits. Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    if not evictions:
        return Orders()
    wanted = {one.uid: one for one in evictions}
    waiting = starting.find(connection, [one.for_uid for one in evictions])
    listed = ", ".join(map(str, sorted(wanted)))
    found = {
        run.uid: run
        for run in _read(
            connection,
            f"r.job_uid IN ({listed}) AND r.state = 'RUNNING' AND {_UNORDERED}"
            f" AND j.interruptible AND j.evictions < {EVICTIONS_MAX} AND NOT j.cancel_requested",
        )
    }
    going: list[tuple[_Found, Eviction]] = []
    orders = Orders()
    for uid, one in wanted.items():
        run = found.get(uid)
        if run is None or run.flavor != one.flavor or one.for_uid not in waiting:
            orders.refused.append(uid)
        else:
            going.append((run, one))
    rows = [(run, one.for_uid, run.grace_ms(one.grace_ms)) for run, one in going]
    _write(connection, orders, EvictCause.RECLAIM, rows, now_ms)
    return orders


def drain(connection: Connection, epoch: int, emptying: Emptying) -> Orders:
    """Order the end of the runs of nodes that are being emptied, interruptible or not.

    What must be empty by a deadline gives no grace beyond it. Raises ``leader.Fenced`` if
    ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    orders = Orders()
    now_ms = emptying.now_ms
    rows = []
    for run in _read(connection, emptying.condition()):
        grace_ms = run.grace_ms(emptying.grace_ms)
        if run.drain_deadline_ms is not None:
            left_ms = run.drain_deadline_ms - emptying.ahead_ms - now_ms
            grace_ms = min(grace_ms, max(0, left_ms))
        rows.append((run, None, grace_ms))
    _write(connection, orders, EvictCause.DRAIN, rows, now_ms)
    return orders


def time_out(connection: Connection, epoch: int, late: Late, now_ms: int) -> Orders:
    """Order the end of runs that their centers have not begun for too long.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    orders = Orders()
    rows = [(run, None, 0) for run in _read(connection, *late.condition())]
    _write(connection, orders, EvictCause.START_TIMEOUT, rows, now_ms)
    return orders


def end_unpaid(
    connection: Connection, epoch: int, keys: Sequence[tuple[int, int]], grace_ms: int, now_ms: int
) -> Orders:
    """Order the end of runs for which nobody can pay more; their programs may save their work.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    orders = Orders()
    if not keys:
        return orders
    listed = ", ".join(f"({uid}, {attempt})" for uid, attempt in keys)
    runs = _read(
        connection,
        f"(r.job_uid, r.attempt) IN (VALUES {listed}) AND r.state = 'RUNNING'"
        " AND r.evict_cause IS NULL AND NOT j.cancel_requested",
    )
    rows = [(run, None, run.grace_ms(grace_ms)) for run in runs]
    _write(connection, orders, EvictCause.UNPAID, rows, now_ms)
    return orders


def any_due(connection: Connection, late: Late, emptying: Emptying) -> bool:
    """Whether a run is to be ordered to end by ``drain`` or ``time_out``."""
    tables = "SELECT 1 FROM run r JOIN job j ON j.uid = r.job_uid WHERE"
    return any(
        connection.exec_driver_sql(f"{tables} {condition} LIMIT 1", values).first() is not None
        for condition, values in ((emptying.condition(), ()), late.condition())
    )


def _read(connection: Connection, condition: str, values: Sequence[str] = ()) -> list[_Found]:
    rows = bulk_read(
        connection,
        f"SELECT {_COLUMNS} FROM run r JOIN job j ON j.uid = r.job_uid"
        f" WHERE {condition} ORDER BY r.job_uid, r.attempt",
        values,
    )
    return [_Found(*row) for row in rows]


def _write(
    connection: Connection,
    orders: Orders,
    cause: EvictCause,
    rows: Sequence[tuple[_Found, int | None, int]],
    now_ms: int,
) -> None:
    """Mark runs, in the state in which they were read, and tell of it."""
    changed = bulk_update(
        connection,
        "UPDATE run SET evict_cause = v.column4, evict_ms = v.column5, evict_for = v.column6,"
        " evict_grace_ms = v.column7, notice_ms = NULL, evict_deadline_ms = NULL FROM {values}"
        " WHERE run.job_uid = v.column1 AND run.attempt = v.column2 AND run.state = v.column3",
        [
            (run.uid, run.attempt, run.state, str(cause), now_ms, for_uid, grace_ms)
            for run, for_uid, grace_ms in rows
        ],
    )
    if changed != len(rows):
        raise RuntimeError(f"{len(rows) - changed} runs moved beside the leader")
    # Whom an eviction is for is another city's matter: the run's own people are not told.
    feed.append(
        connection,
        [
            feed.EventRow(
                EventKind.EVICTION_ORDERED, run.uid, run.attempt, run.enterprise, run.city,
                run.job_state, now_ms,
                f'{{"cause":{quoted(cause)},"grace_ms":"{grace_ms}"}}',
            )
            for run, _, grace_ms in rows
        ],
    )  # fmt: skip
    for run, _, grace_ms in rows:
        orders.ordered.append(Ordered(run.uid, run.attempt, run.center, cause, grace_ms))
        orders.counted.append((run.city, run.flavor, str(cause)))
