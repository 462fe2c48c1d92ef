"""Figures of the books for the metrics: digests, alerts, corrections."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection

from quota.calendar import day_ms
from quota.digests import last_day
from scheduler.store import digests, retention
from scheduler.store.charge_tables import CORRECTION_KINDS


@dataclass(frozen=True, slots=True)
class BookFigures:
    """How the books are kept.

    ``digest_due_ms``: for how long the last day that ended has had no digest, 0 if it has one.
    ``undelivered``: alerts of the last day that the webhook did not take, and the oldest's age.
    ``corrections``: changes of charges ever made, by kind.
    ``events_oldest_ms``: age of the oldest event that is to be let go of, 0 if none.
    The last of all is kept for ever.
    """

    digest_due_ms: int
    undelivered: int
    undelivered_oldest_ms: int
    corrections: Mapping[str, int]
    events_oldest_ms: int


#: What is shown while nobody looks.
NOTHING: Final = BookFigures(0, 0, 0, {}, 0)
_DAY_MS: Final = 86_400_000


def read(connection: Connection, now_ms: int) -> BookFigures:
    """Read the figures on one snapshot."""
    due_ms = 0
    if digests.is_due(connection, now_ms):
        ended = date.fromisoformat(last_day(now_ms)) + timedelta(days=1)
        due_ms = max(0, now_ms - day_ms(ended))
    undelivered, oldest_ms = connection.exec_driver_sql(
        "SELECT count(*), min(raised_ms) FROM alert WHERE delivered_ms IS NULL AND tries > 0"
        f" AND raised_ms >= {now_ms - _DAY_MS}"
    ).one()
    corrections = connection.exec_driver_sql("SELECT kind, count(*) FROM correction GROUP BY kind")
    upto_seq = retention.kept(connection).events_upto_seq
    oldest_event_ms = connection.exec_driver_sql(
        f"SELECT at_ms FROM event WHERE seq > {upto_seq}"
        " AND seq < (SELECT max(seq) FROM event) ORDER BY seq LIMIT 1"
    ).scalar()
    return BookFigures(
        due_ms,
        int(undelivered),
        max(0, now_ms - int(oldest_ms)) if oldest_ms is not None else 0,
        dict.fromkeys(CORRECTION_KINDS, 0) | {str(kind): int(count) for kind, count in corrections},
        max(0, now_ms - int(oldest_event_ms)) if oldest_event_ms is not None else 0,
    )
