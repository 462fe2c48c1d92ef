"""Money taken out of funds: what is available at once, the rest as it comes free.

No run is ended for it. What is held or lies in vouchers stays; while a reduction is pending, what
is freed goes to where the money came from, in the transaction that frees it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, text

from quota.amounts import yuan
from quota.transfers import Entry, Kind
from scheduler.domain.approving import Approvals, ChangeKind
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import RequestIdReused, WrongState
from scheduler.store import (
    audit_trail,
    bookings,
    change_requests,
    fund_figures,
    lone_changes,
    money_locks,
)
from scheduler.store.change_requests import Act, Proposal, Request
from scheduler.store.database import bulk_execute
from scheduler.store.fund_figures import FunderMoney, FundInfo
from scheduler.store.fund_tables import FundReduction
from scheduler.store.lone_changes import Size
from scheduler.store.tables import table


@dataclass(frozen=True, slots=True)
class Lowering:
    """What is to be taken out of a funder's money ("" for the own city's), once per request id.

    ``pending`` allows a part of it to wait until what is held is freed.
    """

    programme: str
    period: str
    amount_fen: int
    request_id: str
    funder: str = ""
    pending: bool = False

    @property
    def key(self) -> str:
        """The key under which it is made once."""
        return f"lower:{self.programme}:{self.period}:{self.request_id}"


@dataclass(frozen=True, slots=True)
class Lowered:
    """The fund as it stands, and the request if the reduction needs or needed another person."""

    fund: FundInfo
    request: Request | None


def lower(connection: Connection, lowering: Lowering, act: Act, approvals: Approvals) -> Lowered:
    """Take money out of a fund of the actor's scope, or ask for it; a repeated id does neither.

    Raises ``NotFound``, ``WrongState`` for more than is available (or, pending, than ever may
    come free) and for a fund that is not open, ``RequestIdReused``.
    """
    fund = fund_figures.managed_fund(
        connection, act.actor.scope, lowering.programme, lowering.period
    )
    if _done_before(connection, fund, lowering):
        return Lowered(fund, change_requests.find(connection, lowering.key))
    size = Size(ChangeKind.LOWER, fund.target, lowering.amount_fen, lowering.key)
    if not lone_changes.needs_another(connection, size, act, approvals):
        taken = _take(connection, act.actor.scope, lowering, act, act.actor.subject, act.reason)
        lone_changes.note(connection, size, act)
        return Lowered(taken, None)
    _check(fund, lowering)
    proposal = Proposal(
        ChangeKind.LOWER,
        fund.target,
        fund.city,
        {
            "programme": lowering.programme,
            "period": lowering.period,
            "amount_fen": lowering.amount_fen,
            "request_id": lowering.request_id,
            "funder": lowering.funder,
            "pending": lowering.pending,
        },
        before={"appropriated_fen": fund.appropriated_fen},
        after={"appropriated_fen": fund.appropriated_fen - lowering.amount_fen},
        amount_fen=lowering.amount_fen,
        request_key=lowering.key,
    )
    return Lowered(fund, change_requests.propose(connection, proposal, act))


def apply(connection: Connection, request: Request, act: Act) -> None:
    """Take out what was approved; raises ``WrongState`` if it no longer may be."""
    lowering = Lowering(**request.payload)
    _take(connection, EVERYTHING, lowering, act, request.requester, request.reason)


def _done_before(connection: Connection, fund: FundInfo, lowering: Lowering) -> bool:
    """Whether this very order was made; raises ``RequestIdReused`` if another was, by its key."""
    row = connection.execute(
        text("SELECT account_id, amount_fen FROM fund_reduction WHERE request_key = :key"),
        {"key": lowering.key},
    ).first()
    if row is None:
        return False
    if tuple(row) != (fund.funder(lowering.funder).account_id, lowering.amount_fen):
        raise RequestIdReused(
            f"request id {lowering.request_id!r} already lowered this fund by"
            f" {yuan(row.amount_fen)}; use a new request id for another reduction"
        )
    return True


def _check(fund: FundInfo, lowering: Lowering) -> FunderMoney:
    """Return the funder's money; raises ``WrongState`` if so much cannot be taken out of it."""
    fund_figures.check_open(fund)
    money = fund.funder(lowering.funder)
    bound_fen = money.held_fen + money.vouchers_fen
    most_fen = money.available_fen + bound_fen - money.reducing_fen
    asked = (
        f"the fund of {fund.programme} in {fund.period} cannot be lowered by"
        f" {yuan(lowering.amount_fen)}: of {yuan(money.appropriated_fen)},"
        f" {yuan(money.posted_fen)} is spent and {yuan(bound_fen)} is held or in vouchers;"
    )
    if lowering.amount_fen > max(most_fen, money.available_fen):
        raise WrongState(
            f"{asked} at most {yuan(money.available_fen)} can be taken out now, and up to"
            f" {yuan(max(0, most_fen))} as a pending reduction",
            subject=fund.target,
            reason="FUND_SPENT",
        )
    if lowering.amount_fen > money.available_fen and not lowering.pending:
        raise WrongState(
            f"{asked} lower it by at most {yuan(money.available_fen)}, or ask for a pending"
            " reduction, which takes the rest as it comes free",
            subject=fund.target,
            reason="FUND_HELD",
        )
    return money


