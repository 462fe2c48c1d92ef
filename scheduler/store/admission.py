"""Admission: planned starts become runs that hold quota and money, all of one or none of it.

Many starts share one transaction, set-based. What loses a guard (cancelled meanwhile, quota or
money gone) is left out with its reason and goes back to the planner; the others are not touched.
The conditional UPDATEs and the CHECKs of the tables are the last word: the planner's book is only
a cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.ids import job_id
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.domain.states import JobState, RunState
from scheduler.placement.model import Delta, JobQueued, JobRemoved, Option, Start, StartRefused
from scheduler.store import (
    budget_holds,
    elements,
    feed,
    holds,
    leader,
    paying,
    quotas_gate,
    starting,
    write_batch,
)
from scheduler.store.budget_holds import Budgets
from scheduler.store.elements import Element
from scheduler.store.holds import Held
from scheduler.store.paying import Wanted
from scheduler.store.tables import Run, table

#: A refused start is tried again after so long, or when money of its city or enterprise changes.
RETRY_MS: Final = 10 * 60_000
#: ... and so soon where the planner's book was behind the store's: it will have caught up.
RETRY_SOON_MS: Final = 1_000
_SOON: Final = frozenset(
    {
        ReasonCode.CENTER_DOWN,
        ReasonCode.CAP_ENTERPRISE,
        ReasonCode.BORROW_LIMIT,
        ReasonCode.CORRIDOR_FULL,
        ReasonCode.POOL_FULL,
    }
)

_BUDGET: Final = frozenset({ReasonCode.BUDGET_ENTERPRISE, ReasonCode.BUDGET_CITY})

_RUN_COLUMNS: Final = (
    "job_uid", "attempt", "city", "enterprise", "center", "flavor", "option_index", "units",
    "nodes", "wall_limit_s", "epoch", "admit_ms",
)  # fmt: skip
_RUN_BEGINS: Final = {
    "state": f"'{RunState.PENDING}'",
    "sequence": "0",
    "native_id": "''",
    "message": "''",
}


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
    """A start whose job is still there to be started, as it stands in the store."""

    start: Start
    attempt: int
    center: str
    job: JobQueued
    option_index: int
    subsidy: str
    self_pay_max_fen: int | None
    contract: str
    project: str
    root: int
    element: Element | None

    @property
    def key(self) -> tuple[int, int]:
        return self.start.uid, self.attempt


def admit(connection: Connection, epoch: int, starts: Sequence[Start], now_ms: int) -> Admitted:
    """Admit what still passes every guard; raises ``leader.Fenced`` if ``epoch`` leads no more."""
    leader.check(connection, epoch)
    result = Admitted()
    candidates = _alive(connection, starts, now_ms, result)
    candidates = _within_quota(connection, candidates, now_ms, result)
    contracts = {(one.start.enterprise, one.contract) for one in candidates if one.contract}
    owners = {(one.start.city, one.start.enterprise) for one in candidates}
    means = paying.load(connection, {one for _, one in owners}, now_ms, contracts)
    budgets = budget_holds.load(connection, owners, now_ms)
    held = _hold(connection, candidates, budgets, means, now_ms)
    going: list[tuple[_Candidate, Held]] = []
    for one in candidates:
        money = held[one.key]
        if isinstance(money, PendingReason):
            budgets.put_back(one.key)
            _refuse_means(result, one, money, means, budgets, now_ms)
            continue
        going.append((one, money))
        result.admitted.append(
            AdmittedRun(
                one.start.uid, one.attempt, one.center, one.start.city, one.start.option.flavor,
                *money,
            )
        )  # fmt: skip
    budgets.write(connection)
    _write(connection, epoch, going, budgets, now_ms)
    return result


def _hold(
    connection: Connection,
    candidates: list[_Candidate],
    budgets: Budgets,
    means: paying.Means,
    now_ms: int,
) -> dict[tuple[int, int], Held | PendingReason]:
    """Hold unit-seconds and money of each, in order; one without both gets the reason."""
    found: dict[tuple[int, int], Held | PendingReason] = {}
    wanted: list[Wanted] = []
    for one in candidates:
        want = _wanted(one, one.start.option, one.center)
        reason = budgets.take(want)
        if reason is None:
            wanted.append(want)
        else:
            found[one.key] = reason
    return found | holds.hold(connection, wanted, means, now_ms)


def _alive(
    connection: Connection, starts: Sequence[Start], now_ms: int, result: Admitted
) -> list[_Candidate]:
    """Keep starts whose jobs are still queued; the planner forgets the others.

    A job that could not end in time any more goes back, to try the options that could.
    """
    found = starting.find(connection, [start.uid for start in starts])
    alive: list[_Candidate] = []
    for start in starts:
        there = found.get(start.uid)
        if there is None:
            result.deltas.append(JobRemoved(start.uid))
            continue
        index = there.option_of(start.option)
        timely = there.timely(now_ms)
        if there.job.options[index] not in timely:
            if timely:
                result.deltas.append(there.job._replace(options=timely))
            else:
                reason = PendingReason(ReasonCode.EXCEEDS_MAX, f"jobs/{job_id(start.uid)}")
                _refuse(result, start, reason, now_ms)
            continue
        alive.append(
            _Candidate(
                start, there.attempt + 1, "", there.job, index, there.subsidy,
                there.self_pay_max_fen, there.contract, there.project, there.root, there.element,
            )
        )  # fmt: skip
    return alive


def _within_quota(
    connection: Connection, candidates: list[_Candidate], now_ms: int, result: Admitted
) -> list[_Candidate]:
    """Let through the quota's gate what passes it, in order."""
    gate = quotas_gate.open_gate(connection, [one.start for one in candidates])
    kept: list[_Candidate] = []
    for one in candidates:
        one.center = gate.center(one.start.option.flavor)
        reason = gate.reason(one.start)
        if reason is not None:
            _refuse(result, one.start, reason, now_ms)
        else:
            gate.take(one.start)
            kept.append(one)
    return kept


