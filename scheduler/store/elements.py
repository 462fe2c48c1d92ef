"""Elements of arrays that have no row yet: found by their uid, and given one.

An element gets its row when it is started, when somebody holds, releases or cancels it by itself,
or when a job waits for it; from then on it is a job like any other. Whoever makes rows counts them
in ``job_array``.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.ids import element_index, element_uid, replica_of, tick_of
from scheduler.domain.principal import Scope
from scheduler.domain.states import JOB_TERMINAL, JobState
from scheduler.store import feed
from scheduler.store.database import bulk_read, bulk_update

_BLOCK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Element:
    """An element without a row; ``rest`` is the state of all such of its array.

    ``told`` says that the planner may know of it.
    """

    uid: int
    array_uid: int
    index: int
    city: str
    enterprise: str
    rest: JobState
    told: bool


def find(connection: Connection, uids: Iterable[int]) -> dict[int, Element]:
    """Return those of these uids that are elements without a row.

    The array of an element is the last one of its replica that begins before it.
    """
    wanted = sorted(set(uids))
    found: dict[int, Element] = {}
    for first in range(0, len(wanted), _BLOCK):
        asked = [(uid, replica_of(uid), tick_of(uid)) for uid in wanted[first : first + _BLOCK]]
        rows = bulk_read(
            connection,
            f"WITH asked (uid, replica, tick) AS (VALUES {', '.join(['(?, ?, ?)'] * len(asked))})"
            " SELECT asked.uid, a.array_uid, j.city, j.enterprise, a.rest_state, a.opened, j.gated"
            " FROM asked JOIN job_array a ON a.array_uid = (SELECT b.array_uid FROM job_array b"
            " WHERE b.replica = asked.replica AND b.first_tick < asked.tick"
            " ORDER BY b.first_tick DESC LIMIT 1)"
            " JOIN job j ON j.uid = a.array_uid WHERE asked.tick <= a.first_tick + a.size"
            " AND NOT EXISTS (SELECT 1 FROM job e WHERE e.uid = asked.uid)",
            tuple(chain.from_iterable(asked)),
        )
        for uid, array_uid, city, enterprise, rest, opened, gated in rows:
            index = element_index(array_uid, uid)
            told = index < opened and not gated and rest == JobState.QUEUED
            found[uid] = Element(uid, array_uid, index, city, enterprise, JobState(rest), told)
    return found


def not_of_arrays(
    connection: Connection, scope: Scope, named: Iterable[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Return those of these (array uid, uid of its element) that are not that within the scope.

    Behind the last element of an array other jobs begin: by an index too high one of them would
    be meant.
    """
    pairs = set(named)
    found: dict[int, int] = {}
    arrays = sorted({array for array, _ in pairs})
    for first in range(0, len(arrays), _BLOCK):
        listed = ", ".join(map(str, arrays[first : first + _BLOCK]))
        for uid, size, city, enterprise in bulk_read(
            connection,
            "SELECT a.array_uid, a.size, j.city, j.enterprise FROM job_array a JOIN job j"
            f" ON j.uid = a.array_uid WHERE a.array_uid IN ({listed})",
        ):
            if scope.covers(city, enterprise):
                found[uid] = size
    return {pair for pair in pairs if element_index(*pair) >= found.get(pair[0], 0)}


