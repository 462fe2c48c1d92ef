"""Ledger entries appended to their shards' chains, set-based, in the caller's transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection

from quota.molds import Cast
from quota.transfers import GENESIS, Entry, Kind, Link, canonical
from scheduler.store import money_locks
from scheduler.store.database import bulk_read, bulk_stream
from scheduler.store.tables import Transfer, table
from scheduler.store.write_batch import WriteBatch

_COLUMNS: Final = (
    "shard", "kind", "code", "debit_account", "credit_account", "amount_fen", "effective_ms",
    "idem_key", "job_uid", "attempt", "leg_id", "reverses", "ref_period", "actor", "reason",
    "ledger", "seq", "prev_hash", "hash",
)  # fmt: skip
_MOVE_HEADS: Final = (
    "INSERT INTO ledger_shard (shard, seq, hash) SELECT v.column1, v.column2, v.column3"
    " FROM {values} WHERE true ON CONFLICT (shard) DO UPDATE SET seq = excluded.seq,"
    " hash = excluded.hash"
)
_KINDS: Final = frozenset(Kind)
_SELECT: Final = "SELECT " + ", ".join(_COLUMNS) + " FROM transfer"
_NEWEST: Final = "ORDER BY effective_ms DESC, shard DESC, seq DESC"

Side = tuple[str, Sequence[object]]


def append_transfers(connection: Connection, entries: Sequence[Entry]) -> None:
    """Chain entries after their shards' heads, in order; no two transactions to one head."""
    if not entries:
        return
    batch = WriteBatch()
    add(batch, entries, money_locks.lock_heads(connection, {entry.shard for entry in entries}))
    batch.write(connection)


def add(
    batch: WriteBatch, entries: Sequence[Entry | Cast], heads: Mapping[str, money_locks.Head]
) -> None:
    """Add entries to a batch of writes, chained in order after the heads, which are locked."""
    by_shard: dict[str, list[Entry | Cast]] = {}
    for entry in entries:
        mine = by_shard.get(entry.shard)
        if mine is None:
            by_shard[entry.shard] = [entry]
        else:
            mine.append(entry)
    moved: list[tuple[str, int, bytes]] = []
    batch.insert(table(Transfer), _COLUMNS, _chained(by_shard, heads, moved))
    batch.update(_MOVE_HEADS, moved, "a chain moved beside this transaction")


def _chained(
    by_shard: Mapping[str, Sequence[Entry | Cast]],
    heads: Mapping[str, money_locks.Head],
    moved: list[tuple[str, int, bytes]],
) -> Iterator[tuple[Any, ...]]:
    """Yield rows of entries, chained; ``moved`` gets the heads that they make."""
    for shard in sorted(by_shard):
        seq, head = heads.get(shard, (0, GENESIS))
        for entry in by_shard[shard]:
            seq += 1
            if type(entry) is Cast:
                text, fields = entry.canonical(seq), entry.fields()
            else:
                text, fields = canonical(seq, entry), entry
            digest = sha256(head + text.encode()).digest()
            yield (*fields, seq, head, digest)
            head = digest
        moved.append((shard, seq, head))


def read_heads(connection: Connection) -> dict[str, tuple[int, bytes]]:
    """Return (seq, hash) of every shard's last entry."""
    rows = connection.exec_driver_sql("SELECT shard, seq, hash FROM ledger_shard")
    return {shard: (seq, bytes(digest)) for shard, seq, digest in rows}


def stream(connection: Connection) -> Iterator[Link]:
    """Yield all entries by shard and sequence."""
    return (_link(row) for row in stream_rows(connection))


def stream_rows(connection: Connection) -> Iterator[tuple[Any, ...]]:
    """Yield all entries by shard and sequence as stored rows (``Auditor.take_rows``)."""
    return bulk_stream(connection, f"{_SELECT} ORDER BY shard, seq")


def newest(connection: Connection, sides: Sequence[Side], limit: int) -> list[Link]:
    """Return the newest entries that meet the condition of one of some sides, newest first.

    A side is a condition with its values; an entry meets that of one side alone. Each side is
    asked by itself, so that its index gives its newest without looking at the others.
    """
    parts = [
        f"SELECT * FROM ({_SELECT} WHERE {where} {_NEWEST} LIMIT {limit}) AS side{number}"
        for number, (where, _) in enumerate(sides)
    ]
    rows = bulk_read(
        connection,
        f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS sides {_NEWEST} LIMIT {limit}",
        [value for _, values in sides for value in values],
    )
    return [_link(row) for row in rows]


def select(connection: Connection, where: str, values: Sequence[object]) -> list[Link]:
    """Return entries that meet a condition written with ``?`` marks."""
    rows: Iterable[tuple[object, ...]] = (
        tuple(row) for row in connection.exec_driver_sql(f"{_SELECT} WHERE {where}", tuple(values))
    )
    return [_link(row) for row in rows]


def _link(row: tuple[Any, ...]) -> Link:
    """Return a stored row as it is: one that was tampered with is for the audit to find."""
    shard, kind, *rest = row[:16]
    seq, prev, digest = row[16:]
    known = Kind(kind) if kind in _KINDS else kind
    return Link(Entry(shard, known, *rest), seq, _bytes(prev), _bytes(digest))


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
