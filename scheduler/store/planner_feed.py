"""What the planner is told, read from the store: a snapshot at a revision, then what came after.

The revision is the sequence of the event feed. A snapshot and its revision are read in one
transaction, so that no change is missed or told twice; a planner that was restarted or lags is
simply given a new snapshot (DESIGN.md 6). The revision is that up to which the feed has no holes.
What a snapshot has of events beyond it is said with it, and is passed over when they are read.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.queue_depth import queue_max
from scheduler.domain.states import RunState
from scheduler.placement.model import (
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    JobQueued,
    JobRemoved,
    PolicySettings,
    PoolSet,
    ReclaimSet,
    RunEnded,
    RunStarted,
    StopSet,
    Unparked,
    UsageSet,
)
from scheduler.store import (
    budget_used_up,
    feed,
    net_costs,
    planner_jobs,
    planner_runs,
    pools,
    promises,
    run_history,
)
from scheduler.store.database import bulk_read
from scheduler.store.planner_jobs import options_of as options_of

DAY_MS: Final = 86_400_000
_USAGE_DAYS: Final = 35  # five half-lives: what is older weighs less than 1/32

_QUEUED: Final = frozenset(
    {EventKind.SUBMITTED, EventKind.RELEASED, EventKind.REQUEUED, EventKind.READY}
)
#: Ends of runs that say nothing about how long such runs take (see ``tables.RUN_TOOK``).
_CUT_SHORT: Final = frozenset({RunState.PREEMPTED, RunState.LOST})
#: After these a job that waits is told anew: it waits elsewhere.
_MOVED: Final = frozenset({EventKind.EMERGENCY_GRANTED, EventKind.EMERGENCY_REVOKED})
_REMOVED: Final = frozenset(
    {EventKind.HELD, EventKind.CANCELLED, EventKind.EXPIRED, EventKind.REJECTED}
)
_RELOADED: Final = frozenset(
    {
        EventKind.QUOTA_CHANGED,
        EventKind.ENTERPRISE_QUOTA_CHANGED,
        EventKind.FLAVOR_QUOTA_CHANGED,
        EventKind.CAPACITY_CHANGED,
        EventKind.STOP_CHANGED,
        EventKind.CATALOG_CHANGED,
        EventKind.ENTERPRISE_CHANGED,
        EventKind.CENTER_CHANGED,
    }
)
#: Events that mean something to the planner, for SQL.
_TOLD: Final = ", ".join(
    f"'{kind}'"
    for kind in sorted(
        _QUEUED
        | _MOVED
        | _REMOVED
        | _RELOADED
        | {
            EventKind.RUN_STARTED,
            EventKind.RUN_ENDED,
            EventKind.CANCEL_REQUESTED,
            EventKind.FUND_CHANGED,
            EventKind.BUDGET_CHANGED,
            EventKind.REST_EXPIRED,
        }
    )
)


def settings(connection: Connection) -> list[Delta]:
    """Return cities, enterprises, pools, quotas and stops: small, told again when one changes.

    A blocked enterprise keeps its queue; admission refuses its starts with the reason.
    """
    run, depths = connection.exec_driver_sql, _depths(connection)
    told: list[Delta] = [CitySet(*row) for row in run("SELECT code, weight FROM city ORDER BY 1")]
    told += [
        EnterpriseSet(*row)
        for row in run("SELECT code, city, weight FROM enterprise ORDER BY code")
    ]
    told += [
        PoolSet(
            pool.flavor, pool.center, pool.effective_units, pool.state == "OPEN",
            pool.corridor_units, depths(pool.center, pool.flavor),
        )
        for pool in pools.read(connection).values()
    ]  # fmt: skip
    told += [
        ReclaimSet(
            flavor, mode, lease_s * 1000, run_min_s * 1000, grace_s * 1000, bps, rate_s * 1000
        )
        for flavor, mode, lease_s, run_min_s, grace_s, bps, rate_s in run(
            "SELECT flavor, reclaim, lease_s, run_min_s, grace_s, rate_bps, rate_s"
            " FROM flavor_quota ORDER BY flavor"
        )
    ]
    told += [
        CityQuotaSet(*row)
        for row in run(
            "SELECT city, flavor, nominal_units, borrow_limit_units, lend_limit_units"
            " FROM city_quota ORDER BY city, flavor"
        )
    ]
    told += [
        EnterpriseQuotaSet(*row)
        for row in run(
            "SELECT enterprise, flavor, cap_units, guarantee_units FROM enterprise_quota"
            " WHERE version > 0 ORDER BY enterprise, flavor"
        )
    ]
    told += [StopSet(*row) for row in run("SELECT node, state FROM stop_state ORDER BY node")]
    return told


def _depths(connection: Connection) -> Callable[[str, str], int | None]:
    """Return how many runs of a center's flavor may not have begun, None for any number."""
    rows = bulk_read(connection, "SELECT code, simulated, settings FROM center")
    found = {code: (bool(simulated), json.loads(text)) for code, simulated, text in rows}

    def depth(center: str, flavor: str) -> int | None:
        simulated, given = found[center]
        return queue_max(given.get("queue"), flavor, simulated=simulated)

    return depth


