"""Parts that statements pay, and what of an enterprise's parts was written off.

A part is what one account bore of what is due to another in a month. What an enterprise owes is the
sum of what its runs added to it; a write-off names its run, and so the parts that nobody pays. It
is borne by the center's write-off account, or, of a subsidy that was clawed back, by what the fund
has forgone. Each payment of a part uses what was written off of it, once.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.calendar import period_of
from quota.statements import kind_of
from quota.transfers import forgone_account, write_off_account
from scheduler.domain.ids import run_id
from scheduler.store.database import bulk_read
from scheduler.store.tables import BOOKED

RunKey = tuple[int, int]
FUNDS: Final = frozenset({"fund", "voucher", "lapsed"})
OWN_MONEY: Final = frozenset({"wallet", "receivable"})
_KEYS_AT_ONCE: Final = 500


class Part(NamedTuple):
    """What ``payer`` bore of what is due to ``payee`` in a month, in fen; below 0: takes back."""

    month: str
    payer: str
    payee: str
    fen: int

    @property
    def key(self) -> str:
        """Under which it is paid once."""
        return f"pay:{self.month}:{self.payer}>{self.payee}"

    def off_key(self, run: RunKey) -> str:
        """Under which what was written off of a run is used for it, once."""
        return f"off:{self.key}:{run_id(*run)}"

    @property
    def off_account(self) -> str:
        """Who bears what is written off of a debt."""
        return bearer(self.payee)


def bearer(payee: str) -> str:
    """Return the account that bears what is written off of a debt to a center, or to a fund."""
    kind, _, rest = payee.partition(":")
    return write_off_account(rest) if kind == "payable" else forgone_account(*rest.split(":"))


def sides(debit: str, credit: str) -> tuple[str, str, int]:
    """Return (payer, payee, 1 or -1 for the reversal); no payer for what nobody pays."""
    for payer, payee, sign in ((debit, credit, 1), (credit, debit, -1)):
        paid, due = kind_of(payer), kind_of(payee)
        if due in ("payable", "claim") and paid in FUNDS | OWN_MONEY:
            return payer, payee, sign
        if paid == "receivable" and due in FUNDS:
            return payer, payee, sign
    return "", "", 0


def paid(connection: Connection, keys: Collection[str]) -> dict[str, int]:
    """Return the amounts of keys that were booked, in fen."""
    found: dict[str, int] = {}
    wanted = list(keys)
    for first in range(0, len(wanted), _KEYS_AT_ONCE):
        some = wanted[first : first + _KEYS_AT_ONCE]
        rows = bulk_read(
            connection,
            f"SELECT idem_key, amount_fen FROM transfer WHERE idem_key IN ({_marks(some)})",
            some,
        )
        found.update((key, int(fen)) for key, fen in rows)
    return found


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


@dataclass
class Debts:
    """What runs added to parts that their enterprises owe, and what of it was written off.

    ``left`` is what no payment used yet, by run and the account that bears it. ``used`` is what
    payments used, by the key of the part. ``by_key`` is what each run added, by the same.
    """

    parts: dict[RunKey, list[Part]] = field(default_factory=dict)
    written_off: dict[tuple[RunKey, str], int] = field(default_factory=dict)
    left: dict[tuple[RunKey, str], int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    by_key: dict[str, list[tuple[RunKey, int]]] = field(default_factory=dict)

    def take(self, part: Part) -> list[tuple[RunKey, int]]:
        """Use what was written off of a part; returns how many fen of which runs."""
        taken: list[tuple[RunKey, int]] = []
        for run, added in self.by_key.get(part.key, ()):
            place = (run, part.off_account)
            fen = min(added, self.left.get(place, 0))
            if fen > 0:
                self.left[place] -= fen
                taken.append((run, fen))
        return taken


def debts(connection: Connection, runs: Collection[RunKey]) -> Debts:
    """Return what runs made their enterprises owe."""
    found = Debts()
    sums: dict[tuple[RunKey, str, str, str], int] = {}
    for uid, attempt, code, at_ms, debit, credit, fen in _booked(connection, runs):
        run = (uid, attempt)
        payer, payee, sign = sides(debit, credit)
        if code == "WRITE_OFF":
            place = (run, debit)
            found.written_off[place] = found.written_off.get(place, 0) + int(fen)
        elif kind_of(payer) == "receivable":
            where = (run, period_of(at_ms, 1), payer, payee)
            sums[where] = sums.get(where, 0) + sign * int(fen)
    for (run, month, payer, payee), fen in sorted(sums.items()):
        part = Part(month, payer, payee, fen)
        found.parts.setdefault(run, []).append(part)
        found.by_key.setdefault(part.key, []).append((run, fen))
    keys = {one.off_key(run): (run, one) for run, parts in found.parts.items() for one in parts}
    found.left.update(found.written_off)
    for key, fen in paid(connection, keys).items():
        run, part = keys[key]
        found.left[run, part.off_account] -= fen
        found.used[part.key] = found.used.get(part.key, 0) + fen
    return found


def _booked(
    connection: Connection, runs: Collection[RunKey]
) -> Iterable[tuple[int, int, str, int, str, str, int]]:
    uids = sorted({uid for uid, _ in runs})
    for first in range(0, len(uids), _KEYS_AT_ONCE):
        some = uids[first : first + _KEYS_AT_ONCE]
        for row in bulk_read(
            connection,
            "SELECT job_uid, attempt, code, effective_ms, debit_account, credit_account,"
            f" amount_fen FROM transfer WHERE job_uid IN ({_marks(some)}) AND {BOOKED}"
            " AND ledger = 'CNY' AND amount_fen > 0",
            some,
        ):
            if row[:2] in runs:
                yield row


def written_off(connection: Connection, accounts: Collection[str]) -> set[RunKey]:
    """Return the runs of which something was written off that stood on some receivables."""
    names = sorted(one for one in accounts if kind_of(one) == "receivable")
    if not names:
        return set()
    rows = bulk_read(
        connection,
        "SELECT DISTINCT job_uid, attempt FROM transfer WHERE code = 'WRITE_OFF'"
        f" AND credit_account IN ({_marks(names)})",
        names,
    )
    return {(uid, attempt) for uid, attempt in rows}


def owed(connection: Connection, run: RunKey) -> tuple[dict[str, int], dict[str, int]]:
    """Return what of a run's debts is not paid, and what was written off, by who would bear it.

    Whoever paid the part that a debt is in paid the debt. In fen; below 0 nothing is owed.
    """
    found = debts(connection, [run])
    parts = found.parts.get(run, [])
    gone = paid(connection, [one.key for one in parts])
    open_: dict[str, int] = {}
    for one in parts:
        due = 0 if one.key in gone else one.fen
        open_[one.off_account] = open_.get(one.off_account, 0) + due
    for account in open_:
        open_[account] -= found.left.get((run, account), 0)
    return open_, {account: fen for (_, account), fen in found.written_off.items()}
