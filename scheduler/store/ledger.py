"""Holds and settlements in the ledger: set-based, exactly once, never above a fund or a cap.

``hold`` reserves the whole charge of each run before it starts; ``settle`` posts what was metered
and frees the rest. Both run in the caller's transaction with the state of the runs, so money and
runs never disagree. Figures are computed in memory from one read; the conditional UPDATEs and the
CHECKs of the tables refuse what a wrong computation would overspend.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from adapters.contract import Usage
from quota.audit import leg_id
from quota.settlement import Bill, Leg, Segment, void
from quota.settlement import settle as settle_legs
from quota.subsidy import Binding, Part, Rule
from quota.transfers import (
    Entry,
    Kind,
    payable_account,
    receivable_account,
    wallet_account,
    wallet_shard,
)
from scheduler.domain.reasons import PendingReason
from scheduler.store import paying, pricing
from scheduler.store.database import bulk_execute, bulk_insert
from scheduler.store.paying import Wanted
from scheduler.store.tables import Hold, HoldLeg, RatedLine, SubsidyLine, UsageRecord, table
from scheduler.store.transfers import append_transfers

RunKey = tuple[int, int]


class Held(NamedTuple):
    """What is held for a run."""

    gross_fen: int
    subsidy_fen: int
    self_pay_fen: int


class Ended(NamedTuple):
    """A run that ended, with its metered use; ``billed`` False if it was not its user's fault."""

    uid: int
    attempt: int
    center: str
    enterprise: str
    city: str
    native_id: str
    billed: bool
    usage: tuple[Usage, ...] | None


class Settled(NamedTuple):
    """What a run cost in the end."""

    gross_fen: int
    subsidy_fen: int
    self_pay_fen: int


NOTHING: Final = Settled(0, 0, 0)

_HOLD_COLUMNS: Final = (
    "job_uid", "attempt", "rev", "state", "price_id", "price_ufen", "frozen", "units",
    "wall_limit_s", "gross_fen", "posted_fen", "created_ms",
)  # fmt: skip
_LEG_COLUMNS: Final = (
    "job_uid", "attempt", "rev", "leg", "kind", "debit_account", "credit_account", "amount_fen",
    "posted_fen", "programme", "rule_version", "cap_year",
)  # fmt: skip


# --- holding --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Holding:
    """Running figures while a batch of holds is computed, and the rows that come of it."""

    means: paying.Means
    now_ms: int
    holds: list[tuple[object, ...]] = field(default_factory=list)
    legs: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    debits: dict[str, int] = field(default_factory=dict)
    credits: dict[str, int] = field(default_factory=dict)
    cap_moves: dict[tuple[str, str], int] = field(default_factory=dict)


def hold(
    connection: Connection, wanted: Sequence[Wanted], now_ms: int
) -> dict[RunKey, Held | PendingReason]:
    """Hold the charge of each run, in order; what cannot be paid gets the reason and holds nothing.

    A run that cannot be paid touches no other. Raises RuntimeError (and the transaction must be
    given up) if an account moved beside this transaction.
    """
    if not wanted:
        return {}
    means = paying.load(connection, {one.enterprise for one in wanted}, now_ms)
    holding = _Holding(means, now_ms)
    result = {(one.uid, one.attempt): _hold_one(holding, one) for one in wanted}
    _write_holds(connection, holding)
    return result


def _hold_one(holding: _Holding, one: Wanted) -> Held | PendingReason:
    found = paying.judge(holding.means, one)
    if found.reason is not None:
        return found.reason
    assert found.price is not None, "what has no price has a reason"
    _note_hold(holding, one, found.price, found.parts, found.gross_fen, found.self_pay_fen)
    return Held(found.gross_fen, found.subsidy_fen, found.self_pay_fen)


