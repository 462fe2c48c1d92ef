"""Money held for runs before they start: set-based, all of a run's charge or none of it.

``hold`` runs in the caller's transaction with the state of the runs, so money and runs never
disagree. Figures are computed in memory from one read; the conditional UPDATEs and the CHECKs of
the tables refuse what a wrong computation would overspend.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.audit import leg_id
from quota.calendar import natural_year
from quota.charges import FOREVER_MS, Draw, Part
from quota.molds import Cast, Mold
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
from scheduler.store import accounts, bookings, frozen, money_locks, paying, transfers
from scheduler.store.database import bulk_read
from scheduler.store.judgements import Judgement, Wanted
from scheduler.store.rule_facts import Contract
from scheduler.store.tables import Hold, HoldLeg, table
from scheduler.store.write_batch import FEW_ROWS, WriteBatch

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
_LEG_KEY: Final = 4  # columns that say which leg it is
_OWN: Final = (None, None, None, "", 0, FOREVER_MS, False)
_LEG_BEGINS: Final = {"posted_fen": "0"}


@dataclass(slots=True)
class Holding:
    """Running figures while a batch of holds is computed, and the rows that come of it.

    ``vouchers`` are the shards of vouchers, by their accounts. ``scarce`` says that a run got
    less, or nothing, because an account or a cap was short.
    """

    means: paying.Means
    now_ms: int
    vouchers: Mapping[str, str]
    code: str = "HOLD"
    key: str = "hold"
    scarce: bool = False
    holds: list[tuple[object, ...]] = field(default_factory=list)
    legs: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[Entry | Cast] = field(default_factory=list)
    moves: accounts.Moves = field(default_factory=accounts.Moves)
    caps: dict[tuple[str, str, int], int] = field(default_factory=dict)
    #: Accounts of claims that may have to be opened: (id, kind, owner, city, limited, credit).
    claims: dict[str, tuple[str, str, str, str, bool, int]] = field(default_factory=dict)

    @property
    def noted(self) -> list[Entry]:
        """The entries that were noted one by one."""
        return [entry for entry in self.entries if isinstance(entry, Entry)]

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

    Where others write at the same time all of it is locked, so that what was read stays true.
    """
    means = paying.load(connection, {enterprise for _, enterprise in owners}, now_ms, contracts)
    _lock(connection, means, owners, centers, contracts)
    return means


