"""Jobs that wait and of which the planner knows nothing: held, switched off, behind other jobs."""

import json
from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.reasons import ReasonCode
from scheduler.store.database import bulk_read
from scheduler.store.tables import APART

#: By an expression, not by the column: else SQLite reads all jobs by an index of cities.
ALONE: Final = (
    "SELECT city || '' AS of_city, options, state, deactivated, count(*), min(submit_ms) FROM job"
    f" WHERE ({APART}) AND (array_uid IS NULL OR array_uid <> uid) GROUP BY 1, 2, 3, 4"
)


class Apart(NamedTuple):
    """So many jobs of a city wait for a reason; the oldest was submitted at ``oldest_ms``.

    The flavor is that of the first option.
    """

    city: str
    flavor: str
    reason: ReasonCode
    jobs: int
    oldest_ms: int


def read(connection: Connection) -> list[Apart]:
    """Count them; an element of an array counts as a job, its array does not."""
    alone = bulk_read(connection, ALONE)
    # Of elements without rows those that were opened are told to the planner, unless their array
    # is held or waits for others.
    without_rows = bulk_read(
        connection,
        "SELECT j.city, j.options, a.rest_state, FALSE, sum(CASE WHEN a.rest_state = 'QUEUED' AND"
        " NOT j.gated THEN a.size - a.opened - a.ahead ELSE a.size - a.made END), min(j.submit_ms)"
        " FROM job_array a JOIN job j ON j.uid = a.array_uid WHERE a.made < a.size"
        " AND j.state IN ('QUEUED', 'HELD') GROUP BY 1, 2, 3",
    )
    found: dict[tuple[str, str, ReasonCode], tuple[int, int]] = {}
    for city, options, state, deactivated, count, oldest_ms in [*alone, *without_rows]:
        if state == "HELD":
            reason = ReasonCode.DEACTIVATED if deactivated else ReasonCode.QUEUE_HELD
        else:
            reason = ReasonCode.DEPENDENCY
        key = city, json.loads(options)[0][0], reason
        jobs, known_ms = found.get(key, (0, oldest_ms))
        if count:
            found[key] = jobs + int(count), min(known_ms, oldest_ms)
    return [Apart(*key, *numbers) for key, numbers in sorted(found.items())]
