"""Conditions by which a query shows only rows of the caller's scope.

Every condition uses the bind names ``scope_city`` and ``scope_enterprise`` of ``values``; a query
that puts one of them into its WHERE clause cannot show what lies outside, whatever its caller
forgot.
"""

from scheduler.domain.principal import Scope


def values(scope: Scope) -> dict[str, str | None]:
    """Return the binds that the conditions need."""
    return {"scope_city": scope.city, "scope_enterprise": scope.enterprise}


def enterprises(scope: Scope, city: str, enterprise: str) -> str:
    """Condition on rows that have a ``city`` and an ``enterprise`` column."""
    parts = []
    if scope.city is not None:
        parts.append(f"{city} = :scope_city")
    if scope.enterprise is not None:
        parts.append(f"{enterprise} = :scope_enterprise")
    return " AND ".join(parts) or "1 = 1"


def cities(scope: Scope, city: str) -> str:
    """Condition on rows that have a ``city`` only: an enterprise sees those of its own city."""
    parts = []
    if scope.city is not None:
        parts.append(f"{city} = :scope_city")
    if scope.enterprise is not None:
        parts.append(f"{city} = (SELECT city FROM enterprise WHERE code = :scope_enterprise)")
    return " AND ".join(parts) or "1 = 1"
