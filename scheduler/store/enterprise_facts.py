"""What rules ask about enterprises, set by people: relations, listed projects, support before.

A fact is in force from an instant until another, neither ever in the past, and is ended, not
deleted. It is asked at admission: what was held or charged until then stays as it is. Of one name
at most one is in force at a time, but for what data files say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.calendar import natural_year
from scheduler.domain.principal import Scope
from scheduler.errors import AlreadyThere, FieldViolation, InvalidRequest, NotFound
from scheduler.store import audit_trail, bookings, terms
from scheduler.store.change_requests import Act

#: The first natural year of support that anybody may mean.
FIRST_YEAR: Final = 2000


class FactKind(StrEnum):
    """What is said of an enterprise."""

    RELATED_PARTY = "RELATED_PARTY"
    LISTED_PROJECT = "LISTED_PROJECT"
    EARLIER_SUPPORT = "EARLIER_SUPPORT"


class _Place(NamedTuple):
    """The table of a kind, what names a fact of it, and where the audit log has it."""

    table: str
    names: tuple[str, ...]
    target: str


_PLACES: Final[Mapping[FactKind, _Place]] = {
    FactKind.RELATED_PARTY: _Place("related_party", ("center",), "relatedCenters"),
    FactKind.LISTED_PROJECT: _Place("listed_project", ("list_name", "project"), "listedProjects"),
    FactKind.EARLIER_SUPPORT: _Place("earlier_support", ("programme",), "earlierSupport"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """Something of an enterprise, by its ``names``: center; list and project; or programme.

    ``since_year`` is the first natural year of earlier support, 0 for the other kinds.
    """

    kind: FactKind
    enterprise: str
    names: tuple[str, ...]
    since_year: int = 0

    @property
    def target(self) -> str:
        """What the audit log calls it."""
        path = (_PLACES[self.kind].target, *self.names)
        return f"enterprises/{self.enterprise}/{'/'.join(path)}"


@dataclass(frozen=True, slots=True)
class DatedFact:
    """A fact with its time, half-open (``to_ms`` None: no end), and where it is written."""

    fact: Fact
    from_ms: int
    to_ms: int | None
    source: str

    def state(self, now_ms: int) -> str:
        """Return whether its time is to come, is now, or is over (or never came)."""
        return terms.state(self.from_ms, self.to_ms, now_ms)


# --- reading --------------------------------------------------------------------------------------


def list_facts(connection: Connection, scope: Scope, enterprise: str) -> list[DatedFact]:
    """Return all facts of an enterprise by kind and name, the newest first.

    Raises ``NotFound`` outside the scope.
    """
    _city(connection, scope, enterprise, "may see")
    return [one for kind in FactKind for one in _read(connection, kind, enterprise)]


def _read(
    connection: Connection, kind: FactKind, enterprise: str, names: Sequence[str] = ()
) -> list[DatedFact]:
    place = _PLACES[kind]
    year = "since_year" if kind is FactKind.EARLIER_SUPPORT else "0"
    where = "".join(f" AND {name} = ?" for name in place.names[: len(names)])
    rows = connection.exec_driver_sql(
        f"SELECT {', '.join(place.names)}, {year}, valid_from_ms, valid_to_ms, source"
        f" FROM {place.table} WHERE enterprise = ?{where}"
        f" ORDER BY {', '.join(place.names)}, valid_from_ms DESC",
        (enterprise, *names),
    )
    found = []
    for row in rows:
        *named, since_year, from_ms, to_ms, source = row
        fact = Fact(kind, enterprise, tuple(named), since_year)
        found.append(DatedFact(fact, from_ms, to_ms, source))
    return found


# --- changing -------------------------------------------------------------------------------------


def add(connection: Connection, new: DatedFact, act: Act) -> DatedFact:
    """Add a fact of an enterprise of the actor's scope, from its instant on.

    Raises ``NotFound`` outside the scope, ``InvalidRequest`` for a time in the past or what it
    names and is not there, ``AlreadyThere`` if it is so already at some of that time.
    """
    fact = new.fact
    city = _managed(connection, fact, act)
    wrong = _unknown(connection, fact, act.now_ms) + _wrong_dates(new, act.now_ms)
    if wrong:
        raise InvalidRequest(wrong)
    _check_free(connection, new)
    place = _PLACES[fact.kind]
    columns = ("enterprise", *place.names, "valid_from_ms", "valid_to_ms", "source")
    values: tuple[object, ...] = (
        fact.enterprise, *fact.names, new.from_ms, new.to_ms, new.source,
    )  # fmt: skip
    if fact.kind is FactKind.EARLIER_SUPPORT:
        columns, values = (*columns, "since_year"), (*values, fact.since_year)
    marks = ", ".join("?" * len(columns))
    # What was to begin at that very instant and never did makes room; the audit log has it.
    key = ("enterprise", *place.names, "valid_from_ms")
    others = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    connection.exec_driver_sql(
        f"INSERT INTO {place.table} ({', '.join(columns)}) VALUES ({marks})"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {others}",
        values,
    )
    _note(connection, "ENTERPRISE_FACT_ADDED", city, None, new, act)
    bookings.tell(connection, {city}, act.now_ms)
    return new


def end(connection: Connection, fact: Fact, at_ms: int | None, act: Act) -> list[DatedFact]:
    """End a fact at ``at_ms`` (None: now), also what would begin later; returns what ended.

    Raises ``NotFound`` outside the scope or if it is not so then or later, ``InvalidRequest`` for
    a time in the past.
    """
    city = _managed(connection, fact, act)
    wrong = terms.check_ahead("end_time", at_ms, act.now_ms, "now")
    if wrong:
        raise InvalidRequest(wrong)
    at_ms = act.now_ms if at_ms is None else at_ms
    ended = []
    for before in _read(connection, fact.kind, fact.enterprise, fact.names):
        if before.to_ms is not None and before.to_ms <= max(before.from_ms, at_ms):
            continue
        after = DatedFact(before.fact, before.from_ms, max(before.from_ms, at_ms), before.source)
        place = _PLACES[fact.kind]
        where = " AND ".join(f"{name} = ?" for name in ("enterprise", *place.names))
        connection.exec_driver_sql(
            f"UPDATE {place.table} SET valid_to_ms = ? WHERE {where} AND valid_from_ms = ?",
            (after.to_ms, fact.enterprise, *fact.names, before.from_ms),
        )
        _note(connection, "ENTERPRISE_FACT_ENDED", city, before, after, act)
        ended.append(after)
    if not ended:
        raise NotFound(
            f"nothing to end: {fact.target} is not in force at {terms.instant_text(at_ms)} or"
            f" later; `corridor enterprise facts show {fact.enterprise} --all` shows what was"
        )
    bookings.tell(connection, {city}, act.now_ms)
    return ended


def _managed(connection: Connection, fact: Fact, act: Act) -> str:
    """Lock an enterprise of the actor's scope, so that changes of its facts follow one another."""
    city = _city(connection, act.actor.scope, fact.enterprise, "manage")
    terms.lock(connection, "enterprise", [fact.enterprise])
    return city


