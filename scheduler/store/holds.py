"""Money held for runs before they start: set-based, all of a run's charge or none of it.

``hold`` runs in the caller's transaction with the state of the runs, so money and runs never
disagree. Figures are computed in memory from one read; the conditional UPDATEs and the CHECKs of
the tables refuse what a wrong computation would overspend.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.audit import leg_id
from quota.calendar import natural_year
from quota.molds import Cast, Mold
from quota.transfers import (
    payable_account,
    wallet_shard,
)
from scheduler.domain.reasons import PendingReason
from scheduler.store import (
    accounts,
    bookings,
    frozen,
    holds_at_once,
    money_locks,
    paying,
    transfers,
    write_batch,
)
from scheduler.store.database import bulk_read
from scheduler.store.holding import Holding, note
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
_LEG_BEGINS: Final = {"posted_fen": "0"}


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
        if not many and _is_prompt(holding, wanted):
            if _at_once(connection, holding):
                return result
            means.renew(left, caps, givers)
            return None
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
            if many:
                with write_batch.going(connection) as batch:
                    _add_money(batch, holding, locked.heads | heads)
                return result
            batch = _add_holds(holding)
            _add_money(batch, holding, locked.heads | heads)
            batch.write(connection)
            return result
        money_locks.unlock(connection)
    means.renew(left, caps, givers)
    return None


def _contracts(wanted: Iterable[Wanted]) -> set[Contract]:
    return {(one.enterprise, one.contract) for one in wanted if one.contract}


def _is_prompt(holding: Holding, wanted: Sequence[Wanted]) -> bool:
    """Whether nothing is to be asked under the lock but for what accounts and caps have left.

    What a run is given may hang on what other jobs of its contract were given, and an account of
    claims may have to be opened.
    """
    asks = any(rule.contract_once for rule in holding.means.money.rules)
    return not holding.claims and not (asks and _contracts(wanted))


def _is_there(holding: Holding, locked: money_locks.Locked) -> bool:
    """Whether locked accounts and caps have all that was drawn."""
    if any(locked.left.get(account, 0) < fen for account, fen in _needed(holding).items()):
        return False
    limits = _limits(holding)
    for cap, fen in holding.caps.items():
        limit = limits[cap[0]]
        if limit is not None and locked.caps.get(cap, 0) + fen > limit:
            return False
    return True


def _needed(holding: Holding) -> dict[str, int]:
    """What accounts must have left for all that is drawn of them.

    A fund must have a fen more for each leg: a funder's exact share may be a part of one more.
    """
    spare = len(holding.legs)
    return {
        account: fen if account.startswith("wallet:") else fen + spare
        for account, (fen, *_) in holding.moves.sums.items()
        if fen
    }


def _limits(holding: Holding) -> dict[str, int | None]:
    return {rule.programme: rule.year_cap_fen for rule in holding.means.money.rules}


def _at_once(connection: Connection, holding: Holding) -> bool:
    """Write few holds if all that they draw is there; else nothing is written."""
    limits = _limits(holding)
    return holds_at_once.write(
        connection,
        (_HOLD_COLUMNS, holding.holds),
        (_LEG_COLUMNS, holding.legs),
        holding.casts,
        holding.moves.sums,
        _needed(holding),
        {cap: (fen, limits[cap[0]]) for cap, fen in holding.caps.items()},
    )


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
    limits = _limits(holding)
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
