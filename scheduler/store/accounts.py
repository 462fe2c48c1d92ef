"""Balances of accounts, moved set-based by conditional updates: none below what it was given."""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from scheduler.store import money_locks
from scheduler.store.write_batch import WriteBatch

_MOVE: Final = (
    "UPDATE account SET debits_pending = debits_pending + v.column2,"
    " debits_posted = debits_posted + v.column3, credits_pending = credits_pending + v.column4,"
    " credits_posted = credits_posted + v.column5 FROM {values}"
    " WHERE account_id = v.column1 AND (NOT limited OR"
    " debits_posted + v.column3 + debits_pending + v.column2 <= credits_posted + v.column5"
    " + credit_limit_fen)"
)


@dataclass(slots=True)
class Moves:
    """What a batch of entries changes of each account: the four sums, in fen."""

    sums: dict[str, list[int]] = field(default_factory=dict)

    def add(self, debit: str, credit: str, pending_fen: int, posted_fen: int) -> None:
        """Note what one entry adds on both sides; negative frees what was pending."""
        sums = self.sums
        both = sums.get(debit)
        if both is None:
            both = sums[debit] = [0, 0, 0, 0]
        both[0] += pending_fen
        both[1] += posted_fen
        both = sums.get(credit)
        if both is None:
            both = sums[credit] = [0, 0, 0, 0]
        both[2] += pending_fen
        both[3] += posted_fen


def move(connection: Connection, moves: Moves) -> None:
    """Write the moves; whoever decides on balances locked them before it read them.

    Raises RuntimeError, and the transaction must be given up, if an account is missing or would
    owe more than it was given.
    """
    money_locks.lock(connection, accounts=moves.sums)
    batch = WriteBatch()
    add(batch, moves)
    batch.write(connection)


def add(batch: WriteBatch, moves: Moves) -> None:
    """Add moves to a batch of writes; their accounts are locked."""
    rows = [(account, *sums) for account, sums in sorted(moves.sums.items())]
    batch.update(_MOVE, rows, "an account is missing or would owe more than it was given")
