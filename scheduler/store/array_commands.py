"""Commands of people that mean arrays or elements: what else they mean, and what they leave.

A command that names an array means its elements too. A command that names an element which has no
row gives it one first, and then finds a job like any other.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.principal import Scope
from scheduler.domain.states import JobState
from scheduler.store import elements
from scheduler.store.array_steps import OPEN_ELEMENT
from scheduler.store.database import bulk_read, bulk_update

AT_CENTER: Final = "'ADMITTED', 'RUNNING'"


def make_named_rows(
    connection: Connection,
    scope: Scope,
    uids: Sequence[int],
    there: Collection[int],
    rests: Collection[JobState],
    now_ms: int,
) -> dict[int, JobState]:
    """Give rows to the elements among ``uids`` that have none, if their rest is in such a state.

    ``there`` are uids that have rows. Returns the state of all elements within the scope that had
    none, as it is now.
    """
    unknown = [uid for uid in uids if uid not in there]
    found = [
        one
        for one in elements.find(connection, unknown).values()
        if scope.covers(one.city, one.enterprise)
    ]
    elements.make_rows(connection, [one for one in found if one.rest in rests], now_ms)
    return {one.uid: one.rest for one in found}


def elements_of(connection: Connection, uids: Iterable[int]) -> list[int]:
    """Return the elements with rows, not ended, of those of these jobs that are arrays."""
    listed = ", ".join(map(str, sorted(set(uids)))) or "0"
    rows = bulk_read(
        connection,
        f"SELECT uid FROM job WHERE {OPEN_ELEMENT} AND array_uid IN ({listed})"
        " AND array_index IS NOT NULL ORDER BY uid",
    )
    return [uid for (uid,) in rows]


def with_elements_at_centers(connection: Connection, uids: Iterable[int]) -> list[int]:
    """Return those of these jobs that are waiting arrays with elements at a center."""
    listed = ", ".join(map(str, sorted(set(uids)))) or "0"
    rows = bulk_read(
        connection,
        f"SELECT DISTINCT array_uid FROM job WHERE {OPEN_ELEMENT} AND array_uid IN ({listed})"
        f" AND array_index IS NOT NULL AND state IN ({AT_CENTER}) ORDER BY array_uid",
    )
    return [uid for (uid,) in rows]


def follow_rest(connection: Connection, moved: Collection[int], state: JobState) -> None:
    """Let the elements without rows be in the state that their arrays were moved to."""
    listed = ", ".join(map(str, sorted(moved)))
    if not listed:
        return
    arrays = bulk_read(connection, f"SELECT array_uid FROM job_array WHERE array_uid IN ({listed})")
    bulk_update(
        connection,
        "UPDATE job_array SET rest_state = v.column2 FROM {values} WHERE array_uid = v.column1",
        [(uid, state) for (uid,) in arrays],
    )
