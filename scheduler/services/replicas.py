"""Use case: who works on this database, and who of them leads."""

from scheduler.services.context import Context
from scheduler.store import replicas
from scheduler.store.replicas import Present


async def list_replicas(context: Context) -> list[Present]:
    """Return the services that were seen lately, by number."""
    return await context.db.read(replicas.listed)