def _note_hold(
    holding: _Holding, one: Wanted, price: pricing.Price, parts: Sequence[Part],
    gross: int, self_pay: int,
) -> None:  # fmt: skip
    holding.holds.append(
        (one.uid, one.attempt, 0, "HELD", price.price_id, price.price_ufen,
         json.dumps({part.programme: [part.rule_version, part.binding] for part in parts}),
         one.units,
         one.wall_limit_s, gross, 0, holding.now_ms)
    )  # fmt: skip
    number = 0
    for part in parts:
        if part.amount_fen:
            fund = holding.means.money.funds[part.programme].account_id
            _note_leg(holding, one, number, "FUND", fund, part.amount_fen, part)
            move = (part.programme, one.enterprise)
            holding.means.caps[move] = holding.means.caps.get(move, 0) + part.amount_fen
            holding.cap_moves[move] = holding.cap_moves.get(move, 0) + part.amount_fen
            number += 1
    if self_pay:
        _note_leg(holding, one, number, "WALLET", wallet_account(one.enterprise), self_pay, None)


def _note_leg(
    holding: _Holding, one: Wanted, number: int, kind: str, debit: str, amount: int,
    part: Part | None,
) -> None:  # fmt: skip
    credit = payable_account(one.center)
    name = leg_id(one.uid, one.attempt, 0, number)
    holding.legs.append(
        (one.uid, one.attempt, 0, number, kind, debit, credit, amount, 0,
         None if part is None else part.programme, None if part is None else part.rule_version,
         None if part is None else holding.means.year)
    )  # fmt: skip
    shard = debit if part is not None else wallet_shard(one.city)
    holding.entries.append(
        Entry(shard, Kind.PENDING, "HOLD", debit, credit, amount, holding.now_ms, f"hold:{name}",
              one.uid, one.attempt, name)
    )  # fmt: skip
    holding.means.left[debit] -= amount
    holding.debits[debit] = holding.debits.get(debit, 0) + amount
    holding.credits[credit] = holding.credits.get(credit, 0) + amount


def _write_holds(connection: Connection, holding: _Holding) -> None:
    changed = bulk_execute(
        connection,
        "UPDATE account SET debits_pending = debits_pending + ? WHERE account_id = ?"
        " AND (NOT limited OR debits_posted + debits_pending + ?"
        " <= credits_posted + credit_limit_fen)",
        [(amount, account, amount) for account, amount in sorted(holding.debits.items())],
    )
    changed += bulk_execute(
        connection,
        "UPDATE account SET credits_pending = credits_pending + ? WHERE account_id = ?",
        [(amount, account) for account, amount in sorted(holding.credits.items())],
    )
    if changed != len(holding.debits) + len(holding.credits):
        raise RuntimeError("an account is missing or moved within the transaction")
    limits = {rule.programme: rule.year_cap_fen for rule in holding.means.money.rules}
    bulk_execute(
        connection,
        "INSERT INTO cap_counter (programme, enterprise, year, pending_fen, posted_fen, limit_fen)"
        " VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (programme, enterprise, year) DO UPDATE SET"
        " pending_fen = cap_counter.pending_fen + excluded.pending_fen,"
        " limit_fen = excluded.limit_fen",
        [
            (programme, enterprise, holding.means.year, amount, limits[programme])
            for (programme, enterprise), amount in sorted(holding.cap_moves.items())
        ],
    )
    bulk_insert(connection, table(Hold), _HOLD_COLUMNS, holding.holds)
    bulk_insert(connection, table(HoldLeg), _LEG_COLUMNS, holding.legs)
    append_transfers(connection, holding.entries)


# --- settling -------------------------------------------------------------------------------------


class _Leg(NamedTuple):
    """A stored leg."""

    leg: Leg
    debit: str
    credit: str
    cap_year: int | None
    posted_fen: int


@dataclass(slots=True)
class _Settling:
    """Rows and moves of a batch of settlements."""

    now_ms: int
    holds: list[tuple[object, ...]] = field(default_factory=list)
    legs: list[tuple[object, ...]] = field(default_factory=list)
    usage: list[tuple[object, ...]] = field(default_factory=list)
    rated: list[tuple[object, ...]] = field(default_factory=list)
    lines: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    debits: dict[str, tuple[int, int]] = field(default_factory=dict)
    credits: dict[str, tuple[int, int]] = field(default_factory=dict)
    caps: dict[tuple[str, str, int], tuple[int, int]] = field(default_factory=dict)


