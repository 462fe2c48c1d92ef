"""What is shown of a job beside its row: what an array comes to, and what it waits for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.dependencies import Condition
from scheduler.domain.ids import job_id
from scheduler.domain.reasons import PendingReason, ReasonCode, StartOutlook
from scheduler.domain.states import JOB_TERMINAL, JobState
from scheduler.store.charges import Charge, SubsidyPart
from scheduler.store.database import bulk_read
from scheduler.store.jobs import JobRow
from scheduler.store.planner_jobs import arrays as arrays_now
from scheduler.store.planner_jobs import next_element, options_of

#: So many jobs are named in a reason; ``requested`` counts them all.
_NAMED_MAX = 5
_LISTED_MAX: Final = 10_000
_NOT_ACTIVE: Final = ", ".join(f"'{state}'" for state in sorted({*JOB_TERMINAL, JobState.HELD}))


@dataclass(slots=True)
class ArrayFigures:
    """An array's elements by state, what those that were settled cost, and when the first began.

    ``unsettled`` counts elements of which the cost is not final.
    """

    counts: dict[JobState, int] = field(default_factory=dict)
    start_ms: int | None = None
    gross_fen: int = 0
    self_pay_fen: int = 0
    unsettled: int = 0


class Waits(NamedTuple):
    """A job that another one waits for, and where it stands."""

    uid: int
    condition: Condition
    state: JobState


def arrays(connection: Connection, rows: Sequence[JobRow]) -> dict[int, ArrayFigures]:
    """Return the figures of those of these jobs that are arrays, by uid."""
    found = {row.uid: ArrayFigures() for row in rows if row.is_array}
    listed = ", ".join(map(str, sorted(found)))
    if not listed:
        return found
    for uid, rest, count in bulk_read(
        connection,
        "SELECT array_uid, rest_state, size - made FROM job_array"
        f" WHERE array_uid IN ({listed}) AND made < size",
    ):
        found[uid].counts[JobState(rest)] = count
    for uid, state, count, start_ms, gross, self_pay, settled in bulk_read(
        connection,
        "SELECT array_uid, state, count(*), min(start_ms), sum(gross_fen), sum(self_pay_fen),"
        " sum(CASE WHEN settled THEN 1 ELSE 0 END) FROM job WHERE array_uid IS NOT NULL"
        f" AND array_uid IN ({listed}) AND array_index IS NOT NULL GROUP BY 1, 2",
    ):
        of = found[uid]
        of.counts[JobState(state)] = of.counts.get(JobState(state), 0) + count
        of.start_ms = min((at for at in (of.start_ms, start_ms) if at is not None), default=None)
        of.gross_fen += int(gross)
        of.self_pay_fen += int(self_pay)
        of.unsettled += count - int(settled)
    return found


def array_charge(connection: Connection, uid: int, figures: ArrayFigures) -> Charge | None:
    """Return what the settled elements of an array cost together; None if that is nothing yet."""
    if not figures.gross_fen:
        return None
    of = f"FROM job j JOIN {{table}} l ON l.job_uid = j.uid WHERE j.array_uid = {uid}"
    parts = bulk_read(
        connection,
        "SELECT l.programme, max(l.rule_version), sum(l.amount_fen) "
        + of.format(table="subsidy_line")
        + " AND l.ledger = 'CNY' GROUP BY 1 ORDER BY 1",
    )
    [(unit_seconds, free)] = bulk_read(
        connection,
        "SELECT coalesce(sum(l.seconds * l.units - l.free), 0), coalesce(sum(l.free), 0) "
        + of.format(table="rated_line")
        + " AND l.billed",
    )
    return Charge(
        figures.gross_fen,
        figures.self_pay_fen,
        tuple(SubsidyPart(code, version, int(fen), "") for code, version, fen in parts),
        "",
        0,
        int(unit_seconds),
        int(free),
    )


def waits_of(connection: Connection, row: JobRow) -> list[Waits]:
    """Return what a job waits for or waited for, the oldest first."""
    return [
        Waits(uid, Condition(condition), JobState(state))
        for uid, condition, state in bulk_read(
            connection,
            "SELECT o.uid, d.condition, o.state FROM job_dependency d JOIN job o"
            f" ON o.uid = d.on_uid WHERE d.job_uid = {row.uid} ORDER BY o.uid",
        )
    ]


def planned_as(
    connection: Connection, row: JobRow, waits: Sequence[Waits]
) -> int | PendingReason | None:
    """Return what the planner knows a queued job as, or why it is not told of it.

    Of an array it knows the next element. None if the job is not queued.
    """
    if row.state is not JobState.QUEUED:
        return None
    others = waits_for([job_id(one.uid) for one in waits if one.state not in JOB_TERMINAL])
    if others is not None:
        return others
    if row.array_uid is None:
        return row.uid
    if not row.is_array:
        return _no_room(connection, row.array_uid) if row.gated else row.uid
    following = next_element(connection, row.uid)
    if following is not None:
        return following
    barred = _no_room(connection, row.uid)
    return barred if barred.short_by else row.uid


def waits_for(jobs: Sequence[str]) -> PendingReason | None:
    """The reason of a job that waits for these to end; None if they are none."""
    if not jobs:
        return None
    return PendingReason(
        ReasonCode.DEPENDENCY, f"jobs/{','.join(jobs[:_NAMED_MAX])}", requested=len(jobs),
        outlook=StartOutlook.NONE,
    )  # fmt: skip


def not_ended(connection: Connection, uids: Collection[int]) -> frozenset[int]:
    """Return which of these jobs have not ended; elements may have no rows yet."""
    listed, ended = sorted(uids), set[int]()
    for first in range(0, len(listed), _LISTED_MAX):
        some = ", ".join(map(str, listed[first : first + _LISTED_MAX]))
        rows = bulk_read(connection, f"SELECT uid, state FROM job WHERE uid IN ({some})")
        ended.update(uid for uid, state in rows if JobState(state) in JOB_TERMINAL)
    return frozenset(listed) - ended


def _no_room(connection: Connection, array_uid: int) -> PendingReason:
    """An element waits for room in its array, or if it is short of none for what its array does."""
    most, used = bulk_read(
        connection,
        "SELECT a.concurrency_max, (SELECT count(*) FROM job j WHERE j.array_uid IS NOT NULL"
        " AND j.array_uid = a.array_uid AND j.array_index IS NOT NULL"
        f" AND j.state NOT IN ({_NOT_ACTIVE}) AND NOT j.gated)"
        f" FROM job_array a WHERE a.array_uid = {array_uid}",
    )[0]
    array = arrays_now(connection, [array_uid])[array_uid]
    used += sum(1 for _ in array.waiting())
    reason = PendingReason(
        ReasonCode.DEPENDENCY, f"jobs/{job_id(array_uid)}", requested=1, outlook=StartOutlook.NONE
    )
    if most is None or used < most:
        return reason
    return replace(reason, limit=most, used=used, short_by=used + 1 - most)


def transfers_ms(connection: Connection, row: JobRow) -> list[int]:
    """Return how long a job's inputs take to the center of each option; nothing if no time."""
    uid = row.uid if row.array_uid is None else row.array_uid
    [(options,)] = bulk_read(connection, f"SELECT options FROM job WHERE uid = {uid}")
    found = [option.stage_ms for option in options_of(options)]
    return found if any(found) else []
