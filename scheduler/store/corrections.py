"""Charges corrected after their settlement: reversing entries and a new charge, nothing edited.

A correction is a revision of a run's charge: each entry that changes is reversed, the new one is
booked, and so are the lines of use and subsidies. It is booked now, with the month of the use
beside it; yearly caps are corrected in the year they were counted in. What goes back into a fund
that was closed goes to what lapsed of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.calendar import period_of
from quota.transfers import Entry, Kind, receivable_account, wallet_account
from scheduler.domain.events import EventKind
from scheduler.store import bookings, charge_book, charge_rows, feed
from scheduler.store.charge_book import Charge, RatedRow, Standing
from scheduler.store.charge_rows import ChargeRows, Given
from scheduler.store.charge_tables import Correction
from scheduler.store.database import bulk_execute, bulk_insert
from scheduler.store.tables import table

_COLUMNS: Final = (
    "job_uid", "attempt", "revision", "kind", "code", "gross_fen", "subsidy_fen", "self_pay_fen",
    "receivable_fen", "basis", "ref_period", "idem_key", "actor", "role", "reason", "booked_ms",
)  # fmt: skip


class Pay(NamedTuple):
    """What one account pays to another in a charge."""

    shard: str
    ledger: str
    debit: str
    credit: str
    amount: int


class Why(NamedTuple):
    """Why a charge is corrected, and by whom; ``key`` makes it once."""

    kind: str
    code: str
    key: str
    actor: str
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class Revision:
    """What a charge comes to from now on."""

    charge: Charge
    why: Why
    basis: str
    rated: Sequence[RatedRow]
    given: Sequence[Given]
    pays: Sequence[Pay]

    @property
    def gross_fen(self) -> int:
        """What the center gets."""
        return sum(one.gross_fen for one in self.rated)

    @property
    def subsidy_fen(self) -> int:
        """What programmes give."""
        return sum(one.amount for one in self.given if one.ledger == "CNY")

    @property
    def debt_fen(self) -> int:
        """What nothing covers."""
        return sum(one.amount for one in self.pays if one.debit.startswith("receivable:"))


@dataclass(slots=True)
class _Writing:
    """Rows of a batch of revisions."""

    rows: ChargeRows
    stand_ins: dict[str, str]
    reserved: dict[str, int]
    corrections: list[tuple[object, ...]] = field(default_factory=list)
    jobs: list[tuple[object, ...]] = field(default_factory=list)
    events: list[feed.EventRow] = field(default_factory=list)


def write(connection: Connection, revisions: Sequence[Revision], now_ms: int) -> None:
    """Write revisions of different runs' charges; they were computed in this transaction.

    Raises RuntimeError, and the transaction must be given up, if an account cannot give its part.
    """
    if not revisions:
        return
    names = [one.debit for each in revisions for one in each.charge.entries]
    names += [one.debit for each in revisions for one in each.pays]
    work = _Writing(
        ChargeRows(now_ms),
        charge_book.stand_ins(connection, names),
        charge_book.reserved_years(connection, names),
    )
    for one in revisions:
        _revise(work, one)
    work.rows.write(connection)
    bulk_insert(connection, table(Correction), _COLUMNS, work.corrections)
    bulk_execute(
        connection,
        "UPDATE job SET version = version + 1, gross_fen = gross_fen + ?,"
        " subsidy_fen = subsidy_fen + ?, self_pay_fen = self_pay_fen + ? WHERE uid = ?",
        work.jobs,
    )
    feed.append(connection, work.events)
    bookings.tell(connection, {one.charge.run.city for one in revisions}, now_ms)


def _revise(work: _Writing, one: Revision) -> None:
    charge, why, rows = one.charge, one.why, work.rows
    run, number = charge.run, charge.revision + 1
    start_ms = min((line.start_ms for line in one.rated), default=rows.now_ms)
    month = period_of(start_ms, 1)
    _book(work, one, number, month)
    _lines(work, one, number)
    gross, subsidy = one.gross_fen, one.subsidy_fen
    own = gross - subsidy
    work.corrections.append(
        (
            run.uid, run.attempt, number, why.kind, why.code, gross, subsidy, own - one.debt_fen,
            one.debt_fen, one.basis, month, why.key, why.actor, why.role, why.reason, rows.now_ms,
        )
    )  # fmt: skip
    before = (charge.gross_fen, charge.subsidy_fen, charge.self_pay_fen)
    changes = tuple(new - old for new, old in zip((gross, subsidy, own), before, strict=True))
    work.jobs.append((*changes, run.uid))
    detail = (
        f'{{"code":{quoted(why.code)},"before_fen":"{before[0]}","gross_fen":"{gross}",'
        f'"subsidy_fen":"{subsidy}","self_pay_fen":"{own}"}}'
    )
    work.events.append(
        feed.EventRow(
            EventKind.CORRECTED, run.uid, run.attempt, run.enterprise, run.city, charge.job_state,
            rows.now_ms, detail,
        )
    )  # fmt: skip


def _book(work: _Writing, one: Revision, number: int, month: str) -> None:
    """Reverse the entries that change, and book the new ones; others stand."""
    charge, why, rows = one.charge, one.why, work.rows
    run = charge.run
    wanted: dict[tuple[str, str, str, str], int] = {}
    for pay in one.pays:
        place = (pay.shard, pay.ledger, work.stand_ins.get(pay.debit, pay.debit), pay.credit)
        wanted[place] = wanted.get(place, 0) + pay.amount
    standing: dict[tuple[str, str, str, str], list[Standing]] = {}
    for entry in charge.entries:
        if entry.amount:
            place = (entry.shard, entry.ledger, entry.debit, entry.credit)
            standing.setdefault(place, []).append(entry)
    name = f"correct:{run.uid}.{run.attempt}.{number}"
    more = {
        "ref_period": month, "actor": why.actor, "reason": why.reason or one.basis,
    }  # fmt: skip
    count = 0
    for place, entries in standing.items():
        if wanted.get(place) == sum(entry.amount for entry in entries):
            del wanted[place]
            continue
        for entry in entries:
            back = work.stand_ins.get(entry.debit, entry.debit)
            rows.entries.append(
                Entry(
                    entry.shard, Kind.DIRECT, "CORRECT", entry.credit, back, entry.amount,
                    rows.now_ms, f"{name}.r{count}", run.uid, run.attempt, reverses=entry.key,
                    ledger=entry.ledger, **more,
                )
            )  # fmt: skip
            _move_back(rows, entry, back)
            count += 1
    for count, (place, amount) in enumerate(sorted(wanted.items())):
        shard, ledger, debit, credit = place
        rows.entries.append(
            Entry(
                shard, Kind.DIRECT, "CORRECT", debit, credit, amount, rows.now_ms,
                f"{name}.{count}", run.uid, run.attempt, ledger=ledger, **more,
            )
        )  # fmt: skip
        rows.moves.add(debit, credit, 0, amount)


def _move_back(rows: ChargeRows, entry: Standing, back: str) -> None:
    """An entry's money returns, as the credit of whom it came from."""
    rows.moves.add(entry.credit, back, 0, entry.amount)
    if not back.startswith(("wallet:", "receivable:")):
        rows.freed.add(back)


