"""What is left in vouchers that ended goes back to the fund that it came from.

What is held for runs under way stays until they settle; then what they did not use goes back too.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from quota.transfers import Entry, Kind, fund_account, lapsed_account
from scheduler.store import bookings, funds_reduction, money_locks
from scheduler.store.database import bulk_execute

_LEFT: Final = "a.credits_posted - a.debits_posted - a.debits_pending"
#: Those that ended and have something to give back, or nothing any more.
_DUE: Final = (
    " FROM voucher v JOIN account a ON a.account_id = v.account_id WHERE NOT v.drained"
    f" AND v.end_ms <= :now AND ({_LEFT} > 0 OR a.debits_pending = 0)"
)
#: So many are looked after in one transaction.
_AT_ONCE: Final = 500


def any_due(connection: Connection, now_ms: int) -> bool:
    """Whether ``give_back`` has something to do."""
    return connection.execute(text(f"SELECT 1{_DUE} LIMIT 1"), {"now": now_ms}).first() is not None


def give_back(connection: Connection, now_ms: int, *, numbers: Sequence[str] = ()) -> None:
    """Give back what ended vouchers have left, some hundreds at a time; or those of ``numbers``."""
    due = _due(connection, now_ms, numbers)
    if not due:
        return
    chosen = [row.voucher_no for row in due]
    funds = lock(connection, chosen)
    due = _due(connection, now_ms, chosen)
    entries = [_entry(row, now_ms) for row in due if row.left_fen]
    bookings.book(connection, entries)
    _note(connection, due, now_ms)
    funds_reduction.eat(connection, funds, now_ms)
    if entries:
        bookings.tell(connection, {row.city for row in due}, now_ms)


def lock(connection: Connection, numbers: Sequence[str]) -> set[str]:
    """Lock all that moves when vouchers give back; returns the accounts of their funds.

    For whoever changes vouchers too: rows of money are locked before those of vouchers.
    """
    marks = ", ".join("?" * len(numbers))
    rows = connection.exec_driver_sql(
        "SELECT account_id, programme, period, enterprise, cap_year FROM voucher"
        f" WHERE voucher_no IN ({marks})",
        tuple(numbers),
    ).all()
    funds = {fund_account(row.programme, row.period) for row in rows}
    lapsed = {lapsed_account(row.programme, row.period) for row in rows}
    money_locks.lock(
        connection,
        accounts={
            *funds, *lapsed, *(row.account_id for row in rows),
            *map(funds_reduction.source_of, funds),
        },
        caps={(row.programme, row.enterprise, row.cap_year) for row in rows if row.cap_year},
        shards=funds,
    )  # fmt: skip
    return funds


def _due(connection: Connection, now_ms: int, numbers: Sequence[str]) -> Sequence[Any]:
    only = ""
    values: dict[str, Any] = {"now": now_ms, "limit": _AT_ONCE}
    if numbers:
        marks = [f"n{at}" for at in range(len(numbers))]
        only = f" AND v.voucher_no IN ({', '.join(f':{mark}' for mark in marks)})"
        values.update(zip(marks, numbers, strict=True))
    return connection.execute(
        text(
            "SELECT v.voucher_no, v.programme, v.period, v.city, v.enterprise, v.account_id,"
            f" v.state, v.cap_year, v.returns, v.ended_by, v.end_reason, {_LEFT} AS left_fen,"
            " a.debits_pending, (SELECT f.state FROM fund_period f WHERE f.programme = v.programme"
            f" AND f.period = v.period) AS fund_state{_DUE}{only}"
            " ORDER BY v.end_ms, v.voucher_no LIMIT :limit"
        ),
        values,
    ).all()


def _entry(row: Any, now_ms: int) -> Entry:
    """The way back: to the fund, or to what lapsed if the fund was closed meanwhile."""
    closed = row.fund_state == "CLOSED"
    target = lapsed_account if closed else fund_account
    code = "REVOKE" if row.state == "REVOKED" else "EXPIRE"
    return Entry(
        bookings.fund_shard(row.programme, row.period), Kind.DIRECT, code, row.account_id,
        target(row.programme, row.period), row.left_fen, now_ms,
        f"return:{row.voucher_no}.{row.returns + 1}", ref_period=row.period if closed else "",
        actor=row.ended_by, reason=row.end_reason or "its validity is over",
    )  # fmt: skip


def _note(connection: Connection, due: Sequence[Any], now_ms: int) -> None:
    bulk_execute(
        connection,
        "UPDATE voucher SET state = CASE WHEN state = 'ISSUED' THEN 'EXPIRED' ELSE state END,"
        " ended_ms = coalesce(ended_ms, ?), returned_fen = returned_fen + ?,"
        " returns = returns + ?, drained = ? WHERE voucher_no = ?",
        [
            (now_ms, row.left_fen, 1 if row.left_fen else 0, row.debits_pending == 0,
             row.voucher_no)
            for row in due
        ],
    )  # fmt: skip
    bulk_execute(
        connection,
        "UPDATE cap_counter SET pending_fen = pending_fen - ? WHERE programme = ?"
        " AND enterprise = ? AND year = ?",
        [
            (row.left_fen, row.programme, row.enterprise, row.cap_year)
            for row in due
            if row.cap_year and row.left_fen
        ],
    )
