"""``corridor period``: months of the books and periods of funds, and how they are closed."""

from collections.abc import Sequence
from typing import Annotated

import typer
from corridor.v1 import period_pb2
from corridor.v1 import subsidy_service_pb2 as pb

from scheduler.cli import amounts
from scheduler.cli.client_command import add
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session
from scheduler.cli.voucher_views import last_day

PANEL = "Quotas and money"
_STATE = period_pb2.BookMonth.DESCRIPTOR.fields_by_name["state"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=ClientGroup, help="Months of the books and periods of funds.", no_args_is_help=True
    )
    add(group, "list", list_periods)
    add(group, "close", close)
    app.add_typer(group, name="period", rich_help_panel=PANEL)


def list_periods(session: Session) -> None:
    """List the months of the books, the newest first, and the periods of funds."""
    subsidies = session.client.subsidies
    months = list(subsidies.ListBookMonths(period_pb2.ListBookMonthsRequest()).months)
    funds = list(subsidies.ListFunds(pb.ListFundsRequest()).funds)
    if session.as_json:
        print_json(
            {"months": [to_json(one) for one in months], "funds": [to_json(one) for one in funds]}
        )
        return
    _months(session, months)
    if funds:
        session.out.line()
        _funds(session, funds)


def _months(session: Session, rows: Sequence[period_pb2.BookMonth]) -> None:
    columns = [
        Column("period.month"),
        Column("period.state"),
        Column("period.differences", right=True),
        Column("period.closed", rank=1),
        Column("period.closed_by", rank=2),
        Column("period.reason", flex=12, rank=2),
    ]
    cells: list[list[str | Cell]] = [
        [
            one.month,
            session.out.state(enum_word(_STATE, one.state)),
            Cell(str(one.open_difference_count), "red") if one.open_difference_count else "0",
            session.out.when(one.close_time),
            one.closed_by,
            one.reason,
        ]
        for one in rows
    ]
    session.out.table(columns, cells, "period.none")


def _funds(session: Session, rows: Sequence[pb.Fund]) -> None:
    columns = [
        Column("fund.programme"),
        Column("fund.period"),
        Column("fund.state"),
        Column("period.last_day"),
        Column("fund.held", right=True),
        Column("fund.vouchers", right=True, rank=1),
        Column("fund.lapsed", right=True, rank=1),
    ]
    cells: list[list[str | Cell]] = [
        [
            one.programme,
            one.period,
            session.out.state(one.state),
            last_day(one.end_time),
            amounts.money(one.held_fen),
            amounts.money(one.vouchers_fen) if one.vouchers_fen else "",
            amounts.money(one.lapsed_fen) if one.lapsed_fen else "",
        ]
        for one in rows
    ]
    session.out.table(columns, cells)


def close(
    session: Session,
    period: Annotated[
        str,
        typer.Argument(metavar="PERIOD", help="A month, such as 2026-11; with --programme any."),
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ],
    programme: Annotated[
        str, typer.Option("--programme", help="Close the fund of this programme instead.")
    ] = "",
) -> None:
    """Close a month of the books for good; with --programme the fund of a period that is over.

    A month is closed by an operator, after those before it, when no difference with a center's own
    records is open. A fund closes when nothing is held of it and its vouchers have ended: until
    then it is CLOSING and gives nothing new. What is left lapses.
    """
    if programme:
        wanted = pb.CloseFundRequest(programme=programme, period=period, reason=reason)
        fund = session.client.subsidies.CloseFund(wanted).fund
        if session.as_json:
            print_json({"fund": to_json(fund)})
        else:
            _funds(session, [fund])
        return
    asked = period_pb2.CloseBookMonthRequest(month=period, reason=reason)
    month = session.client.subsidies.CloseBookMonth(asked).month
    if session.as_json:
        print_json({"month": to_json(month)})
    else:
        _months(session, [month])