def snapshot(
    connection: Connection, now_ms: int, policy: PolicySettings
) -> tuple[int, list[Delta]]:
    """Return (revision, all the planner must know at it), read in the caller's transaction.

    On PostgreSQL it has what ``feed.beyond`` gives in the same transaction, too.
    """
    revision = feed.head(connection)
    told = settings(connection)
    told += usage(connection, now_ms, policy, now_ms // DAY_MS + 1)
    told += run_history.recent(connection)
    told += planner_runs.active(connection)
    told += budget_used_up.told(connection, now_ms)
    told += planner_runs.evicted(connection, now_ms)
    told += net_costs.told(connection, planner_jobs.waiting(connection), now_ms)
    told += promises.told(connection)
    return revision, told


def usage(connection: Connection, now_ms: int, policy: PolicySettings, day: int) -> Iterator[Delta]:
    """Yield decayed use by enterprise and flavor as of ``now_ms``, of the days before ``day``."""
    decayed: dict[tuple[str, str], tuple[float, float]] = {}
    for enterprise, flavor, of_day, unit_seconds in bulk_read(
        connection,
        "SELECT enterprise, flavor, day, unit_seconds FROM enterprise_usage"
        f" WHERE day >= {day - _USAGE_DAYS} AND day < {day} ORDER BY enterprise, flavor, day",
    ):
        age_ms = max(0, now_ms - (of_day * DAY_MS + DAY_MS // 2))
        used, own, of_city = int(unit_seconds), *decayed.get((enterprise, flavor), (0.0, 0.0))
        decayed[enterprise, flavor] = (
            own + used * 0.5 ** (age_ms / policy.usage_half_life_ms),
            of_city + used * 0.5 ** (age_ms / policy.city_half_life_ms),
        )
    for (enterprise, flavor), (own, of_city) in decayed.items():
        yield UsageSet(enterprise, flavor, round(own), now_ms, round(of_city))


def read_deltas(
    connection: Connection, after: int, limit: int, had: Collection[int] = ()
) -> tuple[int, list[Delta], list[int], bool]:
    """Return what happened after revision ``after``, at most ``limit`` events of it.

    Gives (revision reached, deltas, jobs to cancel, whether settings
    changed). Jobs are told as they stand now: one that was queued and left again is not told.
    Of events that the planner's snapshot ``had`` nothing is told but wishes to cancel, which no
    snapshot has.
    """
    last = int(
        connection.exec_driver_sql(
            f"SELECT coalesce(max(seq), {after}) FROM (SELECT seq FROM event WHERE seq > {after}"
            f" AND seq <= {feed.bound(connection)} ORDER BY seq LIMIT {limit}) AS batch"
        ).scalar_one()
    )
    if last == after:
        return after, [], [], False
    events = bulk_read(
        connection,
        "SELECT seq, kind, job_uid, city, at_ms, detail FROM event"
        f" WHERE seq > {after} AND seq <= {last} AND kind IN ({_TOLD}) ORDER BY seq",
    )
    if had:
        events = [
            row for row in events if row[0] not in had or row[1] == EventKind.CANCEL_REQUESTED
        ]
    waiting = _queued_rows(connection, after, last)
    held = any(row[1] == EventKind.HELD for row in events)
    started = _started_since_held(connection, after, last) if held else set()
    # A job may be queued, held and released within the batch: only its last queueing counts.
    queued_at = {uid: seq for seq, kind, uid, *_ in events if kind in _QUEUED}
    arrays = _arrays(connection, events)
    deltas: list[Delta] = []
    cancels: list[int] = []
    changed = False
    for seq, kind, uid, city, at_ms, detail in events:
        if uid in arrays:
            deltas += arrays[uid].told(seq, kind)
        elif kind in _QUEUED:
            if queued_at[uid] == seq and uid in waiting:
                deltas.append(waiting[uid])
        elif kind in _MOVED:
            if uid in waiting:
                deltas += [JobRemoved(uid), waiting[uid]]
        elif kind in _REMOVED:
            if uid not in started:
                deltas.append(JobRemoved(uid))
        elif kind == EventKind.RUN_STARTED:
            deltas.append(RunStarted(uid, at_ms))
        elif kind == EventKind.RUN_ENDED:
            ended = json.loads(detail)
            whole = ended["run_state"] not in _CUT_SHORT
            deltas.append(RunEnded(uid, int(ended["used_ms"]), whole))
        elif kind == EventKind.CANCEL_REQUESTED:
            cancels.append(uid)
        elif kind in (EventKind.FUND_CHANGED, EventKind.BUDGET_CHANGED):
            deltas.append(Unparked(city))
        elif kind in _RELOADED:
            changed = True
    now_ms = max((row[4] for row in events), default=0)
    deltas += budget_used_up.told_after(connection, last)
    return last, net_costs.told(connection, deltas, now_ms), cancels, changed


#: Events of an array at which elements without rows begin or end to wait.
_OF_ARRAYS: Final = (_QUEUED | _MOVED | _REMOVED | {EventKind.CANCEL_REQUESTED}) - {
    EventKind.SUBMITTED,
    EventKind.REQUEUED,
}


class _Array:
    """What the events of one batch mean for an array's elements without rows.

    Elements that wait now are told at the last event by which they could begin to; the planner
    takes no harm from being told of one again, nor that one waits no more which it never had.
    """

    def __init__(self, now: planner_jobs.ArrayNow) -> None:
        self._now = now
        self._all = False
        self._some: list[tuple[int, int]] = []
        self._last = 0

    def note(self, seq: int, kind: str, detail: str) -> None:
        """Note an event by which elements begin to wait."""
        self._last = seq
        if kind == EventKind.READY:
            read = json.loads(detail)
            first = int(read["first"])
            self._some.append((first, first + int(read["count"])))
        else:
            self._all = True

    def told(self, seq: int, kind: str) -> Iterator[Delta]:
        """Yield what the event is told as."""
        if kind in _QUEUED or kind in _MOVED:
            if kind in _MOVED:
                yield from map(JobRemoved, self._now.without_rows())
            if seq == self._last and self._all:
                yield from self._now.waiting()
            elif seq == self._last:
                for first, until in self._some:
                    yield from self._now.waiting(first, until)
        elif kind in _OF_ARRAYS or kind == EventKind.REST_EXPIRED:
            yield from map(JobRemoved, self._now.without_rows())


def _arrays(
    connection: Connection, events: Sequence[tuple[int, str, int, str, int, str]]
) -> dict[int, _Array]:
    """Return the arrays among the jobs of a batch of events."""
    uids = {uid for _, kind, uid, *_ in events if kind in _OF_ARRAYS}
    uids |= {uid for _, kind, uid, *_ in events if kind == EventKind.REST_EXPIRED}
    found = {uid: _Array(now) for uid, now in planner_jobs.arrays(connection, uids).items()}
    for seq, kind, uid, _, _, detail in events:
        if uid in found and (kind in _QUEUED or kind in _MOVED) and kind != EventKind.SUBMITTED:
            found[uid].note(seq, kind, detail)
    return found


def _queued_rows(connection: Connection, after: int, last: int) -> dict[int, JobQueued]:
    kinds = ", ".join(f"'{kind}'" for kind in sorted(_QUEUED | _MOVED))
    rows = bulk_read(
        connection,
        f"SELECT {planner_jobs.COLUMNS} FROM event e JOIN job j ON j.uid = e.job_uid"
        f" WHERE e.seq > {after} AND e.seq <= {last} AND e.kind IN ({kinds})"
        f" AND {planner_jobs.TOLD}",
    )
    return {row[0]: planner_jobs.job_of(row) for row in rows}


def _started_since_held(connection: Connection, after: int, last: int) -> set[int]:
    """Jobs held, released and then admitted by an earlier plan: they hold units, and keep them."""
    rows = connection.exec_driver_sql(
        "SELECT e.job_uid FROM event e JOIN job j ON j.uid = e.job_uid"
        f" WHERE e.seq > {after} AND e.seq <= {last} AND e.kind = 'HELD'"
        " AND j.state IN ('ADMITTED', 'RUNNING')"
    )
    return set(rows.scalars())
