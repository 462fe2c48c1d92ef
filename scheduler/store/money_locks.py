"""The order in which rows of money are locked, in one place: accounts, then caps, then shards.

Two transactions that lock the same rows in different orders wait for each other forever. So
whoever moves money locks all that it will touch by one call of ``lock``, before it reads what it
decides on: what it read then stays true until it commits.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from quota.transfers import GENESIS

#: Programme, enterprise, natural year.
CapKey = tuple[str, str, int]

# Byte order is the order of Python, whatever the collation of the database.
_ACCOUNTS: Final = (
    "SELECT account_id FROM account WHERE account_id = ANY(?)"
    ' ORDER BY account_id COLLATE "C" FOR UPDATE'
)
_CAPS: Final = (
    "SELECT c.year FROM cap_counter c"
    " JOIN unnest(?::text[], ?::text[], ?::int[]) AS v(programme, enterprise, year)"
    " ON c.programme = v.programme AND c.enterprise = v.enterprise AND c.year = v.year"
    ' ORDER BY c.programme COLLATE "C", c.enterprise COLLATE "C", c.year FOR UPDATE OF c'
)
_MISSING_SHARDS: Final = (
    "INSERT INTO ledger_shard (shard, seq, hash) SELECT v.shard, 0, ?"
    " FROM unnest(?::text[]) AS v(shard) ON CONFLICT (shard) DO NOTHING"
)
_SHARDS: Final = (
    'SELECT shard FROM ledger_shard WHERE shard = ANY(?) ORDER BY shard COLLATE "C" FOR UPDATE'
)


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
    run = connection.exec_driver_sql
    if names := sorted(set(accounts)):
        run(_ACCOUNTS, (names,)).close()
    if keys := sorted(set(caps)):
        run(_CAPS, tuple(list(column) for column in zip(*keys, strict=True))).close()
    if names := sorted(set(shards)):
        run(_SHARDS, (names,)).close()


def lock_heads(connection: Connection, shards: Iterable[str]) -> None:
    """Lock heads of chains that get entries now; one that is not there yet begins."""
    if connection.dialect.name == "sqlite":
        return
    names = sorted(set(shards))
    connection.exec_driver_sql(_MISSING_SHARDS, (GENESIS, names))
    connection.exec_driver_sql(_SHARDS, (names,)).close()
