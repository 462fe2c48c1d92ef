"""Programmes and versions of their rules, put in force and ended by two persons.

A change is judged when it is asked for and again when it is approved. Its number is given to a
version only then, so that numbers have no holes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection

from quota.rules import CORRIDOR, Rule
from scheduler.domain.approving import Approvals, ChangeKind
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import AlreadyThere, CorridorError, FieldViolation, InvalidRequest, NotFound
from scheduler.store import audit_trail, bookings, catalog, change_requests, programmes, terms
from scheduler.store.change_requests import Act, Proposal, Request
from scheduler.store.programmes import NewProgramme, RuleVersionInfo
from scheduler.store.terms import Span


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A version to put in force, of a programme that is there or with it a ``new`` one.

    The version of ``rule`` is 0 until it is given. ``from_ms`` None is the moment of the approval,
    ``to_ms`` None no end. ``document_ref`` empty is the programme's.
    """

    rule: Rule
    from_ms: int | None = None
    to_ms: int | None = None
    document_ref: str = ""
    new: NewProgramme | None = None


@dataclass(frozen=True, slots=True)
class RuleEnd:
    """The end of a programme's rules at ``at_ms`` (None: when it is approved).

    ``version`` 0 ends all that are in force or to come.
    """

    programme: str
    at_ms: int | None = None
    version: int = 0


# --- a new version --------------------------------------------------------------------------------


def propose(
    connection: Connection,
    change: RuleChange,
    act: Act,
    approvals: Approvals,
    request_key: str | None = None,
) -> Request | None:
    """Ask for a version, or put it in force if one person may; returns the request, if one waits.

    Raises ``InvalidRequest`` for what is wrong with it, ``NotFound`` for a programme that the actor
    does not manage, ``AlreadyThere`` for a new one whose code is taken.
    """
    if request_key is None or change_requests.find(connection, request_key) is None:
        wrong = _wrong(connection, change, act.actor.scope, act.now_ms)
        if wrong:
            raise InvalidRequest(wrong)
    rule = change.rule
    before = programmes.versions_of(connection, rule.programme)
    last = before[-1].rule if before else None
    named = {} if change.new is None else {**asdict(change.new)}
    dates = {"effective_from_ms": change.from_ms, "effective_to_ms": change.to_ms}
    proposal = Proposal(
        ChangeKind.RULE_VERSION,
        f"programmes/{rule.programme}",
        rule.city,
        _payload(change),
        before={} if last is None else programmes.figures(last, rule),
        after={
            **named,
            **programmes.figures(rule, last),
            **{name: at_ms for name, at_ms in dates.items() if at_ms is not None},
        },
        request_key=request_key,
    )
    return change_requests.ask_or_make(connection, proposal, act, approvals, apply)


def apply(connection: Connection, request: Request, act: Act) -> None:
    """Put an approved version in force; raises ``WrongState`` if it no longer fits."""
    change = _change(request.payload)
    terms.lock(connection, "programme", [change.rule.programme])
    try:
        wrong = _wrong(connection, change, EVERYTHING, act.now_ms)
    except CorridorError as error:
        wrong = [FieldViolation("programme", error.message)]
    terms.check_still_fits(request, wrong)
    before = programmes.versions_of(connection, change.rule.programme)
    rule = replace(change.rule, version=1 + max((one.rule.version for one in before), default=0))
    if change.new is not None:
        programmes.found_programme(connection, change.new, rule)
    added = RuleVersionInfo(
        rule,
        act.now_ms if change.from_ms is None else change.from_ms,
        change.to_ms,
        rule.sha256(),
        change.document_ref,
        act.now_ms,
        request.requester,
        request.decided_by,
    )
    programmes.add_version(connection, added)
    audit_trail.record(
        connection,
        act.actor,
        "RULE_VERSION_ADDED" if change.new is None else "PROGRAMME_CREATED",
        f"programmes/{rule.programme}/rules/{rule.version}",
        at_ms=act.wall_ms,
        before=request.before,
        after={**request.after, "effective_from_ms": added.from_ms, "sha256": added.sha256},
        reason=act.reason,
        city=rule.city,
    )
    bookings.tell(connection, (rule.city,), act.now_ms)


def _payload(change: RuleChange) -> Mapping[str, Any]:
    return {
        "rule": json.loads(change.rule.to_json()),
        "from_ms": change.from_ms,
        "to_ms": change.to_ms,
        "document_ref": change.document_ref,
        "new": None if change.new is None else asdict(change.new),
    }


def _change(payload: Mapping[str, Any]) -> RuleChange:
    new = payload["new"]
    return RuleChange(
        Rule.from_json(json.dumps(payload["rule"])),
        payload["from_ms"],
        payload["to_ms"],
        payload["document_ref"],
        None if new is None else NewProgramme(**new),
    )


# --- what may be put in force ---------------------------------------------------------------------


def _wrong(
    connection: Connection, change: RuleChange, scope: Scope, now_ms: int
) -> list[FieldViolation]:
    """Return what is wrong with a version as of now."""
    rule = change.rule
    dates = terms.check_dates(change.from_ms, change.to_ms, now_ms)
    wrong = _unknown_flavors(connection, rule) + dates
    if change.new is not None:
        return wrong + _wrong_programme(connection, change.new, rule, scope)
    city = _managed_city(connection, scope, rule.programme)
    if rule.city != city:
        wrong.append(FieldViolation("rule.city", f"must be the programme's, {city!r}"))
    versions = programmes.versions_of(connection, rule.programme)
    wrong += _of_another_kind(rule, versions)
    if dates:
        return wrong
    spans = [Span(f"version {one.rule.version}", one.from_ms, one.to_ms) for one in versions]
    from_ms = now_ms if change.from_ms is None else change.from_ms
    overlap = terms.clash(from_ms, change.to_ms, spans, began_ms=now_ms)
    if overlap is not None:
        wrong.append(overlap)
    current = [one for one in versions if one.state(from_ms) == terms.IN_FORCE]
    if current and not programmes.figures(rule, current[-1].rule) and change.to_ms is None:
        what = f"says what version {current[-1].rule.version} says, which is in force then"
        wrong.append(FieldViolation("rule", what))
    return wrong


