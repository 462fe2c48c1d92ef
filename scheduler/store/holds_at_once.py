"""Few holds that were judged before anything is locked, written on one way to PostgreSQL and back.

All of it goes as one pipeline: locks in the order of ``money_locks``, then conditional writes, and
the server itself chains the entries to the heads that it locked. So nobody who wants the same fund
waits while this process is heard and answers. If an account or a cap has no more what was drawn, or
a chain has no head yet, nothing of it is kept, and the caller judges again under its locks.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from quota.molds import Cast
from scheduler.store import money_locks
from scheduler.store.bulk import driver_of, text_array
from scheduler.store.engine import translated
from scheduler.store.money_locks import CapKey

_COUNT: Final = (
    "INSERT INTO cap_counter (programme, enterprise, year, pending_fen, posted_fen, limit_fen)"
    " SELECT v.programme, v.enterprise, v.year, v.fen, 0, v.limit_fen FROM json_to_recordset(?)"
    " AS v(programme text, enterprise text, year int, fen bigint, limit_fen bigint)"
    " ON CONFLICT (programme, enterprise, year) DO UPDATE"
    " SET pending_fen = cap_counter.pending_fen + excluded.pending_fen,"
    " limit_fen = excluded.limit_fen WHERE excluded.limit_fen IS NULL OR"
    " cap_counter.pending_fen + cap_counter.posted_fen + excluded.pending_fen"
    " <= excluded.limit_fen"
)
_LEFT: Final = (
    "a.credits_posted + a.credit_limit_fen - a.debits_posted - a.debits_pending"
    " - coalesce((SELECT n.reducing_fen FROM fund_funder n WHERE n.account_id = a.account_id), 0)"
)
_ENTRY: Final[Mapping[str, str]] = {
    "shard": "text", "kind": "text", "code": "text", "debit_account": "text",
    "credit_account": "text", "amount_fen": "bigint", "effective_ms": "bigint",
    "idem_key": "text", "job_uid": "bigint", "attempt": "int", "leg_id": "text",
    "reverses": "text", "ref_period": "text", "actor": "text", "reason": "text",
    "ledger": "text",
}  # fmt: skip
_ENTRY_COLUMNS: Final = ", ".join(_ENTRY)
_ENTRY_TYPES: Final = ", ".join(f"{name} {kind}" for name, kind in _ENTRY.items())
_GIVEN: Final = ", ".join(f"g.{name}" for name in _ENTRY)


def _chained(seq: str, head: str) -> str:
    """Columns of an entry ``g`` after an entry: its number, the hash before it, and its own."""
    return (
        f"{seq} + 1, {head},"
        f" sha256({head} || convert_to('[' || ({seq} + 1) || ',' || g.tail, 'UTF8'))"
    )


#: ``nth`` is an entry's place among those of its shard, ``tail`` its canonical text after its
#: number in the chain (``quota.transfers.canonical``), which is known only here.
_WRITE: Final = f"""
WITH RECURSIVE moved AS (
    UPDATE account a SET debits_pending = a.debits_pending + v.debit_fen,
        credits_pending = a.credits_pending + v.credit_fen
    FROM unnest((SELECT ?::text[]), (SELECT ?::bigint[]), (SELECT ?::bigint[]),
        (SELECT ?::bigint[])) AS v(account, debit_fen, credit_fen, needed_fen)
    WHERE a.account_id = v.account AND (v.needed_fen = 0 OR {_LEFT} >= v.needed_fen)
    RETURNING 1
), given AS (
    SELECT * FROM json_to_recordset(?) AS v(nth int, tail text, {_ENTRY_TYPES})
), chained AS (
    SELECT g.nth, {_GIVEN}, {_chained("s.seq", "s.hash")} FROM given g JOIN ledger_shard s
        ON s.shard = g.shard WHERE g.nth = 1
    UNION ALL
    SELECT g.nth, {_GIVEN}, {_chained("c.seq", "c.hash")}
        FROM chained c(nth, {_ENTRY_COLUMNS}, seq, prev_hash, hash)
        JOIN given g ON g.shard = c.shard AND g.nth = c.nth + 1
), links(nth, {_ENTRY_COLUMNS}, seq, prev_hash, hash) AS (
    SELECT * FROM chained
), written AS (
    INSERT INTO transfer ({_ENTRY_COLUMNS}, seq, prev_hash, hash)
    SELECT {_ENTRY_COLUMNS}, seq, prev_hash, hash FROM links ORDER BY shard, seq RETURNING 1
), headed AS (
    UPDATE ledger_shard h SET seq = l.seq, hash = l.hash
    FROM (SELECT DISTINCT ON (shard) shard, seq, hash FROM links ORDER BY shard, nth DESC) l
    WHERE h.shard = l.shard RETURNING 1
), holds AS (
    INSERT INTO hold ({{hold}}, state, posted_fen)
    SELECT {{hold}}, 'HELD', 0 FROM json_populate_recordset(NULL::hold, ?)
), legs AS (
    INSERT INTO hold_leg ({{leg}}, posted_fen)
    SELECT {{leg}}, 0 FROM json_populate_recordset(NULL::hold_leg, ?)
)
SELECT (SELECT count(*) FROM moved), (SELECT count(*) FROM headed), (SELECT count(*) FROM written)
"""


def write(
    connection: Connection,
    holds: tuple[Sequence[str], Sequence[tuple[object, ...]]],
    legs: tuple[Sequence[str], Sequence[tuple[object, ...]]],
    entries: Sequence[Cast],
    moves: Mapping[str, Sequence[int]],
    needs: Mapping[str, int],
    caps: Mapping[CapKey, tuple[int, int | None]],
) -> bool:
    """Write holds and legs (columns, rows) with all that they move; whether it was all there.

    ``moves`` are the sums of ``accounts.Moves``, ``needs`` what accounts must have left, ``caps``
    what is counted, with its limit. Of what was not all there nothing is kept, nor locked.
    """
    names = sorted(moves)
    sums = [moves[name] for name in names]
    moved = (
        text_array(names), text_array(one[0] for one in sums), text_array(one[2] for one in sums),
        text_array(needs.get(name, 0) for name in names),
    )  # fmt: skip
    counted = [
        {"programme": programme, "enterprise": who, "year": year, "fen": fen, "limit_fen": limit}
        for (programme, who, year), (fen, limit) in sorted(caps.items())
    ]
    chained, shards = _links(entries)
    sql = _statement(tuple(holds[0]), tuple(legs[0]))
    given = (*moved, _json(chained), _records(*holds), _records(*legs))
    with driver_of(connection, "holds at once") as driver, driver.pipeline():
        driver.execute(money_locks.SAVEPOINT)
        driver.execute(translated(money_locks.ACCOUNTS), (moved[0],))
        counts = driver.execute(translated(_COUNT), (_json(counted),)) if counted else None
        driver.execute(translated(money_locks.SHARDS), (text_array(shards),))
        told = driver.execute(translated(sql), given)
    found = told.fetchone(), 0 if counts is None else counts.rowcount
    if found == ((len(names), len(shards), len(entries)), len(counted)):
        return True
    money_locks.unlock(connection)
    return False


_STATEMENTS: Final[dict[tuple[tuple[str, ...], tuple[str, ...]], str]] = {}


def _statement(hold: tuple[str, ...], leg: tuple[str, ...]) -> str:
    found = _STATEMENTS.get((hold, leg))
    if found is None:
        found = _STATEMENTS[hold, leg] = _WRITE.format(hold=", ".join(hold), leg=", ".join(leg))
    return found


def _links(entries: Iterable[Cast]) -> tuple[list[dict[str, Any]], list[str]]:
    """Entries with their places in what their shards get, and these shards."""
    counts: dict[str, int] = {}
    rows = []
    for entry in entries:
        nth = counts[entry.shard] = counts.get(entry.shard, 0) + 1
        row: dict[str, Any] = dict(zip(_ENTRY, entry.fields(), strict=True))
        row["nth"], row["tail"] = nth, entry.tail()
        rows.append(row)
    return rows, sorted(counts)


def _records(columns: Sequence[str], rows: Iterable[tuple[object, ...]]) -> str:
    return _json([dict(zip(columns, row, strict=True)) for row in rows])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
