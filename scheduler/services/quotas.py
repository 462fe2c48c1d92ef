"""Use cases of quotas: shown within the caller's scope, set with a reason under an etag.

A change may be ordered for later; then it is kept, and judged again when it is due.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest, NotFound
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import quotas, quotas_dated, quotas_enterprises, quotas_flavors
from scheduler.store.database import Connection
from scheduler.store.quotas import Change, CityLimits, CityQuotaRow
from scheduler.store.quotas_dated import DatedChange, EnterpriseLimits, Limits, Order
from scheduler.store.quotas_enterprises import EnterpriseQuotaRow, Key
from scheduler.store.quotas_flavors import FlavorLimits, FlavorQuotaRow, Reclaim

Row = TypeVar("Row")
#: Nobody plans quotas further ahead.
AHEAD_MAX_MS: Final = 5 * 366 * 86_400_000


@dataclass(frozen=True, slots=True)
class Command:
    """How a quota is changed: under which etag, why, and when.

    ``effective_ms`` is scheduling time, None for at once.
    """

    etag: str
    reason: str
    effective_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Updated(Generic[Row]):
    """The quota as it is now (None: there is none yet), and the change kept for later, if any."""

    quota: Row | None
    change: DatedChange | None


async def get_city_quota(
    context: Context, caller: Principal, city: str, flavor: str
) -> CityQuotaRow:
    """Return one quota; ``NotFound`` if there is none that the caller may see."""
    return await context.db.read(
        lambda connection: quotas.get_city_quota(connection, caller.scope, city, flavor)
    )


async def list_city_quotas(
    context: Context, caller: Principal, city: str, limit: int, after: Key
) -> list[CityQuotaRow]:
    """Return at most ``limit`` quotas by (city, flavor) after a key."""
    return await context.db.read(
        lambda connection: quotas.list_city_quotas(connection, caller.scope, city, limit, after)
    )


async def update_city_quota(
    context: Context,
    caller: Principal,
    city: str,
    flavor: str,
    limits: CityLimits,
    command: Command,
) -> Updated[CityQuotaRow]:
    """Set a city's quota.

    Raises ``InvalidRequest``, ``NotFound``, ``Conflict`` for a stale etag, and ``QuotaExceeded``
    if it is raised above what the center grants, or guarantees less than the city promised.
    """
    wrong = _check(context, command)
    wrong += checks.given("quota.city", city) + checks.given("quota.flavor", flavor)
    wrong += checks.whole("quota.nominal_units", limits.nominal_units, checks.UNITS_MAX)
    wrong += checks.whole("quota.borrow_limit_units", limits.borrow_limit_units, checks.UNITS_MAX)
    lend = limits.lend_limit_units
    if lend is not None and not 0 <= lend <= limits.nominal_units:
        least_most = f"0..{limits.nominal_units} (nominal), not {lend}; leave it out to lend all"
        wrong.append(FieldViolation("quota.lend_limit_units", f"must be {least_most}"))
    return await _update(
        context, caller, Wanted(city, flavor, limits, wrong), command,
        lambda c, change: quotas.update_city_quota(c, city, flavor, limits, change),
        lambda c: quotas.get_city_quota(c, caller.scope, city, flavor),
    )  # fmt: skip


async def get_enterprise_quota(
    context: Context, caller: Principal, enterprise: str, flavor: str
) -> EnterpriseQuotaRow:
    """Return one quota, without an etag if nobody set it; ``NotFound`` outside the scope."""
    return await context.db.read(
        lambda connection: quotas_enterprises.get_enterprise_quota(
            connection, caller.scope, enterprise, flavor
        )
    )


async def list_enterprise_quotas(
    context: Context, caller: Principal, enterprise: str, city: str, limit: int, after: Key
) -> list[EnterpriseQuotaRow]:
    """Return at most ``limit`` quotas by (enterprise, flavor) after a key."""
    return await context.db.read(
        lambda connection: quotas_enterprises.list_enterprise_quotas(
            connection, caller.scope, enterprise, city, limit, after
        )
    )


async def update_enterprise_quota(
    context: Context,
    caller: Principal,
    enterprise: str,
    flavor: str,
    limits: EnterpriseLimits,
    command: Command,
) -> Updated[EnterpriseQuotaRow]:
    """Set an enterprise's cap and guarantee.

    Raises ``InvalidRequest``, ``NotFound``, ``Conflict``, and ``QuotaExceeded`` if the city has not
    so much guaranteed to itself.
    """
    cap, guarantee = limits.cap_units, limits.guarantee_units
    wrong = _check(context, command)
    wrong += checks.given("quota.enterprise", enterprise) + checks.given("quota.flavor", flavor)
    wrong += checks.whole("quota.cap_units", cap, checks.UNITS_MAX)
    most = checks.UNITS_MAX if cap is None else max(0, cap)
    wrong += checks.whole("quota.guarantee_units", guarantee, most)
    return await _update(
        context, caller, Wanted(enterprise, flavor, limits, wrong), command,
        lambda c, change: quotas_enterprises.update_enterprise_quota(
            c, enterprise, flavor, cap, change, guarantee
        ),
        lambda c: quotas_enterprises.get_enterprise_quota(c, caller.scope, enterprise, flavor),
    )  # fmt: skip


async def get_flavor_quota(context: Context, flavor: str) -> FlavorQuotaRow:
    """Return the corridor's own part of a flavor; ``NotFound`` names those there are."""
    return await context.db.read(lambda c: quotas_flavors.get_flavor_quota(c, flavor))


