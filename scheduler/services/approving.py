"""Use cases of changes that need two persons: shown, approved, denied, withdrawn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from scheduler.domain.principal import Principal
from scheduler.errors import InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import approvals, change_requests
from scheduler.store.change_requests import Act, Request, Wanted
from scheduler.store.database import Connection

T = TypeVar("T")
#: Numbers of the database are not larger.
NUMBER_MAX: Final = (1 << 63) - 1


async def list_requests(
    context: Context, caller: Principal, wanted: Wanted, limit: int, before: int | None
) -> list[Request]:
    """Return at most ``limit`` requests, the newest first, from below number ``before`` on."""
    return await context.db.read(
        lambda c: change_requests.list_requests(c, caller.scope, wanted, limit, before)
    )


async def get(context: Context, caller: Principal, number: int) -> Request:
    """Return one request; raises ``InvalidRequest``, and ``NotFound`` outside the scope."""
    _check(number)
    return await context.db.read(lambda c: change_requests.get(c, caller.scope, number))


async def approve(
    context: Context, caller: Principal, number: int, reason: str, *, validate_only: bool = False
) -> Request:
    """Approve a change of another person and make it, or only try whether that would do.

    Raises ``InvalidRequest``, ``NotFound``, ``Forbidden``, ``WrongState``, and what the change
    itself raises if it no longer fits.
    """
    act = _act(context, caller, number, reason)
    return await do(
        context, lambda c: approvals.approve(c, number, act), validate_only=validate_only
    )


async def deny(context: Context, caller: Principal, number: int, reason: str) -> Request:
    """Deny a change of another person; raises what ``approve`` does."""
    act = _act(context, caller, number, reason)
    return await context.db.write(lambda c: change_requests.deny(c, number, act))


async def withdraw(context: Context, caller: Principal, number: int, reason: str) -> Request:
    """Take back one's own; raises ``InvalidRequest`` and what the others do."""
    act = _act(context, caller, number, reason)
    return await context.db.write(lambda c: change_requests.withdraw(c, number, act))


def act_of(context: Context, caller: Principal, reason: str) -> Act:
    """Return who does something now, and why."""
    return Act(caller, reason, context.clock.now_ms(), context.wall_ms())


def _act(context: Context, caller: Principal, number: int, reason: str) -> Act:
    _check(number)
    if wrong := checks.reason(reason):
        raise InvalidRequest(wrong)
    return act_of(context, caller, reason)


def _check(number: int) -> None:
    if wrong := checks.whole("number", number, NUMBER_MAX, least=1):
        raise InvalidRequest(wrong)


# --- trying ---------------------------------------------------------------------------------------


@dataclass
class _Rehearsed(Exception):
    """Ends a transaction without a trace; ``result`` is what it would have come to."""

    result: object


async def do(context: Context, call: Callable[[Connection], T], *, validate_only: bool) -> T:
    """Do ``call`` in a write transaction; ``validate_only`` undoes it and only tells its result.

    Its errors are the same either way.
    """
    if not validate_only:
        return await context.db.write(call)

    def undone(connection: Connection) -> T:
        raise _Rehearsed(call(connection))

    try:
        return await context.db.write(undone)
    except _Rehearsed as rehearsed:
        return rehearsed.result  # type: ignore[return-value]
