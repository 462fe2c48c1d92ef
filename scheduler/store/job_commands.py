"""Jobs cancelled, held and released by people: set-based, conditional on the state that was left.

A command may come between the plan that starts a job and the admission of it, or twice. Each
statement moves only jobs that still are where the move begins, and tells of those it moved, so
whoever commits first wins and nothing happens twice.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, text

from scheduler.domain.events import EventKind
from scheduler.domain.ids import job_id
from scheduler.domain.principal import Principal, Scope
from scheduler.domain.states import JOB_TERMINAL, JobState, job_sources
from scheduler.store import array_commands, audit_trail, feed, scoping
from scheduler.store.job_filter import KEPT, JobFilter, of_states, where

WAITING: Final = frozenset({JobState.QUEUED, JobState.HELD})
AT_CENTER: Final = frozenset({JobState.ADMITTED, JobState.RUNNING})
#: What a command may still change.
OPEN: Final = frozenset(JobState) - JOB_TERMINAL
_NOTE_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Order:
    """Who commands, why, and when (scheduling and wall time).

    ``states`` narrows what may be changed, beside what each command can change at all.
    """

    actor: Principal
    reason: str
    now_ms: int
    wall_ms: int
    states: frozenset[JobState] = OPEN

    @property
    def note(self) -> str:
        """Who and why, in one line for the job itself."""
        why = f": {self.reason.strip()}" if self.reason.strip() else ""
        return f"{self.actor.subject}{why}"[:_NOTE_MAX]


class Cancelled(NamedTuple):
    """How many jobs were cancelled at once, are being ended at their center, had ended before,
    and which of those asked for are not there."""

    cancelled: int
    requested: int
    ended: int
    missing: tuple[int, ...]


class Moved(NamedTuple):
    """How many jobs were moved, were in another state, and which are not there."""

    moved: int
    skipped: int
    missing: tuple[int, ...]


def select(
    connection: Connection, scope: Scope, wanted: JobFilter, after_uid: int, limit: int
) -> list[int]:
    """Return at most ``limit`` uids above ``after_uid`` that match, in order."""
    found = where(connection, scope, wanted)
    rows = connection.execute(
        text(f"SELECT uid FROM job WHERE {found.sql} AND uid > :after ORDER BY uid LIMIT :limit"),
        {**found.binds, "after": after_uid, "limit": limit},
    )
    return list(rows.scalars())


def last_uid(connection: Connection) -> int:
    """Return the uid of the newest job, 0 if there is none."""
    return int(connection.execute(text("SELECT coalesce(max(uid), 0) FROM job")).scalar_one())


def cancel(connection: Connection, uids: Sequence[int], order: Order) -> Cancelled:
    """End waiting jobs now; ask for the end of those at a center, once for each.

    An array means all its elements. One with elements at a center ends when they have.
    """
    scope = order.actor.scope
    before = _states(connection, scope, uids)
    before |= array_commands.make_named_rows(
        connection, scope, uids, before, WAITING & order.states, order.now_ms
    )
    meant = _with_elements(connection, uids)
    busy = array_commands.with_elements_at_centers(connection, uids)
    winding = _move(
        connection, busy, order, WAITING, "state = 'RUNNING', cancel_requested = true",
    )  # fmt: skip
    ended = _move(
        connection,
        meant,
        order,
        WAITING,
        "state = 'CANCELLED', end_ms = :now, failure_class = NULL, message = :message,"
        " settled = NOT EXISTS (SELECT 1 FROM run r WHERE r.job_uid = job.uid"
        " AND r.settled_ms IS NULL)",
        message=f"cancelled by {order.note}",
    )
    asked = _move(
        connection,
        meant,
        order,
        AT_CENTER,
        "cancel_requested = true",
        " AND NOT cancel_requested",
    )
    arrays = [one.uid for one in (*winding, *ended)]
    array_commands.follow_rest(connection, arrays, JobState.CANCELLED)
    requested = sorted([*winding, *asked])
    _tell(connection, order, {EventKind.CANCELLED: ended, EventKind.CANCEL_REQUESTED: requested})
    counted = Counter(before.values())
    named = set(uids)
    return Cancelled(
        sum(one.uid in named for one in ended),
        sum(counted[state] for state in AT_CENTER & order.states) + len(winding),
        sum(counted[state] for state in JOB_TERMINAL),
        tuple(uid for uid in uids if uid not in before),
    )


def _with_elements(connection: Connection, uids: Sequence[int]) -> list[int]:
    """Return the jobs with the elements that arrays among them mean, each once."""
    return list(dict.fromkeys([*uids, *array_commands.elements_of(connection, uids)]))


def hold(connection: Connection, uids: Sequence[int], order: Order) -> Moved:
    """Keep queued jobs from being placed until they are released."""
    return _switch(connection, uids, order, JobState.QUEUED, EventKind.HELD, JobState.HELD)


def release(connection: Connection, uids: Sequence[int], order: Order) -> Moved:
    """Queue held jobs again, in the place that their submission gave them.

    Those that were held because no center began them get all their tries again.
    """
    return _switch(
        connection, uids, order, JobState.HELD, EventKind.RELEASED, JobState.QUEUED,
        # An element waits for room in its array again.
        ", deactivated = false, start_tries = 0, gated = gated OR array_index IS NOT NULL",
    )  # fmt: skip


class _Touched(NamedTuple):
    """A job that a command changed; ``state`` is the one after it."""

    uid: int
    enterprise: str
    city: str
    state: str
    attempt: int


def _switch(
    connection: Connection, uids: Sequence[int], order: Order, source: JobState, kind: EventKind,
    target: JobState, more: str = "",
) -> Moved:  # fmt: skip
    assert source in job_sources(target), "only what the table of states allows"
    there = _states(connection, order.actor.scope, uids)
    there |= array_commands.make_named_rows(
        connection, order.actor.scope, uids, there, {source} & order.states, order.now_ms
    )
    meant = _with_elements(connection, uids)
    moved = _move(connection, meant, order, frozenset({source}), f"state = '{target}'{more}")
    array_commands.follow_rest(connection, [one.uid for one in moved], target)
    _tell(connection, order, {kind: moved})
    missing = tuple(uid for uid in uids if uid not in there)
    named = set(uids)
    count = sum(one.uid in named for one in moved)
    return Moved(count, len(there) - count, missing)


def _states(connection: Connection, scope: Scope, uids: Sequence[int]) -> dict[int, JobState]:
    """Return how those of these jobs stand that lie within the scope."""
    in_scope = scoping.enterprises(scope, "city", "enterprise")
    query = text(f"SELECT uid, state FROM job WHERE uid IN :uids AND {KEPT} AND {in_scope}")
    rows = connection.execute(
        query.bindparams(sa.bindparam("uids", expanding=True)),
        {"uids": list(uids), **scoping.values(scope)},
    )
    return {uid: JobState(state) for uid, state in rows}


def _move(
    connection: Connection, uids: Sequence[int], order: Order, sources: frozenset[JobState],
    assignments: str, condition: str = "", **binds: Any,
) -> list[_Touched]:  # fmt: skip
    scope = order.actor.scope
    query = text(
        f"UPDATE job SET version = version + 1, {assignments} WHERE uid IN :uids"
        f" AND {of_states(sources & order.states)}{condition}"
        f" AND {scoping.enterprises(scope, 'city', 'enterprise')}"
        " RETURNING uid, enterprise, city, state, attempt"
    ).bindparams(sa.bindparam("uids", expanding=True))
    if ":now" in assignments:
        binds["now"] = order.now_ms
    rows = connection.execute(query, {"uids": list(uids), **scoping.values(scope), **binds})
    return sorted(_Touched(*row) for row in rows)


def _tell(connection: Connection, order: Order, touched: dict[EventKind, list[_Touched]]) -> None:
    """Append each job's event, and for each enterprise what was done to how many of its jobs.

    The audit row names the stretch of the feed that has its jobs one by one.
    """
    first = feed.newest(connection) + 1
    detail = {"by": order.actor.subject, "reason": order.reason.strip()[:_NOTE_MAX]}
    told = json.dumps({key: value for key, value in detail.items() if value}, ensure_ascii=False)
    rows = [
        feed.EventRow(
            kind, one.uid, one.attempt if one.state in AT_CENTER else 0, one.enterprise,
            one.city, one.state, order.now_ms, told,
        )
        for kind, jobs in touched.items()
        for one in jobs
    ]  # fmt: skip
    feed.append(connection, rows)
    last = feed.newest(connection)
    owners: dict[tuple[EventKind, str, str], list[int]] = {}
    for row in rows:
        owners.setdefault((row.kind, row.city, row.enterprise), []).append(row.job_uid)
    for kind in touched:
        audit_trail.record_owners(
            connection,
            order.actor,
            f"JOBS_{kind}",
            [
                audit_trail.Owner(
                    city,
                    enterprise,
                    _target(enterprise, uids),
                    {"jobs": len(uids), "first_event": first, "last_event": last},
                )
                for (of, city, enterprise), uids in owners.items()
                if of is kind
            ],
            at_ms=order.wall_ms,
            reason=order.reason,
        )


def _target(enterprise: str, uids: Sequence[int]) -> str:
    return f"jobs/{job_id(uids[0])}" if len(uids) == 1 else f"enterprises/{enterprise}/jobs"
