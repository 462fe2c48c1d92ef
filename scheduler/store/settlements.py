"""Runs settled by their metered use: set-based, each once, never above what was held.

``settle`` posts each leg up to what it holds and frees the rest, in the caller's transaction with
the end of the runs. What the center metered beyond the hold is paid by the funds and the wallet as
far as they have anything left, and else becomes the enterprise's debt; a fund never owes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from sqlalchemy import Connection

from adapters.contract import Usage
from quota.audit import leg_id
from quota.charges import Bill, Left, Line
from quota.eligibility import Admitted
from quota.rules import CORRIDOR
from quota.settling import settle as settle_legs
from quota.settling import void
from quota.slices import Cut, Cuts, PriceFrom, Span, bounds_of, cut
from quota.transfers import (
    Entry,
    Kind,
    payable_account,
    receivable_account,
    wallet_account,
    wallet_shard,
)
from scheduler.store import (
    budget_holds,
    charge_rows,
    frozen,
    held_legs,
    overruns,
    pricing,
    write_batch,
)
from scheduler.store.charge_rows import ChargeRows, Run
from scheduler.store.database import among, bulk_read
from scheduler.store.held_legs import HeldLeg
from scheduler.store.usage_records import digest
from scheduler.store.write_batch import WriteBatch

RunKey = tuple[int, int]
#: Runs whose rows are on their way while the next ones' are made.
_PART: Final = 250


class Moved(RuntimeError):
    """What was read of a run changed before it was written, by another's word: read it again."""


class Ended(NamedTuple):
    """A run that ended, with its metered use; ``billed`` False if it was not its user's fault."""

    uid: int
    attempt: int
    center: str
    enterprise: str
    city: str
    billed: bool
    usage: Sequence[Usage]

    @property
    def run(self) -> Run:
        """The run."""
        return Run(self.uid, self.attempt, self.center, self.enterprise, self.city)


class Settled(NamedTuple):
    """What a run cost in the end."""

    gross_fen: int
    subsidy_fen: int
    self_pay_fen: int


@dataclass(frozen=True, slots=True)
class Settlements:
    """What runs cost, and the cities into whose funds, wallets or budgets something came back."""

    settled: Mapping[RunKey, Settled]
    freed_cities: Collection[str]


class _Terms(NamedTuple):
    """What was frozen for runs that are alike: prices, rules, and what limited each programme."""

    prices: tuple[PriceFrom, ...]
    admitted: tuple[Admitted, ...]
    bindings: Mapping[str, str]


@dataclass(slots=True)
class _Ending:
    """A run that is being settled: what was held and frozen for it, and what it comes to."""

    one: Ended
    terms: _Terms
    revs: Sequence[int]
    legs: Sequence[HeldLeg]
    cut: Cut
    bill: Bill

    def charge(self, left: Left, wallet_fen: int) -> None:
        """Make out the bill anew, of the hold and of what is left beside it."""
        if self.one.billed and self.one.usage:
            plain = [stored.leg for stored in self.legs]
            self.bill = settle_legs(plain, self.terms.admitted, self.cut, left, wallet_fen)


@dataclass(slots=True)
class _Settling:
    """Rows and moves of a batch of settlements."""

    rows: ChargeRows
    holds: list[tuple[object, ...]] = field(default_factory=list)
    legs: list[tuple[object, ...]] = field(default_factory=list)
    freed_cities: set[str] = field(default_factory=set)


def settle(connection: Connection, ended: Sequence[Ended], now_ms: int) -> Settlements:
    """Settle runs, each for the first time; raises RuntimeError for one without an open hold.

    What is of the runs alone is computed and written before anything is locked that others want.
    """
    if not ended:
        return Settlements({}, ())
    making = _endings(connection, ended)
    work = _Settling(ChargeRows(now_ms))
    endings: list[_Ending] = []
    over = []
    with write_batch.going(connection) as batch:
        while some := list(islice(making, _PART)):
            endings += some
            for one in some:
                if one.bill.receivable_fen:
                    over.append(one)
                else:
                    _note(work, one)
            _resolve(batch, work)
        work.rows.add_lines(batch)
    counted = {(one.uid, one.attempt): one.usage if one.billed else () for one in ended}
    freed = budget_holds.settle(connection, counted, now_ms)  # budgets are locked before money
    _lock(connection, work, over)
    if over:
        over.sort(key=lambda one: (one.one.uid, one.one.attempt))  # whoever reported first
        _charge_beyond(connection, work, over)
        with write_batch.going(connection) as batch:
            _resolve(batch, work)
    work.rows.write(connection)
    settled = {(one.one.uid, one.one.attempt): _settled(one.bill) for one in endings}
    return Settlements(settled, freed | _freed_cities(connection, work))