def settle(connection: Connection, ended: Sequence[Ended], now_ms: int) -> dict[RunKey, Settled]:
    """Settle each run once; one that was settled before gives what was recorded, unchanged."""
    if not ended:
        return {}
    uids = ", ".join(str(one.uid) for one in ended)
    holds = {
        (row[0], row[1]): row
        for row in connection.exec_driver_sql(
            "SELECT job_uid, attempt, state, price_id, price_ufen, posted_fen, frozen FROM hold"
            f" WHERE job_uid IN ({uids})"
        )
    }
    legs = _stored_legs(connection, uids)
    rules = _rules(connection)
    work = _Settling(now_ms)
    result: dict[RunKey, Settled] = {}
    for one in ended:
        key = (one.uid, one.attempt)
        found = holds.get(key)
        if found is None:
            result[key] = NOTHING
        elif found[2] != "HELD":
            given = sum(x.posted_fen for x in legs[key] if x.leg.programme is not None)
            result[key] = Settled(found[5], given, found[5] - given)
        else:
            frozen = _Frozen(found[3], found[4], json.loads(found[6]))
            result[key] = _settle_one(work, one, frozen, legs.get(key, []), rules)
    _write_settlements(connection, work)
    return result


def _stored_legs(connection: Connection, uids: str) -> dict[RunKey, list[_Leg]]:
    legs: dict[RunKey, list[_Leg]] = {}
    for row in connection.exec_driver_sql(
        "SELECT job_uid, attempt, leg, amount_fen, programme, rule_version, debit_account,"
        " credit_account, cap_year, posted_fen FROM hold_leg"
        f" WHERE job_uid IN ({uids}) ORDER BY job_uid, attempt, rev, leg"
    ):
        uid, attempt, number, amount, programme, version, debit, credit, year, posted = row
        stored = _Leg(Leg(number, amount, programme, version), debit, credit, year, posted)
        legs.setdefault((uid, attempt), []).append(stored)
    return legs


def _rules(connection: Connection) -> dict[tuple[str, int], Rule]:
    rows = connection.exec_driver_sql("SELECT programme, version, body FROM rule_version")
    return {(programme, version): Rule.from_json(body) for programme, version, body in rows}


class _Frozen(NamedTuple):
    """What admission froze: the price, and per programme its rule version and binding limit."""

    price_id: str
    price_ufen: int
    bindings: Mapping[str, tuple[int, str]]


