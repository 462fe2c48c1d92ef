"""What people changed: who, what before and after, and why. Rows are only ever added."""

import json
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from scheduler.domain.principal import Principal
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


def _json(figures: Figures | None) -> str:
    if figures is None:
        return ""
    return json.dumps(dict(figures), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
