"""Runs settled by their metered use: set-based, each once, never above what was held.

``settle`` posts each leg up to what it holds and frees the rest, in the caller's transaction with
the end of the runs. What the center metered beyond the hold becomes the enterprise's debt.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from adapters.contract import Usage
from quota.audit import leg_id
from quota.budgets import Use
from quota.settlement import Bill, Leg, Segment, void
from quota.settlement import settle as settle_legs
from quota.subsidy import CORRIDOR, Binding, Rule
from quota.transfers import (
    Entry,
    Kind,
    payable_account,
    receivable_account,
    wallet_shard,
)
from scheduler.store import accounts, budget_holds, pricing
from scheduler.store.database import bulk_insert, bulk_read, bulk_update
from scheduler.store.tables import RatedLine, SubsidyLine, UsageRecord, table
from scheduler.store.transfers import append_transfers
from scheduler.store.usage_records import digest

RunKey = tuple[int, int]


class Ended(NamedTuple):
    """A run that ended, with its metered use; ``billed`` False if it was not its user's fault."""

    uid: int
    attempt: int
    center: str
    enterprise: str
    city: str
    billed: bool
    usage: Sequence[Usage]


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


_USAGE_COLUMNS: Final = (
    "job_uid", "attempt", "center", "native_id", "submit_ms", "segment", "revision", "start_ms",
    "end_ms", "units", "raw_sha256", "source",
)  # fmt: skip
_RATED_COLUMNS: Final = (
    "job_uid", "attempt", "revision", "line", "segment", "price_id", "seconds", "units",
    "free", "gross_fen", "billed", "start_ms", "end_ms", "booked_ms",
)  # fmt: skip
_SUBSIDY_COLUMNS: Final = (
    "job_uid", "attempt", "revision", "line", "programme", "rule_version", "account_id",
    "amount_fen", "binding", "cap_year", "ledger", "start_ms", "booked_ms",
)  # fmt: skip


class _Leg(NamedTuple):
    """A stored leg."""

    leg: Leg
    debit: str
    credit: str
    cap_year: int | None


class _Frozen(NamedTuple):
    """What admission froze: the price, and per programme its rule version and binding limit."""

    price_id: str
    price_ufen: int
    bindings: str


@dataclass(slots=True)
class _Settling:
    """Rows and moves of a batch of settlements."""

    now_ms: int
    rules: Mapping[tuple[str, int], Rule]
    holds: list[tuple[object, ...]] = field(default_factory=list)
    legs: list[tuple[object, ...]] = field(default_factory=list)
    usage: list[tuple[object, ...]] = field(default_factory=list)
    rated: list[tuple[object, ...]] = field(default_factory=list)
    lines: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    moves: accounts.Moves = field(default_factory=accounts.Moves)
    caps: dict[tuple[str, str, int], list[int]] = field(default_factory=dict)
    #: Funds, and cities of wallets, to which held money comes back.
    freed_funds: set[str] = field(default_factory=set)
    freed_cities: set[str] = field(default_factory=set)


def settle(connection: Connection, ended: Sequence[Ended], now_ms: int) -> Settlements:
    """Settle runs, each for the first time; raises RuntimeError for one without an open hold."""
    if not ended:
        return Settlements({}, ())
    uids = ", ".join(str(one.uid) for one in ended)
    holds = {
        (uid, attempt): _Frozen(price_id, price, frozen)
        for uid, attempt, price_id, price, frozen in bulk_read(
            connection,
            "SELECT job_uid, attempt, price_id, price_ufen, frozen FROM hold"
            f" WHERE job_uid IN ({uids}) AND state = 'HELD'",
        )
    }
    legs = _stored_legs(connection, uids)
    versions = {
        (one.leg.programme, one.leg.rule_version)
        for found in legs.values()
        for one in found
        if one.leg.programme is not None and one.leg.rule_version is not None
    }
    work = _Settling(now_ms, pricing.load_rules(connection, versions))
    settled: dict[RunKey, Settled] = {}
    for one in ended:
        key = (one.uid, one.attempt)
        frozen = holds.get(key)
        if frozen is None:
            raise RuntimeError(f"run {key} has no open hold: it was settled before or never held")
        settled[key] = _settle_one(work, one, frozen, legs.get(key, []))
    _write(connection, work)
    freed = budget_holds.settle(
        connection, {(one.uid, one.attempt): _uses(one) for one in ended}, now_ms
    )
    return Settlements(settled, freed | _freed_cities(connection, work))


