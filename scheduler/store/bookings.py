"""Money that is moved at once, by a person's decision or when its time has come."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from quota.rules import CORRIDOR
from quota.transfers import CNY, Entry, fund_account
from scheduler.domain.events import EventKind
from scheduler.store import accounts, catalog, feed, transfers
from scheduler.store.database import bulk_execute


def book(connection: Connection, entries: Sequence[Entry]) -> None:
    """Add DIRECT entries to their chains and move the balances; their accounts must be there.

    Whoever decides on what was read locks it before (``money_locks``). Raises RuntimeError, and
    the transaction must be given up, if an account would owe more than it was given.
    """
    moves = accounts.Moves()
    for entry in entries:
        moves.add(entry.debit_account, entry.credit_account, 0, entry.amount_fen)
    accounts.move(connection, moves)
    transfers.append_transfers(connection, entries)


def open_accounts(
    connection: Connection, rows: Iterable[tuple[str, str, str, str, bool, int]], ledger: str = CNY
) -> None:
    """Open accounts (id, kind, owner, city, limited, credit limit in fen) that are not there."""
    bulk_execute(
        connection,
        "INSERT INTO account (account_id, kind, owner, city, limited, credit_limit_fen, ledger,"
        " debits_pending, debits_posted, credits_pending, credits_posted)"
        f" VALUES (?, ?, ?, ?, ?, ?, '{ledger}', 0, 0, 0, 0) ON CONFLICT (account_id) DO NOTHING",
        list(rows),
    )


def fund_shard(programme: str, period: str) -> str:
    """Shard of all that concerns a fund: its funders' money, vouchers, claims and grants."""
    return fund_account(programme, period)


def tell(connection: Connection, cities: Iterable[str], now_ms: int) -> None:
    """Tell the feed, and so the planner, that money of cities changed; of the corridor: of all."""
    told = set(cities)
    if CORRIDOR in told:
        told = {one.city for one in catalog.cities(connection)}
    feed.append(
        connection,
        [
            feed.EventRow(EventKind.FUND_CHANGED, 0, 0, "", city, "", now_ms)
            for city in sorted(told)
        ],
    )
