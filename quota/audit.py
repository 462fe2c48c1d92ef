"""Verification of a ledger from its entries alone: chains, balances, and every leg's fate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from quota.transfers import GENESIS, Kind, Link, entry_hash


class Balance(NamedTuple):
    """The four sums of an account."""

    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0


@dataclass
class Auditor:
    """Takes a ledger's entries shard by shard in order and says what is wrong with it.

    At most ``problems_max`` problems are kept; ``count`` counts the entries.
    """

    problems_max: int = 100
    count: int = 0
    problems: list[str] = field(default_factory=list)
    _heads: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    _balances: dict[str, list[int]] = field(default_factory=dict)
    _open: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    #: Posted fen by (job uid, attempt).
    posted: dict[tuple[int, int], int] = field(default_factory=dict)

    def problem(self, text: str) -> None:
        """Note something wrong."""
        if len(self.problems) < self.problems_max:
            self.problems.append(text)

    def take(self, link: Link) -> None:
        """Check one entry against its chain and replay it."""
        self.count += 1
        entry = link.entry
        seq, head = self._heads.get(entry.shard, (0, GENESIS))
        where = f"transfer {entry.shard}#{link.seq}"
        if link.seq != seq + 1:
            self.problem(f"{where}: follows #{seq}, entries are missing or doubled")
        if link.prev_hash != head:
            self.problem(f"{where}: does not follow the hash of the entry before it")
        if entry_hash(link.prev_hash, link.seq, entry) != link.hash:
            self.problem(f"{where}: was changed after it was written")
        self._heads[entry.shard] = (link.seq, link.hash)
        self._replay(where, link)

    def _replay(self, where: str, link: Link) -> None:
        entry = link.entry
        debit = self._balances.setdefault(entry.debit_account, [0, 0, 0, 0])
        credit = self._balances.setdefault(entry.credit_account, [0, 0, 0, 0])
        if entry.kind is Kind.PENDING:
            if entry.leg_id in self._open:
                self.problem(f"{where}: leg {entry.leg_id} is held twice")
            self._open[entry.leg_id] = (
                entry.amount_fen, entry.debit_account, entry.credit_account
            )  # fmt: skip
            debit[0] += entry.amount_fen
            credit[2] += entry.amount_fen
            return
        if entry.kind is not Kind.DIRECT:
            held = self._open.pop(entry.leg_id, None)
            if held is None:
                self.problem(f"{where}: leg {entry.leg_id} is not held, or was resolved before")
                return
            if entry.amount_fen > held[0] or held[1:] != entry[3:5]:
                self.problem(f"{where}: resolves leg {entry.leg_id} for more or elsewhere")
            debit[0] -= held[0]
            credit[2] -= held[0]
        if entry.kind is not Kind.VOID:
            debit[1] += entry.amount_fen
            credit[3] += entry.amount_fen
            if entry.job_uid:
                key = (entry.job_uid, entry.attempt)
                self.posted[key] = self.posted.get(key, 0) + entry.amount_fen

    def compare(
        self,
        balances: Mapping[str, Balance],
        heads: Mapping[str, tuple[int, bytes]],
        open_legs: Mapping[str, int],
    ) -> None:
        """Compare with the stored balances, chain heads and open legs (amounts by leg id)."""
        for account in sorted(set(balances) | set(self._balances)):
            replayed = Balance(*self._balances.get(account, (0, 0, 0, 0)))
            stored = balances.get(account, Balance())
            if replayed != stored:
                self.problem(f"account {account}: holds {stored}, its entries give {replayed}")
        for shard in sorted(set(heads) | set(self._heads)):
            if heads.get(shard) != self._heads.get(shard) and heads.get(shard) != (0, GENESIS):
                self.problem(f"shard {shard}: its head is not its last entry")
        mine = {leg: held[0] for leg, held in self._open.items()}
        for leg in sorted(set(mine) ^ set(open_legs)):
            self.problem(f"leg {leg}: open in the {'ledger' if leg in mine else 'holds'} only")
        total = [sum(column) for column in zip(*self._balances.values(), strict=True)]
        if total and (total[0] != total[2] or total[1] != total[3]):
            self.problem(f"debits and credits differ: {total}")


def leg_id(job_uid: int, attempt: int, rev: int, leg: int) -> str:
    """Name of one leg of a hold, by which its entries refer to it."""
    return f"{job_uid}.{attempt}.{rev}.{leg}"


def open_leg_amounts(rows: Iterable[tuple[int, int, int, int, int]]) -> dict[str, int]:
    """Return leg amounts by leg id from (job uid, attempt, rev, leg, amount) rows."""
    return {leg_id(*row[:4]): row[4] for row in rows}
