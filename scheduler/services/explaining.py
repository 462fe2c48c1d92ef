"""Use case: why a job waits, when it may start, and for what it waited how long until now."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from scheduler.domain import spells
from scheduler.domain.ids import job_id
from scheduler.domain.principal import Principal
from scheduler.domain.reasons import PendingReason, ReasonCode, StartOutlook
from scheduler.domain.spells import Course, Spell
from scheduler.domain.states import JobState
from scheduler.errors import TemporarilyAway
from scheduler.placement.model import Explanation
from scheduler.services.context import Context
from scheduler.store import job_relations, jobs, reasons
from scheduler.store.database import Connection
from scheduler.store.job_relations import planned_as
from scheduler.store.jobs import JobRow

#: A job is shown without the planner's word if that takes longer (real seconds).
REASON_WAIT_S: Final = 2.0
#: Spells that are shown; the totals are of all.
SPELLS_MAX: Final = 100

#: What ``planned_as`` says.
Planned = int | PendingReason | None


@dataclass(frozen=True, slots=True)
class Told:
    """Why a job waits (None: it does not), its place (1 = next, 0 = none yet) in its city.

    ``options`` are the reasons of its options, in their order; none if the planner has it not.
    ``planner_away``: only what is stored could be told, for the planner does not answer.
    """

    reason: PendingReason | None
    position_in_city: int = 0
    waiting_in_city: int = 0
    options: tuple[PendingReason, ...] = ()
    planner_away: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """What is told of a job now, and how it waited until now.

    ``times`` are (reason, ms in all), the longest first; ``since_ms`` is since when the reason of
    now holds, None if it does not wait. ``transfers_ms`` is how long the inputs take to the center
    of each option, nothing if no time.
    """

    state: JobState
    told: Told
    times: tuple[tuple[ReasonCode, int], ...]
    history: tuple[Spell, ...]
    since_ms: int | None
    transfers_ms: tuple[int, ...] = ()


async def explain(context: Context, caller: Principal, uid: int) -> Explained:
    """Return why a job waits, where it stands in its city, and how it waited until now.

    A job that the planner has not seen yet has no place; while it does not answer, what is stored
    is told. Raises ``NotFound`` outside the scope.
    """

    def read(connection: Connection) -> tuple[JobRow, Planned, Course | None, tuple[int, ...]]:
        row = jobs.get_job(connection, caller.scope, uid)
        planned = planned_as(connection, row, job_relations.waits_of(connection, row))
        course = reasons.course_of(connection, uid)
        if course is None and row.array_uid is not None:  # an element that has no row yet
            course = reasons.course_of(connection, row.array_uid)
        return row, planned, course, tuple(job_relations.transfers_ms(connection, row))

    row, planned, course, transfers = await context.db.read(read)
    told = await _told(context, row, planned, None)
    if told.reason is not None and not told.position_in_city and row.state is JobState.QUEUED:
        count = await context.db.read(lambda c: jobs.waiting_in_city(c, row.city))
        told = replace(told, waiting_in_city=count)
    if course is None:
        return Explained(row.state, told, (), (), None, transfers)
    now_ms = context.clock.now_ms()
    found = spells.spells(course, now_ms, None if told.reason is None else told.reason.code)
    times = spells.totals(found, now_ms)
    since_ms = found[-1].from_ms if found and found[-1].to_ms is None else None
    history = tuple(found[-SPELLS_MAX:])
    return Explained(row.state, told, tuple(times), history, since_ms, transfers)


async def told_at_once(context: Context, row: JobRow, planned: Planned) -> Told:
    """Return why a job waits, as far as it can be said at once."""
    return await _told(context, row, planned, REASON_WAIT_S)


async def _told(context: Context, row: JobRow, planned: Planned, wait_s: float | None) -> Told:
    """Ask the planner for so many real seconds at most, and the store if it does not answer."""
    known: Explanation | None = None
    if isinstance(planned, int):
        try:
            async with asyncio.timeout(wait_s):
                known = await context.planner.explain(planned)
        except (TemporarilyAway, TimeoutError):
            reason = await context.db.read(lambda c: _sampled(c, planned, context.clock.now_ms()))
            return Told(reason, planner_away=True)
    if known is None:
        return Told(without_planner(row, planned))
    return Told(known.reason, known.position_in_city, known.waiting_in_city, known.options)


def _sampled(connection: Connection, uid: int, now_ms: int) -> PendingReason:
    """What was said last of a job that the planner has, by its code alone."""
    code = reasons.present(connection, [uid], now_ms).get(uid, ReasonCode.NOT_EVALUATED)
    if code is ReasonCode.DEPENDENCY:  # of an array, which waits for no other job
        code = ReasonCode.NOT_EVALUATED
    return PendingReason(code, "corridor" if code is ReasonCode.NOT_EVALUATED else "")


def without_planner(row: JobRow, planned: Planned) -> PendingReason | None:
    """What the store alone says: a job is held, or waits for others."""
    if row.state is JobState.HELD:
        code = ReasonCode.DEACTIVATED if row.deactivated else ReasonCode.QUEUE_HELD
        return PendingReason(code, f"jobs/{job_id(row.uid)}", outlook=StartOutlook.NONE)
    if isinstance(planned, int):
        return PendingReason(ReasonCode.NOT_EVALUATED, "corridor")
    return planned
