"""What follows for other jobs from what happened to some: the leader's step after each change.

A job that waits for others is ready once they have ended, or is cancelled once one of them has
ended without the success that it waits for. An array tells the planner of its next elements as
room comes, and ends when all its elements have. All of it is judged by how the jobs stand, not by
counting events, and is written in one transaction: done again, it changes nothing.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.dependencies import NO_SUCCESS, Condition
from scheduler.domain.events import EventKind
from scheduler.domain.ids import job_id
from scheduler.domain.states import JOB_TERMINAL, JobState
from scheduler.store import array_steps, feed, leader
from scheduler.store.database import bulk_read, bulk_update
from scheduler.store.job_filter import OPEN

_LISTED_MAX: Final = 5_000
_ENDS: Final = ", ".join(f"'{kind}'" for kind in sorted(feed.ENDS))
_TERMINAL: Final = ", ".join(f"'{state}'" for state in sorted(JOB_TERMINAL))
_NO_SUCCESS: Final = ", ".join(f"'{state}'" for state in sorted(NO_SUCCESS))
#: Events of elements and arrays after which an array may have room, or have ended.
_OF_ARRAYS: Final = (
    f"'{EventKind.HELD}', '{EventKind.RELEASED}', '{EventKind.CANCEL_REQUESTED}',"
    f" '{EventKind.REST_EXPIRED}', '{EventKind.ALL_STARTED}'"
)


@dataclass(slots=True)
class Touched:
    """Jobs that wait for others, and arrays, for which something may follow."""

    dependents: set[int] = field(default_factory=set)
    arrays: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.dependents or self.arrays)


def find(connection: Connection, after: int, upto: int) -> Touched:
    """Return for whom something may follow from the events above ``after`` up to ``upto``.

    Plain submissions, which are most of a feed, are passed over: their events have no detail.
    """
    rows = bulk_read(
        connection,
        f"SELECT job_uid, kind FROM event WHERE seq > {after} AND seq <= {upto} AND (kind IN"
        f" ({_ENDS}, {_OF_ARRAYS}) OR (kind = '{EventKind.SUBMITTED}' AND detail <> ''))",
    )
    ended = [uid for uid, kind in rows if kind in feed.ENDS]
    touched = Touched({uid for uid, kind in rows if kind == EventKind.SUBMITTED})
    touched.dependents |= _dependents(connection, ended)
    for listed in _listed({uid for uid, _ in rows}):
        query = (
            f"SELECT DISTINCT array_uid FROM job WHERE array_uid IS NOT NULL AND uid IN ({listed})"
        )
        touched.arrays.update(uid for (uid,) in bulk_read(connection, query))
    return touched


def find_all(connection: Connection) -> Touched:
    """Return all for whom something may follow: what a new leader begins with."""
    gated = bulk_read(connection, f"SELECT uid FROM job WHERE {OPEN} AND gated")
    arrays = bulk_read(
        connection,
        f"SELECT a.array_uid FROM job JOIN job_array a ON a.array_uid = uid WHERE {OPEN}",
    )
    return Touched({uid for (uid,) in gated}, {uid for (uid,) in arrays})


def follow(connection: Connection, epoch: int, touched: Touched, now_ms: int) -> int:
    """Write what follows; returns how many jobs were made ready or ended by it.

    Ends have consequences of their own, so this goes on until nothing follows any more. Raises
    ``leader.Fenced``.
    """
    leader.check(connection, epoch)
    done = 0
    dependents, arrays = set(touched.dependents), set(touched.arrays)
    while dependents or arrays:
        ended = _cancel_hopeless(connection, dependents, now_ms)
        ready = _let_ready(connection, dependents - set(ended), now_ms)
        arrays |= dependents
        step = array_steps.advance(connection, arrays, now_ms)
        done += len(ended) + ready + len(step.ended) + step.told
        dependents, arrays = _dependents(connection, [*ended, *step.ended]), set()
    return done


def _listed(uids: Collection[int]) -> Iterator[str]:
    """Yield uids as lists for SQL, of bounded length."""
    rest = sorted(uids)
    for first in range(0, len(rest), _LISTED_MAX):
        yield ", ".join(map(str, rest[first : first + _LISTED_MAX]))


def _dependents(connection: Connection, ended: Iterable[int]) -> set[int]:
    found: set[int] = set()
    for listed in _listed(set(ended)):
        query = f"SELECT DISTINCT job_uid FROM job_dependency WHERE on_uid IN ({listed})"
        found.update(uid for (uid,) in bulk_read(connection, query))
    return found


def _cancel_hopeless(connection: Connection, uids: Collection[int], now_ms: int) -> list[int]:
    """Cancel those that wait for the success of a job that ended otherwise; returns their uids.

    None of them ever ran: what waits for others was never started. An array of which all elements
    were given rows, held for instance, waits as well.
    """
    found: dict[int, tuple[int, str, str]] = {}
    owners: dict[int, tuple[str, str]] = {}
    for listed in _listed(uids):
        for uid, enterprise, city, on_uid, state, failure in bulk_read(
            connection,
            "SELECT j.uid, j.enterprise, j.city, o.uid, o.state, o.failure_class FROM job j"
            " JOIN job_dependency d ON d.job_uid = j.uid JOIN job o ON o.uid = d.on_uid"
            f" WHERE j.uid IN ({listed}) AND j.gated AND j.state NOT IN ({_TERMINAL})"
            f" AND d.condition = '{Condition.AFTER_SUCCESS}' AND o.state IN ({_NO_SUCCESS})"
            " ORDER BY j.uid, o.uid",
        ):
            found.setdefault(uid, (on_uid, state, failure or ""))
            owners[uid] = (enterprise, city)
    rows = []
    for uid, (on_uid, state, failure) in found.items():
        why = f" ({failure})" if failure else ""
        message = f"{job_id(on_uid)}, for whose success it waited, is {state}{why}"
        rows.append((uid, message, now_ms))
    changed = bulk_update(
        connection,
        "UPDATE job SET state = 'CANCELLED', version = version + 1, end_ms = v.column3,"
        " message = v.column2, settled = TRUE FROM {values} WHERE uid = v.column1 AND gated"
        f" AND state NOT IN ({_TERMINAL})",
        rows,
    )
    if changed != len(rows):
        raise RuntimeError(f"{len(rows) - changed} jobs moved beside the leader")
    events = []
    for uid, (on_uid, state, failure) in found.items():
        detail = {"waited_for": job_id(on_uid), "which_is": state, "failure": failure}
        told = json.dumps({key: value for key, value in detail.items() if value})
        events.append(
            feed.EventRow(
                EventKind.CANCELLED, uid, 0, *owners[uid], JobState.CANCELLED, now_ms, told
            )
        )
    feed.append(connection, events)
    parts = array_steps.end_waiting_elements(connection, found, now_ms)
    return [*found, *parts]


def _let_ready(connection: Connection, uids: Collection[int], now_ms: int) -> int:
    """Let those wait for placement whose dependencies have all ended; returns how many.

    The planner is told of those that are queued; of arrays it is told by their elements.
    """
    events: list[feed.EventRow] = []
    ready: list[int] = []
    for listed in _listed(uids):
        for uid, enterprise, city, state, is_array in bulk_read(
            connection,
            "SELECT j.uid, j.enterprise, j.city, j.state, j.array_uid IS NOT NULL FROM job j"
            f" WHERE j.uid IN ({listed}) AND j.gated AND j.state NOT IN ({_TERMINAL})"
            " AND (j.array_uid IS NULL OR j.array_uid = j.uid)"
            " AND NOT EXISTS (SELECT 1 FROM job_dependency d JOIN job o ON o.uid = d.on_uid"
            f" WHERE d.job_uid = j.uid AND (o.state NOT IN ({_TERMINAL}) OR"
            # It was spoilt by what this step has just cancelled: the next round's.
            f" (d.condition = '{Condition.AFTER_SUCCESS}' AND o.state <> 'SUCCEEDED')))"
            " ORDER BY j.uid",
        ):
            ready.append(uid)
            if state == JobState.QUEUED and not is_array:
                events.append(
                    feed.EventRow(EventKind.READY, uid, 0, enterprise, city, state, now_ms)
                )
    bulk_update(
        connection,
        "UPDATE job SET gated = FALSE, version = version + 1 FROM {values}"
        " WHERE uid = v.column1 AND gated",
        [(uid,) for uid in ready],
    )
    feed.append(connection, events)
    return len(ready)
