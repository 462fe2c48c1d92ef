"""Money held for runs before they start: set-based, all of a run's charge or none of it.

``hold`` runs in the caller's transaction with the state of the runs, so money and runs never
disagree. Figures are computed in memory from one read; the conditional UPDATEs and the CHECKs of
the tables refuse what a wrong computation would overspend.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.audit import leg_id
from quota.calendar import natural_year
from quota.charges import FOREVER_MS, Draw, Part
from quota.transfers import (
    CNY,
    UNIT_S,
    Entry,
    Kind,
    claim_account,
    consumed_account,
    payable_account,
    wallet_account,
    wallet_shard,
)
from scheduler.domain.reasons import PendingReason
from scheduler.store import accounts, bookings, frozen, money_locks, paying
from scheduler.store.database import bulk_execute, bulk_insert, bulk_read
from scheduler.store.paying import Judgement, Wanted
from scheduler.store.rule_facts import Contract
from scheduler.store.tables import Hold, HoldLeg, table
from scheduler.store.transfers import append_transfers

RunKey = tuple[int, int]


class Held(NamedTuple):
    """What is held for a run."""

    gross_fen: int
    subsidy_fen: int
    self_pay_fen: int


_HOLD_COLUMNS: Final = (
    "job_uid", "attempt", "rev", "price_id", "price_ufen", "frozen", "units", "from_s",
    "wall_limit_s", "gross_fen", "created_ms",
)  # fmt: skip
_HOLD_BEGINS: Final = {"state": "'HELD'", "posted_fen": "0"}
_LEG_COLUMNS: Final = (
    "job_uid", "attempt", "rev", "leg", "kind", "debit_account", "credit_account", "amount_fen",
    "shard", "programme", "rule_version", "cap_year", "funder", "from_ms", "to_ms",
    "cap_reserved",
)  # fmt: skip
_OWN: Final = (None, None, None, "", 0, FOREVER_MS, False)
_LEG_BEGINS: Final = {"posted_fen": "0"}


@dataclass(slots=True)
class Holding:
    """Running figures while a batch of holds is computed, and the rows that come of it.

    ``vouchers`` are the shards of vouchers, by their accounts.
    """

    means: paying.Means
    now_ms: int
    vouchers: Mapping[str, str]
    code: str = "HOLD"
    key: str = "hold"
    holds: list[tuple[object, ...]] = field(default_factory=list)
    legs: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    moves: accounts.Moves = field(default_factory=accounts.Moves)
    caps: dict[tuple[str, str, int], int] = field(default_factory=dict)
    #: Accounts of claims that may have to be opened: (id, kind, owner, city, limited, credit).
    claims: dict[str, tuple[str, str, str, str, bool, int]] = field(default_factory=dict)

    def shard_of(self, account: str) -> str:
        """Shard of the entries on an account of a programme."""
        kind, _, rest = account.partition(":")
        if kind == "voucher":
            return self.vouchers[account]
        programme, period = rest.split(":")[:2]
        return bookings.fund_shard(programme, period)


def load(
    connection: Connection, owners: Collection[tuple[str, str]], centers: Collection[str],
    now_ms: int, contracts: Collection[Contract] = (),
) -> paying.Means:  # fmt: skip
    """Read what there is for owners (city, enterprise), to be held in this transaction.

    Where others write at the same time it is locked first, so that what was read stays true.
    """
    enterprises = {enterprise for _, enterprise in owners}
    means = paying.load(connection, enterprises, now_ms, contracts)
    if connection.dialect.name == "sqlite":
        return means
    holding = Holding(means, now_ms, voucher_shards(connection, means.left))
    shards = {holding.shard_of(name) for name in means.left if not name.startswith("wallet:")} | {
        wallet_shard(city) for city, _ in owners
    }
    programmes = {rule.programme for rule in means.money.rules}
    year = natural_year(now_ms)
    money_locks.lock(
        connection,
        [*means.left, *(payable_account(center) for center in centers)],
        [(one, who, at) for one in programmes for who in enterprises for at in (year, year + 1)],
        shards,
    )
    return paying.renew(connection, means, enterprises, contracts)


def voucher_shards(connection: Connection, names: Collection[str]) -> dict[str, str]:
    """Return the shards of those of these accounts that are vouchers."""
    vouchers = sorted(name for name in names if name.startswith("voucher:"))
    if not vouchers:
        return {}
    rows = bulk_read(
        connection,
        "SELECT account_id, programme, period FROM voucher WHERE account_id IN"
        f" ({', '.join('?' * len(vouchers))})",
        tuple(vouchers),
    )
    return {account: bookings.fund_shard(programme, period) for account, programme, period in rows}


def hold(
    connection: Connection, wanted: Sequence[Wanted], means: paying.Means, now_ms: int
) -> dict[RunKey, Held | PendingReason]:
    """Hold the charge of each run, in order; what cannot be paid gets the reason and holds nothing.

    ``means`` were read in this transaction; what is held is taken out of them. A run that cannot
    be paid touches no other. Raises RuntimeError (and the transaction must be given up) if an
    account moved beside this transaction.
    """
    if not wanted:
        return {}
    holding = Holding(means, now_ms, voucher_shards(connection, means.left))
    result = {(one.uid, one.attempt): _hold_one(holding, one) for one in wanted}
    write(connection, holding)
    return result


def _hold_one(holding: Holding, one: Wanted) -> Held | PendingReason:
    found = paying.judge(holding.means, one)
    if found.reason is not None:
        return found.reason
    assert found.price is not None, "what has no price has a reason"
    assert found.cuts is not None, "nor has what no plan was made for"
    kept = frozen.write(found.cuts.prices, found.admitted, found.quote)
    holding.holds.append(
        (
            one.uid, one.attempt, 0, found.price.price_id, found.price.price_ufen, kept, one.units,
            0, one.wall_limit_s, found.gross_fen, holding.now_ms,
        )
    )  # fmt: skip
    note(holding, one, 0, found, frozen.basis(kept))
    holding.means.take(one, found)
    return Held(found.gross_fen, found.subsidy_fen, found.self_pay_fen)


def note(holding: Holding, one: Wanted, rev: int, found: Judgement, basis: str) -> None:
    """Note the legs of a revision of a hold: one for each draw, and the wallet's."""
    number = 0
    for part in found.parts:
        for draw in part.draws:
            _note_draw(holding, one, (rev, number), part, draw, basis)
            number += 1
    wallet = found.quote.wallet_fen
    if wallet:
        account, shard = wallet_account(one.enterprise), wallet_shard(one.city)
        payable = payable_account(one.center)
        leg = _Leg(rev, number, "WALLET", shard, account, payable, wallet, CNY)
        _note_leg(holding, one, leg, _OWN, basis)


