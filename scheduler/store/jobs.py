"""Jobs and their runs as callers may see them: within a scope, newest first."""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, text

from scheduler.domain.evicting import EvictCause
from scheduler.domain.ids import job_id
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.domain.states import JOB_TERMINAL, FailureClass, JobState, RunState
from scheduler.errors import NotFound
from scheduler.store import elements, retention, scoping
from scheduler.store.job_filter import KEPT, JobFilter, where


class JobRow(NamedTuple):
    """A job; ``spec`` as it was sent, ``attempt`` how many runs were made.

    The three sums are what its settled runs cost. ``array_uid`` is an element's array, and an
    array's own uid. A ``gated`` job waits for other jobs, or for room in its array.
    """

    uid: int
    enterprise: str
    city: str
    state: JobState
    version: int
    attempt: int
    submit_ms: int
    start_ms: int | None
    end_ms: int | None
    failure: FailureClass | None
    message: str
    cancel_requested: bool
    gross_fen: int
    subsidy_fen: int
    self_pay_fen: int
    settled: bool
    spec: bytes
    emergency: bool
    evictions: int
    deactivated: bool
    user_name: str
    gated: bool
    array_uid: int | None
    array_index: int | None

    @property
    def is_array(self) -> bool:
        """Whether it stands for elements."""
        return self.array_uid == self.uid


class RunRow(NamedTuple):
    """One attempt; ``simulated`` says that its center is."""

    uid: int
    attempt: int
    center: str
    flavor: str
    units: int
    nodes: int
    state: RunState
    native_id: str
    admit_ms: int
    accept_ms: int | None
    start_ms: int | None
    end_ms: int | None
    failure: FailureClass | None
    exit_code: int | None
    message: str
    simulated: bool
    evict_cause: EvictCause | None
    evict_deadline_ms: int | None


_COLUMNS: Final = (
    "uid, enterprise, city, state, version, attempt, submit_ms, start_ms, end_ms, failure_class,"
    " message, cancel_requested, gross_fen, subsidy_fen, self_pay_fen, settled,"
    # An element's spec is its array's.
    " CASE WHEN array_index IS NULL THEN spec"
    " ELSE (SELECT a.spec FROM job a WHERE a.uid = job.array_uid) END,"
    " emergency, evictions, deactivated, user_name, gated, array_uid, array_index"
)
_NAMED_MAX: Final = 3
#: The statement of a page, to be completed by a filter's condition.
PAGE: Final = (
    f"SELECT {_COLUMNS} FROM job WHERE {{where}} AND uid < :before ORDER BY uid DESC LIMIT :limit"
)
_RUN_COLUMNS: Final = (
    "r.job_uid, r.attempt, r.center, r.flavor, r.units, r.nodes, r.state, r.native_id, r.admit_ms,"
    " r.accept_ms, r.start_ms, r.end_ms, r.failure_class, r.exit_code, r.message, c.simulated,"
    " r.evict_cause, r.evict_deadline_ms"
)


def get_job(connection: Connection, scope: Scope, uid: int) -> JobRow:
    """Return one job; ``NotFound`` if there is none within the scope.

    An element without a row is shown as its array and the state of all such say.
    """
    row = _row(connection, scope, uid)
    if row is not None:
        return row
    element = elements.find(connection, [uid]).get(uid)
    array = None if element is None else _row(connection, scope, element.array_uid)
    if element is None or array is None:
        raise NotFound(not_found(connection, [uid]))
    ended = element.rest in JOB_TERMINAL
    return array._replace(
        uid=uid, state=element.rest, version=0, start_ms=None, gated=not element.told,
        array_index=element.index, gross_fen=0, subsidy_fen=0, self_pay_fen=0, settled=ended,
        message=array.message if ended else "",
    )  # fmt: skip


def not_found(connection: Connection, uids: Collection[int]) -> str:
    """Say that there are no such jobs, and what may be known of them; at least one is given."""
    named = ", ".join(job_id(uid) for uid in sorted(uids)[:_NAMED_MAX])
    said = f"no job {named} that you may see; `corridor jobs` shows those"
    if len(uids) > 1:
        said = f"{len(uids)} of the jobs are not there, or not yours to see: {named}"
    if retention.may_be_pruned(connection, uids):
        said += (
            ". Jobs that ended long ago are not kept; what their runs cost is: `corridor charge"
            " show RUN`, and the statements"
        )
    return said


def _row(connection: Connection, scope: Scope, uid: int) -> JobRow | None:
    in_scope = scoping.enterprises(scope, "city", "enterprise")
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM job WHERE uid = :uid AND {KEPT} AND {in_scope}"),
        {"uid": uid, **scoping.values(scope)},
    ).first()
    return None if row is None else _job_row(tuple(row))


def list_jobs(
    connection: Connection, scope: Scope, wanted: JobFilter, limit: int, before_uid: int
) -> list[JobRow]:
    """Return at most ``limit`` jobs with uids below ``before_uid``, newest first."""
    found = where(connection, scope, wanted)
    rows = connection.execute(
        text(PAGE.format(where=found.sql)),
        {**found.binds, "before": before_uid, "limit": limit},
    )
    return [_job_row(tuple(row)) for row in rows]


def runs_of(connection: Connection, uid: int) -> list[RunRow]:
    """Return the attempts of a job that the caller was shown, in order."""
    rows = connection.execute(
        text(
            f"SELECT {_RUN_COLUMNS} FROM run r JOIN center c ON c.code = r.center"
            " WHERE r.job_uid = :uid ORDER BY r.attempt"
        ),
        {"uid": uid},
    )
    return [_run_row(tuple(row)) for row in rows]


def visible(connection: Connection, scope: Scope, uids: Iterable[int]) -> set[int]:
    """Return which of these jobs there are within the scope; elements only once they have rows."""
    in_scope = scoping.enterprises(scope, "city", "enterprise")
    query = text(f"SELECT uid FROM job WHERE uid IN :uids AND {KEPT} AND {in_scope}")
    rows = connection.execute(
        query.bindparams(sa.bindparam("uids", expanding=True)),
        {"uids": sorted(set(uids)), **scoping.values(scope)},
    )
    return set(rows.scalars())


def arrays_of(connection: Connection, scope: Scope, uids: Iterable[int]) -> dict[int, int]:
    """Return the arrays of those of these uids that are elements without rows in the scope."""
    return {
        one.uid: one.array_uid
        for one in elements.find(connection, uids).values()
        if scope.covers(one.city, one.enterprise)
    }


def waiting_in_city(connection: Connection, city: str) -> int:
    """Return how many jobs of a city are queued."""
    found = where(connection, EVERYTHING, JobFilter(frozenset({JobState.QUEUED}), city=city))
    query = text(f"SELECT count(*) FROM job WHERE {found.sql}")
    return int(connection.execute(query, found.binds).scalar_one())


def _job_row(row: tuple[object, ...]) -> JobRow:
    values: list[object] = list(row)
    values[3] = JobState(str(row[3]))
    values[9] = None if row[9] is None else FailureClass(str(row[9]))
    for flag in (11, 15, 17, 19, 21):
        values[flag] = bool(row[flag])
    return JobRow(*values)  # type: ignore[arg-type]


def _run_row(row: tuple[object, ...]) -> RunRow:
    values: list[object] = list(row)
    values[6] = RunState(str(row[6]))
    values[12] = None if row[12] is None else FailureClass(str(row[12]))
    values[15] = bool(row[15])
    values[16] = None if row[16] is None else EvictCause(str(row[16]))
    return RunRow(*values)  # type: ignore[arg-type]
