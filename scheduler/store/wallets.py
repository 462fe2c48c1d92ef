"""Wallets of enterprises: what they paid in, and how far they may go below it."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from quota.amounts import yuan
from quota.transfers import (
    EXTERNAL,
    Entry,
    Kind,
    wallet_account,
    wallet_shard,
)
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import NotFound, RequestIdReused, WrongState
from scheduler.store import audit_trail, bookings, money_locks, scoping, transfers
from scheduler.store.change_requests import Act


@dataclass(frozen=True, slots=True)
class WalletInfo:
    """An enterprise's own money, in fen.

    available = paid in + credit limit - held - spent. ``owed_fen`` is what it owes beside it, for
    what was used beyond its hold or reclaimed.
    """

    enterprise: str
    city: str
    credit_limit_fen: int
    paid_in_fen: int
    held_fen: int
    spent_fen: int
    owed_fen: int

    @property
    def available_fen(self) -> int:
        """What it can still give."""
        return self.credit_limit_fen + self.paid_in_fen - self.held_fen - self.spent_fen


_SELECT = (
    "SELECT e.code, e.city, w.credit_limit_fen, w.credits_posted, w.debits_pending,"
    " w.debits_posted, coalesce(r.debits_posted - r.credits_posted, 0) FROM enterprise e"
    " JOIN account w ON w.account_id = 'wallet:' || e.code"
    " LEFT JOIN account r ON r.account_id = 'receivable:' || e.code"
)


def list_wallets(
    connection: Connection, scope: Scope, *, city: str = "", enterprise: str = "", limit: int,
    after: str = "",
) -> list[WalletInfo]:  # fmt: skip
    """Return at most ``limit`` wallets of a scope by enterprise, after one."""
    rows = connection.execute(
        text(
            f"{_SELECT} WHERE {scoping.enterprises(scope, 'e.city', 'e.code')}"
            " AND (:city = '' OR e.city = :city) AND (:enterprise = '' OR e.code = :enterprise)"
            " AND e.code > :after ORDER BY e.code LIMIT :limit"
        ),
        {
            "city": city, "enterprise": enterprise, "after": after, "limit": limit,
            **scoping.values(scope),
        },
    )  # fmt: skip
    return [WalletInfo(*row) for row in rows]


def get_wallet(connection: Connection, scope: Scope, enterprise: str) -> WalletInfo:
    """Return one wallet; ``NotFound`` outside the scope."""
    found = list_wallets(connection, scope, enterprise=enterprise, limit=1) if enterprise else []
    if not found:
        raise NotFound(f"there is no enterprise {enterprise!r} that you may see")
    return found[0]


def top_up(
    connection: Connection, enterprise: str, amount_fen: int, request_id: str, act: Act
) -> WalletInfo:
    """Note what an enterprise paid in, once per request id.

    Raises ``NotFound`` and ``RequestIdReused``.
    """
    wallet = get_wallet(connection, act.actor.scope, enterprise)
    account, shard = wallet_account(enterprise), wallet_shard(wallet.city)
    money_locks.lock(connection, accounts=(account, EXTERNAL), shards=(shard,))
    key = f"wallet:{enterprise}:{request_id}"
    before = transfers.select(connection, "idem_key = ?", (key,))
    if before:
        if before[0].entry.amount_fen != amount_fen:
            raise RequestIdReused(
                f"request id {request_id!r} already paid {yuan(before[0].entry.amount_fen)} into"
                " this wallet; use a new request id for another payment"
            )
        return wallet
    bookings.open_accounts(connection, [(EXTERNAL, "EXTERNAL", "", "", False, 0)])
    entry = Entry(
        shard, Kind.DIRECT, "WALLET_TOP_UP", EXTERNAL, account, amount_fen, act.now_ms, key,
        actor=act.actor.subject, reason=act.reason,
    )  # fmt: skip
    bookings.book(connection, [entry])
    return _changed(connection, wallet, "WALLET_TOPPED_UP", act)


def set_credit(
    connection: Connection, enterprise: str, credit_limit_fen: int, act: Act
) -> WalletInfo:
    """Set how far an enterprise may go below what it paid in.

    Raises ``NotFound``, and ``WrongState`` for less than it holds and spent already.
    """
    money_locks.lock(connection, accounts=(wallet_account(enterprise),))
    wallet = get_wallet(connection, act.actor.scope, enterprise)
    least_fen = max(0, wallet.held_fen + wallet.spent_fen - wallet.paid_in_fen)
    if credit_limit_fen < least_fen:
        raise WrongState(
            f"the credit limit of {enterprise} cannot be {yuan(credit_limit_fen)}: it has"
            f" {yuan(wallet.held_fen)} held and {yuan(wallet.spent_fen)} spent of"
            f" {yuan(wallet.paid_in_fen)} paid in; set at least {yuan(least_fen)}, or have it pay"
            " in first",
            subject=f"enterprises/{enterprise}",
            reason="CREDIT_USED",
        )
    if credit_limit_fen == wallet.credit_limit_fen:
        return wallet
    connection.execute(
        text("UPDATE account SET credit_limit_fen = :fen WHERE account_id = :account"),
        {"fen": credit_limit_fen, "account": wallet_account(enterprise)},
    )
    return _changed(connection, wallet, "WALLET_CREDIT_SET", act)


def _changed(connection: Connection, before: WalletInfo, action: str, act: Act) -> WalletInfo:
    """Tell of a change and note it; returns the wallet as it is."""
    after = get_wallet(connection, EVERYTHING, before.enterprise)
    audit_trail.record(
        connection,
        act.actor,
        action,
        f"enterprises/{before.enterprise}/wallet",
        at_ms=act.wall_ms,
        before={"credit_limit_fen": before.credit_limit_fen, "paid_in_fen": before.paid_in_fen},
        after={"credit_limit_fen": after.credit_limit_fen, "paid_in_fen": after.paid_in_fen},
        reason=act.reason,
        city=before.city,
        enterprise=before.enterprise,
    )
    bookings.tell(connection, (before.city,), act.now_ms)
    return after