def _uses(one: Ended) -> list[Use]:
    """What counts against the budgets: what is billed."""
    return [Use(use.start_ms, use.end_ms, use.units) for use in one.usage] if one.billed else []


def _stored_legs(connection: Connection, uids: str) -> dict[RunKey, list[_Leg]]:
    """Return legs in the order in which their rules give."""
    legs: dict[RunKey, list[_Leg]] = {}
    for (
        uid,
        attempt,
        number,
        amount,
        programme,
        version,
        debit,
        credit,
        year,
    ) in bulk_read(
        connection,
        "SELECT job_uid, attempt, leg, amount_fen, programme, rule_version, debit_account,"
        f" credit_account, cap_year FROM hold_leg WHERE job_uid IN ({uids})"
        " ORDER BY job_uid, attempt, leg",
    ):
        stored = _Leg(Leg(number, amount, programme, version), debit, credit, year)
        found = legs.get((uid, attempt))
        if found is None:
            legs[uid, attempt] = [stored]
        else:
            found.append(stored)
    return legs


def _settle_one(work: _Settling, one: Ended, frozen: _Frozen, legs: list[_Leg]) -> Settled:
    plain = [stored.leg for stored in legs]
    segments = [
        Segment(use.segment, (use.end_ms - use.start_ms) // 1000, use.units) for use in one.usage
    ]
    if one.billed and segments:
        bill = settle_legs(plain, work.rules, segments, frozen.price_ufen)
    else:
        bill = void(plain)
    uid, attempt = one.uid, one.attempt
    used: list[tuple[object, ...]] = []
    for line, (use, segment) in enumerate(zip(one.usage, segments, strict=True)):
        row = (
            one.center, use.native_id, use.submit_ms, use.segment, use.revision, use.start_ms,
            use.end_ms, use.units, use.raw_sha256, use.source,
        )  # fmt: skip
        used.append(row)
        work.usage.append((uid, attempt, *row))
        fen = bill.segments_fen[line] if bill.segments_fen else 0
        work.rated.append(
            (
                uid, attempt, 0, line, use.segment, frozen.price_id, segment.seconds, use.units, 0,
                fen, one.billed, use.start_ms, use.end_ms, work.now_ms,
            )
        )  # fmt: skip
    basis = f"use {digest(used)}" if used else ""
    for stored in legs:
        _settle_leg(work, one, stored, bill.posted_fen[stored.leg.leg], basis)
    if bill.gross_fen:
        _note_subsidies(work, one, legs, bill, frozen)
    if bill.receivable_fen:
        _note_overrun(work, one, bill.receivable_fen)
    state = "SETTLED" if bill.gross_fen else "VOIDED"
    work.holds.append((uid, attempt, state, bill.gross_fen))
    return Settled(bill.gross_fen, bill.subsidy_fen, bill.gross_fen - bill.subsidy_fen)


def _settle_leg(work: _Settling, one: Ended, stored: _Leg, posted: int, basis: str) -> None:
    (number, amount, programme, _), debit, credit, cap_year = stored
    name = leg_id(one.uid, one.attempt, 0, number)
    shard = wallet_shard(one.city) if programme is None else debit
    work.entries.append(
        Entry(
            shard, Kind.POST if posted else Kind.VOID, "SETTLE", debit, credit, posted, work.now_ms,
            f"settle:{name}", one.uid, one.attempt, name, reason=basis,
        )
    )  # fmt: skip
    work.moves.add(debit, credit, -amount, posted)
    if posted:
        work.legs.append((one.uid, one.attempt, number, posted))
    if posted < amount:
        if programme is None:
            work.freed_cities.add(one.city)
        else:
            work.freed_funds.add(debit)
    if programme is not None and cap_year is not None:
        cap = (programme, one.enterprise, cap_year)
        sums = work.caps.get(cap)
        if sums is None:
            sums = work.caps[cap] = [0, 0]
        sums[0] += amount
        sums[1] += posted


def _note_subsidies(
    work: _Settling, one: Ended, legs: list[_Leg], bill: Bill, frozen: _Frozen
) -> None:
    bindings: Mapping[str, tuple[int, str]] = json.loads(frozen.bindings)
    start_ms = one.usage[0].start_ms
    for leg, debit, _, cap_year in legs:
        if leg.programme is None:
            continue
        posted = bill.posted_fen[leg.leg]
        # A subsidy that was cut at admission is still cut if all that was held is used.
        full = posted == leg.amount_fen
        binding = bindings[leg.programme][1] if full else Binding.RATE
        work.lines.append(
            (
                one.uid, one.attempt, 0, leg.leg, leg.programme, leg.rule_version, debit, posted,
                binding, cap_year, "CNY", start_ms, work.now_ms,
            )
        )  # fmt: skip


def _note_overrun(work: _Settling, one: Ended, amount: int) -> None:
    debit, credit = receivable_account(one.enterprise), payable_account(one.center)
    work.entries.append(
        Entry(
            wallet_shard(one.city), Kind.DIRECT, "OVERRUN", debit, credit, amount, work.now_ms,
            f"overrun:{one.uid}.{one.attempt}", one.uid, one.attempt,
        )
    )  # fmt: skip
    work.moves.add(debit, credit, 0, amount)


def _freed_cities(connection: Connection, work: _Settling) -> set[str]:
    """Money of the whole corridor concerns all its cities."""
    cities = set(work.freed_cities)
    if work.freed_funds:
        marks = ", ".join(["?"] * len(work.freed_funds))
        cities |= {
            row[0]
            for row in connection.exec_driver_sql(
                f"SELECT DISTINCT city FROM account WHERE account_id IN ({marks})",
                tuple(sorted(work.freed_funds)),
            )
        }
    if CORRIDOR in cities:
        cities = {row[0] for row in connection.exec_driver_sql("SELECT code FROM city")}
    return cities


def _write(connection: Connection, work: _Settling) -> None:
    changed = bulk_update(
        connection,
        "UPDATE hold SET state = v.column3, posted_fen = v.column4, resolved_ms = v.column5"
        " FROM {values} WHERE job_uid = v.column1 AND attempt = v.column2 AND rev = 0"
        " AND state = 'HELD'",
        [(*row, work.now_ms) for row in work.holds],
    )
    if changed != len(work.holds):
        raise RuntimeError("a hold was resolved beside this transaction")
    bulk_update(
        connection,
        "UPDATE hold_leg SET posted_fen = v.column4 FROM {values} WHERE job_uid = v.column1"
        " AND attempt = v.column2 AND rev = 0 AND leg = v.column3",
        work.legs,
    )
    accounts.move(connection, work.moves)
    bulk_update(
        connection,
        "UPDATE cap_counter SET pending_fen = pending_fen - v.column4,"
        " posted_fen = posted_fen + v.column5 FROM {values}"
        " WHERE programme = v.column1 AND enterprise = v.column2 AND year = v.column3",
        [(*cap, *sums) for cap, sums in sorted(work.caps.items())],
    )
    bulk_insert(connection, table(UsageRecord), _USAGE_COLUMNS, work.usage)
    bulk_insert(connection, table(RatedLine), _RATED_COLUMNS, work.rated)
    bulk_insert(connection, table(SubsidyLine), _SUBSIDY_COLUMNS, work.lines)
    append_transfers(connection, work.entries)
