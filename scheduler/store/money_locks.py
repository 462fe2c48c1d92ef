"""The order in which rows of money are locked, in one place: accounts, then caps, then shards.

Two transactions that lock the same rows in different orders wait for each other forever. So
whoever moves money locks all that it will touch by one call of ``lock``, before it reads what it
decides on: what it read then stays true until it commits. Who changes budgets too locks those
before (``budget_book.lock_terms``).
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from quota.transfers import GENESIS
from scheduler.store.bulk import driver_of, text_array
from scheduler.store.engine import translated

#: Programme, enterprise, natural year.
CapKey = tuple[str, str, int]
#: (seq, hash) of a chain's last entry.
Head = tuple[int, bytes]

# Byte order is the order of Python, whatever the collation of the database.
ACCOUNTS: Final = (
    "SELECT account_id FROM account WHERE account_id = ANY(?)"
    ' ORDER BY account_id COLLATE "C" FOR UPDATE'
)
_CAPS: Final = (
    "SELECT c.programme, c.enterprise, c.year, c.pending_fen + c.posted_fen FROM cap_counter c"
    " JOIN unnest(?::text[], ?::text[], ?::int[]) AS v(programme, enterprise, year)"
    " ON c.programme = v.programme AND c.enterprise = v.enterprise AND c.year = v.year"
    ' ORDER BY c.programme COLLATE "C", c.enterprise COLLATE "C", c.year FOR UPDATE OF c'
)
_MISSING_SHARDS: Final = (
    "INSERT INTO ledger_shard (shard, seq, hash) SELECT v.shard, 0, ?"
    " FROM unnest(?::text[]) AS v(shard) ON CONFLICT (shard) DO NOTHING"
)
_HEADS: Final = "SELECT shard, seq, hash FROM ledger_shard WHERE shard"
SHARDS: Final = f'{_HEADS} = ANY(?) ORDER BY shard COLLATE "C" FOR UPDATE'

#: What accounts can still give. What a fund waits to give up is not there to be given.
ACCOUNTS_LEFT: Final = (
    "SELECT a.account_id, a.credits_posted + a.credit_limit_fen - a.debits_posted"
    " - a.debits_pending - coalesce(n.reducing_fen, 0) FROM account a"
    " LEFT JOIN fund_funder n ON n.account_id = a.account_id WHERE a.account_id"
)
#: Who waited for a row sees it as it is by then; what a fund waits to give up is seen as it was,
#: but that grows only where nothing is left.
_ACCOUNTS_LOCKED: Final = (
    f'{ACCOUNTS_LEFT} = ANY(?) ORDER BY a.account_id COLLATE "C" FOR UPDATE OF a'
)
_NONE: Final = text_array(())
SAVEPOINT: Final = "SAVEPOINT before_locks"


class Locked(NamedTuple):
    """What locked rows say: what accounts can give, what caps used, heads of chains.

    A counter that nobody has counted on, and a chain without an entry, are left out.
    """

    left: dict[str, int]
    caps: dict[CapKey, int]
    heads: dict[str, Head]


def lock_and_read(
    connection: Connection,
    accounts: Iterable[str],
    caps: Iterable[CapKey],
    shards: Iterable[str],
    *,
    unlockable: bool,
) -> Locked:
    """Lock as ``lock`` does, and return what stands there: one question for all (PostgreSQL).

    If ``unlockable``, ``unlock`` gives up what is locked here.
    """
    asks = (_ACCOUNTS_LOCKED, _names(accounts)), (_CAPS, _columns(caps)), (SHARDS, _names(shards))
    asked: list[Any] = []
    with driver_of(connection, "locks of money") as driver, driver.pipeline():
        if unlockable:
            driver.execute(SAVEPOINT)
        for sql, values in asks:
            asked.append(driver.execute(translated(sql), values))
    left, used, heads = (cursor.fetchall() for cursor in asked)
    return Locked(
        {account: int(fen) for account, fen in left},
        {(programme, who, year): int(fen) for programme, who, year, fen in used},
        {shard: (seq, bytes(head)) for shard, seq, head in heads},
    )


def may_unlock(connection: Connection) -> None:
    """Remember what is locked and written now, for ``unlock`` (PostgreSQL)."""
    with driver_of(connection, SAVEPOINT) as driver:
        driver.execute(SAVEPOINT)


def unlock(connection: Connection) -> None:
    """Give up what was locked and written since ``may_unlock``."""
    sql = f"ROLLBACK TO {SAVEPOINT}"
    with driver_of(connection, sql) as driver:
        driver.execute(sql)


def lock(
    connection: Connection,
    accounts: Iterable[str] = (),
    caps: Iterable[CapKey] = (),
    shards: Iterable[str] = (),
) -> None:
    """Lock rows of money until the transaction ends, in the one order; waits for other holders.

    A counter that is not there yet is nobody's to lock: its programme's fund or its enterprise's
    wallet must be among the accounts, and its CHECK refuses what two would overdraw. On SQLite
    there is nothing to do: a write transaction is alone from its beginning.
    """
    if connection.dialect.name == "sqlite":
        return
    asks = (ACCOUNTS, _names(accounts)), (_CAPS, _columns(caps)), (SHARDS, _names(shards))
    for sql, values in asks:
        if values[0] != _NONE:
            connection.exec_driver_sql(sql, values).close()


def _names(names: Iterable[str]) -> tuple[str]:
    return (text_array(sorted(set(names))),)


def _columns(caps: Iterable[CapKey]) -> tuple[str, ...]:
    return tuple(map(text_array, zip(*sorted(set(caps)), strict=True))) or (_NONE,) * 3


def lock_heads(connection: Connection, shards: Iterable[str]) -> dict[str, Head]:
    """Lock heads of chains that get entries now, and return them; a new chain begins."""
    names = sorted(set(shards))
    if not names:
        return {}
    run = connection.exec_driver_sql
    if connection.dialect.name == "sqlite":
        rows = run(f"{_HEADS} IN ({', '.join('?' * len(names))})", tuple(names))
    else:
        run(_MISSING_SHARDS, (GENESIS, text_array(names)))
        rows = run(SHARDS, (text_array(names),))
    return {shard: (seq, bytes(head)) for shard, seq, head in rows}