class _Leg(NamedTuple):
    """A leg that is to be held."""

    rev: int
    number: int
    kind: str
    shard: str
    debit: str
    credit: str
    amount: int
    ledger: str


def _note_draw(
    holding: Holding, one: Wanted, place: tuple[int, int], part: Part, draw: Draw, basis: str
) -> None:
    """Note what one account of a programme gives; a claim is credited to the enterprise."""
    shard = holding.shard_of(draw.account)
    _, programme, period = shard.split(":")
    kind, ledger, credit = "FUND", CNY, payable_account(one.center)
    if part.unit_seconds:
        kind, ledger, credit = "GRANT", UNIT_S, consumed_account(programme, period)
    elif draw.account.startswith("voucher:"):
        kind = "VOUCHER"
    if part.claim:
        credit = claim_account(one.enterprise, programme, period)
        holding.claims[credit] = (credit, "CLAIM", one.enterprise, one.city, False, 0)
    rule = (
        part.programme, part.rule_version, draw.cap_year, draw.funder, draw.from_ms, draw.to_ms,
        draw.cap_reserved,
    )  # fmt: skip
    leg = _Leg(*place, kind, shard, draw.account, credit, draw.amount, ledger)
    _note_leg(holding, one, leg, rule, basis)
    if draw.cap_year is not None and not draw.cap_reserved and not part.unit_seconds:
        cap = (part.programme, one.enterprise, draw.cap_year)
        holding.caps[cap] = holding.caps.get(cap, 0) + draw.amount


def _note_leg(
    holding: Holding, one: Wanted, leg: _Leg, rule: tuple[object, ...], basis: str
) -> None:
    rev, number, kind, shard, debit, credit, amount, ledger = leg
    name = leg_id(one.uid, one.attempt, rev, number)
    holding.legs.append(
        (one.uid, one.attempt, rev, number, kind, debit, credit, amount, shard, *rule)
    )
    holding.entries.append(
        Entry(
            shard, Kind.PENDING, holding.code, debit, credit, amount, holding.now_ms,
            f"{holding.key}:{name}", one.uid, one.attempt, name, reason=basis, ledger=ledger,
        )
    )  # fmt: skip
    holding.moves.add(debit, credit, amount, 0)


def write(connection: Connection, holding: Holding) -> None:
    """Write a batch of holds; raises RuntimeError if an account cannot give what it holds."""
    if holding.claims:
        bookings.open_accounts(connection, [row for _, row in sorted(holding.claims.items())])
    accounts.move(connection, holding.moves)
    limits = {rule.programme: rule.year_cap_fen for rule in holding.means.money.rules}
    counted = sorted(holding.caps.items())
    for row_limit, rows in (
        ("excluded.limit_fen", [one for one in counted if one[0][0] in limits]),
        # Of a rule that is in force no more the limit stays what it was.
        ("cap_counter.limit_fen", [one for one in counted if one[0][0] not in limits]),
    ):
        bulk_execute(
            connection,
            "INSERT INTO cap_counter (programme, enterprise, year, pending_fen, posted_fen,"
            " limit_fen) VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (programme, enterprise, year)"
            " DO UPDATE SET pending_fen = cap_counter.pending_fen + excluded.pending_fen,"
            f" limit_fen = {row_limit}",
            [(*cap, amount, limits.get(cap[0])) for cap, amount in rows],
        )
    bulk_insert(connection, table(Hold), _HOLD_COLUMNS, holding.holds, _HOLD_BEGINS)
    bulk_insert(connection, table(HoldLeg), _LEG_COLUMNS, holding.legs, _LEG_BEGINS)
    append_transfers(connection, holding.entries)
