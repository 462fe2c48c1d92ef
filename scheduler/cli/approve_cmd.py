"""``corridor approve``: changes that one person asks for and another decides."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from corridor.v1 import approval_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.cli import amounts, exits
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged

_STATE: Final = pb.ChangeRequest.DESCRIPTOR.fields_by_name["state"]
_KIND: Final = pb.ChangeRequest.DESCRIPTOR.fields_by_name["kind"]
_STYLES: Final = {"PENDING": "yellow", "APPROVED": "green", "DENIED": "red", "WITHDRAWN": "dim"}
#: Figures of a rule that are lists.
_LISTS: Final = frozenset(("tiers", "funders", "flavors", "size_classes", "sectors"))
_KINDS: Final = {
    name.removeprefix("CHANGE_KIND_").lower().replace("_", "-"): number
    for name, number in pb.ChangeKind.items()
    if number
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    words = "Changes that need two persons: asked for by one, decided by another."
    group = typer.Typer(cls=ClientGroup, help=words, no_args_is_help=True)
    add(group, "list", list_requests)
    add(group, "show", show)
    add(group, "accept", accept)
    add(group, "deny", deny)
    add(group, "withdraw", withdraw)
    app.add_typer(group, name="approve", rich_help_panel="Quotas and money")


Number = Annotated[
    int, typer.Argument(metavar="NUMBER", min=1, help="Number of the change request.")
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]


def list_requests(
    session: Session,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were decided or withdrawn.")
    ] = False,
    city: Annotated[str, typer.Option("--city", help="Only this city.")] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only of this kind; may be repeated."),
    ] = None,
    about: Annotated[
        str,
        typer.Option(
            "--about", metavar="WHAT", help="Only about this, such as programmes/ezhou-voucher."
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many.")
    ] = 50,
) -> None:
    """List changes that wait for a decision, newest first."""
    wanted = pb.ListChangeRequestsRequest(city=city, target=about)
    for word in kind or ():
        if word not in _KINDS:
            raise Failed("option.change_kind", exits.USAGE, given=word, known=", ".join(_KINDS))
        wanted.kinds.append(_KINDS[word])
    if not everything:
        wanted.states.append(pb.CHANGE_STATE_PENDING)
    call = session.client.subsidies.ListChangeRequests
    rows = paged(call, wanted, "change_requests", limit)
    if session.as_json:
        print_json({"change_requests": [to_json(row) for row in rows]})
        return
    columns = [
        Column("approval.number", right=True),
        Column("approval.kind"),
        Column("approval.target", flex=20),
        Column("approval.amount", right=True),
        Column("approval.state", rank=1),
        Column("approval.by", rank=2),
        Column("approval.asked", right=True, rank=3),
        Column("approval.reason", flex=12, rank=1),
        Column("approval.city", rank=4),
    ]
    cells: list[list[str | Cell]] = [
        [
            str(row.number),
            _kind(session, row),
            row.target,
            amounts.money(row.amount_fen) if row.amount_fen else "",
            _state(session, row),
            row.requester,
            session.out.when(row.create_time),
            row.decision_reason or row.reason,
            session.name(row.city),
        ]
        for row in rows
    ]
    session.out.table(columns, cells, "approval.none")


def show(session: Session, number: Number) -> None:
    """Show one change: who asked for it and why, what it changes, and what was decided."""
    wanted = pb.GetChangeRequestRequest(number=number)
    shown(session, session.client.subsidies.GetChangeRequest(wanted).change_request)


def accept(
    session: Session,
    number: Number,
    reason: Reason,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell whether it could be made now.")
    ] = False,
) -> None:
    """Approve a change that another person asked for; it is made at once."""
    wanted = pb.ApproveChangeRequestRequest(number=number, reason=reason, validate_only=dry_run)
    shown(session, session.client.subsidies.ApproveChangeRequest(wanted).change_request, dry_run)


def deny(session: Session, number: Number, reason: Reason) -> None:
    """Deny a change that another person asked for."""
    wanted = pb.DenyChangeRequestRequest(number=number, reason=reason)
    shown(session, session.client.subsidies.DenyChangeRequest(wanted).change_request)


def withdraw(session: Session, number: Number, reason: Reason) -> None:
    """Take back a change that you asked for."""
    wanted = pb.WithdrawChangeRequestRequest(number=number, reason=reason)
    shown(session, session.client.subsidies.WithdrawChangeRequest(wanted).change_request)


# --- how a change request looks -------------------------------------------------------------------


def shown(session: Session, one: pb.ChangeRequest, only_checked: bool = False) -> None:
    """Print a change request, as JSON if that is wanted."""
    if session.as_json:
        print_json(to_json(one))
        return
    out = session.out
    if only_checked:
        out.line(session.t("approval.checked"))
        out.line()
    out.facts(
        [
            ("approval.its_number", str(one.number) if one.number else ""),
            ("approval.its_kind", _kind(session, one)),
            ("approval.its_target", one.target),
            ("approval.its_city", session.name(one.city)),
            ("approval.its_amount", amounts.money(one.amount_fen) if one.amount_fen else ""),
            ("approval.its_state", _state(session, one)),
            ("approval.its_requester", _who(session, one.requester, one.create_time)),
            ("approval.its_reason", one.reason),
            ("approval.its_decider", _who(session, one.decided_by, one.decide_time)),
            ("approval.its_decision", one.decision_reason),
        ]
    )
    rows = _differences(session, one)
    if rows:
        out.line()
        columns = [
            Column("approval.field"),
            Column("approval.before", flex=16),
            Column("approval.after", flex=16),
        ]
        out.table(columns, rows)
    if one.number and one.state == pb.CHANGE_STATE_PENDING:
        out.line()
        out.line(session.t("approval.next", number=one.number))


def _kind(session: Session, one: pb.ChangeRequest) -> str:
    return session.out.word("asked.", enum_word(_KIND, one.kind) or "")


def _state(session: Session, one: pb.ChangeRequest) -> Cell:
    word = enum_word(_STATE, one.state) or ""
    return Cell(session.out.word("decided.", word), _STYLES.get(word, ""))


def _who(session: Session, who: str, at: Timestamp) -> str:
    return session.t("approval.at_by", when=session.out.moment(at), who=who) if who else ""


def _differences(session: Session, one: pb.ChangeRequest) -> list[list[str | Cell]]:
    """Return what changes: (field, before, after), each figure in its unit."""
    before: dict[str, Any] = json.loads(one.before_json or "{}")
    after: dict[str, Any] = json.loads(one.after_json or "{}")
    prices = one.kind == pb.CHANGE_KIND_PRICE_VERSION
    return [
        [
            name,
            figure(session, name, before.get(name), price=prices),
            figure(session, name, after.get(name), price=prices),
        ]
        for name in [*after, *(name for name in before if name not in after)]
    ]


def figure(session: Session, name: str, value: Any, *, price: bool = False) -> str:
    """Return a figure for people, in the unit that its name says; a price is one of a flavor."""
    if value is None:
        return ""
    if name in _LISTS:  # figures have lists as JSON
        return listed(json.loads(value))
    if not isinstance(value, int) or isinstance(value, bool):
        return str(value)
    if name.endswith("_fen"):
        return amounts.money(value)
    if name.endswith("_ms"):
        at = Timestamp()
        at.FromMilliseconds(value)
        return session.out.moment(at)
    if name.endswith("_bp"):
        return percent(value)
    return hourly(value) if price else f"{value:,}"


def listed(values: Sequence[Any]) -> str:
    """Return a list on one line: ``rate_bp 50.00 %, startup; rate_bp 30.00 %, sectors ai``."""
    return "; ".join(_listed(one) for one in values)


def _listed(one: Any) -> str:
    if not isinstance(one, Mapping):
        return str(one)
    parts = []
    for name, value in one.items():
        if value is True:
            parts.append(name)
        elif isinstance(value, list) and value:
            parts.append(f"{name} {', '.join(map(str, value))}")
        elif isinstance(value, int) and name.endswith("_bp"):
            parts.append(f"{name} {percent(value)}")
        elif value not in (False, "", []):
            parts.append(f"{name} {value}")
    return ", ".join(parts)


def percent(bp: int) -> str:
    """Return basis points as ``25.00 %``."""
    return f"{bp // 100}.{bp % 100:02d} %"


def hourly(ufen: int) -> str:
    """Return a price per unit-second as one per unit-hour, to the last digit: ``¥7.999992/h``."""
    whole, rest = divmod(ufen * 3_600, 10**8)
    digits = f"{rest:08d}".rstrip("0").ljust(2, "0")
    return f"¥{whole:,}.{digits}/h"