def _city(connection: Connection, scope: Scope, enterprise: str, do: str) -> str:
    """Return the city of an enterprise within the scope; raises ``NotFound``."""
    row = connection.exec_driver_sql(
        "SELECT city FROM enterprise WHERE code = ?", (enterprise,)
    ).first()
    if row is None or not scope.covers(row[0], enterprise):
        raise NotFound(f"there is no enterprise {enterprise!r} that you {do}")
    return str(row[0])


def _unknown(connection: Connection, fact: Fact, now_ms: int) -> list[FieldViolation]:
    """Return what a fact names and is not there."""
    match fact.kind:
        case FactKind.RELATED_PARTY:
            return _known(connection, "center", "fact.related_party.center", fact.names[0])
        case FactKind.LISTED_PROJECT:
            return []
    wrong = _known(connection, "programme", "fact.earlier_support.programme", fact.names[0])
    this_year = natural_year(now_ms)
    if not FIRST_YEAR <= fact.since_year <= this_year:
        what = f"must be {FIRST_YEAR}..{this_year}, not {fact.since_year}"
        wrong.append(FieldViolation("fact.earlier_support.since_year", what))
    return wrong


def _known(connection: Connection, table: str, field: str, code: str) -> list[FieldViolation]:
    codes = [one for (one,) in connection.exec_driver_sql(f"SELECT code FROM {table} ORDER BY 1")]
    if code in codes:
        return []
    return [FieldViolation(field, f"there is no {table} {code!r}; known are {', '.join(codes)}")]


def _wrong_dates(new: DatedFact, now_ms: int) -> list[FieldViolation]:
    wrong = terms.check_ahead("fact.effective_time", new.from_ms, now_ms, "now")
    wrong += terms.check_ahead("fact.end_time", new.to_ms, now_ms, "no end")
    if new.to_ms is not None and new.to_ms <= new.from_ms:
        wrong.append(FieldViolation("fact.end_time", "must be later than effective_time"))
    return wrong


def _check_free(connection: Connection, new: DatedFact) -> None:
    """Raise ``AlreadyThere`` if the fact holds at some of the new one's time."""
    fact = new.fact
    for one in _read(connection, fact.kind, fact.enterprise, fact.names):
        never = one.to_ms == one.from_ms
        before = one.to_ms is not None and one.to_ms <= new.from_ms
        after = new.to_ms is not None and new.to_ms <= one.from_ms
        if never or before or after:
            continue
        until = "" if one.to_ms is None else f" until {terms.instant_text(one.to_ms)}"
        since = "always" if not one.from_ms else terms.instant_text(one.from_ms)
        raise AlreadyThere(
            f"{fact.target} is there from {since}{until} already: end it first, and let the new one"
            " begin when it has ended",
            reason="FACT_THERE",
        )


def _note(
    connection: Connection,
    action: str,
    city: str,
    before: DatedFact | None,
    after: DatedFact,
    act: Act,
) -> None:
    audit_trail.record(
        connection,
        act.actor,
        action,
        after.fact.target,
        at_ms=act.wall_ms,
        before=None if before is None else _figures(before),
        after=_figures(after),
        reason=act.reason,
        city=city,
        enterprise=after.fact.enterprise,
    )


def _figures(one: DatedFact) -> audit_trail.Figures:
    year = {"since_year": one.fact.since_year} if one.fact.since_year else {}
    return {
        **year, "valid_from_ms": one.from_ms, "valid_to_ms": one.to_ms, "source": one.source,
    }  # fmt: skip
