"""Use that a center states after a run was settled: the difference is charged or paid back.

A new revision of a record makes a new revision of the charge, at the frozen prices and rules. The
same record again changes nothing; the same revision with other content is a difference that
somebody has to look at, and so is a revision of a charge that somebody decided meanwhile.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from adapters.contract import Usage
from quota.charges import Left, Leg
from quota.settling import settle, void
from quota.slices import Cut, Cuts, Span, bounds_of, cut
from quota.transfers import payable_account, receivable_account, wallet_account, wallet_shard
from scheduler.store import (
    accounts,
    charge_book,
    charge_rows,
    corrections,
    frozen,
    held_legs,
    overruns,
    pricing,
)
from scheduler.store.charge_book import Charge, RatedRow
from scheduler.store.charge_tables import ReconDiff
from scheduler.store.corrections import Pay, Revision, Why
from scheduler.store.database import bulk_insert, bulk_read
from scheduler.store.frozen import Frozen
from scheduler.store.held_legs import HeldLeg
from scheduler.store.tables import table
from scheduler.store.usage_records import digest, is_billed, sound

RunKey = tuple[int, int]
#: Who corrects a charge by what its center states.
SERVICE: Final = "corridor"
_DIFF_COLUMNS: Final = (
    "center", "kind", "native_id", "submit_ms", "segment", "job_uid", "attempt", "use_ms", "here",
    "there", "state", "found_ms", "idem_key", "resolved_by", "resolution",
)  # fmt: skip


def take(
    connection: Connection, stated: Mapping[RunKey, Sequence[Usage]], now_ms: int
) -> list[RunKey]:
    """Take what centers state of runs that are settled; returns those whose charge was corrected.

    Runs that are not settled are left out: they are settled by what is reported of them.
    """
    if not stated:
        return []
    charges = charge_book.load(connection, stated.keys())
    resolved = _resolved(connection, charges.keys())
    known = _known(connection, charges.keys())
    differing: list[tuple[object, ...]] = []
    fresh: dict[RunKey, list[Usage]] = {}
    for key, charge in charges.items():
        for said in stated[key]:
            one = replace(said, run_id="", failure=None)
            mine = known.get(key, {})
            if key in resolved:
                differing += _beside_a_word(charge, said, mine, now_ms)
                continue
            stored = mine.get((one.segment, one.revision))
            if not is_billed(said):
                differing += _no_more_billed(charge, one, mine, now_ms)
            elif stored is None:
                newer = any(
                    segment == one.segment and revision > one.revision for segment, revision in mine
                )
                if not newer:  # else a newer one came first: it says nothing any more
                    fresh.setdefault(key, []).append(one)
            elif stored != one:
                differing.append(_difference(charge, one, _json(stored), now_ms))
    corrected = _correct(connection, charges, known, fresh, differing, now_ms)
    note_differences(connection, differing)
    return corrected


def _resolved(connection: Connection, keys: Collection[RunKey]) -> set[RunKey]:
    """Which of these runs ended by an operator's word."""
    listed = ", ".join(str(uid) for uid, _ in keys)
    if not listed:
        return set()
    rows = bulk_read(
        connection,
        f"SELECT job_uid, attempt FROM run WHERE job_uid IN ({listed}) AND resolution <> ''",
    )
    return {(uid, attempt) for uid, attempt in rows} & set(keys)


def _beside_a_word(
    charge: Charge, said: Usage, mine: Mapping[tuple[int, int], Usage], now_ms: int
) -> list[tuple[object, ...]]:
    """Return a difference for use of a run that an operator said the end of.

    That word stands: nothing is charged beside it by itself. What is known here already is none.
    """
    spans = {(stored.start_ms, stored.end_ms, stored.units) for stored in mine.values()}
    if not is_billed(said) or (said.start_ms, said.end_ms, said.units) in spans:
        return []
    here = max(mine.values(), key=lambda stored: stored.revision, default=None)
    one = replace(said, run_id="", failure=None)
    return [_difference(charge, one, "" if here is None else _json(here), now_ms)]


