"""Use cases of centers: shown to all; cordoned, drained and resumed by an operator."""

from dataclasses import dataclass

from scheduler.domain.inventory import Inventory
from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.services import approving, checks
from scheduler.services.context import CenterStatus, Context
from scheduler.store import centers
from scheduler.store.centers import CenterRow


@dataclass(frozen=True, slots=True)
class CenterView:
    """A center as stored, and how it answers at the moment."""

    row: CenterRow
    status: CenterStatus


async def list_centers(context: Context) -> list[CenterView]:
    """Return all centers by code."""
    now_ms = context.clock.now_ms()
    rows = await context.db.read(lambda connection: centers.list_centers(connection, now_ms))
    return [_view(context, row) for row in rows]


async def get_center(context: Context, center: str) -> CenterView:
    """Return one center; ``NotFound`` names those there are."""
    now_ms = context.clock.now_ms()
    row = await context.db.read(lambda connection: centers.get_center(connection, center, now_ms))
    return _view(context, row)


async def cordon(context: Context, caller: Principal, center: str, reason: str) -> CenterView:
    """Start nothing new at a center; raises ``InvalidRequest`` and ``NotFound``."""
    return await _set_state(context, caller, center, centers.CORDONED, reason)


async def drain(
    context: Context, caller: Principal, center: str, reason: str, deadline_ms: int | None = None
) -> CenterView:
    """Start nothing new at a center and end what runs there, after notice and grace.

    The jobs of those runs are queued again, and nothing is billed for them. With a deadline
    (scheduling time) runs that end by then are left, and the others are ended by then. Raises
    ``InvalidRequest`` and ``NotFound``.
    """
    now_ms = context.clock.now_ms()
    if deadline_ms is not None and deadline_ms <= now_ms:
        late = FieldViolation("deadline", "must lie ahead; without one the center is emptied now")
        raise InvalidRequest([late])
    return await _set_state(context, caller, center, centers.DRAINING, reason, deadline_ms)


async def resume(context: Context, caller: Principal, center: str, reason: str) -> CenterView:
    """Open a center again; raises ``InvalidRequest`` and ``NotFound``."""
    return await _set_state(context, caller, center, centers.OPEN, reason)


async def take_inventory(context: Context, center: str) -> Inventory:
    """Look at all that a center has under our mark, now, beside what we think.

    Raises ``InvalidRequest``, ``NotFound``, and ``TemporarilyAway`` if the center does not answer.
    """
    wrong = checks.given("center", center)
    if wrong:
        raise InvalidRequest(wrong)
    await get_center(context, center)
    return await context.centers.take_inventory(center)


async def set_domestic(
    context: Context, caller: Principal, flavor: str, domestic: bool, reason: str
) -> None:
    """Say whether a flavor is of domestic make; raises ``InvalidRequest`` and ``NotFound``."""
    wrong = checks.given("flavor", flavor) + checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    act = approving.act_of(context, caller, reason)
    await context.db.write(lambda c: centers.set_domestic(c, flavor, domestic, act))


async def _set_state(
    context: Context,
    caller: Principal,
    center: str,
    state: str,
    reason: str,
    deadline_ms: int | None = None,
) -> CenterView:
    wrong = checks.given("center", center) + checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    row = await context.db.write(
        lambda connection: centers.set_state(
            connection,
            caller,
            center,
            state,
            reason=reason,
            now_ms=context.clock.now_ms(),
            wall_ms=context.wall_ms(),
            deadline_ms=deadline_ms,
        )
    )
    return _view(context, row)


def _view(context: Context, row: CenterRow) -> CenterView:
    return CenterView(row, context.centers.status(row.center))