def _settled(bill: Bill) -> Settled:
    charge = bill.quote
    return Settled(charge.gross_fen, charge.subsidy_fen, charge.self_pay_fen)


def _endings(connection: Connection, ended: Sequence[Ended]) -> Iterator[_Ending]:
    """Read what was held for runs; their bills are made out from that alone, one by one."""
    uids = [one.uid for one in ended]
    held, revs = _held(connection, uids)
    return _make(ended, held, revs, held_legs.read(connection, uids))


def _make(
    ended: Sequence[Ended],
    held: Mapping[RunKey, _Terms],
    revs: Mapping[RunKey, Sequence[int]],
    legs: Mapping[RunKey, list[HeldLeg]],
) -> Iterator[_Ending]:
    for one in ended:
        key = (one.uid, one.attempt)
        if key not in held:
            raise Moved(f"run {key} has no open hold: it was settled before or never held")
        terms, mine = held[key], legs.get(key, [])
        plain = [stored.leg for stored in mine]
        spans = [Span(use.segment, use.start_ms, use.end_ms, use.units) for use in one.usage]
        used = cut(spans, Cuts(terms.prices, bounds_of(plain)))
        billed = one.billed and one.usage
        bill = settle_legs(plain, terms.admitted, used) if billed else void(plain)
        yield _Ending(one, terms, revs[key], mine, used, bill)


def _held(
    connection: Connection, uids: Sequence[int]
) -> tuple[dict[RunKey, _Terms], dict[RunKey, list[int]]]:
    """Read what was frozen for each run that has an open hold, and the revisions of its hold."""
    of_runs, values = among(connection, "job_uid", uids)
    texts: dict[RunKey, tuple[str, str, int]] = {}
    revs: dict[RunKey, list[int]] = {}
    for uid, attempt, rev, price_id, price_ufen, text in bulk_read(
        connection,
        "SELECT job_uid, attempt, rev, price_id, price_ufen, frozen FROM hold"
        f" WHERE {of_runs} AND state = 'HELD' ORDER BY job_uid, attempt, rev",
        values,
    ):
        if not rev:
            texts[uid, attempt] = (text, price_id, price_ufen)
        revs.setdefault((uid, attempt), []).append(rev)
    known = {one: frozen.read(*one) for one in texts.values()}
    rules = pricing.load_rules(connection, {v for one in known.values() for v in one.versions()})
    terms = {
        one: _Terms(kept.prices, kept.admitted(rules), kept.bindings())
        for one, kept in known.items()
    }
    return {key: terms[one] for key, one in texts.items()}, revs


def _lock(connection: Connection, work: _Settling, over: Sequence[_Ending]) -> None:
    """Lock what the batch moves, and what the runs that used more than they held may take."""
    if connection.dialect.name == "sqlite":
        return
    names, caps = set(work.rows.moves.sums), set(work.rows.caps)
    shards = {entry.shard for entry in work.rows.entries}
    for ending in over:
        one = ending.one
        names |= {wallet_account(one.enterprise), receivable_account(one.enterprise)}
        names.add(payable_account(one.center))
        shards.add(wallet_shard(one.city))
        for stored in ending.legs:
            names |= {stored.debit, stored.credit}
            shards.add(stored.shard)
            leg = stored.leg
            if leg.programme is not None and leg.cap_year is not None:
                caps.add((leg.programme, one.enterprise, leg.cap_year))
    charge_rows.lock(connection, names, caps, shards)


def _charge_beyond(connection: Connection, work: _Settling, over: Sequence[_Ending]) -> None:
    """Settle the runs that used more than their holds, of what all others leave."""
    legs: dict[str, list[HeldLeg]] = {}
    for ending in over:
        legs.setdefault(ending.one.enterprise, []).extend(ending.legs)
    left = overruns.read(connection, legs, work.rows.moves, work.rows.caps)
    for ending in over:
        ending.charge(*left.for_run(ending.one.enterprise, ending.legs))
        left.take(ending.one.enterprise, ending.bill)
        _note(work, ending)


def _note(work: _Settling, ending: _Ending) -> None:
    """Note what becomes of a run's hold, and what it rests on."""
    one, bill, cut = ending.one, ending.bill, ending.cut
    rows, run, quote = work.rows, one.run, bill.quote
    usage = rows.meter(run, one.usage)
    rows.rate(run, bill.lines or _unbilled(cut), cut, billed=one.billed)
    if quote.parts:
        rows.give(run, charge_rows.givens(quote.parts, cut, ending.terms.bindings))
    basis = f"use {digest(usage)}" if usage else ""
    posted = _note_legs(work, ending, basis)
    if bill.direct or bill.wallet_fen or bill.receivable_fen:
        _note_beyond(work, one, bill, ending.legs, basis)
    gross = quote.gross_fen
    posted[0] += gross - sum(posted.values())
    state = "SETTLED" if gross or quote.unit_seconds else "VOIDED"
    for rev, fen in posted.items():
        work.holds.append((one.uid, one.attempt, rev, state, fen, rows.now_ms))


