"""Subsidy programmes and the versions of their rules, as they are kept and shown.

A version is never changed. It is in force from an instant until another one, half-open; an end that
lies ahead may be set once and brought nearer, so that nothing in force is ever changed backwards.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from quota.rules import CORRIDOR, Rule
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import NotFound
from scheduler.store import scoping, terms
from scheduler.store.database import bulk_insert
from scheduler.store.tables import Programme, RuleVersion, table


@dataclass(frozen=True, slots=True)
class RuleVersionInfo:
    """A version of a rule, in force in [from_ms, to_ms); ``to_ms`` None without an end.

    ``document_ref`` is the document that it follows, empty for the programme's.
    """

    rule: Rule
    from_ms: int
    to_ms: int | None
    sha256: str
    document_ref: str
    created_ms: int
    created_by: str
    approved_by: str

    def state(self, now_ms: int) -> str:
        """PLANNED, IN_FORCE or ENDED; one whose end is its beginning never was in force."""
        return terms.state(self.from_ms, self.to_ms, now_ms)


@dataclass(frozen=True, slots=True)
class ProgrammeInfo:
    """A programme with the version of its rule in force now, and the next one to come."""

    code: str
    city: str
    name: str
    document_ref: str
    sample: bool
    mode: str
    issue: str
    current: RuleVersionInfo | None
    planned: RuleVersionInfo | None

    @property
    def state(self) -> str:
        """Whether it gives something now, will, or gives nothing any more."""
        if self.current is not None:
            return terms.IN_FORCE
        return terms.ENDED if self.planned is None else terms.PLANNED


@dataclass(frozen=True, slots=True)
class NewProgramme:
    """A programme to be made with the first version of its rule."""

    city: str
    name: str
    document_ref: str
    sample: bool


# --- keeping --------------------------------------------------------------------------------------


def create_programme(
    connection: Connection, *, city: str, name: str, document_ref: str, sample: bool, rule: Rule,
    now_ms: int,
) -> None:  # fmt: skip
    """Found a programme with the first version of its rule, or add a newer one from now on."""
    if not exists(connection, rule.programme):
        found_programme(connection, NewProgramme(city, name, document_ref, sample), rule)
    add_version(connection, RuleVersionInfo(rule, now_ms, None, rule.sha256(), "", now_ms, "", ""))


def found_programme(connection: Connection, new: NewProgramme, rule: Rule) -> None:
    """Add a programme that has no rule yet."""
    bulk_insert(
        connection, table(Programme),
        ("code", "city", "name", "document_ref", "sample", "mode", "issue", "priority",
         "exclusive_group", "status"),
        [(rule.programme, new.city, new.name, new.document_ref, new.sample, rule.mode, rule.issue,
          rule.priority, rule.exclusive_group or None, "ACTIVE")],
    )  # fmt: skip


def add_version(connection: Connection, one: RuleVersionInfo) -> None:
    """Add a version; the one before it that has no end ends where it begins.

    That the times of versions do not overlap, and none begins in the past, is checked before.
    """
    connection.execute(
        text(
            "UPDATE rule_version SET effective_to_ms ="
            " CASE WHEN effective_from_ms > :at THEN effective_from_ms ELSE :at END"
            " WHERE programme = :programme AND effective_to_ms IS NULL"
        ),
        {"at": one.from_ms, "programme": one.rule.programme},
    )
    bulk_insert(
        connection, table(RuleVersion),
        ("programme", "version", "effective_from_ms", "effective_to_ms", "body", "sha256",
         "document_ref", "created_ms", "created_by", "approved_by"),
        [(one.rule.programme, one.rule.version, one.from_ms, one.to_ms, one.rule.to_json(),
          one.sha256, one.document_ref, one.created_ms, one.created_by, one.approved_by)],
    )  # fmt: skip


def end_version(connection: Connection, programme: str, version: int, at_ms: int) -> None:
    """End a version at ``at_ms``, or never let it begin if that is before it would."""
    connection.execute(
        text(
            "UPDATE rule_version SET effective_to_ms ="
            " CASE WHEN effective_from_ms > :at THEN effective_from_ms ELSE :at END"
            " WHERE programme = :programme AND version = :version"
        ),
        {"at": at_ms, "programme": programme, "version": version},
    )


# --- showing --------------------------------------------------------------------------------------

_VERSION: Final = (
    "r.programme, r.version, r.effective_from_ms, r.effective_to_ms, r.body, r.sha256,"
    " r.document_ref, r.created_ms, r.created_by, r.approved_by"
)
_HEAD: Final = "p.code, p.city, p.name, p.document_ref, p.sample, p.mode, p.issue"


def list_programmes(
    connection: Connection, scope: Scope, now_ms: int, city: str = ""
) -> list[ProgrammeInfo]:
    """Return the programmes that the caller may see by code, with their rules of now."""
    heads = connection.execute(
        text(
            f"SELECT {_HEAD} FROM programme p WHERE {_seen(scope)}"
            " AND (:city = '' OR p.city = :city) ORDER BY p.code"
        ),
        {"city": city, **scoping.values(scope)},
    ).all()
    versions = connection.execute(
        text(
            f"SELECT {_VERSION} FROM rule_version r JOIN programme p ON p.code = r.programme"
            f" WHERE {_seen(scope)} AND (:city = '' OR p.city = :city)"
            " AND (r.effective_to_ms IS NULL OR r.effective_to_ms > :now) ORDER BY r.version"
        ),
        {"city": city, "now": now_ms, **scoping.values(scope)},
    )
    of: dict[str, list[RuleVersionInfo]] = {}
    for row in versions:
        of.setdefault(row.programme, []).append(_version(row))
    return [_programme(head, of.get(head.code, []), now_ms) for head in heads]


def get_programme(
    connection: Connection, scope: Scope, programme: str, now_ms: int
) -> ProgrammeInfo:
    """Return one programme; ``NotFound`` outside the scope."""
    head = _head(connection, programme, scope)
    if head is None:
        raise NotFound(f"there is no programme {programme!r} that you may see")
    return _programme(head, versions_of(connection, programme), now_ms)


def exists(connection: Connection, programme: str) -> bool:
    """Whether there is a programme of this code, of whatever city."""
    return _head(connection, programme) is not None


def list_rule_versions(
    connection: Connection, scope: Scope, programme: str
) -> list[RuleVersionInfo]:
    """Return all versions of a programme's rule, the newest first; ``NotFound`` outside scope."""
    if _head(connection, programme, scope) is None:
        raise NotFound(f"there is no programme {programme!r} that you may see")
    return versions_of(connection, programme)[::-1]


