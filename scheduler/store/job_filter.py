"""Which jobs are meant, as conditions of a query.

The conditions are written so that a page is found by an index whatever it is filtered by: by
enterprise, by city, among the jobs that have not ended, or by uid alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from scheduler.domain.principal import Scope
from scheduler.domain.states import JOB_TERMINAL, JobState
from scheduler.store import scoping

#: Word for word the condition of the index ``job_open``: only so is that index used.
OPEN: Final = f"state NOT IN ({', '.join(repr(str(state)) for state in sorted(JOB_TERMINAL))})"

#: What a job is known by as long as it is kept (``scheduler.store.retention``).
KEPT: Final = "NOT pruned"


@dataclass(frozen=True, slots=True)
class JobFilter:
    """All conditions must hold; one that is left empty always does. Times are epoch milliseconds,
    from the first up to but without the second. ``array_uid`` means its elements with rows."""

    states: frozenset[JobState] = frozenset()
    enterprise: str = ""
    city: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    display_name_prefix: str = ""
    flavor: str = ""
    submit_from_ms: int | None = None
    submit_until_ms: int | None = None
    array_uid: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it has no condition at all."""
        return self == JobFilter()


@dataclass(frozen=True, slots=True)
class Where:
    """A WHERE clause on table ``job`` and its binds."""

    sql: str
    binds: Mapping[str, Any]


def where(connection: Connection, scope: Scope, wanted: JobFilter) -> Where:
    """Return the condition that a job lies within the scope and matches the filter."""
    parts = [of_states(wanted.states)] if wanted.states else []
    if not _only_open(wanted.states):
        parts.append(KEPT)
    binds: dict[str, Any] = dict(scoping.values(scope))
    by_enterprise = bool(scope.enterprise is not None or wanted.enterprise)
    # All that waits or runs is far less than all there ever was of a city: no index on the city.
    city = "city || ''" if _only_open(wanted.states) and not by_enterprise else "city"
    parts.append(scoping.enterprises(scope, city, "enterprise"))
    for name, column in (("enterprise", "enterprise"), ("city", city)):
        if value := getattr(wanted, name):
            parts.append(f"{column} = :{name}")
            binds[name] = value
    if wanted.display_name_prefix:
        parts.append("substr(display_name, 1, length(:prefix)) = :prefix")
        binds["prefix"] = wanted.display_name_prefix
    if wanted.flavor:
        # Of the compact options [["wuhan-ai/ascend-910b",8,1,3600], ...]; no wildcards, no case.
        parts.append("replace(options, :flavor, '') <> options")
        binds["flavor"] = f"[{json.dumps(wanted.flavor)},"
    for name, sign in (("submit_from_ms", ">="), ("submit_until_ms", "<")):
        if (at_ms := getattr(wanted, name)) is not None:
            parts.append(f"submit_ms {sign} :{name}")
            binds[name] = at_ms
    if wanted.array_uid is not None:
        parts.append("array_uid IS NOT NULL AND array_uid = :array AND array_index IS NOT NULL")
        binds["array"] = wanted.array_uid
    for number, (key, value) in enumerate(sorted(wanted.labels.items())):
        parts.append(_label(connection, number))
        binds |= {f"key{number}": key, f"value{number}": value}
    return Where(" AND ".join(parts), binds)


def of_states(states: frozenset[JobState]) -> str:
    """Return the condition that a job is in one of these states."""
    listed = ", ".join(repr(str(state)) for state in sorted(states))
    only = f"state IN ({listed})" if listed else "1 = 0"
    return f"{OPEN} AND {only}" if _only_open(states) else only


def _only_open(states: frozenset[JobState]) -> bool:
    return bool(states) and not states & JOB_TERMINAL


def _label(connection: Connection, number: int) -> str:
    if connection.dialect.name == "sqlite":
        pairs, value = "json_each(job.labels)", "atom"
    else:
        pairs, value = "json_each_text(CAST(job.labels AS json))", "value"
    return (
        f"EXISTS (SELECT 1 FROM {pairs} AS pair"
        f" WHERE pair.key = :key{number} AND pair.{value} = :value{number})"
    )
