"""Holds that somebody has to look at: of runs whose outcome is unknown for too long.

Such a hold is never freed on time alone: its run may still be running. It is told of once each
time it becomes unknown, by an event that people and monitors see.
"""

from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.states import RunState
from scheduler.store import feed, leader
from scheduler.store.database import bulk_read

_NEWEST: Final = (
    "(SELECT max(e.seq) FROM event e WHERE e.job_uid = r.job_uid AND e.attempt = r.attempt"
    " AND e.kind IN ({kinds}))"
)
_UNKNOWN: Final = _NEWEST.format(kinds=f"'{EventKind.RUN_UNKNOWN}', '{EventKind.RUN_FORGOTTEN}'")
_ALARM: Final = _NEWEST.format(kinds=f"'{EventKind.HOLD_ALARM}'")


class Aged(NamedTuple):
    """Runs in one state whose money is held: how many, and when the oldest was admitted.

    Of ENDED, which are over, when the first of them ended.
    """

    state: str
    runs: int
    oldest_ms: int


def ages(connection: Connection) -> list[Aged]:
    """Return the open holds by the state of their runs; ENDED: over, and not metered yet."""
    rows = bulk_read(
        connection,
        "SELECT CASE WHEN end_ms IS NULL THEN state ELSE 'ENDED' END AS held, count(*),"
        " min(coalesce(end_ms, admit_ms)) FROM run WHERE settled_ms IS NULL"
        " GROUP BY held ORDER BY held",
    )
    return [Aged(*row) for row in rows]


def unknown(connection: Connection) -> tuple[int, int | None]:
    """Return how many runs are UNKNOWN, and since when the one is that is longest; None if none."""
    [(count, since_ms)] = bulk_read(
        connection,
        f"SELECT count(*), min((SELECT e.at_ms FROM event e WHERE e.seq = {_UNKNOWN}))"
        f" FROM run r WHERE r.settled_ms IS NULL AND r.state = '{RunState.UNKNOWN}'",
    )
    return int(count), None if since_ms is None else int(since_ms)


def any_due(connection: Connection, before_ms: int) -> bool:
    """Whether the outcome of a run is unknown since before an instant, and nobody was told."""
    return bool(_due(connection, before_ms, 1))


def raise_due(connection: Connection, epoch: int, before_ms: int, now_ms: int) -> int:
    """Tell of the runs that are unknown since before an instant, each once; returns how many.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    due = _due(connection, before_ms, 1_000)
    feed.append(
        connection,
        [
            feed.EventRow(
                EventKind.HOLD_ALARM, uid, attempt, enterprise, city, state, now_ms,
                f'{{"center":"{center}","held_fen":"{held_fen}","since_ms":"{since_ms}"}}',
            )
            for uid, attempt, enterprise, city, state, center, held_fen, since_ms in due
        ],
    )  # fmt: skip
    return len(due)


def _due(
    connection: Connection, before_ms: int, limit: int
) -> list[tuple[int, int, str, str, str, str, int, int]]:
    rows = bulk_read(
        connection,
        "SELECT uid, attempt, enterprise, city, state, center,"
        " (SELECT coalesce(sum(h.gross_fen), 0) FROM hold h WHERE h.job_uid = uid"
        " AND h.attempt = found.attempt AND h.state = 'HELD'),"
        " (SELECT e.at_ms FROM event e WHERE e.seq = since) FROM"
        " (SELECT r.job_uid AS uid, r.attempt, r.enterprise, r.city, j.state, r.center,"
        f" {_UNKNOWN} AS since, {_ALARM} AS told FROM run r JOIN job j ON j.uid = r.job_uid"
        f" WHERE r.settled_ms IS NULL AND r.state = '{RunState.UNKNOWN}') found"
        " WHERE since IS NOT NULL AND (told IS NULL OR told < since)"
        f" AND (SELECT e.at_ms FROM event e WHERE e.seq = since) <= {before_ms}"
        f" ORDER BY uid, attempt LIMIT {limit}",
    )
    return [tuple(row) for row in rows]
