"""Funds, paid into; and the entries of the ledger, shown."""

from typing import Final

from sqlalchemy import Connection

from quota.transfers import Entry, Kind, Link
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import RequestIdReused
from scheduler.store import bookings, fund_figures, funds_reduction, transfers
from scheduler.store.fund_figures import FundInfo as FundInfo
from scheduler.store.fund_figures import check_open as check_open
from scheduler.store.fund_figures import list_funds as list_funds
from scheduler.store.fund_figures import managed_fund as managed_fund
from scheduler.store.fund_openings import open_payable as open_payable
from scheduler.store.fund_openings import open_period as open_period
from scheduler.store.fund_openings import open_wallet as open_wallet
from scheduler.store.verification import Verification as Verification
from scheduler.store.verification import verify as verify


def appropriation_key(programme: str, period: str, request_id: str) -> str:
    """Return the key under which a payment into a fund is made once."""
    return f"appropriate:{programme}:{period}:{request_id}"


def paid_before(connection: Connection, key: str, account: str, amount_fen: int) -> bool:
    """Whether this payment was made; raises ``RequestIdReused`` if another was, under its key."""
    before = transfers.select(connection, "idem_key = ?", (key,))
    if not before:
        return False
    entry = before[0].entry
    if (entry.credit_account, entry.amount_fen) != (account, amount_fen):
        raise RequestIdReused(
            f"request id {key.rpartition(':')[2]!r} already paid {entry.amount_fen} fen into"
            f" {entry.credit_account}; use a new request id for another payment"
        )
    return True


def appropriate(
    connection: Connection, scope: Scope, *, programme: str, period: str, amount_fen: int,
    request_id: str, actor: str, reason: str, now_ms: int, funder: str = "",
) -> FundInfo:  # fmt: skip
    """Pay money of a funder ("": the own city) into a fund; the same request changes nothing more.

    What is pending of a reduction is met from it first. Returns the fund as it is. Raises
    ``NotFound`` for a fund outside the scope or a funder it has not, ``WrongState`` for one that is
    not open, ``RequestIdReused`` for another payload.
    """
    seen = managed_fund(connection, scope, programme, period)
    fund_figures.lock(connection, seen)
    money = seen.funder(funder)
    key = appropriation_key(programme, period, request_id)
    if paid_before(connection, key, money.account_id, amount_fen):
        return seen
    found = managed_fund(connection, scope, programme, period)
    check_open(found)
    entry = Entry(
        bookings.fund_shard(programme, period), Kind.DIRECT, "APPROPRIATE", found.source_of(money),
        money.account_id, amount_fen, now_ms, key, actor=actor, reason=reason,
    )  # fmt: skip
    bookings.book(connection, [entry])
    connection.exec_driver_sql(
        "UPDATE fund_funder SET appropriated_fen = appropriated_fen + ? WHERE account_id = ?",
        (amount_fen, money.account_id),
    )
    funds_reduction.eat(connection, (money.account_id,), now_ms)
    bookings.tell(connection, (found.city,), now_ms)
    return list_funds(connection, EVERYTHING, programme=programme, period=period)[0]


_ACCOUNTS_OF: Final = "(SELECT account_id FROM account WHERE city = ?)"
_JOB_OF: Final = "EXISTS (SELECT 1 FROM job j WHERE j.uid = transfer.job_uid AND j.{owner} = ?)"


def list_transfers(
    connection: Connection, scope: Scope, *, account: str = "", job_uid: int = 0,
    limit: int = 100, before: tuple[int, str, int] | None = None,
) -> list[Link]:  # fmt: skip
    """Return entries of an account or a job within the scope, newest first.

    ``before`` is (effective_ms, shard, seq) of the last entry of the page before.
    """
    where, values = "1 = 1", list[object]()
    if before is not None:
        where = "(effective_ms, shard, seq) < (?, ?, ?)"
        values += before
    if job_uid:
        where += " AND job_uid = ?"
        values.append(job_uid)
    if scope.enterprise is not None:
        where += f" AND {_JOB_OF.format(owner='enterprise')}"
        values.append(scope.enterprise)
    elif scope.city is not None:
        where += (
            f" AND ({_JOB_OF.format(owner='city')} OR debit_account IN {_ACCOUNTS_OF}"
            f" OR credit_account IN {_ACCOUNTS_OF})"
        )
        values += [scope.city] * 3
    sides: list[transfers.Side] = [(where, values)]
    if account:
        sides = [
            (f"{side} = ? AND {where}", [account, *values])
            for side in ("debit_account", "credit_account")
        ]
    return transfers.newest(connection, sides, limit)
