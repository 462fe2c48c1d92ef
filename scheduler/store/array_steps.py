"""Arrays taken a step further: next elements told as there is room, ended when all elements have.

Room is judged by how many elements wait for placement or are active now, so a step that is done
again changes nothing.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.arrays import counts_text, end_of, room
from scheduler.domain.events import EventKind
from scheduler.domain.states import JOB_TERMINAL, JobState
from scheduler.store import feed
from scheduler.store.database import bulk_read, bulk_update

_TERMINAL: Final = ", ".join(f"'{state}'" for state in sorted(JOB_TERMINAL))
#: Word for word the condition of the index ``job_element_open``.
OPEN_ELEMENT: Final = f"array_uid IS NOT NULL AND state NOT IN ({_TERMINAL})"
_ENDED_REST: Final = frozenset({JobState.CANCELLED, JobState.EXPIRED})


@dataclass(slots=True)
class Step:
    """What a step did: arrays that ended by it, and how many elements were told."""

    ended: list[int] = field(default_factory=list)
    told: int = 0


@dataclass(slots=True)
class _Array:
    """An array that has not ended. ``open`` counts its rows that have not, by (state, gated)."""

    uid: int
    size: int
    concurrency_max: int | None
    opened: int
    made: int
    ahead: int
    rest: JobState
    state: JobState
    gated: bool
    cancelled: bool
    enterprise: str
    city: str
    open: Counter[tuple[str, bool]] = field(default_factory=Counter)

    @property
    def has_rest(self) -> bool:
        """Whether elements without rows wait still."""
        return self.made < self.size and self.rest not in _ENDED_REST

    def room(self) -> int:
        """How many elements more may wait for placement or run."""
        told = self.opened - (self.made - self.ahead) if self.has_rest else 0
        active = sum(
            count for (state, gated), count in self.open.items() if state != "HELD" and not gated
        )
        # An element that waits for room is gated; one at a center never is.
        return room(self.concurrency_max, self.size, told + active)

    def event(self, kind: EventKind, now_ms: int, **detail: str) -> feed.EventRow:
        """An event of the array itself."""
        return feed.EventRow(
            kind, self.uid, 0, self.enterprise, self.city, self.state, now_ms, json.dumps(detail)
        )


def advance(connection: Connection, uids: Collection[int], now_ms: int) -> Step:
    """Take those of these jobs that are open arrays a step further."""
    step = Step()
    arrays = _load(connection, uids)
    events: list[feed.EventRow] = []
    moved: list[_Array] = []
    for array in arrays:
        if not array.open and not array.has_rest:
            step.ended.append(array.uid)
            continue
        if array.gated:
            continue
        left = array.room()
        if array.open[JobState.QUEUED, True] and left:
            let = _let_rows(connection, array, left, now_ms)
            events += let
            step.told += len(let)
            left -= len(let)
        first = array.opened
        if left and array.rest is JobState.QUEUED and first < array.size:
            step.told += _open(connection, array, left)
            count = str(array.opened - first)
            events.append(array.event(EventKind.READY, now_ms, first=str(first), count=count))
            moved.append(array)
    bulk_update(
        connection,
        "UPDATE job_array SET opened = v.column2, ahead = v.column3 FROM {values}"
        " WHERE array_uid = v.column1",
        [(array.uid, array.opened, array.ahead) for array in moved],
    )
    feed.append(connection, events)
    ended = set(step.ended)
    _end(connection, [array for array in arrays if array.uid in ended], now_ms)
    return step


def _load(connection: Connection, uids: Collection[int]) -> list[_Array]:
    listed = ", ".join(map(str, sorted(uids)))
    if not listed:
        return []
    arrays = [
        _Array(
            uid, size, most, opened, made, ahead, JobState(rest), JobState(state), bool(gated),
            bool(cancelled), enterprise, city,
        )
        for (
            uid, size, most, opened, made, ahead, rest, state, gated, cancelled, enterprise, city,
        ) in bulk_read(
            connection,
            "SELECT a.array_uid, a.size, a.concurrency_max, a.opened, a.made, a.ahead,"
            " a.rest_state, j.state, j.gated, j.cancel_requested, j.enterprise, j.city"
            " FROM job_array a JOIN job j ON j.uid = a.array_uid"
            f" WHERE a.array_uid IN ({listed}) AND j.state NOT IN ({_TERMINAL})"
            " ORDER BY a.array_uid",
        )
    ]  # fmt: skip
    by_uid = {array.uid: array for array in arrays}
    listed = ", ".join(map(str, by_uid)) or "0"
    for uid, state, gated, count in bulk_read(
        connection,
        f"SELECT array_uid, state, gated, count(*) FROM job WHERE {OPEN_ELEMENT}"
        f" AND array_uid IN ({listed}) AND array_index IS NOT NULL GROUP BY 1, 2, 3",
    ):
        by_uid[uid].open[state, bool(gated)] = count
    return arrays


def _let_rows(connection: Connection, array: _Array, most: int, now_ms: int) -> list[feed.EventRow]:
    """Let elements with rows that wait for room have it, by index; returns their events."""
    rows = bulk_read(
        connection,
        f"SELECT uid FROM job WHERE {OPEN_ELEMENT} AND array_uid = {array.uid}"
        " AND state = 'QUEUED' AND gated AND array_index IS NOT NULL"
        f" ORDER BY array_index LIMIT {most}",
    )
    bulk_update(
        connection,
        "UPDATE job SET gated = FALSE, version = version + 1 FROM {values}"
        " WHERE uid = v.column1 AND gated AND state = 'QUEUED'",
        rows,
    )
    return [
        feed.EventRow(
            EventKind.READY, uid, 0, array.enterprise, array.city, JobState.QUEUED, now_ms
        )
        for (uid,) in rows
    ]


def _open(connection: Connection, array: _Array, most: int) -> int:
    """Move ``opened`` on past so many elements without rows; returns how many there were."""
    if not array.ahead:
        count = min(most, array.size - array.opened)
        array.opened += count
        return count
    rows = bulk_read(
        connection,
        "SELECT array_index FROM job WHERE array_uid IS NOT NULL"
        f" AND array_uid = {array.uid} AND array_index >= {array.opened}",
    )
    made = {index for (index,) in rows}
    count = 0
    while array.opened < array.size and count < most:
        count += array.opened not in made
        array.ahead -= array.opened in made
        array.opened += 1
    return count


def _end(connection: Connection, arrays: Collection[_Array], now_ms: int) -> None:
    """End arrays of which every element has ended."""
    counts = element_counts(connection, [array.uid for array in arrays])
    rows, events = [], []
    for array in arrays:
        found = counts[array.uid]
        was, array.state = array.state, end_of(found, array.cancelled)
        message = counts_text(found)
        rows.append((array.uid, was, array.state, message, now_ms))
        events.append(array.event(EventKind(array.state), now_ms, message=message))
    changed = bulk_update(
        connection,
        "UPDATE job SET state = v.column3, version = version + 1, message = v.column4,"
        " end_ms = v.column5, settled = TRUE FROM {values}"
        " WHERE uid = v.column1 AND state = v.column2",
        rows,
    )
    if changed != len(rows):
        raise RuntimeError(f"{len(rows) - changed} arrays moved beside the leader")
    feed.append(connection, events)


def element_counts(
    connection: Connection, uids: Collection[int]
) -> Mapping[int, Counter[JobState]]:
    """Return how many elements of these arrays are in which state."""
    found: dict[int, Counter[JobState]] = defaultdict(Counter)
    listed = ", ".join(map(str, sorted(uids)))
    if not listed:
        return found
    for uid, rest, count in bulk_read(
        connection,
        "SELECT array_uid, rest_state, size - made FROM job_array"
        f" WHERE array_uid IN ({listed}) AND made < size",
    ):
        found[uid][JobState(rest)] += count
    for uid, state, count in bulk_read(
        connection,
        "SELECT array_uid, state, count(*) FROM job WHERE array_uid IS NOT NULL"
        f" AND array_uid IN ({listed}) AND array_index IS NOT NULL GROUP BY 1, 2",
    ):
        found[uid][JobState(state)] += count
    return found


def set_rest(connection: Connection, arrays: Iterable[int], state: JobState) -> None:
    """Let elements without rows be in another state; the caller moves the array itself."""
    bulk_update(
        connection,
        "UPDATE job_array SET rest_state = v.column2 FROM {values} WHERE array_uid = v.column1",
        [(uid, state) for uid in sorted(set(arrays))],
    )


def end_waiting_elements(connection: Connection, arrays: Collection[int], now_ms: int) -> list[int]:
    """Cancel all elements of arrays that were cancelled before any started; returns those with
    rows."""
    listed = ", ".join(map(str, sorted(arrays)))
    if not listed:
        return []
    set_rest(connection, arrays, JobState.CANCELLED)
    rows = bulk_read(
        connection,
        "SELECT uid, enterprise, city FROM job WHERE"
        f" {OPEN_ELEMENT} AND array_uid IN ({listed}) AND array_index IS NOT NULL ORDER BY uid",
    )
    bulk_update(
        connection,
        "UPDATE job SET state = 'CANCELLED', version = version + 1, end_ms = v.column2,"
        " message = 'its array was cancelled', settled = TRUE FROM {values}"
        " WHERE uid = v.column1 AND state IN ('QUEUED', 'HELD')",
        [(uid, now_ms) for uid, _, _ in rows],
    )
    feed.append(
        connection,
        [
            feed.EventRow(EventKind.CANCELLED, uid, 0, enterprise, city, "CANCELLED", now_ms)
            for uid, enterprise, city in rows
        ],
    )
    return [uid for uid, _, _ in rows]
