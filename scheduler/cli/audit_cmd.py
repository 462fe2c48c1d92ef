"""``corridor audit``: who changed what, and why."""

import json
from typing import Annotated, Any

import typer
from corridor.v1 import identity_service_pb2 as pb

from scheduler.cli.client_command import add
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column, local
from scheduler.cli.session import Session, paged

_ROLE = pb.AuditEvent.DESCRIPTOR.fields_by_name["role"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "audit", audit, panel="Centers and people")


def audit(
    session: Session,
    target: Annotated[
        str,
        typer.Argument(
            metavar="[TARGET]", help="Only of this and what is below it, such as cities/ezhou."
        ),
    ] = "",
    action: Annotated[
        str, typer.Option("--action", help="Only this action, such as QUOTA_CHANGED.")
    ] = "",
    actor: Annotated[str, typer.Option("--actor", help="Only what this person did.")] = "",
    city: Annotated[str, typer.Option("--city", help="Only what concerns this city.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
) -> None:
    """List what people changed, newest first, and why.

    Shown is what differs between before and after; --json has both in full. A city admin sees what
    concerns the own city.
    """
    request = pb.ListAuditEventsRequest(target=target, action=action, actor=actor, city=city)
    found = paged(session.client.identity.ListAuditEvents, request, "events", limit)
    if session.as_json:
        print_json({"events": [_json(one) for one in found]})
        return
    columns = [
        Column("audit.time"),
        Column("audit.actor", flex=12, rank=1),
        Column("audit.role", rank=4),
        Column("audit.action", rank=3),
        Column("audit.target", flex=24),
        Column("audit.change", flex=24),
        Column("audit.reason", flex=16, rank=2),
    ]
    rows: list[list[str | Cell]] = [
        [
            _time(session, one),
            one.actor,
            session.out.word("role.", enum_word(_ROLE, one.role) or ""),
            one.action,
            one.target,
            change(one.before, one.after),
            one.reason,
        ]
        for one in found
    ]
    session.out.table(columns, rows, "audit.none")


def _time(session: Session, one: pb.AuditEvent) -> str:
    """By the wall clock, whatever the service's time is."""
    at = local(one.time)
    return (
        f"{at:%Y-%m-%d %H:%M:%S}" if session.out.is_terminal else at.isoformat(timespec="seconds")
    )


def _json(one: pb.AuditEvent) -> dict[str, Any]:
    """An entry with its figures as objects."""
    return {**to_json(one), "before": _figures(one.before), "after": _figures(one.after)}


def _figures(text: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found


def change(before: str, after: str) -> str:
    """Return what differs: ``nominal_units 100 > 120``; what is new or gone stands alone."""
    old, new = _figures(before) or {}, _figures(after) or {}
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(
        f"{name} {_said(old[name])} > {_said(new.get(name))}"
        if name in old
        else f"{name} {_said(new[name])}"
        for name in names
    )


def _said(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
