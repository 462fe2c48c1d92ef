"""Use cases that show jobs: one, many, what one wrote."""

from dataclasses import dataclass, replace
from typing import Final

from adapters.contract import LogChunk, RunRef
from adapters.errors import AdapterError, Rejected, Throttled, Unauthorized
from scheduler.domain.ids import center_name, job_id, run_id
from scheduler.domain.principal import Principal
from scheduler.domain.reasons import PendingReason
from scheduler.domain.states import JobState
from scheduler.errors import InvalidRequest, NotFound, TemporarilyAway, WrongState
from scheduler.services import checks, explaining
from scheduler.services.context import Context
from scheduler.services.explaining import Told
from scheduler.store import charges, job_relations, jobs, reasons
from scheduler.store.charges import Charge
from scheduler.store.database import Connection
from scheduler.store.job_filter import JobFilter
from scheduler.store.job_relations import ArrayFigures, Waits
from scheduler.store.jobs import JobRow, RunRow

LOG_DEFAULT_BYTES: Final = 65_536
LOG_MAX_BYTES: Final = 1_048_576
_OFFSET_MAX: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is shown; ``told`` only while it waits, of many jobs with codes alone.

    ``array`` is what an array comes to; ``waits`` the jobs that it waits for, only of a single job.
    """

    row: JobRow
    runs: tuple[RunRow, ...] = ()
    charge: Charge | None = None
    told: Told | None = None
    array: ArrayFigures | None = None
    waits: tuple[Waits, ...] = ()


async def get_job(context: Context, caller: Principal, uid: int) -> JobView:
    """Return a job with its runs, its charge and why it waits; ``NotFound`` outside the scope."""

    def read(connection: Connection) -> tuple[JobView, explaining.Planned]:
        row = jobs.get_job(connection, caller.scope, uid)
        charge = charges.of_jobs(connection, [row]).get(uid)
        array = job_relations.arrays(connection, [row]).get(uid)
        if array is not None:
            charge = job_relations.array_charge(connection, uid, array)
        runs = tuple(jobs.runs_of(connection, uid))
        waits = tuple(job_relations.waits_of(connection, row))
        view = JobView(row, runs, charge, array=array, waits=waits)
        return view, job_relations.planned_as(connection, row, waits)

    view, planned = await context.db.read(read)
    told = await explaining.told_at_once(context, view.row, planned)
    return replace(view, told=told)


async def list_jobs(
    context: Context, caller: Principal, wanted: JobFilter, limit: int, before_uid: int
) -> list[JobView]:
    """Return at most ``limit`` jobs, newest first, without runs; of reasons the codes alone."""
    now_ms = context.clock.now_ms()

    def read(connection: Connection) -> list[JobView]:
        rows = jobs.list_jobs(connection, caller.scope, wanted, limit, before_uid)
        waiting = [row.uid for row in rows if row.state in (JobState.QUEUED, JobState.HELD)]
        codes = reasons.present(connection, waiting, now_ms)
        costs = charges.of_jobs(connection, rows)
        arrays = job_relations.arrays(connection, rows)
        for uid, array in arrays.items():
            if array.gross_fen:
                costs[uid] = Charge(array.gross_fen, array.self_pay_fen, (), "", 0, 0)
        return [
            JobView(
                row, charge=costs.get(row.uid), array=arrays.get(row.uid),
                told=Told(PendingReason(codes[row.uid])) if row.uid in codes else None,
            )
            for row in rows
        ]  # fmt: skip

    return await context.db.read(read)


async def read_logs(
    context: Context, caller: Principal, uid: int, attempt: int, offset: int, limit_bytes: int
) -> LogChunk:
    """Return a piece of the log of one attempt (0: of the last), from its center.

    Raises ``InvalidRequest``, ``NotFound`` for a job outside the scope or an attempt that there
    was not, ``WrongState`` while no center has it, ``TemporarilyAway`` if the center does not
    answer.
    """
    wrong = checks.whole("attempt", attempt, 1_000)
    wrong += checks.whole("offset", offset, _OFFSET_MAX)
    wrong += checks.whole("limit_bytes", limit_bytes, 1 << 31)
    if wrong:
        raise InvalidRequest(wrong)
    limit = min(limit_bytes or LOG_DEFAULT_BYTES, LOG_MAX_BYTES)
    row, runs = await context.db.read(
        lambda connection: (
            jobs.get_job(connection, caller.scope, uid),
            jobs.runs_of(connection, uid),
        )
    )
    run = _attempt(row, runs, attempt)
    name = run_id(uid, run.attempt)
    try:
        ref = RunRef(name, center_name(name), run.native_id, run.accept_ms or 0)
        return await context.centers.read_logs(run.center, ref, offset, limit)
    except Rejected as error:
        raise NotFound(f"{run.center} has no log of run {name}: {error}") from error
    except AdapterError as error:
        raise _away(run.center, error) from error


def _attempt(row: JobRow, runs: list[RunRow], attempt: int) -> RunRow:
    if not runs:
        raise WrongState(
            f"job {job_id(row.uid)} is {row.state} and was at no center yet: there is no log",
            subject=f"jobs/{job_id(row.uid)}",
            reason="NO_RUN",
        )
    found = [run for run in runs if run.attempt == (attempt or runs[-1].attempt)]
    if not found:
        raise NotFound(f"job {job_id(row.uid)} had {len(runs)} attempts, not {attempt}")
    return found[0]


def _away(center: str, error: AdapterError) -> TemporarilyAway:
    if isinstance(error, Unauthorized):
        return TemporarilyAway(
            f"{center} does not accept this service's identity; tell the operator",
            retry_after_s=60.0,
        )
    wait_s = error.retry_after_s if isinstance(error, Throttled) else 2.0
    return TemporarilyAway(
        f"{center} does not answer now ({error}); ask again", retry_after_s=wait_s
    )
