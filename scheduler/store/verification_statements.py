"""Verification of statements: the entries that they name as bounds are those of the ledger.

And of their payments: what was written off is used for the parts of its run, each once.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from quota.calendar import period_bounds
from scheduler.domain.ids import run_id
from scheduler.store import payment_parts
from scheduler.store.tables import BOOKED

_BEARERS: Final = "(SELECT account_id FROM account WHERE kind = 'WRITE_OFF')"


def bounds(connection: Connection) -> Iterator[str]:
    """The last entry of each range has the hash that the statement names; the first is there."""
    for number, shard, first, last in connection.exec_driver_sql(
        "SELECT r.number, r.shard, r.seq_from, r.seq_to FROM statement_range r"
        " LEFT JOIN transfer f ON f.shard = r.shard AND f.seq = r.seq_from"
        " LEFT JOIN transfer t ON t.shard = r.shard AND t.seq = r.seq_to"
        " WHERE f.seq IS NULL OR t.seq IS NULL OR t.hash <> r.head ORDER BY r.number, r.shard"
    ):
        yield (
            f"statement {number}: rests on {shard}#{first}-{last}, which are not there or have"
            " another hash now"
        )


def sums(connection: Connection) -> Iterator[str]:
    """What a statement says of money adds up, and its revisions follow each other."""
    for (number,) in connection.exec_driver_sql(
        "SELECT s.number FROM statement s WHERE s.gross_fen <> CAST(s.share_fen AS numeric)"
        " + s.others_fen + s.self_pay_fen + s.written_off_fen OR (s.revision > 1 AND NOT EXISTS"
        " (SELECT 1 FROM statement b WHERE b.kind = s.kind AND b.owner = s.owner"
        " AND b.period = s.period AND b.revision = CAST(s.revision AS bigint) - 1"
        " AND b.state = 'DISPUTED')) ORDER BY s.number"
    ):
        yield f"statement {number}: its sums do not add up, or no disputed one came before it"


def write_offs(connection: Connection) -> Iterator[str]:
    """Payments use no more than was written off of each run, and the rest of a part is paid."""
    left: dict[tuple[str, str], int] = {}
    off: dict[str, int] = {}
    for uid, attempt, account, key, fen in connection.exec_driver_sql(
        "SELECT job_uid, attempt, debit_account, '', amount_fen FROM transfer"
        f" WHERE code = 'WRITE_OFF' AND debit_account IN {_BEARERS} UNION ALL"
        " SELECT 0, 0, credit_account, idem_key, amount_fen FROM transfer"
        f" WHERE code = 'PAY' AND credit_account IN {_BEARERS}"
    ):
        part, _, run = key.removeprefix("off:").rpartition(":")
        place = (run or run_id(uid, attempt), account)
        left[place] = left.get(place, 0) + (-fen if key else fen)
        if key:
            off[part] = off.get(part, 0) + fen
    for (run, account), fen in sorted(left.items()):
        if fen < 0:
            yield f"run {run}: {-fen} fen more of {account} are used by payments than written off"
    paid = payment_parts.paid(connection, off)
    for key, fen in sorted(off.items()):
        due = _due(connection, key) - fen
        if paid.get(key) != abs(due):
            yield f"transfer {key}: is of {paid.get(key)} fen, where {due} were not written off"


def _due(connection: Connection, key: str) -> int:
    """What a part comes to by its entries."""
    _, month, between = key.split(":", 2)
    payer, _, payee = between.partition(">")
    start_ms, end_ms = period_bounds(month)
    both = (payer, payee, start_ms, end_ms)
    (fen,) = connection.exec_driver_sql(
        "SELECT coalesce(sum(fen), 0) FROM (SELECT amount_fen AS fen FROM transfer"
        " WHERE debit_account = ? AND credit_account = ? AND effective_ms >= ?"
        f" AND effective_ms < ? AND {BOOKED} UNION ALL SELECT -amount_fen FROM transfer"
        " WHERE credit_account = ? AND debit_account = ? AND effective_ms >= ?"
        f" AND effective_ms < ? AND {BOOKED}) AS sums",
        both * 2,
    ).one()
    return int(fen)