def _unknown_flavors(connection: Connection, rule: Rule) -> list[FieldViolation]:
    known = {one.flavor for one in catalog.flavors(connection)}
    return [
        FieldViolation(f"rule.flavors[{at}]", f"there is no {flavor!r}; {', '.join(sorted(known))}")
        for at, flavor in enumerate(rule.flavors)
        if flavor not in known
    ]


def _wrong_programme(
    connection: Connection, new: NewProgramme, rule: Rule, scope: Scope
) -> list[FieldViolation]:
    cities = [one.city for one in catalog.cities(connection)] + [CORRIDOR]
    if scope.city is not None and new.city != scope.city:
        what = f"must be your own, {scope.city!r}; programmes of the corridor are the operators'"
        return [FieldViolation("city", what)]
    if new.city not in cities:
        return [FieldViolation("city", f"must be one of {', '.join(cities)}, not {new.city!r}")]
    if programmes.exists(connection, rule.programme):
        raise AlreadyThere(
            f"there is a programme {rule.programme!r}; propose a version of its rule, or choose"
            " another code"
        )
    return []


def _of_another_kind(rule: Rule, versions: list[RuleVersionInfo]) -> list[FieldViolation]:
    """Mode, issue and unit are a programme's for good: money of one kind is in its funds."""
    if not versions:
        return []
    first = versions[0].rule
    return [
        FieldViolation(
            f"rule.{name}",
            f"is {getattr(first, name)} for this programme for good, not {getattr(rule, name)};"
            " create another programme",
        )
        for name in ("mode", "issue", "unit")
        if getattr(rule, name) != getattr(first, name)
    ]


def _managed_city(connection: Connection, scope: Scope, programme: str) -> str:
    """Return the city of a programme that a city's admin or an operator manages."""
    found = programmes.get_programme(connection, scope, programme, 0)
    if scope.city not in (None, found.city):
        raise NotFound(f"programme {programme!r} is of {found.city}, and not yours to change")
    return found.city


# --- the end --------------------------------------------------------------------------------------


def propose_end(
    connection: Connection,
    end: RuleEnd,
    act: Act,
    approvals: Approvals,
    request_key: str | None = None,
) -> Request | None:
    """Ask for the end of rules, or end them if one person may; returns the request, if one waits.

    Raises ``InvalidRequest``, and ``NotFound`` for a programme that the actor does not manage.
    """
    city = _managed_city(connection, act.actor.scope, end.programme)
    if request_key is None or change_requests.find(connection, request_key) is None:
        wrong = _wrong_end(connection, end, act.now_ms)
        if wrong:
            raise InvalidRequest(wrong)
    versions = _to_end(connection, end, act.now_ms)
    proposal = Proposal(
        ChangeKind.RULE_END,
        f"programmes/{end.programme}",
        city,
        asdict(end),
        before={f"version_{one.rule.version}_to_ms": one.to_ms for one in versions},
        after={
            f"version_{one.rule.version}_to_ms": None
            if end.at_ms is None
            else max(end.at_ms, one.from_ms)
            for one in versions
        },
        request_key=request_key,
    )
    return change_requests.ask_or_make(connection, proposal, act, approvals, apply_end)


def apply_end(connection: Connection, request: Request, act: Act) -> None:
    """End what was approved to end; raises ``WrongState`` if it no longer fits."""
    end = RuleEnd(**request.payload)
    terms.lock(connection, "programme", [end.programme])
    terms.check_still_fits(request, _wrong_end(connection, end, act.now_ms))
    at_ms = act.now_ms if end.at_ms is None else end.at_ms
    for one in _to_end(connection, end, act.now_ms):
        programmes.end_version(connection, end.programme, one.rule.version, at_ms)
        audit_trail.record(
            connection,
            act.actor,
            "RULE_ENDED",
            f"programmes/{end.programme}/rules/{one.rule.version}",
            at_ms=act.wall_ms,
            before={"effective_to_ms": one.to_ms},
            after={"effective_to_ms": max(at_ms, one.from_ms)},
            reason=act.reason,
            city=request.city,
        )
    bookings.tell(connection, (request.city,), act.now_ms)


def _wrong_end(connection: Connection, end: RuleEnd, now_ms: int) -> list[FieldViolation]:
    wrong = terms.check_ahead("end_time", end.at_ms, now_ms)
    if not wrong and not _to_end(connection, end, now_ms):
        versions = programmes.versions_of(connection, end.programme)
        if end.version and end.version not in [one.rule.version for one in versions]:
            what = f"there is no version {end.version}; there are 1..{len(versions)}"
            return [FieldViolation("version", what)]
        at = "then" if end.at_ms is None else terms.instant_text(end.at_ms)
        what = f"no rule would be in force or to come at {at}: an end can only come nearer"
        wrong.append(FieldViolation("end_time", what))
    return wrong


def _to_end(connection: Connection, end: RuleEnd, now_ms: int) -> list[RuleVersionInfo]:
    """Return the versions that an end would change: those with a time after it."""
    at_ms = now_ms if end.at_ms is None else end.at_ms
    return [
        one
        for one in programmes.versions_of(connection, end.programme)
        if end.version in (0, one.rule.version)
        and one.state(now_ms) != terms.ENDED
        and (one.to_ms is None or one.to_ms > max(at_ms, one.from_ms))
    ]
