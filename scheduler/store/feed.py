"""The event feed: what happened, in an order that never changes and has no holes.

On SQLite one writer commits at a time, so a sequence number is visible only once all lower ones
are. A reader that has seen sequence n never later finds an event below n.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.store.database import bulk_insert
from scheduler.store.tables import Event, table

_COLUMNS: Final = (
    "kind", "job_uid", "attempt", "enterprise", "city", "state", "at_ms", "detail",
)  # fmt: skip


class EventRow(NamedTuple):
    """An event to append; ``detail`` is a JSON object of texts, or empty."""

    kind: EventKind
    job_uid: int
    attempt: int
    enterprise: str
    city: str
    state: str
    at_ms: int
    detail: str = ""


def append(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Append events in order, in the caller's transaction."""
    bulk_insert(connection, table(Event), _COLUMNS, rows)
