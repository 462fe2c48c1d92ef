"""Up to where in the feed each center knows which of its runs are over and settled."""

from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.store import feed, leader
from scheduler.store.database import bulk_read

#: Events that are looked through at once.
EVENTS_MAX: Final = 20_000


class SettledRuns(NamedTuple):
    """Runs of a center that were settled, in order, by the events up to ``upto_seq``."""

    upto_seq: int
    keys: list[tuple[int, int]]


def begin(connection: Connection, epoch: int, center: str) -> int:
    """Return up to where a center knows; one that is new knows all that there was before it.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    connection.exec_driver_sql(
        "INSERT INTO acknowledgement (center, upto_seq) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (center, feed.head(connection)),
    )
    [(upto,)] = bulk_read(
        connection, "SELECT upto_seq FROM acknowledgement WHERE center = ?", (center,)
    )
    return int(upto)


def settled_after(connection: Connection, center: str, after: int) -> SettledRuns:
    """Return runs of a center that were settled by the next events after one of the feed."""
    upto = min(feed.head(connection), after + EVENTS_MAX)
    rows = bulk_read(
        connection,
        "SELECT e.job_uid, e.attempt FROM event e JOIN run r ON r.job_uid = e.job_uid"
        f" AND r.attempt = e.attempt WHERE e.seq > {after} AND e.seq <= {upto}"
        f" AND e.kind = '{EventKind.SETTLED}' AND r.center = ? ORDER BY e.seq",
        (center,),
    )
    return SettledRuns(max(upto, after), [(uid, attempt) for uid, attempt in rows])


def keep(connection: Connection, epoch: int, center: str, upto_seq: int) -> None:
    """Keep up to where a center knows. Raises ``leader.Fenced`` if ``epoch`` leads no more."""
    leader.check(connection, epoch)
    connection.exec_driver_sql(
        "UPDATE acknowledgement SET upto_seq = ? WHERE center = ? AND upto_seq < ?",
        (upto_seq, center, upto_seq),
    )
