"""``corridor budget``: hours that cities and enterprises may use in a period."""

from typing import Annotated, Any

import grpc
import typer
from corridor.v1 import budget_pb2 as pb

from scheduler.cli import amounts, exits
from scheduler.cli.budget_settings import settings
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged
from scheduler.problem import problem_of

NONE = "none"
#: A whole journal is read for a verification, which takes longer than other calls.
VERIFY_TIMEOUT_S = 600.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=ClientGroup,
        help="Budgets: hours that may be used in a month or quarter.",
        no_args_is_help=True,
    )
    add(group, "list", list_budgets)
    add(group, "show", show)
    add(group, "set", set_budget)
    add(group, "settings", settings)
    add(group, "verify", verify)
    app.add_typer(group, name="budget", rich_help_panel="Quotas and money")


City = Annotated[str | None, typer.Option("--city", help="Of this city.")]
Enterprise = Annotated[str | None, typer.Option("--enterprise", help="Of this enterprise.")]
Period = Annotated[
    str, typer.Option("--period", help="Such as 2027-01 or 2027Q1; default: the present one.")
]
Flavor = Annotated[str, typer.Argument(metavar="FLAVOR", help="Such as wuhan-ai/ascend-910b.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]


def list_budgets(
    session: Session,
    city: City = None,
    enterprise: Enterprise = None,
    flavor: Annotated[str | None, typer.Option("--flavor", help="Only this flavor.")] = None,
    period: Period = "",
) -> None:
    """List budgets: what is allotted, held, used and free."""
    request = pb.ListBudgetsRequest(
        city=city or "", enterprise=enterprise or "", flavor=flavor or "", period=period
    )
    rows = paged(session.client.quotas.ListBudgets, request, "budgets")
    if session.as_json:
        print_json({"budgets": [to_json(row) for row in rows]})
    else:
        _table(session, rows)


def _table(session: Session, rows: list[pb.Budget]) -> None:
    columns = [
        Column("budget.owner", rank=1),
        Column("budget.flavor"),
        Column("budget.period", rank=2),
        Column("budget.allotted", right=True),
        Column("budget.loans", right=True, rank=3),
        Column("budget.held", right=True, rank=1),
        Column("budget.used", right=True),
        Column("budget.free", right=True),
        Column("budget.burnt", right=True),
        Column("budget.owes", right=True, rank=3),
        Column("budget.mode", rank=4),
        Column("budget.etag", rank=5),
    ]
    cells: list[list[str | Cell]] = [
        [
            _owner(session, row),
            row.flavor,
            row.period,
            _hours(session, row, "allotted_unit_seconds"),
            _signed(row.received_unit_seconds - row.given_unit_seconds),
            amounts.hours_text(row.held_unit_seconds),
            amounts.hours_text(row.settled_unit_seconds),
            _free(session, row),
            _burnt(row),
            amounts.hours_text(row.owed_unit_seconds) if row.owed_unit_seconds else "",
            _mode(session, row),
            row.etag,
        ]
        for row in rows
    ]
    session.out.table(columns, cells, "budget.none")


def _owner(session: Session, row: pb.Budget) -> str:
    if row.enterprise:
        return row.enterprise
    return session.name(row.city) if row.city else session.node("corridor")


def _hours(session: Session, row: pb.Budget, field: str) -> str:
    if not row.city:  # the corridor's own books are no budget: they count what others used
        return ""
    if row.HasField(field):  # type: ignore[arg-type]
        return amounts.hours_text(getattr(row, field))
    return str(session.t("quota.no_limit"))


def _signed(unit_seconds: int) -> str:
    if not unit_seconds:
        return ""
    return ("+" if unit_seconds > 0 else "") + amounts.hours_text(unit_seconds)


def _free(session: Session, row: pb.Budget) -> Cell:
    used_up = bool(row.city) and row.HasField("free_unit_seconds") and row.free_unit_seconds <= 0
    return Cell(_hours(session, row, "free_unit_seconds"), "red" if used_up else "")


def _burnt(row: pb.Budget) -> Cell:
    if not row.city or not row.HasField("burnt_bps"):
        return Cell("")
    style = "red" if row.burnt_bps >= 10_000 else "yellow" if row.burnt_bps >= 9_000 else ""
    return Cell(f"{row.burnt_bps // 100} %", style)


def _mode(session: Session, row: pb.Budget) -> str:
    if not row.city:
        return ""
    word = enum_word(pb.Budget.DESCRIPTOR.fields_by_name["mode"], row.mode)
    return str(session.out.word("mode.", word)) if word else str(session.t("budget.off"))


def show(
    session: Session,
    flavor: Flavor,
    city: City = None,
    enterprise: Enterprise = None,
    period: Period = "",
) -> None:
    """Show one budget with all its figures."""
    if bool(city) == bool(enterprise):
        raise Failed("option.budget_owner", exits.USAGE)
    request = pb.GetBudgetRequest(
        city=city or "", enterprise=enterprise or "", flavor=flavor, period=period
    )
    row = session.client.quotas.GetBudget(request).budget
    if session.as_json:
        print_json(to_json(row))
        return
    text = amounts.hours_text
    session.out.facts(
        [
            ("budget.its_owner", _owner(session, row)),
            ("budget.its_flavor", row.flavor),
            ("budget.its_period", row.period),
            ("budget.its_mode", _mode(session, row)),
            ("budget.its_allotted", _hours(session, row, "allotted_unit_seconds")),
            ("budget.its_received", text(row.received_unit_seconds)),
            ("budget.its_given", text(row.given_unit_seconds)),
            ("budget.its_held", text(row.held_unit_seconds)),
            ("budget.its_used", text(row.settled_unit_seconds)),
            ("budget.its_free", _free(session, row)),
            ("budget.its_burnt", _burnt(row)),
            ("budget.its_owed", text(row.owed_unit_seconds)),
            ("budget.its_lendable", "" if row.enterprise else text(row.lendable_unit_seconds)),
            ("budget.its_etag", row.etag),
        ]
    )


def set_budget(
    session: Session,
    flavor: Flavor,
    hours: Annotated[
        str,
        typer.Option("--hours", metavar="HOURS|none", help="Such as 12000h; none: no limit."),
    ],
    reason: Reason,
    city: City = None,
    enterprise: Enterprise = None,
    period: Annotated[
        list[str] | None,
        typer.Option(
            "--period", help="Such as 2027-01; may be repeated. Default: the present one."
        ),
    ] = None,
    etag: Annotated[
        str | None,
        typer.Option("--etag", help="Set only if it is still the budget with this etag."),
    ] = None,
) -> None:
    """Set what a city or an enterprise may use in a period, in hours of one unit.

    A city's first budget switches budgets on for it: from then on what is not set denies. The
    budget is read first and set under the etag that was read.
    """
    if bool(city) == bool(enterprise):
        raise Failed("option.budget_owner", exits.USAGE)
    allotted = None if hours == NONE else amounts.parse_duration(hours)
    if hours != NONE and allotted is None:
        raise Failed("option.hours", exits.USAGE, option="--hours", given=hours)
    shown = []
    for one in period or [""]:
        wanted = pb.Budget(
            city=city or "", enterprise=enterprise or "", flavor=flavor, period=one,
            allotted_unit_seconds=allotted, etag=_etag(session, city, enterprise, flavor, one),
        )  # fmt: skip
        wanted.etag = wanted.etag if etag is None else etag
        request = pb.UpdateBudgetRequest(budget=wanted, reason=reason)
        shown.append(session.client.quotas.UpdateBudget(request).budget)
    if session.as_json:
        print_json({"budgets": [to_json(row) for row in shown]})
    else:
        _table(session, shown)


def _etag(
    session: Session, city: str | None, enterprise: str | None, flavor: str, period: str
) -> str:
    """Return the etag of a budget as it stands, empty if nobody set it yet."""
    request = pb.GetBudgetRequest(
        city=city or "", enterprise=enterprise or "", flavor=flavor, period=period
    )
    try:
        found = session.client.quotas.GetBudget(request).budget.etag
    except grpc.RpcError as error:
        if problem_of(error).code != "NOT_FOUND":
            raise
        return ""
    return "" if found == "0" else str(found)


def verify(session: Session) -> int:
    """Recompute the budgets that you may see from their journal; exit code 1 if one is wrong."""
    timeout_s = session.given.timeout_s or VERIFY_TIMEOUT_S
    found: Any = session.client.quotas.VerifyBudgets(pb.VerifyBudgetsRequest(), timeout=timeout_s)
    if session.as_json:
        print_json(to_json(found))
    else:
        values = {
            "entries": f"{found.entry_count:,}",
            "budgets": f"{found.budget_count:,}",
            "holds": f"{found.open_hold_count:,}",
        }
        words = session.t("budget.ok" if found.ok else "budget.wrong", **values)
        session.out.line(words, "green" if found.ok else "red")
        for problem in found.problems:
            session.out.line(f"- {problem}")
    return exits.OK if found.ok else exits.ERROR
