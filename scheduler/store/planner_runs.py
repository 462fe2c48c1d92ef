"""What the planner is told of runs that hold units: part of its snapshot."""

from collections.abc import Iterator

from sqlalchemy import Connection

from scheduler.domain.evicting import may_be_interrupted
from scheduler.placement.model import Option, RunActive
from scheduler.store.database import bulk_read


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
        " r.evict_for, j.user_name"
        " FROM run r JOIN job j ON j.uid = r.job_uid WHERE r.settled_ms IS NULL AND r.state"
        " NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PREEMPTED', 'LOST') ORDER BY r.job_uid",
    )
    for (
        uid, city, enterprise, flavor, units, nodes, wall_s, index, start_ms, priority,
        interruptible, evictions, cause, deadline_ms, soonest_ms, evict_for, user,
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
        )
