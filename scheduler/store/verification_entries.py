"""All entries of the ledger as the audit takes them fastest, of one snapshot."""

from typing import Final

from sqlalchemy import Connection

from quota.audit import Auditor
from quota.transfers import Entry, Link
from scheduler.store import transfers
from scheduler.store.bulk import bulk_stream

_NUMBERS: Final = frozenset({"seq", "amount_fen", "effective_ms", "job_uid", "attempt"})


def _text() -> str:
    """SQL of an entry's canonical text, but for what is to be escaped within."""
    sql, between = "", "["
    for name in ("seq", *Entry._fields):
        mark = "" if name in _NUMBERS else '"'
        sql += f"'{between}{mark}' || {name} || "
        between = f"{mark},"
    return f"{sql}'\"]'"


#: Columns as ``Auditor.take_texts`` takes them. The database is twice as fast at putting a text
#: together as we are at taking its columns and doing it here.
_TEXTS: Final = (
    f"SELECT shard, seq, amount_fen, {_text()}, prev_hash, hash FROM transfer ORDER BY shard, seq"
)


def audit(connection: Connection, auditor: Auditor) -> None:
    """Have every entry checked, by shard and sequence."""
    if connection.dialect.name == "sqlite":
        # It keeps values of any type in any column; as text they would look alike.
        auditor.take_rows(transfers.stream_rows(connection))
        return

    def read(shard: str, seq: int) -> Link:
        return transfers.select(connection, "shard = ? AND seq = ?", (shard, seq))[0]

    auditor.take_texts(bulk_stream(connection, _TEXTS, binary=True), read)
