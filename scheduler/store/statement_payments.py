"""What is booked when a statement is paid: each part of what was charged in a month, once.

A part is what one account bore of one other account's due in one month: what a fund owes a center,
a wallet a center, a fund an enterprise that claims. Statements of a city, an enterprise and a
center may share parts, and so may those of a month and a quarter: whichever is paid first books
them, under the part's own key, and the others find them paid. They may be paid in any order.

    a fund or voucher to a center      Dr CENTER_PAYABLE / Cr APPROPRIATION
    a fund or voucher to a claim       Dr CLAIM / Cr APPROPRIATION
    an enterprise to a center          Dr CENTER_PAYABLE / Cr EXTERNAL, and Dr EXTERNAL / Cr WALLET
                                       or RECEIVABLE, as far as it is owed: the rest was prepaid
    an enterprise to a fund (T13)      Dr EXTERNAL / Cr RECEIVABLE, Dr APPROPRIATION / Cr EXTERNAL

A part below 0 (more was taken back than charged) goes the other way round. What was written off of
a part nobody pays: it is set against who bears it, under a key of its own for each run.

    a debt to a center                 Dr CENTER_PAYABLE / Cr WRITE_OFF of the center
    a debt to a fund (T13)             Dr APPROPRIATION / Cr WRITE_OFF of the fund
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.calendar import months_of, period_bounds
from quota.statements import StatementKind, kind_of
from quota.transfers import (
    EXTERNAL,
    Entry,
    Kind,
    appropriation_account,
    fund_account,
    wallet_shard,
)
from scheduler.store import bookings, money_locks, payment_parts
from scheduler.store.database import bulk_read
from scheduler.store.payment_parts import FUNDS, OWN_MONEY, Part, RunKey, sides
from scheduler.store.statement_rows import OWN_KINDS
from scheduler.store.tables import BOOKED

_BOOKED: Final = f"{BOOKED} AND amount_fen > 0 AND ledger = 'CNY'"


def parts(connection: Connection, kind: StatementKind, owner: str, period: str) -> list[Part]:
    """Return the parts of a closed period that a statement pays, in order."""
    found: list[Part] = []
    for month in months_of(period):
        start_ms, end_ms = period_bounds(month)
        moved = bulk_read(
            connection,
            "SELECT debit_account, credit_account, sum(amount_fen) FROM transfer"
            f" WHERE effective_ms >= ? AND effective_ms < ? AND {_BOOKED}"
            " GROUP BY debit_account, credit_account",
            (start_ms, end_ms),
        )
        mine = _mine(connection, kind, owner)
        sums: dict[tuple[str, str], int] = {}
        for debit, credit, fen in moved:
            payer, payee, sign = sides(debit, credit)
            if payer and mine(payer, payee):
                sums[payer, payee] = sums.get((payer, payee), 0) + sign * int(fen)
        found += [
            Part(month, *pair, fen)
            for pair, fen in sorted(sums.items())
            if fen or kind_of(pair[0]) == "receivable"  # what one run owes, another may get back
        ]
    return found


class _Mine(NamedTuple):
    """Which parts a statement pays."""

    kind: StatementKind
    accounts: frozenset[str]

    def __call__(self, payer: str, payee: str) -> bool:
        if self.kind is StatementKind.CENTER:
            return payee in self.accounts
        if self.kind is StatementKind.CITY:
            return payer in self.accounts
        return payer in self.accounts and kind_of(payer) in OWN_MONEY


def _mine(connection: Connection, kind: StatementKind, owner: str) -> _Mine:
    condition = {
        StatementKind.CITY: f"city = ? AND kind IN {OWN_KINDS}",
        StatementKind.ENTERPRISE: "owner = ? AND kind IN ('WALLET', 'RECEIVABLE')",
        StatementKind.CENTER: "owner = ? AND kind = 'CENTER_PAYABLE'",
    }[kind]
    rows = bulk_read(connection, f"SELECT account_id FROM account WHERE {condition}", (owner,))
    return _Mine(kind, frozenset(account for (account,) in rows))


def pay(
    connection: Connection, found: Sequence[Part], *, now_ms: int, actor: str, reason: str
) -> int:
    """Book the parts that are not paid yet; returns how many fen were.

    Raises RuntimeError if one was paid with another amount: then the ledger was changed.
    """
    bookings.open_accounts(connection, [(EXTERNAL, "EXTERNAL", "", "", False, 0)])
    vouchers = _vouchers(connection, found)
    shards = {part.key: _shard(part, vouchers) for part in found}
    wallets = _wallets(connection, found)
    money_locks.lock(
        connection,
        accounts=_accounts(found, vouchers),
        shards={*shards.values(), *(wallet_shard(city) for city in wallets.values())},
    )
    paid = payment_parts.paid(connection, [part.key for part in found])
    debts = payment_parts.debts(connection, payment_parts.written_off(connection, wallets))
    owed = _owed(connection, wallets)
    entries: list[Entry] = []
    for part in found:
        before = paid.get(part.key)
        if before is None:
            how = (now_ms, part.month, actor, reason)
            off = debts.take(part) if part.payer in wallets else []
            entries += _entries(part, off, shards[part.key], vouchers, wallets, owed, how)
        elif before != abs(part.fen - debts.used.get(part.key, 0)):
            raise RuntimeError(f"{part.key} was paid with {before} fen, it is {part.fen} now")
    bookings.book(connection, entries)
    return sum(abs(part.fen) for part in found if part.key not in paid)


def _entries(
    part: Part, off: Sequence[tuple[RunKey, int]], shard: str, vouchers: Mapping[str, str],
    wallets: Mapping[str, str], owed: dict[str, int], how: tuple[int, str, str, str],
) -> list[Entry]:  # fmt: skip
    payer, payee = kind_of(part.payer), kind_of(part.payee)
    source = EXTERNAL if payer in OWN_MONEY else appropriation_of(part.payer, vouchers)
    between = (part.payee, source)
    if payee in FUNDS:  # what an enterprise gives back
        between = (appropriation_of(part.payee, vouchers), EXTERNAL)
    code = "REDEEM" if payee == "claim" else "PAY"
    made = [
        _entry(shard, code, (between[0], part.off_account), fen, part.off_key(run), how)
        for run, fen in off
    ]
    rest = part.fen - sum(fen for _, fen in off)
    if rest < 0:
        between = between[::-1]
    made.append(_entry(shard, code, between, abs(rest), part.key, how))  # of 0: that it is paid
    if payer not in OWN_MONEY:
        return made
    own = min(rest, max(0, owed[part.payer]))
    if own > 0:
        owed[part.payer] -= own
        mine = wallet_shard(wallets[part.payer])
        made.append(_entry(mine, "PAY", (EXTERNAL, part.payer), own, f"own:{part.key}", how))
    return made


def _entry(
    shard: str, code: str, sides: tuple[str, str], fen: int, key: str,
    how: tuple[int, str, str, str],
) -> Entry:  # fmt: skip
    now_ms, month, actor, reason = how
    return Entry(
        shard, Kind.DIRECT, code, *sides, fen, now_ms, key, ref_period=month, actor=actor,
        reason=reason,
    )  # fmt: skip


def appropriation_of(account: str, vouchers: Mapping[str, str]) -> str:
    """Return where the money of a fund or voucher comes from."""
    kind, _, rest = account.partition(":")
    if kind == "voucher":
        rest = vouchers[account].partition(":")[2]
    return appropriation_account(*rest.split(":"))


def _shard(part: Part, vouchers: Mapping[str, str]) -> str:
    payee = kind_of(part.payee)
    if payee == "payable":
        return f"payables:{part.payee.partition(':')[2]}"
    fund = part.payee if payee in FUNDS else part.payer
    fund = vouchers.get(fund, fund)
    return fund_account(*fund.split(":")[1:3])


def _accounts(found: Sequence[Part], vouchers: Mapping[str, str]) -> set[str]:
    names = {EXTERNAL}
    for part in found:
        for account in (part.payer, part.payee):
            names.add(appropriation_of(account, vouchers) if kind_of(account) in FUNDS else account)
        if kind_of(part.payer) == "receivable":
            names.add(part.off_account)
    return names


def _vouchers(connection: Connection, found: Iterable[Part]) -> dict[str, str]:
    """Return the fund of each voucher among the parts, by account."""
    used = {a for part in found for a in (part.payer, part.payee) if kind_of(a) == "voucher"}
    if not used:
        return {}
    rows = bulk_read(connection, "SELECT account_id, programme, period FROM voucher")
    return {account: fund_account(*fund) for account, *fund in rows if account in used}


def _wallets(connection: Connection, found: Iterable[Part]) -> dict[str, str]:
    """Return the city of each wallet and receivable among the payers, by account."""
    used = {part.payer for part in found if kind_of(part.payer) in OWN_MONEY}
    if not used:
        return {}
    rows = bulk_read(
        connection, "SELECT account_id, city FROM account WHERE kind IN ('WALLET', 'RECEIVABLE')"
    )
    return {account: city for account, city in rows if account in used}


def _owed(connection: Connection, wallets: Mapping[str, str]) -> dict[str, int]:
    if not wallets:
        return {}
    rows = bulk_read(
        connection,
        "SELECT account_id, debits_posted - credits_posted FROM account"
        " WHERE kind IN ('WALLET', 'RECEIVABLE')",
    )
    return {account: int(fen) for account, fen in rows if account in wallets}
