"""How long the last runs took: what the planner's guesses of run times begin with.

A run counts with what it really used. Those that the platform or the center ended say nothing about
how long the work takes, and are left out.
"""

from typing import Final

from sqlalchemy import Connection

from scheduler.placement.model import RunHistory
from scheduler.store.database import bulk_read
from scheduler.store.tables import RUN_TOOK

#: The newest runs; older ones say little that these do not.
RUNS_MAX: Final = 20_000


def recent(connection: Connection, limit: int = RUNS_MAX) -> list[RunHistory]:
    """Return the last ``limit`` runs that ended by themselves, the oldest first."""
    rows = bulk_read(
        connection,
        "SELECT r.enterprise, j.user_name, r.flavor, r.units, r.wall_limit_s * 1000,"
        " r.end_ms - r.start_ms FROM"
        f" (SELECT * FROM run WHERE {RUN_TOOK} ORDER BY end_ms DESC LIMIT {limit}) AS r"
        " JOIN job j ON j.uid = r.job_uid ORDER BY r.end_ms, r.job_uid",
    )
    return [
        RunHistory(enterprise, user, flavor, units, wall_ms, max(0, used_ms))
        for enterprise, user, flavor, units, wall_ms, used_ms in rows
    ]