def _settle_one(
    work: _Settling, one: Ended, frozen: _Frozen, legs: list[_Leg],
    rules: Mapping[tuple[str, int], Rule],
) -> Settled:  # fmt: skip
    usage = one.usage or ()
    segments = [
        Segment(use.segment, max(0, use.end_ms - use.start_ms) // 1000, use.units) for use in usage
    ]
    plain = [stored.leg for stored in legs]
    billed = one.billed and bool(usage)
    bill = settle_legs(plain, rules, segments, frozen.price_ufen) if billed else void(plain)
    for index, use in enumerate(usage):
        work.usage.append(
            (one.center, use.native_id, use.submit_ms, use.segment, use.revision, one.uid,
             one.attempt, use.start_ms, use.end_ms, use.units, use.raw_sha256, use.source)
        )  # fmt: skip
        fen = bill.segments_fen[index] if bill.segments_fen else 0
        work.rated.append(
            (one.uid, one.attempt, index, use.segment, frozen.price_id, segments[index].seconds,
             use.units, fen, one.billed)
        )  # fmt: skip
    for stored in legs:
        _settle_leg(work, one, stored, bill, frozen)
    if bill.receivable_fen:
        _overrun(work, one, bill.receivable_fen)
    state = "SETTLED" if bill.gross_fen else "VOIDED"
    work.holds.append((state, bill.gross_fen, work.now_ms, one.uid, one.attempt))
    return Settled(bill.gross_fen, bill.subsidy_fen, bill.gross_fen - bill.subsidy_fen)


def _settle_leg(work: _Settling, one: Ended, stored: _Leg, bill: Bill, frozen: _Frozen) -> None:
    leg, posted = stored.leg, bill.posted_fen[stored.leg.leg]
    name = leg_id(one.uid, one.attempt, 0, leg.leg)
    kind = Kind.POST if posted else Kind.VOID
    shard = stored.debit if leg.programme is not None else wallet_shard(one.city)
    work.entries.append(
        Entry(shard, kind, "SETTLE", stored.debit, stored.credit, posted, work.now_ms,
              f"settle:{name}", one.uid, one.attempt, name)
    )  # fmt: skip
    work.legs.append((posted, one.uid, one.attempt, leg.leg))
    _add(work.debits, stored.debit, leg.amount_fen, posted)
    _add(work.credits, stored.credit, leg.amount_fen, posted)
    if leg.programme is not None and stored.cap_year is not None:
        cap = (leg.programme, one.enterprise, stored.cap_year)
        held, given = work.caps.get(cap, (0, 0))
        work.caps[cap] = (held + leg.amount_fen, given + posted)
        # A subsidy that was cut at admission is still cut if all that was held is used.
        full = posted == leg.amount_fen
        binding = frozen.bindings[leg.programme][1] if full else Binding.RATE
        work.lines.append(
            (one.uid, one.attempt, leg.programme, leg.rule_version, stored.debit, posted, binding)
        )


def _overrun(work: _Settling, one: Ended, amount: int) -> None:
    debit, credit = receivable_account(one.enterprise), payable_account(one.center)
    work.entries.append(
        Entry(wallet_shard(one.city), Kind.DIRECT, "OVERRUN", debit, credit, amount, work.now_ms,
              f"overrun:{one.uid}.{one.attempt}", one.uid, one.attempt)
    )  # fmt: skip
    _add(work.debits, debit, 0, amount)
    _add(work.credits, credit, 0, amount)


def _add(moves: dict[str, tuple[int, int]], account: str, held: int, posted: int) -> None:
    before = moves.get(account, (0, 0))
    moves[account] = (before[0] + held, before[1] + posted)


def _write_settlements(connection: Connection, work: _Settling) -> None:
    changed = bulk_execute(
        connection,
        "UPDATE hold SET state = ?, posted_fen = ?, resolved_ms = ?"
        " WHERE job_uid = ? AND attempt = ? AND rev = 0 AND state = 'HELD'",
        work.holds,
    )
    if changed != len(work.holds):
        raise RuntimeError("a hold was resolved within the transaction")
    bulk_execute(
        connection,
        "UPDATE hold_leg SET posted_fen = ? WHERE job_uid = ? AND attempt = ? AND rev = 0"
        " AND leg = ?",
        work.legs,
    )
    for side, moves in (("debits", work.debits), ("credits", work.credits)):
        bulk_execute(
            connection,
            f"UPDATE account SET {side}_pending = {side}_pending - ?,"
            f" {side}_posted = {side}_posted + ? WHERE account_id = ?",
            [(held, posted, account) for account, (held, posted) in sorted(moves.items())],
        )
    bulk_execute(
        connection,
        "UPDATE cap_counter SET pending_fen = pending_fen - ?, posted_fen = posted_fen + ?"
        " WHERE programme = ? AND enterprise = ? AND year = ?",
        [(held, given, *cap) for cap, (held, given) in sorted(work.caps.items())],
    )
    bulk_insert(
        connection, table(UsageRecord),
        ("center", "native_id", "submit_ms", "segment", "revision", "job_uid", "attempt",
         "start_ms", "end_ms", "units", "raw_sha256", "source"),
        work.usage,
    )  # fmt: skip
    bulk_insert(
        connection, table(RatedLine),
        ("job_uid", "attempt", "line", "segment", "price_id", "seconds", "units", "gross_fen",
         "billed"),
        work.rated,
    )  # fmt: skip
    bulk_insert(
        connection, table(SubsidyLine),
        ("job_uid", "attempt", "programme", "rule_version", "account_id", "amount_fen", "binding"),
        work.lines,
    )  # fmt: skip
    append_transfers(connection, work.entries)