async def list_flavor_quotas(context: Context) -> list[FlavorQuotaRow]:
    """Return the corridor's own part of all flavors."""
    return await context.db.read(quotas_flavors.list_flavor_quotas)


async def update_flavor_quota(
    context: Context,
    caller: Principal,
    flavor: str,
    *,
    granted_units: int | None,
    corridor_units: int | None,
    reclaim: Reclaim | None,
    command: Command,
) -> Updated[FlavorQuotaRow]:
    """Set the corridor's own part of a flavor; what is granted and the rule stay if None.

    Raises ``InvalidRequest``, ``NotFound``, ``Conflict``, and ``QuotaExceeded`` if the cities do
    not leave so much.
    """
    wrong = _check(context, command) + checks.given("quota.flavor", flavor)
    wrong += checks.whole("quota.granted_units", granted_units, checks.UNITS_MAX)
    wrong += checks.whole("quota.corridor_units", corridor_units, checks.UNITS_MAX)
    wrong += [] if reclaim is None else _check_reclaim(reclaim)
    if wrong:
        raise InvalidRequest(wrong)
    now = await get_flavor_quota(context, flavor)
    limits = FlavorLimits(
        now.pool.granted_units if granted_units is None else granted_units,
        corridor_units,
        now.reclaim if reclaim is None else reclaim,
    )
    return await _update(
        context, caller, Wanted("", flavor, limits, wrong), command,
        lambda c, change: quotas_flavors.update_flavor_quota(c, flavor, limits, change),
        lambda c: quotas_flavors.get_flavor_quota(c, flavor),
    )  # fmt: skip


def _check_reclaim(reclaim: Reclaim) -> list[FieldViolation]:
    return [
        wrong
        for name, (least, most) in quotas_flavors.RECLAIM_RANGES.items()
        for wrong in checks.whole(f"quota.reclaim.{name}", getattr(reclaim, name), most, least)
    ]


# --- changes ordered for later --------------------------------------------------------------------


async def list_quota_changes(
    context: Context, caller: Principal, all_states: bool, limit: int, after: int
) -> list[DatedChange]:
    """Return at most ``limit`` changes by number: those that wait, or all."""
    return await context.db.read(
        lambda c: quotas_dated.list_changes(
            c, caller.scope, all_states=all_states, limit=limit, after=after
        )
    )


async def cancel_quota_change(
    context: Context, caller: Principal, change_id: int, reason: str
) -> DatedChange:
    """Take back a change that waits; raises ``InvalidRequest``, ``NotFound``, ``WrongState``."""
    wrong = checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    change = Change(caller, None, reason, context.clock.now_ms(), context.wall_ms())
    return await context.db.write(lambda c: quotas_dated.cancel(c, change_id, change))


# --- shared ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose quota (owner empty: the flavor's own) is to be what, and what is wrong with that."""

    owner: str
    flavor: str
    limits: Limits
    wrong: list[FieldViolation]


async def _update(
    context: Context,
    caller: Principal,
    wanted: Wanted,
    command: Command,
    update: Callable[[Connection, Change], Row],
    get: Callable[[Connection], Row],
) -> Updated[Row]:
    """Set a quota now, or keep the change for later."""
    if wanted.wrong:
        raise InvalidRequest(wanted.wrong)
    now_ms, wall_ms = context.clock.now_ms(), context.wall_ms()
    change = Change(caller, command.etag, command.reason, now_ms, wall_ms)
    at_ms = command.effective_ms
    if at_ms is None:
        return Updated(await context.db.write(lambda c: update(c, change)), None)
    order = Order(wanted.owner, wanted.flavor, wanted.limits, at_ms)

    def keep(connection: Connection) -> Updated[Row]:
        kept = quotas_dated.schedule(connection, order, change)
        try:
            return Updated(get(connection), kept)
        except NotFound:  # the first quota of a city for this flavor
            return Updated(None, kept)

    return await context.db.write(keep)


def _check(context: Context, command: Command) -> list[FieldViolation]:
    wrong = checks.reason(command.reason)
    at_ms, now_ms = command.effective_ms, context.clock.now_ms()
    if at_ms is not None and not now_ms < at_ms <= now_ms + AHEAD_MAX_MS:
        what = "must lie ahead, at most five years; leave it out to change the quota now"
        wrong.append(FieldViolation("effective_time", what))
    return wrong
