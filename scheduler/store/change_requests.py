"""Changes that need two persons: one asks, another decides, and only then anything is written.

A request says all that the change is made from, so that what was approved is what is made. It is
judged when it is asked for and again when it is approved: what no longer fits then is refused, and
the request waits on. The database keeps what a request says and what was decided of it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Row, text

from scheduler.domain.approving import Approvals, ChangeKind, ChangeState
from scheduler.domain.principal import Principal, Role, Scope
from scheduler.errors import Forbidden, NotFound, RequestIdReused, WrongState
from scheduler.store import audit_trail
from scheduler.store.approval_tables import ChangeRequest
from scheduler.store.tables import table

Figures = audit_trail.Figures


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, why, and when: scheduling time ``now_ms``, wall clock ``wall_ms``."""

    actor: Principal
    reason: str
    now_ms: int
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change to ask for.

    ``city`` is whose it is (``corridor``: the operators'); ``payload`` holds JSON values, all that
    the change is made from; ``before`` and ``after`` are for people. A ``request_key`` makes a
    repeated call the same request.
    """

    kind: ChangeKind
    target: str
    city: str
    payload: Mapping[str, Any]
    before: Figures
    after: Figures
    amount_fen: int = 0
    request_key: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A change request as it stands; ``decided_ms`` None while it waits."""

    number: int
    kind: ChangeKind
    target: str
    city: str
    payload: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    amount_fen: int
    state: ChangeState
    requester: str
    role: str
    reason: str
    created_ms: int
    decided_by: str
    decision_reason: str
    decided_ms: int | None


#: Makes an approved change, in the transaction of the approval; raises if it no longer fits.
Applier = Callable[[Connection, Request, Act], None]

_COLUMNS: Final = (
    "number, kind, target, city, payload, before, after, amount_fen, state, requester, role,"
    " reason, created_ms, decided_by, decision_reason, decided_ms"
)


def propose(connection: Connection, proposal: Proposal, act: Act) -> Request:
    """Keep a change until another person decides; the same key again gives the same request.

    Raises ``RequestIdReused`` if the key asked for something else. Whether the change is in order,
    and the actor may ask for it, is checked before.
    """
    payload = _json(proposal.payload)
    if proposal.request_key is not None:
        found = find(connection, proposal.request_key)
        if found is not None:
            same = (proposal.kind, proposal.target, payload)
            if (found.kind, found.target, _json(found.payload)) != same:
                raise RequestIdReused(
                    f"this request id already asked for change request {found.number}, which says"
                    " something else; use a new request id for another change"
                )
            return found
    number = connection.execute(
        sa.insert(table(ChangeRequest)).returning(table(ChangeRequest).c.number),
        {
            "kind": proposal.kind,
            "target": proposal.target,
            "city": proposal.city,
            "payload": payload,
            "before": _json(proposal.before),
            "after": _json(proposal.after),
            "amount_fen": proposal.amount_fen,
            "state": ChangeState.PENDING,
            "requester": act.actor.subject,
            "role": str(act.actor.role),
            "reason": act.reason,
            "request_key": proposal.request_key,
            "created_ms": act.now_ms,
            "decided_by": "",
            "decision_reason": "",
        },
    ).scalar_one()
    kept = _read(connection, int(number))
    _note(connection, "CHANGE_REQUESTED", kept, act)
    return kept


def ask_or_make(
    connection: Connection, proposal: Proposal, act: Act, approvals: Approvals, apply: Applier
) -> Request | None:
    """Ask for a change if it needs another person, else make it; returns the request, if any."""
    if approvals.needed(proposal.kind, proposal.amount_fen):
        return propose(connection, proposal, act)
    apply(connection, _as_made(proposal, act), act)
    return None


def _as_made(proposal: Proposal, act: Act) -> Request:
    """Return what an applier is given of a change that one person makes: nobody approved it."""
    return Request(
        0, proposal.kind, proposal.target, proposal.city, json.loads(_json(proposal.payload)),
        dict(proposal.before), dict(proposal.after), proposal.amount_fen, ChangeState.APPROVED,
        act.actor.subject, str(act.actor.role), act.reason, act.now_ms, "", "", act.now_ms,
    )  # fmt: skip


def find(connection: Connection, request_key: str) -> Request | None:
    """Return the request that was asked for under a key, if any."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM change_request WHERE request_key = :key"),
        {"key": request_key},
    ).first()
    return None if row is None else _request(row)


# --- deciding -------------------------------------------------------------------------------------


def approve(connection: Connection, number: int, act: Act, apply: Applier) -> Request:
    """Decide for a change and make it, both or neither.

    Raises ``NotFound`` outside the scope, ``Forbidden`` for the one who asked or may not decide,
    ``WrongState`` if it waits no more, and what ``apply`` raises if it no longer fits.
    """
    before = _decidable(connection, number, act)
    after = _decide(connection, before, ChangeState.APPROVED, act)
    _note(connection, "CHANGE_APPROVED", after, act)
    apply(connection, after, act)
    return after


def deny(connection: Connection, number: int, act: Act) -> Request:
    """Decide against a change; raises what ``approve`` does."""
    before = _decidable(connection, number, act)
    after = _decide(connection, before, ChangeState.DENIED, act)
    _note(connection, "CHANGE_DENIED", after, act)
    return after


def withdraw(connection: Connection, number: int, act: Act) -> Request:
    """Take back what one asked for oneself; raises ``NotFound``, ``Forbidden``, ``WrongState``."""
    before = get(connection, act.actor.scope, number)
    if before.requester != act.actor.subject:
        raise Forbidden(
            f"change request {number} was made by {before.requester!r}, who alone may withdraw it;"
            " deny it instead",
            reason="NOT_THE_REQUESTER",
        )
    after = _decide(connection, before, ChangeState.WITHDRAWN, act)
    _note(connection, "CHANGE_WITHDRAWN", after, act)
    return after


def _decidable(connection: Connection, number: int, act: Act) -> Request:
    """Return a request that the actor may decide."""
    actor = act.actor
    found = get(connection, actor.scope, number)
    own_city = actor.role is Role.CITY_ADMIN and actor.city == found.city
    if actor.role is not Role.OPERATOR and not own_city:
        raise Forbidden(
            f"change request {number} is decided by an admin of {found.city} or an operator, not by"
            f" role {actor.role}",
            reason="NOT_AN_APPROVER",
        )
    if found.requester == actor.subject:
        raise Forbidden(
            f"change request {number} is your own: another person must decide it; you may withdraw"
            " it",
            reason="SAME_PERSON",
        )
    return found


def _decide(connection: Connection, before: Request, state: ChangeState, act: Act) -> Request:
    """Write the decision; of several that race one is first, and the others are told so."""
    written = connection.execute(
        text(
            "UPDATE change_request SET state = :state, decided_by = :actor,"
            " decision_reason = :reason, decided_ms = :now"
            " WHERE number = :number AND state = 'PENDING'"
        ),
        {
            "state": state,
            "actor": act.actor.subject,
            "reason": act.reason,
            "now": act.now_ms,
            "number": before.number,
        },
    )
    after = _read(connection, before.number)
    if written.rowcount != 1:
        raise WrongState(
            f"change request {before.number} is {after.state}, decided by {after.decided_by!r}, and"
            " waits no more; propose the change anew if it is still wanted",
            subject=f"changeRequests/{before.number}",
        )
    return after


# --- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests; empty parts mean all. A target stands for what is below it too."""

    states: Sequence[ChangeState] = ()
    kinds: Sequence[ChangeKind] = ()
    city: str = ""
    target: str = ""


def get(connection: Connection, scope: Scope, number: int) -> Request:
    """Return one request; ``NotFound`` outside the scope."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM change_request WHERE number = :number AND {_seen(scope)}"),
        {"number": number, "scope_city": scope.city},
    ).first()
    if row is None:
        raise NotFound(f"there is no change request {number} that you may see")
    return _request(row)


def list_requests(
    connection: Connection, scope: Scope, wanted: Wanted, limit: int, before: int | None = None
) -> list[Request]:
    """Return at most ``limit`` requests of a scope, the newest first, from below ``before`` on."""
    states = wanted.states or list(ChangeState)
    kinds = wanted.kinds or list(ChangeKind)
    query = text(
        f"SELECT {_COLUMNS} FROM change_request WHERE {_seen(scope)}"
        " AND state IN :states AND kind IN :kinds AND (:city = '' OR city = :city)"
        " AND (:target = '' OR target = :target"
        " OR substr(target, 1, length(:target) + 1) = :target || '/')"
        " AND number < :before ORDER BY number DESC LIMIT :limit"
    ).bindparams(sa.bindparam("states", expanding=True), sa.bindparam("kinds", expanding=True))
    rows = connection.execute(
        query,
        {
            "states": [str(state) for state in states],
            "kinds": [str(kind) for kind in kinds],
            "city": wanted.city,
            "target": wanted.target.rstrip("/"),
            "before": (1 << 62) if before is None else before,
            "limit": limit,
            "scope_city": scope.city,
        },
    )
    return [_request(row) for row in rows]


# --- shared ---------------------------------------------------------------------------------------


def _seen(scope: Scope) -> str:
    """Condition on what a scope may see: all, or a city's own; an enterprise sees none."""
    if scope.enterprise is not None:
        return "1 = 0"
    return "1 = 1" if scope.city is None else "city = :scope_city"


def _read(connection: Connection, number: int) -> Request:
    query = text(f"SELECT {_COLUMNS} FROM change_request WHERE number = :number")
    return _request(connection.execute(query, {"number": number}).one())


def _request(row: Row[Any]) -> Request:
    return Request(
        row.number,
        ChangeKind(row.kind),
        row.target,
        row.city,
        json.loads(row.payload),
        json.loads(row.before),
        json.loads(row.after),
        row.amount_fen,
        ChangeState(row.state),
        row.requester,
        row.role,
        row.reason,
        row.created_ms,
        row.decided_by,
        row.decision_reason,
        row.decided_ms,
    )


def _note(connection: Connection, action: str, request: Request, act: Act) -> None:
    """Note in the audit log what was asked for or decided, beside the change's own row."""
    audit_trail.record(
        connection,
        act.actor,
        action,
        request.target,
        at_ms=act.wall_ms,
        before=request.before,
        after={**request.after, "change_request": request.number, "state": str(request.state)},
        reason=act.reason,
        city=request.city,
    )


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
