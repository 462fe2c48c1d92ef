"""Verification of funds, vouchers, grants and what was closed against the entries of the ledger."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection

#: Sums of entries by what they are for and an account.
Sums = Mapping[tuple[str, str], int]


def decisions(connection: Connection) -> Iterator[str]:
    """What persons put in, took out, issued and took back is what the entries say of it."""
    moved = {
        (code, debit, credit): int(fen)
        for code, debit, credit, fen in connection.exec_driver_sql(
            "SELECT code, debit_account, credit_account, sum(amount_fen) FROM transfer"
            " WHERE code IN ('APPROPRIATE', 'LOWER', 'ISSUE', 'EXPIRE', 'REVOKE')"
            " GROUP BY code, debit_account, credit_account"
        )
    }
    paid_in: dict[tuple[str, str], int] = {}
    paid_out: dict[tuple[str, str], int] = {}
    for (code, debit, credit), fen in moved.items():
        back = "BACK" if code in ("EXPIRE", "REVOKE") else code
        paid_in[code, credit] = paid_in.get((code, credit), 0) + fen
        paid_out[back, debit] = paid_out.get((back, debit), 0) + fen
    yield from _funders(connection, paid_in, paid_out)
    yield from _vouchers(connection, paid_in, paid_out)
    for account, returned in connection.exec_driver_sql(
        "SELECT account_id, returned_unit_seconds FROM unit_grant ORDER BY account_id"
    ):
        back = paid_out.get(("BACK", account), 0)
        if returned != back:
            yield f"unit_grant {account}: says {returned} went back, its entries say {back}"


def _funders(connection: Connection, paid_in: Sums, paid_out: Sums) -> Iterator[str]:
    orders = {
        account: (int(left), int(taken))
        for account, left, taken in connection.exec_driver_sql(
            "SELECT account_id, sum(left_fen), sum(amount_fen - left_fen) FROM fund_reduction"
            " GROUP BY account_id"
        )
    }
    for programme, period, funder, account, put_in, reducing, state in connection.exec_driver_sql(
        "SELECT u.programme, u.period, u.funder, u.account_id, u.appropriated_fen, u.reducing_fen,"
        " f.state FROM fund_funder u JOIN fund_period f ON f.programme = u.programme"
        " AND f.period = u.period ORDER BY u.programme, u.period, u.place"
    ):
        where = f"fund_funder {programme}/{period}/{funder}"
        lowered = paid_out.get(("LOWER", account), 0)
        due = paid_in.get(("APPROPRIATE", account), 0) - lowered
        left, taken = orders.get(account, (0, 0))
        if put_in != due:
            yield f"{where}: says {put_in} fen were appropriated, its entries come to {due}"
        if taken != lowered:
            yield f"{where}: its reductions took {taken} fen, its entries come to {lowered}"
        if reducing != (0 if state == "CLOSED" else left):
            yield f"{where}: says {reducing} fen are to be taken out, its orders come to {left}"


def _vouchers(connection: Connection, paid_in: Sums, paid_out: Sums) -> Iterator[str]:
    for number, account, face, returned, drained, left in connection.exec_driver_sql(
        "SELECT v.voucher_no, v.account_id, v.face_fen, v.returned_fen, v.drained,"
        " a.credits_posted - a.debits_posted FROM voucher v"
        " JOIN account a ON a.account_id = v.account_id ORDER BY v.voucher_no"
    ):
        issued, back = paid_in.get(("ISSUE", account), 0), paid_out.get(("BACK", account), 0)
        if issued != face:
            yield f"voucher {number}: has a face of {face} fen, its entry says {issued}"
        if back != returned:
            yield f"voucher {number}: says {returned} fen went back, its entries say {back}"
        if drained and left:
            yield f"voucher {number}: is said to hold nothing, and holds {left} fen"


def closed_funds(connection: Connection) -> Iterator[str]:
    """A closed fund's head is where it was, and what came later refers to a period (I14)."""
    for programme, period, shard, seq, digest, found in connection.exec_driver_sql(
        "SELECT c.programme, c.period, c.shard, c.seq, c.hash, t.hash FROM fund_close c"
        " LEFT JOIN transfer t ON t.shard = c.shard AND t.seq = c.seq"
        " ORDER BY c.programme, c.period"
    ):
        if seq and (found is None or bytes(found) != bytes(digest)):
            yield f"fund_close {programme}/{period}: entry {shard}#{seq} is not the one it froze"
    for shard, seq in connection.exec_driver_sql(
        "SELECT t.shard, t.seq FROM transfer t JOIN fund_close c ON c.shard = t.shard"
        " AND t.seq > c.seq WHERE t.ref_period = '' ORDER BY t.shard, t.seq"
    ):
        yield f"transfer {shard}#{seq}: was booked after its fund was closed, without a reference"


def closed_months(connection: Connection) -> Iterator[str]:
    """The heads of closed months are where they were, and nothing was booked there since (I14)."""
    for month, shard, seq, digest, found in connection.exec_driver_sql(
        "SELECT h.month, h.shard, h.seq, h.hash, t.hash FROM book_head h LEFT JOIN transfer t"
        " ON t.shard = h.shard AND t.seq = h.seq ORDER BY h.month, h.shard"
    ):
        if found is None or bytes(found) != bytes(digest):
            yield f"book_head {month} {shard}: entry #{seq} is not the one that was frozen"
    heads = {
        (month, shard): int(seq)
        for month, shard, seq in connection.exec_driver_sql(
            "SELECT month, shard, seq FROM book_head"
        )
    }
    for month, shard, last in connection.exec_driver_sql(
        "SELECT m.month, t.shard, max(t.seq) FROM book_month m JOIN transfer t"
        " ON t.effective_ms >= m.start_ms AND t.effective_ms < m.end_ms"
        " WHERE m.state = 'CLOSED' GROUP BY m.month, t.shard ORDER BY m.month, t.shard"
    ):
        if last > heads.get((month, shard), 0):
            yield f"book_month {month}: entry {shard}#{last} was booked after it was closed"