def _refuse(
    result: Admitted, start: Start, reason: PendingReason, now_ms: int, *, soon: bool = False
) -> None:
    retry_ms = now_ms + (RETRY_SOON_MS if soon or reason.code in _SOON else RETRY_MS)
    if reason.next_event_ms is not None:
        retry_ms = min(retry_ms, reason.next_event_ms)
    result.deltas.append(StartRefused(start.uid, reason, retry_ms))
    result.refused.append((start.city, start.option.flavor, reason.code))


def _refuse_means(
    result: Admitted,
    one: _Candidate,
    reason: PendingReason,
    means: paying.Means,
    budgets: Budgets,
    now_ms: int,
) -> None:
    """A start without budget or money goes back; with other options that have, to try those."""

    def has_means(option: Option) -> bool:
        wanted = _wanted(one, option, one.center)
        return budgets.fits(wanted) and paying.judge(means, wanted).reason is None

    payable = tuple(
        option
        for index, option in enumerate(one.job.options)
        if index != one.option_index and has_means(option)
    )
    if not payable:
        # What one before it put back may be enough for it.
        soon = reason.code in _BUDGET and has_means(one.start.option)
        _refuse(result, one.start, reason, now_ms, soon=soon)
        return
    result.deltas.append(one.job._replace(options=payable))
    result.refused.append((one.start.city, one.start.option.flavor, reason.code))


def _wanted(one: _Candidate, option: Option, center: str) -> Wanted:
    return Wanted(
        one.start.uid, one.attempt, center, option.flavor, one.start.enterprise,
        one.start.city, option.units, option.wall_ms // 1000, one.subsidy, one.self_pay_max_fen,
        one.contract, one.project, one.root,
    )  # fmt: skip


def _write(
    connection: Connection,
    epoch: int,
    going: list[tuple[_Candidate, Held]],
    budgets: Budgets,
    now_ms: int,
) -> None:
    """Write transitions, runs, quota and events of what passed; elements get their rows first."""
    elements.make_rows(connection, [one.element for one, _ in going if one.element], now_ms)
    with write_batch.going(connection) as batch:
        batch.update(
            "UPDATE job SET state = 'ADMITTED', version = version + 1, attempt = v.column2,"
            " start_ms = NULL, failure_class = NULL, message = '' FROM {values}"
            " WHERE uid = v.column1 AND state = 'QUEUED' AND attempt = v.column2 - 1",
            [one.key for one, _ in going],
            "jobs moved within the transaction",
        )
        rows = [
            (
                one.start.uid, one.attempt, one.start.city, one.start.enterprise, one.center,
                one.start.option.flavor, one.option_index, one.start.option.units,
                one.start.option.nodes, one.start.option.wall_ms // 1000, epoch, now_ms,
            )
            for one, _ in going
        ]  # fmt: skip
        batch.insert(table(Run), _RUN_COLUMNS, rows, _RUN_BEGINS)
        quotas_gate.take_quota(batch, [one.start for one, _ in going], now_ms)
        feed.add(
            batch,
            [
                feed.EventRow(
                    EventKind.ADMITTED, one.start.uid, one.attempt, one.start.enterprise,
                    one.start.city, JobState.ADMITTED, now_ms,
                    _detail(one, money, budgets.is_background(one.key)),
                )
                for one, money in going
            ],
        )  # fmt: skip


def _detail(one: _Candidate, money: Held, background: bool) -> str:
    option = one.start.option
    below = ',"background":"true"' if background else ""
    if one.element is not None:
        below += f',"array":"{job_id(one.element.array_uid)}","index":"{one.element.index}"'
    return (
        f'{{"center":{quoted(one.center)},"flavor":{quoted(option.flavor)},'
        f'"units":"{option.units}","gross_fen":"{money.gross_fen}",'
        f'"subsidy_fen":"{money.subsidy_fen}","self_pay_fen":"{money.self_pay_fen}"{below}}}'
    )
