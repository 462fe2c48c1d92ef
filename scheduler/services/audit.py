"""Use case: what people changed, as far as the caller may see it."""

from scheduler.domain.principal import Principal
from scheduler.services.context import Context
from scheduler.store import audit_trail
from scheduler.store.audit_trail import AuditRow, Wanted


async def list_events(
    context: Context, caller: Principal, wanted: Wanted, limit: int, before: int | None
) -> list[AuditRow]:
    """Return at most ``limit`` entries, the newest first, from below ``before`` on."""
    return await context.db.read(
        lambda connection: audit_trail.list_events(connection, caller.scope, wanted, limit, before)
    )