def versions_of(connection: Connection, programme: str) -> list[RuleVersionInfo]:
    """Return all versions of a programme's rule in the order of their numbers."""
    rows = connection.execute(
        text(f"SELECT {_VERSION} FROM rule_version r WHERE r.programme = :code ORDER BY r.version"),
        {"code": programme},
    )
    return [_version(row) for row in rows]


def _seen(scope: Scope) -> str:
    """Condition on programmes: those of the caller's city, and of the whole corridor."""
    return f"(p.city = '{CORRIDOR}' OR {scoping.cities(scope, 'p.city')})"


def _head(connection: Connection, programme: str, scope: Scope = EVERYTHING) -> Row[Any] | None:
    return connection.execute(
        text(f"SELECT {_HEAD} FROM programme p WHERE p.code = :code AND {_seen(scope)}"),
        {"code": programme, **scoping.values(scope)},
    ).first()


def _version(row: Row[Any]) -> RuleVersionInfo:
    return RuleVersionInfo(
        Rule.from_json(row.body),
        row.effective_from_ms,
        row.effective_to_ms,
        row.sha256,
        row.document_ref,
        row.created_ms,
        row.created_by,
        row.approved_by,
    )


def _programme(head: Row[Any], versions: list[RuleVersionInfo], now_ms: int) -> ProgrammeInfo:
    current = [one for one in versions if one.state(now_ms) == terms.IN_FORCE]
    planned = [one for one in versions if one.state(now_ms) == terms.PLANNED]
    return ProgrammeInfo(
        head.code,
        head.city,
        head.name,
        head.document_ref,
        bool(head.sample),
        head.mode,
        head.issue,
        current[-1] if current else None,
        min(planned, key=lambda one: one.from_ms) if planned else None,
    )


# --- what changes ---------------------------------------------------------------------------------

#: Fields that say whose version it is, not what the rule is.
_WHOSE: Final = frozenset(("programme", "version", "city"))


def figures(rule: Rule, than: Rule | None) -> Mapping[str, str | int | bool | None]:
    """Return the terms of a rule for people: those that differ from another's, lists as JSON."""
    mine, others = _terms(rule), {} if than is None else _terms(than)
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
        for name, value in mine.items()
        if name not in others or others[name] != value
    }


def _terms(rule: Rule) -> dict[str, Any]:
    """Return all terms, also those that the canonical JSON leaves out for being the default."""
    stored = json.loads(rule.to_json())
    return {
        field: stored.get(field, _plain(getattr(rule, field)))
        for field in rule.__dataclass_fields__
        if field not in _WHOSE
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