def _take(
    connection: Connection, scope: Scope, lowering: Lowering, act: Act, actor: str, why: str
) -> FundInfo:
    """Note the order and take out what is available; ``actor`` and ``why`` are the order's."""
    seen = fund_figures.managed_fund(connection, scope, lowering.programme, lowering.period)
    fund_figures.lock(connection, seen)
    fund = fund_figures.managed_fund(connection, scope, lowering.programme, lowering.period)
    money = _check(fund, lowering)
    connection.execute(
        sa.insert(table(FundReduction)),
        {
            "request_key": lowering.key, "programme": fund.programme, "period": fund.period,
            "funder": money.funder, "account_id": money.account_id,
            "amount_fen": lowering.amount_fen, "left_fen": lowering.amount_fen, "parts": 0,
            "actor": actor, "reason": why, "created_ms": act.now_ms,
        },
    )  # fmt: skip
    connection.execute(
        text(
            "UPDATE fund_funder SET reducing_fen = reducing_fen + :fen WHERE account_id = :account"
        ),
        {"fen": lowering.amount_fen, "account": money.account_id},
    )
    eat(connection, (money.account_id,), act.now_ms)
    after = fund_figures.managed_fund(connection, scope, lowering.programme, lowering.period)
    bookings.tell(connection, (fund.city,), act.now_ms)
    audit_trail.record(
        connection,
        act.actor,
        "FUND_LOWERED",
        fund.target,
        at_ms=act.wall_ms,
        before={"appropriated_fen": fund.appropriated_fen, "reducing_fen": fund.reducing_fen},
        after={"appropriated_fen": after.appropriated_fen, "reducing_fen": after.reducing_fen},
        reason=act.reason,
        city=fund.city,
    )
    return after


# --- what comes free ------------------------------------------------------------------------------


def sources(connection: Connection, accounts: Collection[str]) -> list[str]:
    """Return the accounts to which money freed in ``accounts`` may go: lock them with the rest."""
    rows = connection.exec_driver_sql("SELECT account_id FROM fund_funder WHERE reducing_fen > 0")
    return [source_of(account) for (account,) in rows if account in accounts]


def source_of(account: str) -> str:
    """Return the appropriation account of a funder's account."""
    return f"appropriation:{account.removeprefix('fund:')}"


