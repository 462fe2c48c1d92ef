"""Use cases of quotas: shown within the caller's scope, set with a reason under an etag."""

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import quotas, quotas_enterprises
from scheduler.store.quotas import Change, CityLimits, CityQuotaRow
from scheduler.store.quotas_enterprises import EnterpriseQuotaRow, Key


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
    *,
    etag: str,
    reason: str,
) -> CityQuotaRow:
    """Set a city's quota.

    Raises ``InvalidRequest``, ``NotFound``, ``Conflict`` for a stale etag, and ``QuotaExceeded``
    if the nominal quotas together came to more than the center grants.
    """
    wrong = checks.reason(reason)
    wrong += checks.given("quota.city", city) + checks.given("quota.flavor", flavor)
    wrong += checks.whole("quota.nominal_units", limits.nominal_units, checks.UNITS_MAX)
    wrong += checks.whole("quota.borrow_limit_units", limits.borrow_limit_units, checks.UNITS_MAX)
    lend = limits.lend_limit_units
    if lend is not None and not 0 <= lend <= limits.nominal_units:
        least_most = f"0..{limits.nominal_units} (nominal), not {lend}; leave it out to lend all"
        wrong.append(FieldViolation("quota.lend_limit_units", f"must be {least_most}"))
    if wrong:
        raise InvalidRequest(wrong)
    change = _change(context, caller, etag, reason)
    return await context.db.write(
        lambda connection: quotas.update_city_quota(connection, city, flavor, limits, change)
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
    cap_units: int | None,
    *,
    etag: str,
    reason: str,
) -> EnterpriseQuotaRow:
    """Set an enterprise's cap; raises ``InvalidRequest``, ``NotFound`` and ``Conflict``."""
    wrong = checks.reason(reason)
    wrong += checks.given("quota.enterprise", enterprise) + checks.given("quota.flavor", flavor)
    wrong += checks.whole("quota.cap_units", cap_units, checks.UNITS_MAX)
    if wrong:
        raise InvalidRequest(wrong)
    change = _change(context, caller, etag, reason)
    return await context.db.write(
        lambda connection: quotas.update_enterprise_quota(
            connection, enterprise, flavor, cap_units, change
        )
    )


def _change(context: Context, caller: Principal, etag: str, reason: str) -> Change:
    return Change(caller, etag, reason, context.clock.now_ms(), context.wall_ms())
