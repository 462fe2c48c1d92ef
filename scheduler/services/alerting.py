"""Use cases: alerts that concern the caller, and when funds will be spent."""

from scheduler.domain.principal import Principal
from scheduler.services.context import Context
from scheduler.store import alerts, forecasts
from scheduler.store.alerts import AlertRow
from scheduler.store.forecasts import FundForecast


async def list_alerts(
    context: Context, caller: Principal, *, show_ended: bool, limit: int, before: int
) -> list[AlertRow]:
    """Return at most ``limit`` alerts, newest first, of numbers below ``before`` (0 for all)."""
    return await context.db.read(
        lambda connection: alerts.list_alerts(
            connection, caller.scope, open_only=not show_ended, limit=limit, before=before
        )
    )


async def forecast_funds(
    context: Context, caller: Principal, city: str, programme: str
) -> list[FundForecast]:
    """Return forecasts of the open funds that the caller may see."""
    now_ms = context.clock.now_ms()
    return await context.db.read(
        lambda connection: forecasts.forecast_funds(
            connection, caller.scope, now_ms, city, programme
        )
    )