def _lock(
    connection: Connection, means: paying.Means, owners: Collection[tuple[str, str]],
    centers: Collection[str], contracts: Collection[Contract],
) -> None:  # fmt: skip
    """Lock all that owners may draw on and centers be paid on, and read again what it can give."""
    if connection.dialect.name == "sqlite":
        return
    enterprises = {enterprise for _, enterprise in owners}
    holding = Holding(means, means.now_ms, voucher_shards(connection, means.left))
    shards = {holding.shard_of(name) for name in means.left if not name.startswith("wallet:")}
    programmes = {rule.programme for rule in means.money.rules}
    year = natural_year(means.now_ms)
    money_locks.lock(
        connection,
        [*means.left, *(payable_account(center) for center in centers)],
        [(one, who, at) for one in programmes for who in enterprises for at in (year, year + 1)],
        shards | {wallet_shard(city) for city, _ in owners},
    )
    paying.renew(connection, means, enterprises, contracts)


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

    ``means`` were read in this transaction (``paying.load``); what is held is taken out of them. A
    run that cannot be paid touches no other. Raises RuntimeError (and the transaction must be
    given up) if an account moved beside this transaction.

    Where others write at the same time, runs are judged before anything is locked, so that nobody
    waits for that. It holds if what was drawn is still there under the lock and nothing was scarce;
    else all are judged again.
    """
    if not wanted:
        return {}
    if connection.dialect.name != "sqlite":
        found = _hold_beside(connection, wanted, means, now_ms)
        if found is not None:
            return found
        owners = {(one.city, one.enterprise) for one in wanted}
        _lock(connection, means, owners, {one.center for one in wanted}, _contracts(wanted))
    holding = Holding(means, now_ms, voucher_shards(connection, means.left))
    result = _judge(holding, wanted)
    write(connection, holding)
    return result


def _judge(holding: Holding, wanted: Sequence[Wanted]) -> dict[RunKey, Held | PendingReason]:
    return {(one.uid, one.attempt): _hold_one(holding, one) for one in wanted}


def _hold_one(holding: Holding, one: Wanted) -> Held | PendingReason:
    found = paying.judge(holding.means, one)
    if found.reason is not None:
        holding.scarce = holding.scarce or paying.is_scarce(found)
        return found.reason
    stencil: _Stencil | None = found.memo.get(_STENCIL)
    if stencil is None:
        stencil = found.memo[_STENCIL] = _stencil(holding, one, found)
    holding.scarce = holding.scarce or stencil.scarce
    stencil.draw(holding, one)
    holding.means.take(one, found)
    return stencil.held


_STENCIL: Final = "hold"


class _Stencil(NamedTuple):
    """What is the same for all runs that are judged alike: rows and entries but for the run."""

    scarce: bool
    held: Held
    price: tuple[str, int]
    kept: str
    legs: tuple[tuple[tuple[object, ...], Mold], ...]
    moves: tuple[tuple[str, str, int], ...]
    caps: tuple[tuple[tuple[str, str, int], int], ...]
    claims: dict[str, tuple[str, str, str, str, bool, int]]

    def draw(self, holding: Holding, one: Wanted) -> None:
        """Note the hold of a run."""
        uid, attempt, now_ms = one.uid, one.attempt, holding.now_ms
        holding.holds.append(
            (
                uid, attempt, 0, *self.price, self.kept, one.units, 0, one.wall_limit_s,
                self.held.gross_fen, now_ms,
            )
        )  # fmt: skip
        legs, entries, key = holding.legs, holding.entries, holding.key
        for number, (leg, mold) in enumerate(self.legs):
            name = leg_id(uid, attempt, 0, number)
            legs.append((uid, attempt, 0, number, *leg))
            entries.append(Cast(mold.shard, mold, now_ms, f"{key}:{name}", uid, attempt, name))
        for debit, credit, amount in self.moves:
            holding.moves.add(debit, credit, amount, 0)
        for cap, amount in self.caps:
            holding.caps[cap] = holding.caps.get(cap, 0) + amount
        holding.claims.update(self.claims)


def _stencil(holding: Holding, one: Wanted, found: Judgement) -> _Stencil:
    """Note one hold by itself, and keep all but the run."""
    assert found.price is not None, "what has no price has a reason"
    assert found.cuts is not None, "nor has what no plan was made for"
    kept = frozen.write(found.cuts.prices, found.admitted, found.quote)
    alone = Holding(holding.means, holding.now_ms, holding.vouchers, holding.code, holding.key)
    note(alone, one, 0, found, frozen.basis(kept))
    legs = [row[_LEG_KEY:] for row in alone.legs]
    return _Stencil(
        paying.is_scarce(found),
        Held(found.gross_fen, found.subsidy_fen, found.self_pay_fen),
        (found.price.price_id, found.price.price_ufen),
        kept,
        tuple(zip(legs, map(Mold.of, alone.noted), strict=True)),
        tuple(
            (entry.debit_account, entry.credit_account, entry.amount_fen) for entry in alone.noted
        ),
        tuple(alone.caps.items()),
        alone.claims,
    )


def _hold_beside(
    connection: Connection, wanted: Sequence[Wanted], means: paying.Means, now_ms: int
) -> dict[RunKey, Held | PendingReason] | None:
    """Judge runs, then lock what they draw; None, and nothing is locked, if that does not hold."""
    left, caps, givers = means.figures()
    holding = Holding(means, now_ms, voucher_shards(connection, means.left))
    result = _judge(holding, wanted)
    if not holding.scarce:
        many = len(holding.legs) + len(holding.holds) > FEW_ROWS
        early = many or bool(holding.claims)
        if early:
            money_locks.may_unlock(connection)
        if many:  # nobody waits while they are copied
            _add_holds(holding).write(connection)
        _open_claims(connection, holding)
        entries = holding.entries
        shards = {entry.shard for entry in entries}
        locked = money_locks.lock_and_read(
            connection, holding.moves.sums, holding.caps, shards, unlockable=not early
        )
        now_given = paying.load_givers(connection, means.money, _contracts(wanted))
        if now_given == givers and _is_there(holding, locked):
            missing = shards - locked.heads.keys()
            heads = money_locks.lock_heads(connection, missing)
            batch = WriteBatch() if many else _add_holds(holding)
            _add_money(batch, holding, locked.heads | heads)
            batch.write(connection)
            return result
        money_locks.unlock(connection)
    means.renew(left, caps, givers)
    return None


def _contracts(wanted: Iterable[Wanted]) -> set[Contract]:
    return {(one.enterprise, one.contract) for one in wanted if one.contract}


def _is_there(holding: Holding, locked: money_locks.Locked) -> bool:
    """Whether locked accounts and caps have all that was drawn.

    A fund must have a fen more for each leg: a funder's exact share may be a part of one more.
    """
    spare = len(holding.legs)
    for account, (fen, *_) in holding.moves.sums.items():
        needed = fen if account.startswith("wallet:") else fen + spare
        if fen and locked.left.get(account, 0) < needed:
            return False
    limits = {rule.programme: rule.year_cap_fen for rule in holding.means.money.rules}
    for cap, fen in holding.caps.items():
        limit = limits[cap[0]]
        if limit is not None and locked.caps.get(cap, 0) + fen > limit:
            return False
    return True


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
    """Write a batch of holds, of locked accounts.

    Raises RuntimeError if an account cannot give what it holds.
    """
    _open_claims(connection, holding)
    shards = {entry.shard for entry in holding.entries}
    batch = _add_holds(holding)
    _add_money(batch, holding, money_locks.lock_heads(connection, shards))
    batch.write(connection)


def _open_claims(connection: Connection, holding: Holding) -> None:
    if holding.claims:
        bookings.open_accounts(connection, [row for _, row in sorted(holding.claims.items())])


def _add_holds(holding: Holding) -> WriteBatch:
    batch = WriteBatch()
    batch.insert(table(Hold), _HOLD_COLUMNS, holding.holds, _HOLD_BEGINS)
    batch.insert(table(HoldLeg), _LEG_COLUMNS, holding.legs, _LEG_BEGINS)
    return batch


def _add_money(batch: WriteBatch, holding: Holding, heads: Mapping[str, money_locks.Head]) -> None:
    accounts.add(batch, holding.moves)
    limits = {rule.programme: rule.year_cap_fen for rule in holding.means.money.rules}
    counted = sorted(holding.caps.items())
    for row_limit, rows in (
        ("excluded.limit_fen", [one for one in counted if one[0][0] in limits]),
        # Of a rule that is in force no more the limit stays what it was.
        ("cap_counter.limit_fen", [one for one in counted if one[0][0] not in limits]),
    ):
        batch.update(
            "INSERT INTO cap_counter (programme, enterprise, year, pending_fen, posted_fen,"
            " limit_fen) SELECT v.column1, v.column2, v.column3, v.column4, 0, v.column5"
            " FROM {values} WHERE true ON CONFLICT (programme, enterprise, year)"
            " DO UPDATE SET pending_fen = cap_counter.pending_fen + excluded.pending_fen,"
            f" limit_fen = {row_limit}",
            [(*cap, amount, limits.get(cap[0])) for cap, amount in rows],
            "a yearly cap cannot be counted",
        )
    transfers.add(batch, holding.entries, heads)
