"""The months of the books: open, closing once they are over, and closed for good.

What is booked stands in the month of its instant. A closed month takes no entry any more (a
trigger of the database refuses it), and the last entry of every shard in it is frozen: so
statements of closed months never change. What concerns a closed month is booked in the open one,
with the month of its use as reference.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from quota.calendar import months_of, period_bounds, period_of
from scheduler.errors import NotFound, WrongState
from scheduler.store import audit_trail
from scheduler.store.change_requests import Act
from scheduler.store.database import bulk_execute, bulk_insert
from scheduler.store.fund_tables import BookHead
from scheduler.store.tables import table

#: The advisory lock of the books on PostgreSQL, also in the revision that made the trigger.
_BOOKS: Final = 0x626F6F6B73


@dataclass(frozen=True, slots=True)
class MonthInfo:
    """A month of the books; ``differences`` are open ones with centers' records that bar its end.

    ``closed_ms`` None while it is not closed.
    """

    month: str
    start_ms: int
    end_ms: int
    state: str
    closed_ms: int | None
    closed_by: str
    reason: str
    differences: int


def is_due(connection: Connection, now_ms: int) -> bool:
    """Whether ``begin_due`` has something to do."""
    return bool(_last_end(connection) <= now_ms)


def begin_due(connection: Connection, now_ms: int) -> None:
    """Begin the months up to now; those that are over are closing."""
    rows: list[tuple[str, int, int]] = []
    at_ms = _last_end(connection)
    if not at_ms:  # the books begin with their first entry
        first_ms = connection.exec_driver_sql("SELECT min(effective_ms) FROM transfer").scalar()
        at_ms = now_ms if first_ms is None else min(int(first_ms), now_ms)
    while at_ms <= now_ms:
        month = period_of(at_ms, 1)
        start_ms, at_ms = period_bounds(month)
        rows.append((month, start_ms, at_ms))
    bulk_execute(
        connection,
        "INSERT INTO book_month (month, start_ms, end_ms, state, closed_by, reason)"
        " VALUES (?, ?, ?, 'OPEN', '', '') ON CONFLICT (month) DO NOTHING",
        rows,
    )
    connection.execute(
        text("UPDATE book_month SET state = 'CLOSING' WHERE state = 'OPEN' AND end_ms <= :now"),
        {"now": now_ms},
    )


def _last_end(connection: Connection) -> int:
    found = connection.exec_driver_sql("SELECT max(end_ms) FROM book_month").scalar()
    return 0 if found is None else int(found)


_DIFFERENCES: Final = (
    "(SELECT count(*) FROM recon_diff d WHERE d.state = 'OPEN' AND d.use_ms < m.end_ms)"
)
_SELECT: Final = (
    "SELECT m.month, m.start_ms, m.end_ms, m.state, m.closed_ms, m.closed_by, m.reason,"
    f" CASE WHEN m.state = 'CLOSED' THEN 0 ELSE {_DIFFERENCES} END FROM book_month m"
)


def list_months(connection: Connection) -> list[MonthInfo]:
    """Return all months that began, the newest first."""
    rows = connection.exec_driver_sql(f"{_SELECT} ORDER BY m.start_ms DESC")
    return [MonthInfo(*row) for row in rows]


def get_month(connection: Connection, month: str) -> MonthInfo:
    """Return one month; ``NotFound`` for one in which no books were kept."""
    row = connection.exec_driver_sql(f"{_SELECT} WHERE m.month = ?", (month,)).first()
    if row is None:
        raise NotFound(
            f"there are no books of {month!r}: months are written 2026-03; `corridor period list`"
            " shows those there are"
        )
    return MonthInfo(*row)


def close(connection: Connection, month: str, act: Act) -> MonthInfo:
    """Close a month for good; again changes nothing.

    Raises ``NotFound``, and ``WrongState`` for one that is not over, has one before it that is not
    closed, or open differences with centers' records.
    """
    begin_due(connection, act.now_ms)
    if connection.dialect.name == "postgresql":
        # Waits for those who book now, and lets others wait: whoever books afterwards finds it
        # closed (the trigger takes its share of this lock, and nothing else does).
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(?)", (_BOOKS,)).close()
    found = get_month(connection, month)
    if found.state == "CLOSED":
        return found
    _check(connection, found, act.now_ms)
    heads = _heads(connection, found.end_ms)
    bulk_insert(
        connection, table(BookHead), ("month", "shard", "seq", "hash"),
        [(month, *head) for head in heads],
    )  # fmt: skip
    connection.execute(
        text(
            "UPDATE book_month SET state = 'CLOSED', closed_ms = :now, closed_by = :who,"
            " reason = :why WHERE month = :month"
        ),
        {"now": act.now_ms, "who": act.actor.subject, "why": act.reason, "month": month},
    )
    connection.execute(
        text(
            "INSERT INTO books_closed (one, closed_until_ms) VALUES (1, :end)"
            " ON CONFLICT (one) DO UPDATE SET closed_until_ms = excluded.closed_until_ms"
        ),
        {"end": found.end_ms},
    )
    audit_trail.record(
        connection,
        act.actor,
        "MONTH_CLOSED",
        f"books/{month}",
        at_ms=act.wall_ms,
        before={"state": found.state},
        after={"state": "CLOSED", "shards": len(heads)},
        reason=act.reason,
    )
    return get_month(connection, month)


def _check(connection: Connection, found: MonthInfo, now_ms: int) -> None:
    subject = f"books/{found.month}"
    if found.end_ms > now_ms:
        raise WrongState(
            f"the month {found.month} is not over; it can be closed from the first of the next on",
            subject=subject,
            reason="MONTH_RUNNING",
        )
    earlier = connection.execute(
        text("SELECT min(month) FROM book_month WHERE start_ms < :start AND state <> 'CLOSED'"),
        {"start": found.start_ms},
    ).scalar()
    if earlier is not None:
        raise WrongState(
            f"{earlier} is not closed, which comes before {found.month}; close it first",
            subject=subject,
            reason="EARLIER_MONTH_OPEN",
        )
    if found.differences:
        raise WrongState(
            f"{found.differences} difference(s) with centers' own records of use up to"
            f" {found.month} are not resolved; resolve each before the month is closed",
            subject=subject,
            reason="DIFFERENCES_OPEN",
        )


def _heads(connection: Connection, end_ms: int) -> list[tuple[str, int, bytes]]:
    """Return (shard, seq, hash) of the last entry before an instant, of each shard that has one."""
    rows = connection.execute(
        text(
            "SELECT t.shard, t.seq, t.hash FROM (SELECT s.shard, (SELECT max(b.seq) FROM transfer b"
            " WHERE b.shard = s.shard AND b.effective_ms < :end) AS seq FROM ledger_shard s) h"
            " JOIN transfer t ON t.shard = h.shard AND t.seq = h.seq ORDER BY t.shard"
        ),
        {"end": end_ms},
    )
    return [(shard, int(seq), bytes(digest)) for shard, seq, digest in rows]


# --- for statements -------------------------------------------------------------------------------


def require_closed(connection: Connection, period: str) -> None:
    """Raise ``WrongState`` unless all months of a month, quarter or year are closed.

    Months before the first of the books have none, and get none once that is closed: so the first
    quarter and year can be stated, too. Raises ValueError for what is no period.
    """
    months = months_of(period)
    states = {one.month: one.state for one in list_months(connection)}
    first = min(states, default="")
    if not first or months[-1] < first:
        begun = f"they begin with {first}" if first else "none have been kept yet"
        raise WrongState(
            f"there are no books of {period}: {begun}; `corridor period list` shows those there"
            " are",
            subject=f"books/{months[0]}",
        )
    still_open = [one for one in months if one >= first and states.get(one) != "CLOSED"]
    if still_open:
        raise WrongState(
            f"the books of {', '.join(still_open)} are not closed; a statement is made of closed"
            " months alone: close them first (`corridor period close`)",
            subject=f"books/{still_open[0]}",
            reason="MONTH_OPEN",
        )
