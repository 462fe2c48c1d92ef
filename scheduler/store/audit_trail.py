"""What people changed: who, what before and after, and why. Rows are only ever added."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from scheduler.domain.principal import Principal
from scheduler.store.database import bulk_insert
from scheduler.store.tables import AuditEvent, table

Figures = Mapping[str, str | int | bool | None]


def record(
    connection: Connection,
    actor: Principal,
    action: str,
    target: str,
    *,
    at_ms: int,
    before: Figures | None = None,
    after: Figures | None = None,
    reason: str = "",
    city: str = "",
    enterprise: str = "",
) -> None:
    """Add one audit row in the transaction of the change that it tells of.

    ``at_ms`` is wall-clock time; ``city`` and ``enterprise`` say whom it concerns. Secrets never
    belong into the figures.
    """
    connection.execute(
        sa.insert(table(AuditEvent)),
        {
            "at_ms": at_ms,
            "actor": actor.subject,
            "role": str(actor.role),
            "action": action,
            "target": target,
            "city": city,
            "enterprise": enterprise,
            "before": _json(before),
            "after": _json(after),
            "reason": reason,
        },
    )


class Owner(NamedTuple):
    """Whose things a command changed, which, and the figures after it."""

    city: str
    enterprise: str
    target: str
    after: Figures


def record_owners(
    connection: Connection,
    actor: Principal,
    action: str,
    owners: Iterable[Owner],
    *,
    at_ms: int,
    reason: str,
) -> None:
    """Add one audit row for each owner of what one command changed."""
    rows = [
        (at_ms, actor.subject, str(actor.role), action, owner.target, owner.city,
         owner.enterprise, "", _json(owner.after), reason)
        for owner in owners
    ]  # fmt: skip
    columns = (
        "at_ms", "actor", "role", "action", "target", "city", "enterprise", "before", "after",
        "reason",
    )  # fmt: skip
    bulk_insert(connection, table(AuditEvent), columns, rows)


def _json(figures: Figures | None) -> str:
    if figures is None:
        return ""
    return json.dumps(dict(figures), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
