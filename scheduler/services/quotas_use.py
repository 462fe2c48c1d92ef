"""Use cases beside the quotas themselves: stops of cities and enterprises, and who uses what."""

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import quotas_usage, stops
from scheduler.store.quotas_telling import Change
from scheduler.store.quotas_usage import UsageRow
from scheduler.store.stops import StopRow


async def list_stops(
    context: Context, caller: Principal, all_states: bool, limit: int, after: str
) -> list[StopRow]:
    """Return at most ``limit`` nodes by name: those stopped, or ever stopped."""
    return await context.db.read(
        lambda c: stops.list_stops(c, caller.scope, all_states=all_states, limit=limit, after=after)
    )


async def set_stop(
    context: Context, caller: Principal, node: str, state: str, *, etag: str, reason: str
) -> StopRow:
    """Open, hold or drain a city or an enterprise.

    Raises ``InvalidRequest``, ``NotFound``, ``Conflict``, and ``Forbidden`` for what an operator
    stopped.
    """
    wrong = checks.reason(reason) + checks.given("node", node)
    if state not in (stops.OPEN, stops.HOLD, stops.DRAIN):
        wrong.append(FieldViolation("state", "must be OPEN, HOLD or DRAIN"))
    if wrong:
        raise InvalidRequest(wrong)
    change = Change(caller, etag, reason, context.clock.now_ms(), context.wall_ms())
    return await context.db.write(lambda c: stops.set_stop(c, node, state, change))


async def list_usage(
    context: Context,
    caller: Principal,
    city: str,
    flavor: str,
    limit: int,
    after: quotas_usage.Key,
) -> list[UsageRow]:
    """Return at most ``limit`` rows of who uses what now, by (city, enterprise, flavor)."""
    return await context.db.read(
        lambda c: quotas_usage.list_usage(
            c, caller.scope, city=city, flavor=flavor, limit=limit, after=after
        )
    )