def _unbilled(used: Cut) -> list[Line]:
    """Lines of use that nobody pays."""
    return [Line(*piece, 0, 0) for piece in used.pieces]


def _note_legs(work: _Settling, ending: _Ending, basis: str) -> dict[int, int]:
    """Resolve the legs of a run; returns what of its gross each revision of its hold pays."""
    one, posted_by, rows = ending.one, ending.bill.posted, work.rows
    uid, attempt, now_ms = one.uid, one.attempt, rows.now_ms
    paid = dict.fromkeys(ending.revs, 0)
    for stored in ending.legs:
        leg, _, debit, credit, shard = stored
        rev, amount, programme = leg.rev, leg.amount, leg.programme
        posted = posted_by[rev, leg.leg]
        name = leg_id(uid, attempt, rev, leg.leg)
        rows.entries.append(
            Entry(
                shard, Kind.POST if posted else Kind.VOID, "SETTLE", debit, credit, posted, now_ms,
                f"settle:{name}", uid, attempt, name, "", "", "", basis, stored.ledger,
            )
        )  # fmt: skip
        rows.moves.add(debit, credit, -amount, posted)
        if posted:
            work.legs.append((uid, attempt, rev, leg.leg, posted))
        if posted < amount:
            if programme is None:
                work.freed_cities.add(one.city)
            else:
                rows.freed.add(debit)
        if programme is not None and leg.cap_year is not None and not leg.grant:
            cap = (programme, one.enterprise, leg.cap_year)
            rows.count(cap, -posted if leg.cap_reserved else -amount, posted)
        if not leg.claim and not leg.grant:
            paid[rev] += posted
    return paid


def _note_beyond(
    work: _Settling, one: Ended, bill: Bill, legs: Sequence[HeldLeg], basis: str
) -> None:
    """Book what was used beyond the hold: from funds, from the wallet, and as a debt."""
    payable = payable_account(one.center)
    booked: list[tuple[str, str, str, str, int]] = []
    for part in bill.direct:
        for draw in part.draws:
            like = next(stored for stored in legs if stored.debit == draw.account)
            booked.append((like.shard, like.ledger, draw.account, like.credit, draw.amount))
            if draw.cap_year is not None and not part.unit_seconds:
                cap = (part.programme, one.enterprise, draw.cap_year)
                work.rows.count(cap, -draw.amount if draw.cap_reserved else 0, draw.amount)
    shard = wallet_shard(one.city)
    if bill.wallet_fen:
        booked.append((shard, "CNY", wallet_account(one.enterprise), payable, bill.wallet_fen))
    if bill.receivable_fen:
        debt = receivable_account(one.enterprise)
        booked.append((shard, "CNY", debt, payable, bill.receivable_fen))
    for number, (where, ledger, debit, credit, amount) in enumerate(booked):
        work.rows.entries.append(
            Entry(
                where, Kind.DIRECT, "OVERRUN", debit, credit, amount, work.rows.now_ms,
                f"overrun:{one.uid}.{one.attempt}.{number}", one.uid, one.attempt, reason=basis,
                ledger=ledger,
            )
        )  # fmt: skip
        work.rows.moves.add(debit, credit, 0, amount)


def _freed_cities(connection: Connection, work: _Settling) -> set[str]:
    """Money of the whole corridor concerns all its cities."""
    cities = set(work.freed_cities)
    if work.rows.freed:
        marks = ", ".join(["?"] * len(work.rows.freed))
        rows = bulk_read(
            connection,
            f"SELECT DISTINCT city FROM account WHERE account_id IN ({marks})",
            tuple(sorted(work.rows.freed)),
        )
        cities |= {city for (city,) in rows}
    if CORRIDOR in cities:
        cities = {code for (code,) in bulk_read(connection, "SELECT code FROM city")}
    return cities


def _resolve(batch: WriteBatch, work: _Settling) -> None:
    """Write what became of the holds that were noted since the last time."""
    batch.update(
        "UPDATE hold SET state = v.column4, posted_fen = v.column5, resolved_ms = v.column6"
        " FROM {values} WHERE job_uid = v.column1 AND attempt = v.column2 AND rev = v.column3"
        " AND state = 'HELD'",
        work.holds,
        "a hold was resolved beside this transaction",
    )
    batch.update(
        "UPDATE hold_leg SET posted_fen = v.column5 FROM {values} WHERE job_uid = v.column1"
        " AND attempt = v.column2 AND rev = v.column3 AND leg = v.column4",
        work.legs,
    )
    work.holds, work.legs = [], []