def _no_more_billed(
    charge: Charge, one: Usage, mine: Mapping[tuple[int, int], Usage], now_ms: int
) -> list[tuple[object, ...]]:
    """Return a difference if what the center's fault cut off, it says by now, was billed here.

    The center bills nothing of it: no second of it is theirs.
    """
    billed = [stored for (segment, _), stored in mine.items() if segment == one.segment]
    if not billed:
        return []
    here = _json(max(billed, key=lambda stored: stored.revision))
    return [_difference(charge, replace(one, end_ms=one.start_ms), here, now_ms)]


def note_differences(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Keep differences, each once."""
    if not rows:
        return
    by_key = {str(row[12]): row for row in rows}
    marks = ", ".join("?" * len(by_key))
    there = {
        key
        for (key,) in bulk_read(
            connection,
            f"SELECT idem_key FROM recon_diff WHERE idem_key IN ({marks})",
            tuple(by_key),
        )
    }
    new = [row for key, row in by_key.items() if key not in there]
    bulk_insert(connection, table(ReconDiff), _DIFF_COLUMNS, new)


def odd(run: charge_rows.Run, usage: Sequence[Usage], now_ms: int) -> list[tuple[object, ...]]:
    """Return differences for records that make no sense together: they are not billed."""
    return [_row(run, one, "", now_ms) for one in usage]


def _difference(charge: Charge, one: Usage, here: str, now_ms: int) -> tuple[object, ...]:
    return _row(charge.run, one, here, now_ms)


def _row(run: charge_rows.Run, one: Usage, here: str, now_ms: int) -> tuple[object, ...]:
    there = _json(one)
    key = sha256(f"{run.center}\n{run.uid}.{run.attempt}\n{here}\n{there}".encode()).hexdigest()
    return (
        run.center, "RECORD", one.native_id, one.submit_ms, one.segment, run.uid, run.attempt,
        max(one.start_ms, one.end_ms), here, there, "OPEN", now_ms, key, "", "",
    )  # fmt: skip


def _json(one: Usage) -> str:
    said: dict[str, Any] = {
        "native_id": one.native_id,
        "submit_ms": one.submit_ms,
        "segment": one.segment,
        "revision": one.revision,
        "start_ms": one.start_ms,
        "end_ms": one.end_ms,
        "seconds": (one.end_ms - one.start_ms) // 1000,
        "units": one.units,
        "raw_sha256": one.raw_sha256,
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _known(
    connection: Connection, keys: Collection[RunKey]
) -> dict[RunKey, dict[tuple[int, int], Usage]]:
    """The records that are kept, by run, segment and revision."""
    found: dict[RunKey, dict[tuple[int, int], Usage]] = {}
    listed = ", ".join(str(uid) for uid, _ in keys)
    if not listed:
        return found
    for uid, attempt, *row in bulk_read(
        connection,
        "SELECT job_uid, attempt, native_id, submit_ms, segment, revision, start_ms, end_ms,"
        f" units, raw_sha256, source FROM usage_record WHERE job_uid IN ({listed})",
    ):
        one = Usage("", *row)
        found.setdefault((uid, attempt), {})[one.segment, one.revision] = one
    return found


# --- the new charge -------------------------------------------------------------------------------


def _correct(
    connection: Connection,
    charges: Mapping[RunKey, Charge],
    known: Mapping[RunKey, Mapping[tuple[int, int], Usage]],
    fresh: Mapping[RunKey, Sequence[Usage]],
    differing: list[tuple[object, ...]],
    now_ms: int,
) -> list[RunKey]:
    """Charge what is new; what makes no sense, or somebody decided on, becomes a difference."""
    using: dict[RunKey, tuple[Usage, ...]] = {}
    for key, more in fresh.items():
        charge = charges[key]
        records = [*known.get(key, {}).values(), *more]
        billed = sound(key, records)
        if billed is None or by_hand(charge):
            differing += [_difference(charge, one, "", now_ms) for one in more]
        else:
            using[key] = billed
    due = [charges[key] for key in using]
    corrections.lock(connection, due)
    due = list(charge_book.load(connection, using.keys()).values()) if due else []
    rating = _Rating(connection, due)
    revisions = [rating.revise(charge, using[charge.run.uid, charge.run.attempt]) for charge in due]
    _write(connection, revisions, fresh, now_ms)
    return list(using)


def _write(
    connection: Connection,
    revisions: Sequence[Revision],
    fresh: Mapping[RunKey, Sequence[Usage]],
    now_ms: int,
) -> None:
    corrections.write(connection, revisions, now_ms)
    rows = charge_rows.ChargeRows(now_ms)
    for one in revisions:
        run = one.charge.run
        rows.meter(run, fresh[run.uid, run.attempt], one.charge.revision + 1)
    rows.write(connection)


# --- use that somebody takes over -----------------------------------------------------------------


def by_hand(charge: Charge) -> bool:
    """Whether somebody decided on a charge, so that no use changes it any more."""
    return bool(charge.decided or charge.written_off_fen or charge.clawed_back_fen)


def newest(connection: Connection, key: RunKey) -> dict[int, tuple[Usage, int]]:
    """Return the newest record of each segment of a run, and the charge's revision it is of."""
    rows = bulk_read(
        connection,
        "SELECT native_id, submit_ms, segment, revision, start_ms, end_ms, units, raw_sha256,"
        f" source, charge_revision FROM usage_record WHERE job_uid = {key[0]}"
        f" AND attempt = {key[1]} ORDER BY revision",
    )
    return {row[2]: (Usage("", *row[:9]), int(row[9])) for row in rows}


def revision_of(connection: Connection, charge: Charge, one: Usage) -> Revision | None:
    """Return what a charge comes to with one more record of its use, in the caller's transaction.

    None if the record makes no sense beside the others. The caller locked what may move, and read
    the charge after that.
    """
    key = (charge.run.uid, charge.run.attempt)
    known = _known(connection, [key]).get(key, {})
    billed = sound(key, [*known.values(), one])
    return None if billed is None else _Rating(connection, [charge]).revise(charge, billed)


def write(connection: Connection, revision: Revision, one: Usage, now_ms: int) -> None:
    """Write a revision with the record it comes from."""
    run = revision.charge.run
    _write(connection, [revision], {(run.uid, run.attempt): [one]}, now_ms)


class _Held(NamedTuple):
    """What was held and frozen for a run."""

    frozen: Frozen
    legs: list[HeldLeg]


class _Rating:
    """Rates use anew, by what was frozen for its run, of what it paid and what is left."""

    def __init__(self, connection: Connection, charges: Sequence[Charge]) -> None:
        self._held = _held(connection, charges)
        versions = {one for held in self._held.values() for one in held.frozen.versions()}
        self._rules = pricing.load_rules(connection, versions)
        over = {
            charge.run.enterprise: self._held[charge.run.uid, charge.run.attempt].legs
            for charge in charges
        }
        self._left = overruns.read(connection, over, accounts.Moves(), {})
        names = {one.debit for charge in charges for one in charge.entries}
        self._stand_ins = charge_book.stand_ins(connection, names)

    def revise(self, charge: Charge, usage: Sequence[Usage]) -> Revision:
        """Return what a charge comes to by all its use."""
        run = charge.run
        held = self._held[run.uid, run.attempt]
        legs = _paid(held.legs, charge)
        spans = [Span(one.segment, one.start_ms, one.end_ms, one.units) for one in usage]
        used = cut(spans, Cuts(held.frozen.prices, bounds_of(legs)))
        bill = void(legs)
        if charge.billed:
            self._left.accounts[wallet_account(run.enterprise)] += _paid_beside(legs, charge)
            left, wallet = self._left.for_run(run.enterprise, held.legs)
            admitted = held.frozen.admitted(self._rules)
            bill = settle(legs, admitted, used, self._open(left), wallet)
            self._left.take(run.enterprise, bill)
        pays = [
            Pay(one.shard, one.ledger, one.debit, one.credit, bill.posted[leg.rev, leg.leg])
            for one, leg in zip(held.legs, legs, strict=True)
            if bill.posted[leg.rev, leg.leg]
        ]
        for part in bill.direct:
            for draw in part.draws:
                like = next(one for one in held.legs if one.debit == draw.account)
                pays.append(Pay(like.shard, like.ledger, draw.account, like.credit, draw.amount))
        own = (wallet_shard(run.city), "CNY")
        payable = payable_account(run.center)
        for debit, amount in (
            (wallet_account(run.enterprise), bill.wallet_fen),
            (receivable_account(run.enterprise), bill.receivable_fen),
        ):
            if amount:
                pays.append(Pay(*own, debit, payable, amount))
        basis = f"use {digest(charge_rows.usage_row(run.center, one) for one in usage)}"
        why = Why(
            "USAGE", "METERED", f"usage:{run.uid}.{run.attempt}:{basis[4:]}", SERVICE, "SERVICE", ""
        )
        given = charge_rows.givens(bill.quote.parts, used, held.frozen.bindings())
        return Revision(charge, why, basis, _rated(bill.lines, used, charge.billed), given, pays)

    def _open(self, left: Left) -> Left:
        """Funds that were closed give nothing but what they gave before."""
        open_ = {name: fen for name, fen in left.accounts.items() if name not in self._stand_ins}
        return Left(left.sources, open_, left.caps)


def _rated(lines: Sequence[Any], used: Cut, billed: bool) -> list[RatedRow]:
    pieces = lines or [(*piece, 0, 0) for piece in used.pieces]
    return [
        RatedRow(
            at, segment, used.slices[slice_].price_id, seconds, units, free, fen, billed, start_ms,
            end_ms,
        )
        for at, (segment, slice_, start_ms, end_ms, seconds, units, free, fen) in enumerate(pieces)
    ]  # fmt: skip


def _paid(legs: Sequence[HeldLeg], charge: Charge) -> list[Leg]:
    """Return the legs with what was paid by each as what it holds; the first of an account pays."""
    programmes: dict[tuple[str, int | None], int] = {}
    for _, line in charge.given:
        place = (_account(line, legs), line.cap_year)
        programmes[place] = programmes.get(place, 0) + line.amount
    wallet = wallet_account(charge.run.enterprise)
    own = sum(one.amount for one in charge.entries if one.debit == wallet)
    paid: list[Leg] = []
    for one in legs:
        leg = one.leg
        if leg.programme is None:
            paid.append(leg._replace(amount=own))
            own = 0
        else:
            amount = programmes.pop((one.debit, leg.cap_year), 0)
            paid.append(leg._replace(amount=amount))
    for (account, _), amount in programmes.items():
        at = next(at for at, one in enumerate(legs) if one.debit == account)
        paid[at] = paid[at]._replace(amount=paid[at].amount + amount)
    return paid


def _paid_beside(legs: Sequence[Leg], charge: Charge) -> int:
    """What the wallet paid of a charge for which no leg of it was held: it may pay it again."""
    if any(leg.programme is None for leg in legs):
        return 0
    wallet = wallet_account(charge.run.enterprise)
    return sum(one.amount for one in charge.entries if one.debit == wallet)


def _account(line: charge_rows.Given, legs: Sequence[HeldLeg]) -> str:
    """The account that was held for a line: what lapsed, or the pool, may stand in for it."""
    kind, _, rest = line.account.partition(":")
    if kind == "lapsed":
        return f"fund:{rest}"
    if kind == "grant_pool":
        return next(
            one.debit for one in legs if one.leg.grant and one.leg.programme == line.programme
        )
    return line.account


def _held(connection: Connection, charges: Sequence[Charge]) -> dict[RunKey, _Held]:
    uids = [charge.run.uid for charge in charges]
    legs = held_legs.read(connection, uids)
    if not uids:
        return {}
    listed = ", ".join(map(str, uids))
    return {
        (uid, attempt): _Held(frozen.read(text, price_id, ufen), legs.get((uid, attempt), []))
        for uid, attempt, price_id, ufen, text in bulk_read(
            connection,
            "SELECT job_uid, attempt, price_id, price_ufen, frozen FROM hold"
            f" WHERE job_uid IN ({listed}) AND rev = 0",
        )
    }
