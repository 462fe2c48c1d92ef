"""``corridor loan``: hours lent between cities."""

from typing import Annotated, Any

import typer
from corridor.v1 import budget_pb2 as pb

from scheduler.cli import amounts, exits
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=ClientGroup, help="Hours lent between cities.", no_args_is_help=True)
    add(group, "request", request)
    add(group, "offer", offer)
    add(group, "accept", accept)
    add(group, "decline", decline)
    add(group, "list", list_loans)
    add(group, "rule", rule)
    add(group, "forgive", forgive)
    app.add_typer(group, name="loan", rich_help_panel="Quotas and money")


Flavor = Annotated[str, typer.Argument(metavar="FLAVOR", help="Such as wuhan-ai/ascend-910b.")]
Hours = Annotated[str, typer.Argument(metavar="HOURS", help="How much, such as 500h.")]
Number = Annotated[int, typer.Argument(metavar="LOAN", min=1, help="Number of the loan.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]


def request(
    session: Session,
    flavor: Flavor,
    hours: Hours,
    lender: Annotated[str, typer.Option("--from", metavar="CITY", help="The city that lends.")],
    reason: Reason,
) -> None:
    """Ask another city for hours of this period; a standing rule of it may agree at once."""
    _propose(session, lender, session.who.city, flavor, hours, reason)


def offer(
    session: Session,
    flavor: Flavor,
    hours: Hours,
    borrower: Annotated[str, typer.Option("--to", metavar="CITY", help="The city that borrows.")],
    reason: Reason,
) -> None:
    """Offer hours of this period to another city; its admin decides."""
    _propose(session, session.who.city, borrower, flavor, hours, reason)


def _propose(
    session: Session, lender: str, borrower: str, flavor: str, hours: str, reason: str
) -> None:
    wanted = pb.LendHoursRequest(
        lender=lender, borrower=borrower, flavor=flavor,
        unit_seconds=_unit_seconds("HOURS", hours), reason=reason,
    )  # fmt: skip
    _shown(session, session.client.quotas.LendHours(wanted).loan)


def _unit_seconds(option: str, given: str) -> int:
    """Return unit-seconds of hours; raises ``Failed``."""
    found = amounts.parse_duration(given)
    if found is None:
        raise Failed("option.unit_hours", exits.USAGE, option=option, given=given)
    return found


def accept(session: Session, loan: Number, reason: Reason) -> None:
    """Agree to a loan that the other city asked for or offered."""
    wanted = pb.AcceptLoanRequest(loan_id=loan, reason=reason)
    _shown(session, session.client.quotas.AcceptLoan(wanted).loan)


def decline(session: Session, loan: Number, reason: Reason) -> None:
    """Refuse a loan, or take your own proposal back."""
    wanted = pb.DeclineLoanRequest(loan_id=loan, reason=reason)
    _shown(session, session.client.quotas.DeclineLoan(wanted).loan)


def _shown(session: Session, loan: pb.Loan) -> None:
    if session.as_json:
        print_json(to_json(loan))
    else:
        _loans(session, [loan])


def list_loans(
    session: Session,
    open_only: Annotated[
        bool, typer.Option("--open", help="Only those that wait for an answer.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many.")
    ] = 50,
) -> None:
    """List loans, newest first, and what is owed now."""
    wanted = pb.ListLoansRequest()
    if open_only:
        wanted.states.extend((pb.LOAN_STATE_REQUESTED, pb.LOAN_STATE_OFFERED))
    rows = paged(session.client.quotas.ListLoans, wanted, "loans", limit)
    wanted.page_size, wanted.page_token = 1, ""
    debts = session.client.quotas.ListLoans(wanted).debts
    if session.as_json:
        print_json(
            {"loans": [to_json(row) for row in rows], "debts": [to_json(debt) for debt in debts]}
        )
        return
    _loans(session, rows)
    if debts:
        session.out.line()
        _debts(session, list(debts))


def _loans(session: Session, rows: list[pb.Loan]) -> None:
    columns = [
        Column("loan.number", right=True),
        Column("loan.lender"),
        Column("loan.borrower"),
        Column("loan.flavor"),
        Column("loan.period", rank=2),
        Column("loan.hours", right=True),
        Column("loan.state"),
        Column("loan.reason", flex=12, rank=1),
        Column("loan.by", rank=3),
        Column("loan.decided_by", rank=3),
        Column("loan.proposed", right=True, rank=4),
    ]
    field = pb.Loan.DESCRIPTOR.fields_by_name["state"]
    cells: list[list[str | Cell]] = [
        [
            str(row.loan_id),
            session.name(row.lender),
            session.name(row.borrower),
            row.flavor,
            row.period,
            amounts.hours_text(row.unit_seconds),
            session.out.word("lent.", enum_word(field, row.state) or ""),
            row.decision or row.reason,
            row.created_by,
            row.decided_by,
            session.out.when(row.create_time),
        ]
        for row in rows
    ]
    session.out.table(columns, cells, "loan.none")


def _debts(session: Session, rows: list[pb.Debt]) -> None:
    columns = [
        Column("loan.debtor"),
        Column("loan.creditor"),
        Column("loan.flavor"),
        Column("loan.owed", right=True),
    ]
    cells: list[list[str | Cell]] = [
        [
            session.node(row.borrower),
            session.node("corridor") if row.lender == "corridor" else session.name(row.lender),
            row.flavor,
            amounts.hours_text(row.unit_seconds),
        ]
        for row in rows
    ]
    session.out.table(columns, cells)


def rule(
    session: Session,
    flavor: Flavor,
    city: Annotated[
        str | None, typer.Option("--city", help="Whose rule; default: your own city's.")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="CITY|all", help="To whom it lends; may be repeated."),
    ] = None,
    per_loan: Annotated[
        str | None,
        typer.Option("--per-loan", metavar="HOURS", help="The most a loan; 0h lends nothing."),
    ] = None,
    per_period: Annotated[
        str | None,
        typer.Option("--per-period", metavar="HOURS", help="The most in a period."),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ] = "",
) -> None:
    """Show what a city lends without being asked each time, or set what is named."""
    wanted = pb.GetLoanRuleRequest(lender=city or session.who.city, flavor=flavor)
    found = session.client.quotas.GetLoanRule(wanted).rule
    changed: dict[str, Any] = {}
    if per_loan is not None:
        changed["loan_unit_seconds"] = _unit_seconds("--per-loan", per_loan)
    if per_period is not None:
        changed["period_unit_seconds"] = _unit_seconds("--per-period", per_period)
    if changed or to is not None:
        if to is not None:
            del found.borrowers[:]
            found.borrowers.extend(() if to == ["all"] else to)
        for name, value in changed.items():
            setattr(found, name, value)
        update = pb.UpdateLoanRuleRequest(rule=found, reason=reason)
        found = session.client.quotas.UpdateLoanRule(update).rule
    if session.as_json:
        print_json(to_json(found))
        return
    names = ", ".join(session.name(one) for one in found.borrowers)
    session.out.facts(
        [
            ("loan.its_lender", session.name(found.lender)),
            ("loan.its_flavor", found.flavor),
            ("loan.its_borrowers", names or session.t("loan.all_cities")),
            ("loan.per_loan", amounts.hours_text(found.loan_unit_seconds)),
            ("loan.per_period", amounts.hours_text(found.period_unit_seconds)),
            ("loan.its_etag", found.etag),
        ]
    )


def forgive(
    session: Session,
    flavor: Flavor,
    hours: Hours,
    lender: Annotated[
        str,
        typer.Option(
            "--lender", metavar="CITY|corridor", help="To whom it is owed; corridor for overuse."
        ),
    ],
    borrower: Annotated[
        str,
        typer.Option(
            "--borrower", metavar="CITY", help="Who owes it; enterprises/CODE for an enterprise."
        ),
    ],
    reason: Reason,
) -> None:
    """Let a borrower off so much of a debt; for operators."""
    amount = _unit_seconds("HOURS", hours)
    debt = pb.Debt(lender=lender, borrower=borrower, flavor=flavor, unit_seconds=amount)
    wanted = pb.ForgiveLoanRequest(debt=debt, reason=reason)
    left = session.client.quotas.ForgiveLoan(wanted).debt
    if session.as_json:
        print_json(to_json(left))
    else:
        _debts(session, [left])
