"""What comes due in the books by itself: one thing at a time, each in a transaction of its own.

Months begin, ended vouchers give back what they have left, pending reductions take what is free,
and funds that are closing close when nothing keeps them open any more.
"""

from sqlalchemy import Connection

from scheduler.store import book_months, fund_closing, funds_reduction, leader, voucher_returns


def is_due(connection: Connection, now_ms: int) -> bool:
    """Whether ``step`` has something to do."""
    return (
        book_months.is_due(connection, now_ms)
        or funds_reduction.any_due(connection)
        or voucher_returns.any_due(connection, now_ms)
        or fund_closing.any_due(connection)
    )


def step(connection: Connection, epoch: int, now_ms: int, wall_ms: int) -> None:
    """Do one thing that is due, if anything is; raises ``leader.Fenced`` if another one leads."""
    leader.check(connection, epoch)
    if book_months.is_due(connection, now_ms):
        book_months.begin_due(connection, now_ms)
    elif funds_reduction.any_due(connection):
        funds_reduction.eat_due(connection, now_ms)
    elif voucher_returns.any_due(connection, now_ms):
        voucher_returns.give_back(connection, now_ms)
    elif fund_closing.any_due(connection):
        fund_closing.close_due(connection, now_ms, wall_ms)
