"""Admission: planned starts become runs that hold quota and money, all of one or none of it.

Many starts share one transaction, set-based. What loses a guard (cancelled meanwhile, quota or
money gone) is left out with its reason and goes back to the planner; the others are not touched.
The conditional UPDATEs and the CHECKs of the tables are the last word: the planner's book is only
a cache.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from quota.instant import CityLimits, FlavorBook
from scheduler.domain.events import EventKind
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.domain.states import JobState, RunState
from scheduler.placement.model import Delta, JobRemoved, Option, Start, StartRefused
from scheduler.store import feed, leader, ledger, paying
from scheduler.store.database import bulk_execute, bulk_insert
from scheduler.store.planner_feed import options_of
from scheduler.store.tables import Run, table

#: A refused start is tried again after this long, or when something changes for its city.
RETRY_MS: Final = 10 * 60_000

_RUN_COLUMNS: Final = (
    "job_uid", "attempt", "city", "enterprise", "center", "flavor", "option_index", "units",
    "nodes", "wall_limit_s", "state", "epoch", "sequence", "native_id", "admit_ms", "message",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AdmittedRun:
    """A run that was made; the three sums are what is held for it."""

    uid: int
    attempt: int
    center: str
    city: str
    flavor: str
    gross_fen: int
    subsidy_fen: int
    self_pay_fen: int


@dataclass(slots=True)
class Admitted:
    """What came of a batch of starts."""

    admitted: list[AdmittedRun] = field(default_factory=list)
    #: What the planner must be told of those that were not admitted.
    deltas: list[Delta] = field(default_factory=list)
    #: (city, flavor, reason code) of each refusal.
    refused: list[tuple[str, str, ReasonCode]] = field(default_factory=list)


@dataclass(slots=True)
class _Candidate:
    """A start whose job is still there to be started."""

    start: Start
    attempt: int
    center: str
    option_index: int
    subsidy: str
    self_pay_max_fen: int | None

    @property
    def key(self) -> tuple[int, int]:
        return self.start.uid, self.attempt


def admit(connection: Connection, epoch: int, starts: Sequence[Start], now_ms: int) -> Admitted:
    """Admit what still passes every guard; raises ``leader.Fenced`` if ``epoch`` leads no more."""
    leader.check(connection, epoch)
    result = Admitted()
    candidates = _alive(connection, starts, result)
    candidates = _within_quota(connection, candidates, now_ms, result)
    held = ledger.hold(connection, [_wanted(one) for one in candidates], now_ms)
    going: list[_Candidate] = []
    for one in candidates:
        money = held[one.key]
        if isinstance(money, PendingReason):
            _refuse(result, one.start, money, now_ms)
            continue
        going.append(one)
        result.admitted.append(
            AdmittedRun(
                one.start.uid, one.attempt, one.center, one.start.city, one.start.option.flavor,
                money.gross_fen, money.subsidy_fen, money.self_pay_fen,
            )
        )  # fmt: skip
    _write(connection, epoch, going, result, now_ms)
    return result


def _alive(connection: Connection, starts: Sequence[Start], result: Admitted) -> list[_Candidate]:
    """Keep starts whose jobs are still queued; the planner forgets the others."""
    if not starts:
        return []
    listed = ", ".join(str(start.uid) for start in starts)
    jobs = {
        row[0]: row
        for row in connection.exec_driver_sql(
            "SELECT uid, attempt, options, subsidy, self_pay_max_fen FROM job"
            f" WHERE uid IN ({listed}) AND state = 'QUEUED'"
        )
    }
    rows = connection.exec_driver_sql("SELECT code, center FROM flavor").all()
    centers: dict[str, str] = {code: center for code, center in rows}  # noqa: C416
    alive: list[_Candidate] = []
    for start in starts:
        row = jobs.get(start.uid)
        if row is None:
            result.deltas.append(JobRemoved(start.uid))
            continue
        index = _index_of(options_of(row[2]), start.option)
        alive.append(
            _Candidate(start, row[1] + 1, centers[start.option.flavor], index, row[3], row[4])
        )
    return alive


def _index_of(options: Sequence[Option], chosen: Option) -> int:
    return next(index for index, option in enumerate(options) if option == chosen)


def _within_quota(
    connection: Connection, candidates: list[_Candidate], now_ms: int, result: Admitted
) -> list[_Candidate]:
    """Check A1 to A3 and A5 against the stored figures, in order."""
    books = _books(connection, {one.start.option.flavor for one in candidates})
    kept: list[_Candidate] = []
    for one in candidates:
        city, enterprise, option = one.start.city, one.start.enterprise, one.start.option
        book = books[option.flavor]
        bound = book.bound(city, enterprise, option.units)
        if city not in book.limits:
            reason = PendingReason(
                ReasonCode.MISCONFIGURED, f"cities/{city}", option.flavor, requested=option.units
            )
            _refuse(result, one.start, reason, now_ms)
        elif bound is not None:
            reason = PendingReason(
                ReasonCode(bound.limit.value), bound.node, option.flavor, limit=bound.height,
                used=bound.used, requested=option.units, short_by=bound.short_by,
            )  # fmt: skip
            _refuse(result, one.start, reason, now_ms)
        else:
            book.take(city, enterprise, option.units)
            kept.append(one)
    return kept


def _books(connection: Connection, flavors: set[str]) -> dict[str, FlavorBook]:
    """Read the quota books of some flavors as they stand in this transaction."""
    books: dict[str, FlavorBook] = {}
    rows = connection.exec_driver_sql("SELECT code, capacity_units FROM flavor").all()
    for flavor, capacity in rows:
        if flavor in flavors:
            books[flavor] = FlavorBook.empty(capacity)
    for city, flavor, nominal, borrow, lend, used in connection.exec_driver_sql(
        "SELECT city, flavor, nominal_units, borrow_limit_units, lend_limit_units, used_units"
        " FROM city_quota"
    ):
        if flavor in books:
            books[flavor].set_limits(city, CityLimits(nominal, borrow, lend))
            books[flavor].take(city, "", used)
    for enterprise, flavor, cap, used in connection.exec_driver_sql(
        "SELECT enterprise, flavor, cap_units, used_units FROM enterprise_quota"
        " WHERE cap_units IS NOT NULL"
    ):
        if flavor in books:
            books[flavor].set_cap(enterprise, cap, used)
    return books


def _refuse(result: Admitted, start: Start, reason: PendingReason, now_ms: int) -> None:
    result.deltas.append(StartRefused(start.uid, reason, now_ms + RETRY_MS))
    result.refused.append((start.city, start.option.flavor, reason.code))


def _wanted(one: _Candidate) -> paying.Wanted:
    option = one.start.option
    return paying.Wanted(
        one.start.uid, one.attempt, one.center, option.flavor, one.start.enterprise,
        one.start.city, option.units, option.wall_ms // 1000, one.subsidy, one.self_pay_max_fen,
    )  # fmt: skip


def _write(
    connection: Connection, epoch: int, going: list[_Candidate], result: Admitted, now_ms: int
) -> None:
    """Write transitions, runs, quota and events of what passed."""
    changed = bulk_execute(
        connection,
        "UPDATE job SET state = 'ADMITTED', version = version + 1, attempt = ?"
        " WHERE uid = ? AND state = 'QUEUED' AND attempt = ?",
        [(one.attempt, one.start.uid, one.attempt - 1) for one in going],
    )
    if changed != len(going):
        raise RuntimeError(f"{len(going) - changed} jobs moved within the transaction")
    bulk_insert(
        connection,
        table(Run),
        _RUN_COLUMNS,
        [
            (
                one.start.uid, one.attempt, one.start.city, one.start.enterprise, one.center,
                one.start.option.flavor, one.option_index, one.start.option.units,
                one.start.option.nodes, one.start.option.wall_ms // 1000, RunState.PENDING, epoch,
                0, "", now_ms, "",
            )
            for one in going
        ],
    )  # fmt: skip
    _take_quota(connection, going, now_ms)
    feed.append(
        connection,
        [
            feed.EventRow(
                EventKind.ADMITTED, run.uid, run.attempt, one.start.enterprise, run.city,
                JobState.ADMITTED, now_ms,
                json.dumps(
                    {
                        "center": run.center, "flavor": run.flavor,
                        "units": str(one.start.option.units), "gross_fen": str(run.gross_fen),
                        "subsidy_fen": str(run.subsidy_fen),
                        "self_pay_fen": str(run.self_pay_fen),
                    },
                    separators=(",", ":"),
                ),
            )
            for one, run in zip(going, result.admitted, strict=True)
        ],
    )  # fmt: skip


def _take_quota(connection: Connection, going: list[_Candidate], now_ms: int) -> None:
    cities: dict[tuple[str, str], int] = {}
    enterprises: dict[tuple[str, str], int] = {}
    for one in going:
        option = one.start.option
        city, enterprise = (one.start.city, option.flavor), (one.start.enterprise, option.flavor)
        cities[city] = cities.get(city, 0) + option.units
        enterprises[enterprise] = enterprises.get(enterprise, 0) + option.units
    changed = bulk_execute(
        connection,
        "UPDATE city_quota SET used_units = used_units + ? WHERE city = ? AND flavor = ?"
        " AND (borrow_limit_units IS NULL"
        " OR used_units + ? <= nominal_units + borrow_limit_units)",
        [(units, *key, units) for key, units in sorted(cities.items())],
    )
    if changed != len(cities):
        raise RuntimeError("a city's quota moved within the transaction")
    bulk_execute(
        connection,
        "INSERT INTO enterprise_quota (enterprise, flavor, used_units, version, updated_ms)"
        " VALUES (?, ?, ?, 0, ?) ON CONFLICT (enterprise, flavor)"
        " DO UPDATE SET used_units = enterprise_quota.used_units + excluded.used_units",
        [(*key, units, now_ms) for key, units in sorted(enterprises.items())],
    )
