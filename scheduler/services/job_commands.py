"""Use cases that change jobs: cancelled, held and released, by id or by filter; or let go first.

A big selection is worked off in slices, each its own transaction, so that no one command keeps
other writers waiting. All is idempotent: a command that broke off is simply given again.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from scheduler.domain.principal import Principal, Role
from scheduler.domain.states import JobState
from scheduler.errors import InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import emergency as store
from scheduler.store import job_commands
from scheduler.store.database import Connection
from scheduler.store.job_commands import OPEN, Cancelled, Moved, Order
from scheduler.store.job_filter import JobFilter

T = TypeVar("T")

#: Jobs changed in one transaction: some tens of milliseconds.
SLICE: Final = 2_000
_OF_ENTERPRISE: Final = frozenset({Role.ENTERPRISE_MEMBER, Role.ENTERPRISE_ADMIN})


@dataclass(frozen=True, slots=True)
class Selection:
    """Jobs by uid, or all that match ``wanted``; exactly one of the two is given."""

    uids: tuple[int, ...] = ()
    wanted: JobFilter | None = None


async def cancel(
    context: Context, caller: Principal, selection: Selection, reason: str
) -> Cancelled:
    """End jobs; those at a center are asked for their end, which its report confirms.

    By filter, only jobs that have not ended are meant. Raises ``InvalidRequest`` without a reason
    from one who does not belong to the enterprise.
    """
    total = Cancelled(0, 0, 0, ())
    async for part in _sliced(context, caller, selection, reason, OPEN, job_commands.cancel):
        total = Cancelled(
            total.cancelled + part.cancelled,
            total.requested + part.requested,
            total.ended + part.ended,
            total.missing + part.missing,
        )
    return total


async def hold(context: Context, caller: Principal, selection: Selection, reason: str) -> Moved:
    """Keep queued jobs from being placed; raises as ``cancel`` does."""
    states = frozenset({JobState.QUEUED})
    return await _moved(context, caller, selection, reason, states, job_commands.hold)


async def release(context: Context, caller: Principal, selection: Selection, reason: str) -> Moved:
    """Queue held jobs again; raises as ``cancel`` does."""
    states = frozenset({JobState.HELD})
    return await _moved(context, caller, selection, reason, states, job_commands.release)


async def grant_emergency(
    context: Context, caller: Principal, uid: int, emergency: bool, reason: str
) -> None:
    """Let a waiting job go before all others, or take that back.

    Raises ``InvalidRequest`` without a reason, ``NotFound``, and ``WrongState`` for a job that
    waits no more.
    """
    wrong = checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    order = Order(caller, reason, context.clock.now_ms(), context.wall_ms())
    await context.db.write(lambda connection: store.grant(connection, uid, emergency, order))


async def _moved(
    context: Context, caller: Principal, selection: Selection, reason: str,
    states: frozenset[JobState], command: Callable[[Connection, Sequence[int], Order], Moved],
) -> Moved:  # fmt: skip
    total = Moved(0, 0, ())
    async for part in _sliced(context, caller, selection, reason, states, command):
        total = Moved(
            total.moved + part.moved, total.skipped + part.skipped, total.missing + part.missing
        )
    return total


async def _sliced(
    context: Context, caller: Principal, selection: Selection, reason: str,
    states: frozenset[JobState], command: Callable[[Connection, Sequence[int], Order], T],
) -> AsyncIterator[T]:  # fmt: skip
    """Give the command for one slice of the jobs after the other."""
    wrong = checks.reason(reason) if reason.strip() or caller.role not in _OF_ENTERPRISE else []
    if wrong:
        raise InvalidRequest(wrong)
    wanted = selection.wanted
    if wanted is not None:
        states &= wanted.states or states
    async for uids in _slices(context, caller, selection, states):
        order = Order(caller, reason, context.clock.now_ms(), context.wall_ms(), states)
        yield await context.db.write(
            lambda connection, uids=uids, order=order: command(connection, uids, order)  # type: ignore[misc]
        )


async def _slices(
    context: Context, caller: Principal, selection: Selection, states: frozenset[JobState]
) -> AsyncIterator[Sequence[int]]:
    """Give the uids of a selection in slices; jobs that come after the command are not meant."""
    if selection.wanted is None:
        for first in range(0, len(selection.uids), SLICE):
            yield selection.uids[first : first + SLICE]
        return
    if not states:
        return
    wanted = replace(selection.wanted, states=states)
    last = await context.db.read(job_commands.last_uid)
    after = 0
    while after < last:
        found = await context.db.read(
            lambda connection, after=after: job_commands.select(  # type: ignore[misc]
                connection, caller.scope, wanted, after, SLICE
            )
        )
        uids = [uid for uid in found if uid <= last]
        if uids:
            yield uids
        if len(found) < SLICE:
            return
        after = found[-1]