#: What an element has from its array; its specification stays there alone.
_COPIED: Final = (
    "enterprise", "city", "priority", "submit_ms", "not_before_ms", "deadline_ms", "display_name",
    "options", "labels", "subsidy", "self_pay_max_fen", "attempts_max", "retry_on", "user_name",
    "finish_by_ms", "notice_s", "interruptible", "emergency", "contract", "project",
)  # fmt: skip
_ENDED: Final = "a_rest.rest_state IN ('CANCELLED', 'EXPIRED')"
_BEGINS: Final = {
    "version": "1", "attempt": "0", "cancel_requested": "FALSE", "gross_fen": "0",
    "subsidy_fen": "0", "self_pay_fen": "0", "settled": _ENDED,
    "message": f"CASE WHEN {_ENDED} THEN a.message ELSE '' END",
    "end_ms": f"CASE WHEN {_ENDED} THEN coalesce(a.end_ms, v.column6) END",
}  # fmt: skip
_INSERT: Final = (
    f"INSERT INTO job (uid, array_uid, array_index, gated, spec, state, {', '.join(_COPIED)},"
    f" {', '.join(_BEGINS)}) SELECT v.column1, v.column2, v.column3, v.column4, v.column5,"
    f" a_rest.rest_state, {', '.join(f'a.{name}' for name in _COPIED)},"
    f" {', '.join(_BEGINS.values())} FROM {{values}} JOIN job a ON a.uid = v.column2"
    " JOIN job_array a_rest ON a_rest.array_uid = v.column2"
)


def make_rows(connection: Connection, elements: Collection[Element], now_ms: int) -> None:
    """Give elements rows in the state of their array's rest.

    One that the planner was not told of is gated. An array of which all elements have rows now is
    RUNNING from here on.
    """
    if not elements:
        return
    rows = [(one.uid, one.array_uid, one.index, not one.told, b"", now_ms) for one in elements]
    made = bulk_update(connection, _INSERT, rows)
    if made != len(rows):
        raise RuntimeError(f"{len(rows) - made} arrays are not there")
    counted = Counter(one.array_uid for one in elements)
    opened = dict(_opened(connection, counted))
    ahead = Counter(one.array_uid for one in elements if one.index >= opened[one.array_uid])
    bulk_update(
        connection,
        "UPDATE job_array SET made = made + v.column2, ahead = ahead + v.column3 FROM {values}"
        " WHERE array_uid = v.column1",
        [(uid, count, ahead[uid]) for uid, count in sorted(counted.items())],
    )
    feed.append(  # ends that were told of their arrays alone
        connection,
        [
            feed.EventRow(
                EventKind(one.rest), one.uid, 0, one.enterprise, one.city, one.rest, now_ms
            )
            for one in elements
            if one.rest in JOB_TERMINAL
        ],
    )
    _all_started(connection, sorted(counted), now_ms)


def _opened(connection: Connection, arrays: Iterable[int]) -> Sequence[tuple[int, int]]:
    listed = ", ".join(map(str, sorted(arrays)))
    query = f"SELECT array_uid, opened FROM job_array WHERE array_uid IN ({listed})"
    return [(uid, opened) for uid, opened in bulk_read(connection, query)]


def _all_started(connection: Connection, arrays: Sequence[int], now_ms: int) -> None:
    """Let arrays whose elements all have rows be RUNNING."""
    listed = ", ".join(map(str, arrays))
    rows = bulk_read(
        connection,
        "SELECT j.uid, j.enterprise, j.city FROM job_array a JOIN job j ON j.uid = a.array_uid"
        f" WHERE a.array_uid IN ({listed}) AND a.made = a.size"
        " AND j.state IN ('QUEUED', 'HELD') ORDER BY j.uid",
    )
    bulk_update(
        connection,
        "UPDATE job SET state = 'RUNNING', version = version + 1 FROM {values}"
        " WHERE uid = v.column1 AND state IN ('QUEUED', 'HELD')",
        [(uid,) for uid, _, _ in rows],
    )
    feed.append(
        connection,
        [
            feed.EventRow(EventKind.ALL_STARTED, uid, 0, enterprise, city, JobState.RUNNING, now_ms)
            for uid, enterprise, city in rows
        ],
    )


def last_uid(connection: Connection) -> int:
    """Return the highest uid that is kept for an element; 0 if there is no array."""
    row = connection.exec_driver_sql(
        "SELECT array_uid, size FROM job_array ORDER BY array_uid DESC LIMIT 1"
    ).first()
    return 0 if row is None else element_uid(row[0], row[1] - 1)
