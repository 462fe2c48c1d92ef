"""Verification of statements: the entries that they name as bounds are those of the ledger."""

from collections.abc import Iterator

from sqlalchemy import Connection


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
        "SELECT s.number FROM statement s WHERE s.gross_fen <> s.share_fen + s.others_fen"
        " + s.self_pay_fen + s.written_off_fen OR (s.revision > 1 AND NOT EXISTS (SELECT 1"
        " FROM statement b WHERE b.kind = s.kind AND b.owner = s.owner AND b.period = s.period"
        " AND b.revision = s.revision - 1 AND b.state = 'DISPUTED')) ORDER BY s.number"
    ):
        yield f"statement {number}: its sums do not add up, or no disputed one came before it"
