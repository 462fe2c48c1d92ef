"""Which pools are promised to which jobs: kept, so that a new leader keeps them too.

Only what another planner must be told is kept, and not when a job will start: that follows from
the runs.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection

from scheduler.placement.model import Promised
from scheduler.store import leader
from scheduler.store.database import bulk_execute, bulk_insert, bulk_read
from scheduler.store.job_tables import Promise
from scheduler.store.tables import table

_COLUMNS: Final = ("flavor", "job_uid", "units", "evicts", "made_ms")


def told(connection: Connection) -> Iterator[Promised]:
    """Yield all promises, by flavor."""
    rows = bulk_read(
        connection, "SELECT job_uid, flavor, units, evicts FROM promise ORDER BY flavor"
    )
    for uid, flavor, units, evicts in rows:
        yield Promised(uid, flavor, units, bool(evicts))


def keep(
    connection: Connection, epoch: int, promises: Sequence[Promised], closed: Collection[str],
    now_ms: int,
) -> None:  # fmt: skip
    """Keep these promises, and no others but those of ``closed`` flavors, of which none is planned.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    before = {one.flavor: one for one in told(connection)}
    after = {one.flavor: one for one in promises}
    gone = [flavor for flavor in before if flavor not in after and flavor not in closed]
    moved = [flavor for flavor, one in after.items() if one != before.get(flavor)]
    bulk_execute(
        connection, "DELETE FROM promise WHERE flavor = ?", [(one,) for one in (*gone, *moved)]
    )
    rows = [
        (flavor, after[flavor].uid, after[flavor].units, after[flavor].evicts, now_ms)
        for flavor in moved
    ]
    bulk_insert(connection, table(Promise), _COLUMNS, rows)
