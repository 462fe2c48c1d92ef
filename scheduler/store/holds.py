"""Money held for runs before they start: set-based, all of a run's charge or none of it.

``hold`` runs in the caller's transaction with the state of the runs, so money and runs never
disagree. Figures are computed in memory from one read; the conditional UPDATEs and the CHECKs of
the tables refuse what a wrong computation would overspend.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.audit import leg_id
from quota.charges import FOREVER_MS
from quota.transfers import Entry, Kind, payable_account, wallet_account, wallet_shard
from scheduler.domain.reasons import PendingReason
from scheduler.store import accounts, paying
from scheduler.store.database import bulk_execute, bulk_insert
from scheduler.store.paying import Judgement, Wanted
from scheduler.store.tables import Hold, HoldLeg, table
from scheduler.store.transfers import append_transfers

RunKey = tuple[int, int]


class Held(NamedTuple):
    """What is held for a run."""

    gross_fen: int
    subsidy_fen: int
    self_pay_fen: int


_HOLD_COLUMNS: Final = (
    "job_uid", "attempt", "price_id", "price_ufen", "frozen", "units", "wall_limit_s",
    "gross_fen", "created_ms",
)  # fmt: skip
_HOLD_BEGINS: Final = {"rev": "0", "state": "'HELD'", "posted_fen": "0"}
_LEG_COLUMNS: Final = (
    "job_uid", "attempt", "leg", "kind", "debit_account", "credit_account", "amount_fen",
    "programme", "rule_version", "cap_year", "funder", "from_ms", "to_ms", "cap_reserved",
)  # fmt: skip
_OWN: Final = (None, None, None, "", 0, FOREVER_MS, False)
_LEG_BEGINS: Final = {"rev": "0", "posted_fen": "0"}


@dataclass(slots=True)
class _Holding:
    """Running figures while a batch of holds is computed, and the rows that come of it."""

    means: paying.Means
    now_ms: int
    holds: list[tuple[object, ...]] = field(default_factory=list)
    legs: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    moves: accounts.Moves = field(default_factory=accounts.Moves)
    caps: dict[tuple[str, str, int], int] = field(default_factory=dict)


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
    holding = _Holding(means, now_ms)
    result = {(one.uid, one.attempt): _hold_one(holding, one) for one in wanted}
    _write(connection, holding)
    return result


def _hold_one(holding: _Holding, one: Wanted) -> Held | PendingReason:
    found = paying.judge(holding.means, one)
    if found.reason is not None:
        return found.reason
    assert found.price is not None, "what has no price has a reason"
    frozen = ", ".join(
        f'{quoted(part.programme)}: [{part.rule_version}, "{part.binding}"]' for part in found.parts
    )
    holding.holds.append(
        (
            one.uid, one.attempt, found.price.price_id, found.price.price_ufen, f"{{{frozen}}}",
            one.units, one.wall_limit_s, found.gross_fen, holding.now_ms,
        )
    )  # fmt: skip
    return _note_legs(holding, one, found)


def _note_legs(holding: _Holding, one: Wanted, found: Judgement) -> Held:
    number, given = 0, found.subsidy_fen
    for part in found.parts:
        for draw in part.draws:
            rule = (
                part.programme, part.rule_version, draw.cap_year, draw.funder, draw.from_ms,
                draw.to_ms, draw.cap_reserved,
            )  # fmt: skip
            fund = draw.account
            _note_leg(holding, one, number, "FUND", fund, fund, draw.amount, rule)
            if draw.cap_year is not None:
                cap = (part.programme, one.enterprise, draw.cap_year)
                holding.caps[cap] = holding.caps.get(cap, 0) + draw.amount
            number += 1
    holding.means.take(one, found)
    self_pay = found.self_pay_fen
    if self_pay:
        wallet, shard = wallet_account(one.enterprise), wallet_shard(one.city)
        _note_leg(holding, one, number, "WALLET", wallet, shard, self_pay, _OWN)
    return Held(found.gross_fen, given, self_pay)


def _note_leg(
    holding: _Holding, one: Wanted, number: int, kind: str, debit: str, shard: str, amount: int,
    rule: tuple[object, ...],
) -> None:  # fmt: skip
    credit = payable_account(one.center)
    name = leg_id(one.uid, one.attempt, 0, number)
    holding.legs.append((one.uid, one.attempt, number, kind, debit, credit, amount, *rule))
    holding.entries.append(
        Entry(
            shard, Kind.PENDING, "HOLD", debit, credit, amount, holding.now_ms, f"hold:{name}",
            one.uid, one.attempt, name,
        )
    )  # fmt: skip
    holding.moves.add(debit, credit, amount, 0)


def _write(connection: Connection, holding: _Holding) -> None:
    accounts.move(connection, holding.moves)
    limits = {rule.programme: rule.year_cap_fen for rule in holding.means.money.rules}
    bulk_execute(
        connection,
        "INSERT INTO cap_counter (programme, enterprise, year, pending_fen, posted_fen, limit_fen)"
        " VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (programme, enterprise, year) DO UPDATE SET"
        " pending_fen = cap_counter.pending_fen + excluded.pending_fen,"
        " limit_fen = excluded.limit_fen",
        [
            (programme, enterprise, year, amount, limits[programme])
            for (programme, enterprise, year), amount in sorted(holding.caps.items())
        ],
    )
    bulk_insert(connection, table(Hold), _HOLD_COLUMNS, holding.holds, _HOLD_BEGINS)
    bulk_insert(connection, table(HoldLeg), _LEG_COLUMNS, holding.legs, _LEG_BEGINS)
    append_transfers(connection, holding.entries)
