"""What the planner is told of runs that hold units: part of its snapshot."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.evicting import EvictCause, may_be_interrupted
from scheduler.placement.model import Evicted, Option, RunActive
from scheduler.store.database import bulk_read

#: Evictions are told for a day, or for the span of their flavor's rate if that is longer.
_TOLD_S: Final = 86_400


def evicted(connection: Connection, now_ms: int) -> Iterator[Evicted]:
    """Yield the late evictions that gave lent units back, the first first.

    They count against the rate of their flavor whether or not they have ended.
    """
    [(longest_s,)] = bulk_read(connection, "SELECT max(rate_s) FROM flavor_quota")
    since_ms = now_ms - max(_TOLD_S, longest_s or 0) * 1000
    for row in bulk_read(
        connection,
        "SELECT job_uid, flavor, units, evict_ms FROM run"
        f" WHERE evict_cause = '{EvictCause.RECLAIM}' AND evict_ms > {since_ms}"
        " ORDER BY evict_ms, job_uid",
    ):
        yield Evicted(*row)


def active(connection: Connection) -> Iterator[RunActive]:
    """Yield every run that has not ended, by job.

    One that is ordered to end has its end in ``ending_ms``, the soonest that it may be while its
    program was not told yet; it, and one that was evicted too often, is not interruptible.
    """
    rows = bulk_read(
        connection,
        "SELECT r.job_uid, r.city, r.enterprise, r.flavor, r.units, r.nodes, r.wall_limit_s,"
        " r.option_index, coalesce(r.start_ms, r.admit_ms), j.priority, j.interruptible,"
        " j.evictions, r.evict_cause, r.evict_deadline_ms, r.evict_ms + r.evict_grace_ms,"
        " r.evict_for, j.user_name, r.start_ms IS NOT NULL"
        " FROM run r JOIN job j ON j.uid = r.job_uid WHERE r.settled_ms IS NULL AND r.state"
        " NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PREEMPTED', 'LOST') ORDER BY r.job_uid",
    )
    for (
        uid, city, enterprise, flavor, units, nodes, wall_s, index, start_ms, priority,
        interruptible, evictions, cause, deadline_ms, soonest_ms, evict_for, user, begun,
    ) in rows:  # fmt: skip
        yield RunActive(
            uid,
            city,
            enterprise,
            Option(flavor, units, nodes, wall_s * 1000, index=index),
            start_ms,
            priority=priority,
            user=user,
            interruptible=cause is None and may_be_interrupted(bool(interruptible), evictions),
            evictions=evictions,
            ending_ms=0 if cause is None else deadline_ms or soonest_ms,
            ending_for=evict_for or 0,
            begun=bool(begun),
        )
