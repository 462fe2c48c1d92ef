"""What each fund spent on each day, counted once from its entries as they come.

Settlements stay as quick as they are: the leader adds up behind them what is new in each fund's
shard. What is counted is money that left the fund or its vouchers for a run, less what corrections
gave back.
"""

from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.forecast import DAYS_MOST
from scheduler.store import leader
from scheduler.store.database import bulk_execute, bulk_read

#: Entries of one shard that are counted in one go.
ENTRIES_MAX: Final = 20_000
_DAY_MS: Final = 86_400_000
_SHANGHAI_MS: Final = 8 * 3_600_000  # no other offset since 1991
#: Moves that spend nothing: into the fund, out of it by decision, and within it.
_NO_USE: Final = "'APPROPRIATE', 'LOWER', 'ISSUE', 'EXPIRE', 'REVOKE', 'LAPSE', 'GRANT'"
_OF_FUND: Final = "({side}_account LIKE 'fund:%' OR {side}_account LIKE 'voucher:%')"


class _Behind(NamedTuple):
    shard: str
    seen: int
    head: int


def today(now_ms: int) -> int:
    """Return the number of a day in Shanghai, counted from 1970-01-01."""
    return (now_ms + _SHANGHAI_MS) // _DAY_MS


def is_due(connection: Connection) -> bool:
    """Whether a fund has entries that are not counted."""
    return bool(_behind(connection, 1))


def fold(connection: Connection, epoch: int) -> bool:
    """Count what is new, so much of each fund at most; True if that was not all.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    more = False
    for shard, seen, head in _behind(connection, 10_000):
        upto = min(head, seen + ENTRIES_MAX)
        more = more or upto < head
        debit, credit = _OF_FUND.format(side="debit"), _OF_FUND.format(side="credit")
        rows = bulk_read(
            connection,
            f"SELECT (effective_ms + {_SHANGHAI_MS}) / {_DAY_MS} AS day,"
            f" sum(CASE WHEN {debit} THEN amount_fen ELSE 0 END"
            f" - CASE WHEN {credit} THEN amount_fen ELSE 0 END)"
            f" FROM transfer WHERE shard = ? AND seq > {seen} AND seq <= {upto}"
            f" AND kind IN ('POST', 'DIRECT') AND code NOT IN ({_NO_USE}) AND ledger = 'CNY'"
            " GROUP BY day ORDER BY day",
            (shard,),
        )
        bulk_execute(
            connection,
            "INSERT INTO fund_day (shard, day, spent_fen) VALUES (?, ?, ?)"
            " ON CONFLICT (shard, day) DO UPDATE SET"
            " spent_fen = fund_day.spent_fen + excluded.spent_fen",
            [(shard, int(day), int(spent)) for day, spent in rows],
        )
        bulk_execute(
            connection,
            "INSERT INTO fund_day_seen (shard, seq) VALUES (?, ?)"
            " ON CONFLICT (shard) DO UPDATE SET seq = excluded.seq",
            [(shard, upto)],
        )
    return more


def _behind(connection: Connection, limit: int) -> list[_Behind]:
    rows = connection.exec_driver_sql(
        "SELECT s.shard, coalesce(d.seq, 0), s.seq FROM ledger_shard s"
        " LEFT JOIN fund_day_seen d ON d.shard = s.shard"
        " WHERE s.shard LIKE 'fund:%' AND s.seq > coalesce(d.seq, 0)"
        f" ORDER BY s.shard LIMIT {limit}"
    )
    return [_Behind(*row) for row in rows]


def daily(connection: Connection, shard: str, now_ms: int) -> list[int]:
    """Return what a fund spent on each of the last days until yesterday, the oldest first.

    From the day of its first spending on; at most so many as forecasts look back over.
    """
    now_day = today(now_ms)
    rows = connection.exec_driver_sql(
        "SELECT day, spent_fen FROM fund_day WHERE shard = ?"
        f" AND day >= {now_day - DAYS_MOST} AND day < {now_day}",
        (shard,),
    )
    spent = {int(day): int(fen) for day, fen in rows}
    first = connection.exec_driver_sql(
        "SELECT min(day) FROM fund_day WHERE shard = ?", (shard,)
    ).scalar()
    if first is None:
        return []
    return [spent.get(day, 0) for day in range(max(int(first), now_day - DAYS_MOST), now_day)]