def _lines(work: _Writing, one: Revision, number: int) -> None:
    """Take back the lines that stood, add those that stand from now on, and correct the caps."""
    charge, rows = one.charge, work.rows
    run, now_ms = charge.run, work.rows.now_ms
    key = (run.uid, run.attempt, number)
    rated = [
        (
            *key, -1 - line.line, line.segment, line.price_id, -line.seconds, line.units,
            -line.free, -line.gross_fen, line.billed, line.start_ms, line.end_ms, now_ms,
        )
        for line in charge.rated
    ]  # fmt: skip
    rated += [
        (
            *key, at, line.segment, line.price_id, line.seconds, line.units, line.free,
            line.gross_fen, line.billed, line.start_ms, line.end_ms, now_ms,
        )
        for at, line in enumerate(one.rated)
    ]  # fmt: skip
    given = [(-1 - at, line._replace(amount=-line.amount)) for at, line in charge.given]
    given += list(enumerate(one.given))
    told = []
    for at, line in given:
        account = work.stand_ins.get(line.account, line.account)
        told.append(
            (
                *key, at, line.programme, line.rule_version, account, line.amount, line.binding,
                line.cap_year, line.ledger, line.start_ms, now_ms,
            )
        )  # fmt: skip
        if line.cap_year is not None and line.ledger == "CNY":
            issued = work.reserved.get(line.account) == line.cap_year
            cap = (line.programme, run.enterprise, line.cap_year)
            rows.count(cap, -line.amount if issued else 0, line.amount)
    rows.again(rated, told)


def lock(connection: Connection, charges: Sequence[Charge]) -> None:
    """Lock the rows that corrections of charges may move, before what is left is read."""
    if connection.dialect.name == "sqlite":
        return
    names, caps, shards = set[str](), set[charge_rows.CapKey](), set[str]()
    for charge in charges:
        run = charge.run
        names |= {wallet_account(run.enterprise), receivable_account(run.enterprise)}
        names |= {name for one in charge.entries for name in (one.debit, one.credit)}
        shards |= {one.shard for one in charge.entries} | {f"wallets:{run.city}"}
        caps |= {
            (line.programme, run.enterprise, line.cap_year)
            for _, line in charge.given
            if line.cap_year is not None
        }
    names |= set(charge_book.stand_ins(connection, names).values())
    charge_rows.lock(connection, names, caps, shards)