def eat(connection: Connection, accounts: Collection[str], now_ms: int) -> None:
    """Let pending reductions take what is free now in ``accounts``, the oldest orders first.

    For whoever frees or adds money: in the same transaction, after the balances were moved, with
    ``sources`` locked. A reduction that was ordered since then, and whose source another one holds,
    is left to ``eat_due``: to wait for it now would be out of the order of locks. Vouchers among
    ``accounts`` are noted to have something to give back, if they ended meanwhile.
    """
    _note_vouchers(connection, [one for one in accounts if one.startswith("voucher:")])
    rows = connection.exec_driver_sql(
        "SELECT u.account_id, u.programme, u.period, u.reducing_fen,"
        " a.credits_posted - a.debits_posted - a.debits_pending AS free FROM fund_funder u"
        " JOIN account a ON a.account_id = u.account_id WHERE u.reducing_fen > 0"
        " ORDER BY u.account_id"
    ).all()
    found = [row for row in rows if row.account_id in accounts and row.free > 0]
    got = _got(connection, [source_of(row.account_id) for row in found])
    entries: list[Entry] = []
    for account, programme, period, reducing, free in found:
        if source_of(account) in got:
            shard = bookings.fund_shard(programme, period)
            entries += _parts(connection, account, shard, period, min(reducing, free), now_ms)
    if not entries:
        return
    bookings.book(connection, entries)
    taken: dict[str, int] = {}
    for entry in entries:
        taken[entry.debit_account] = taken.get(entry.debit_account, 0) + entry.amount_fen
    bulk_execute(
        connection,
        "UPDATE fund_funder SET reducing_fen = reducing_fen - ?,"
        " appropriated_fen = appropriated_fen - ? WHERE account_id = ?",
        [(fen, fen, account) for account, fen in sorted(taken.items())],
    )


def _got(connection: Connection, names: Sequence[str]) -> set[str]:
    """Lock accounts, but those that somebody else holds; returns those that are locked now."""
    if not names or connection.dialect.name == "sqlite":
        return set(names)
    rows = connection.exec_driver_sql(
        "SELECT account_id FROM account WHERE account_id = ANY(?) FOR UPDATE SKIP LOCKED",
        (list(names),),
    )
    return set(rows.scalars())


_DUE: Final = (
    " FROM fund_funder u JOIN account a ON a.account_id = u.account_id WHERE u.reducing_fen > 0"
    " AND a.credits_posted > a.debits_posted + a.debits_pending"
)


def any_due(connection: Connection) -> bool:
    """Whether something is free that a pending reduction wants.

    It is taken where it comes free; this is for a reduction that was ordered at that very moment,
    which whoever freed the money could not know of.
    """
    return connection.exec_driver_sql(f"SELECT 1{_DUE} LIMIT 1").first() is not None


def eat_due(connection: Connection, now_ms: int) -> None:
    """Let pending reductions take what is free of any fund."""
    rows = connection.exec_driver_sql(f"SELECT u.account_id, u.programme, u.period{_DUE}").all()
    funds = {account for account, _, _ in rows}
    money_locks.lock(
        connection,
        accounts={*funds, *sources(connection, funds)},
        shards={bookings.fund_shard(programme, period) for _, programme, period in rows},
    )
    eat(connection, funds, now_ms)


def _parts(
    connection: Connection, account: str, shard: str, period: str, amount_fen: int, now_ms: int
) -> list[Entry]:
    """Share out what is taken among the orders, oldest first; returns the entries."""
    orders = connection.exec_driver_sql(
        "SELECT number, request_key, left_fen, parts, actor, reason FROM fund_reduction"
        " WHERE account_id = ? AND left_fen > 0 ORDER BY number",
        (account,),
    ).all()
    entries: list[Entry] = []
    changed: list[tuple[int, int]] = []
    for number, key, left, parts, actor, reason in orders:
        part = min(left, amount_fen)
        if not part:
            break
        amount_fen -= part
        changed.append((part, number))
        entries.append(
            Entry(
                shard, Kind.DIRECT, "LOWER", account, source_of(account), part, now_ms,
                f"{key}.{parts + 1}", ref_period=period, actor=actor, reason=reason,
            )
        )  # fmt: skip
    bulk_execute(
        connection,
        "UPDATE fund_reduction SET left_fen = left_fen - ?, parts = parts + 1 WHERE number = ?",
        changed,
    )
    return entries


def _note_vouchers(connection: Connection, accounts: Sequence[str]) -> None:
    """What comes back to a voucher that gave all back before is to go back too."""
    bulk_execute(
        connection,
        "UPDATE voucher SET drained = FALSE WHERE account_id = ? AND drained",
        [(account,) for account in accounts],
    )
