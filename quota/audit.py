"""Verification of a ledger from its entries alone: chains, balances, and every leg's fate."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

from quota.transfers import GENESIS, Entry, Kind, Link, canonical, entry_hash, is_canonical

_FIELDS: Final = len(Entry._fields)


class Balance(NamedTuple):
    """The four sums of an account."""

    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0


#: A held leg that no entry has resolved yet: its fen, and the accounts of its debit and credit.
OpenLeg = tuple[int, str, str]


@dataclass
class Auditor:
    """Takes a ledger's entries shard by shard in order and says what is wrong with it.

    Entries are taken as they are stored: a value of a wrong type is a problem, not an error.
    At most ``problems_max`` problems are kept; ``count`` counts the entries.
    """

    problems_max: int = 100
    count: int = 0
    problems: list[str] = field(default_factory=list)
    _heads: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    _balances: dict[str, list[int]] = field(default_factory=dict)
    _open: dict[str, OpenLeg] = field(default_factory=dict)

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
        try:
            if entry_hash(link.prev_hash, link.seq, entry) != link.hash:
                self.problem(f"{where}: was changed after it was written")
            self._replay(where, link)
        except (TypeError, ValueError) as error:
            self.problem(f"{where}: was changed after it was written: {error}")
        self._heads[entry.shard] = (link.seq, link.hash)

    def take_rows(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Check stored rows: the fields of an entry in their order, then seq, prev_hash and hash.

        Finds what ``take`` finds, at more than twice its speed: a row that is as it should be is
        replayed at once, any other is left to ``take``.
        """
        heads = self._heads
        current, seq, head = "", 0, GENESIS
        for row in rows:
            shard, kind, _, debit, credit, amount, _, _, _, _, leg = row[:11]
            number, prev, digest = row[_FIELDS:]
            if shard != current:
                current = shard
                seq, head = heads.get(shard, (0, GENESIS))
            try:
                sound = (
                    number == seq + 1
                    and prev == head
                    and sha256(prev + canonical(number, row[:_FIELDS]).encode()).digest() == digest
                    and self._moves(kind, amount, debit, credit, leg)
                )
            except TypeError:
                sound = False
            if sound:
                self.count += 1
                seq, head = heads[shard] = number, digest
            else:
                self.take(Link(Entry._make(row[:_FIELDS]), number, prev, digest))
                seq, head = heads[shard]

    def take_texts(self, rows: Iterable[tuple[Any, ...]], read: Callable[[str, int], Link]) -> None:
        """Check entries whose text was put together where they are stored.

        Rows are shard, seq, amount_fen, text, prev_hash and hash; the text is the canonical one,
        but for what is to be escaped within. Finds what ``take`` finds, at three times its speed: a
        row that is as it should be is replayed from the text that was hashed, of any other ``read``
        gives the entry, which is left to ``take``.
        """
        heads = self._heads
        current, seq, head = "", 0, GENESIS
        for shard, number, amount, text, prev, digest in rows:
            if shard != current:
                current = shard
                seq, head = heads.get(shard, (0, GENESIS))
            hashed = text.encode()
            sound = (
                number == seq + 1
                and prev == head
                and sha256(prev + hashed).digest() == digest
                and is_canonical(hashed)
            )
            if sound:
                part = text.split('"', 14)
                sound = self._moves(part[3], amount, part[7], part[9], part[13])
            if sound:
                self.count += 1
                seq, head = heads[shard] = number, digest
            else:
                self.take(read(shard, number))
                seq, head = heads[shard]

    def _moves(
        self, kind: str, amount: int, debit_account: str, credit_account: str, leg: str
    ) -> bool:
        """Replay an entry that does what it may between known accounts; no other does anything."""
        debit, credit = self._balances.get(debit_account), self._balances.get(credit_account)
        if debit is None or credit is None or type(amount) is not int:
            return False
        if kind == "PENDING":
            if leg in self._open:
                return False
            self._open[leg] = amount, debit_account, credit_account
            debit[0] += amount
            credit[2] += amount
            return True
        if kind != "DIRECT":
            held = self._open.get(leg)
            if held is None or held[1] != debit_account or held[2] != credit_account:
                return False
            if not (0 <= amount <= held[0] if kind == "POST" else kind == "VOID" and not amount):
                return False
            del self._open[leg]
            debit[0] -= held[0]
            credit[2] -= held[0]
        debit[1] += amount
        credit[3] += amount
        return True

    def _replay(self, where: str, link: Link) -> None:
        entry = link.entry
        kind, amount = Kind(entry.kind), int(entry.amount_fen)
        debit = self._balances.setdefault(entry.debit_account, [0, 0, 0, 0])
        credit = self._balances.setdefault(entry.credit_account, [0, 0, 0, 0])
        if kind is Kind.PENDING:
            if entry.leg_id in self._open:
                self.problem(f"{where}: leg {entry.leg_id} is held twice")
            self._open[entry.leg_id] = amount, entry.debit_account, entry.credit_account
            debit[0] += amount
            credit[2] += amount
            return
        if kind is not Kind.DIRECT:
            held = self._open.pop(entry.leg_id, None)
            if held is None:
                self.problem(f"{where}: leg {entry.leg_id} is not held, or was resolved before")
                return
            if amount > held[0] or held[1:] != entry[3:5]:
                self.problem(f"{where}: resolves leg {entry.leg_id} for more or elsewhere")
            debit[0] -= held[0]
            credit[2] -= held[0]
        if kind is not Kind.VOID:
            debit[1] += amount
            credit[3] += amount
        elif amount:
            self.problem(f"{where}: frees leg {entry.leg_id} and moves {amount} fen")

    def compare(
        self,
        balances: Mapping[str, Balance],
        heads: Mapping[str, tuple[int, bytes]],
        open_legs: Mapping[str, int],
    ) -> None:
        """Compare with the stored balances, chain heads and open legs (amounts by leg id)."""
        for account in sorted({*balances, *self._balances}, key=str):
            replayed = Balance(*self._balances.get(account, (0, 0, 0, 0)))
            stored = balances.get(account)
            if stored is None:
                self.problem(f"account {account}: has entries and no balance")
            elif replayed != stored:
                self.problem(f"account {account}: holds {stored}, its entries give {replayed}")
        for shard in sorted({*heads, *self._heads}, key=str):
            if heads.get(shard, (0, GENESIS)) != self._heads.get(shard, (0, GENESIS)):
                self.problem(f"shard {shard}: its head is not its last entry")
        for leg in sorted({*self._open, *open_legs}, key=str):
            mine, stored_fen = self._open.get(leg), open_legs.get(leg)
            if mine is None or stored_fen is None:
                where = "holds" if mine is None else "ledger"
                self.problem(f"leg {leg}: open in the {where} only")
            elif mine[0] != stored_fen:
                self.problem(f"leg {leg}: holds {stored_fen} fen, its entry {mine[0]}")
        total = [sum(column) for column in zip(*self._balances.values(), strict=True)]
        if total and (total[0] != total[2] or total[1] != total[3]):
            self.problem(f"debits and credits differ: {total}")


def leg_id(job_uid: int, attempt: int, rev: int, leg: int) -> str:
    """Name of one leg of a hold, by which its entries refer to it."""
    return f"{job_uid}.{attempt}.{rev}.{leg}"
