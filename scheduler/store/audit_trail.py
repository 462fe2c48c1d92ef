"""What people changed: who, what before and after, and why. Rows are only ever added."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, text

from scheduler.domain.principal import Principal, Scope
from scheduler.store import scoping
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
            "issuer": actor.issuer,
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
        (at_ms, actor.subject, actor.issuer, str(actor.role), action, owner.target, owner.city,
         owner.enterprise, "", _json(owner.after), reason)
        for owner in owners
    ]  # fmt: skip
    columns = (
        "at_ms", "actor", "issuer", "role", "action", "target", "city", "enterprise", "before",
        "after", "reason",
    )  # fmt: skip
    bulk_insert(connection, table(AuditEvent), columns, rows)


def _json(figures: Figures | None) -> str:
    if figures is None:
        return ""
    return json.dumps(dict(figures), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


# --- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; empty parts mean all. A target stands for what is below it too."""

    target: str = ""
    action: str = ""
    actor: str = ""
    city: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry as it was written; ``before`` and ``after`` are JSON objects or empty."""

    seq: int
    at_ms: int
    actor: str
    role: str
    action: str
    target: str
    city: str
    enterprise: str
    before: str
    after: str
    reason: str
    issuer: str = ""


def list_events(
    connection: Connection, scope: Scope, wanted: Wanted, limit: int, before: int | None = None
) -> list[AuditRow]:
    """Return at most ``limit`` entries of a scope, the newest first, from below ``before`` on."""
    rows = connection.execute(
        text(
            "SELECT seq, at_ms, actor, role, action, target, city, enterprise, before, after,"
            " reason, issuer FROM audit_event"
            f" WHERE {scoping.enterprises(scope, 'city', 'enterprise')}"
            " AND (:action = '' OR action = :action) AND (:actor = '' OR actor = :actor)"
            " AND (:city = '' OR city = :city) AND (:target = '' OR target = :target"
            " OR substr(target, 1, length(:target) + 1) = :target || '/')"
            " AND seq < :before ORDER BY seq DESC LIMIT :limit"
        ),
        {
            "action": wanted.action, "actor": wanted.actor, "city": wanted.city,
            "target": wanted.target.rstrip("/"), "limit": limit,
            "before": (1 << 62) if before is None else before, **scoping.values(scope),
        },
    )  # fmt: skip
    return [AuditRow(*row) for row in rows]
