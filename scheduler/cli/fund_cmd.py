"""``corridor fund``: the money of programmes, put in, taken out, and given as free hours."""

from collections.abc import Sequence
from typing import Annotated

import typer
from corridor.v1 import approval_pb2, voucher_pb2
from corridor.v1 import subsidy_service_pb2 as pb

from scheduler.cli import alert_cmd, amounts, exits, once
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.once import RequestId
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session
from scheduler.cli.voucher_views import grants_table

PANEL = "Quotas and money"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    fund = typer.Typer(cls=ClientGroup, help="Funds of subsidy programmes.", no_args_is_help=True)
    add(fund, "show", show_funds)
    add(fund, "appropriate", appropriate)
    add(fund, "lower", lower)
    add(fund, "open", open_fund)
    add(fund, "grant", grant)
    alert_cmd.register(fund)
    app.add_typer(fund, name="fund", rich_help_panel=PANEL)


City = Annotated[str, typer.Option("--city", help="Only this city.")]
Programme = Annotated[str, typer.Argument(metavar="PROGRAMME", help="The programme.")]
Yuan = Annotated[str, typer.Argument(metavar="YUAN", help="How much, such as 500000.00.")]
Period = Annotated[
    str, typer.Option("--period", help="The period, such as 2026; `fund show` lists them.")
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]
Funder = Annotated[
    str, typer.Option("--funder", help="Whose money; default: the programme's own city's.")
]


def show_funds(
    session: Session,
    programme: Annotated[
        str, typer.Argument(metavar="PROGRAMME", help="Only this programme.")
    ] = "",
    city: City = "",
) -> None:
    """Show funds: what was appropriated, is held, was paid, and is available."""
    request = pb.ListFundsRequest(city=city, programme=programme)
    found = list(session.client.subsidies.ListFunds(request).funds)
    if session.as_json:
        print_json({"funds": [to_json(one) for one in found]})
        return
    _funds(session, found)
    if programme and any(len(one.funders) > 1 for one in found):
        session.out.line()
        _funders(session, found)


def _fen(fen: int) -> str:
    """What is often nothing is left blank."""
    return amounts.money(fen) if fen else ""


def _figures(one: "pb.Fund | pb.FundFunder") -> list[str | Cell]:
    return [
        amounts.money(one.appropriated_fen),
        _fen(one.vouchers_fen),
        amounts.money(one.held_fen),
        amounts.money(one.posted_fen),
        Cell(amounts.money(one.available_fen), "" if one.available_fen else "red"),
        Cell(_fen(one.reducing_fen), "magenta"),
        _fen(one.lapsed_fen),
    ]


_FIGURES = (
    Column("fund.appropriated", right=True, rank=1),
    Column("fund.vouchers", right=True, rank=2),
    Column("fund.held", right=True),
    Column("fund.posted", right=True),
    Column("fund.available", right=True),
    Column("fund.reducing", right=True, rank=2),
    Column("fund.lapsed", right=True, rank=3),
)


def _funds(session: Session, found: Sequence[pb.Fund]) -> None:
    columns = [
        Column("fund.programme"),
        Column("fund.city", rank=3),
        Column("fund.period"),
        Column("fund.state", rank=2),
        *_FIGURES,
    ]
    rows: list[list[str | Cell]] = [
        [
            one.programme,
            session.name(one.city),
            one.period,
            session.out.state(one.state),
            *_figures(one),
        ]
        for one in found
    ]
    session.out.table(columns, rows, "fund.none")


def _funders(session: Session, found: Sequence[pb.Fund]) -> None:
    columns = [
        Column("fund.funder"),
        Column("fund.period"),
        *_FIGURES,
        Column("fund.account", rank=4),
    ]
    rows: list[list[str | Cell]] = [
        [session.name(one.funder), fund.period, *_figures(one), one.account]
        for fund in found
        for one in fund.funders
    ]
    session.out.table(columns, rows)


def _shown(
    session: Session, request_id: str, fund: pb.Fund, asked: approval_pb2.ChangeRequest | None
) -> None:
    """Show a fund as it is after a call, or that the change waits for another person."""
    if session.as_json:
        found = {"request_id": request_id, "fund": to_json(fund)}
        print_json({**found, "change_request": None if asked is None else to_json(asked)})
        return
    if asked is not None and asked.state == approval_pb2.CHANGE_STATE_PENDING:
        session.out.line(session.t("fund.waits", number=asked.number))
    _funds(session, [fund])


def _parsed(given: str) -> int:
    """Return the fen of an amount; raises ``Failed``."""
    fen = amounts.parse_yuan(given)
    if fen is None:
        raise Failed("option.yuan", exits.USAGE, option="YUAN", given=given)
    return fen


def appropriate(
    session: Session,
    programme: Programme,
    yuan: Yuan,
    period: Period,
    reason: Reason,
    funder: Funder = "",
    request_id: RequestId = None,
) -> None:
    """Add money to the fund of a programme and period; a large amount waits for another person."""
    request = pb.AppropriateFundRequest(
        programme=programme, period=period, amount_fen=_parsed(yuan), reason=reason, funder=funder
    )
    answer = once.call(session, session.client.subsidies.AppropriateFund, request, request_id)
    asked = answer.change_request if answer.HasField("change_request") else None
    _shown(session, request.request_id, answer.fund, asked)


def lower(
    session: Session,
    programme: Programme,
    yuan: Yuan,
    period: Period,
    reason: Reason,
    pending: Annotated[
        bool,
        typer.Option("--pending", help="What is held may wait: it is taken out as it comes free."),
    ] = False,
    funder: Funder = "",
    request_id: RequestId = None,
) -> None:
    """Take money out of a fund: what is available now; runs that hold some go on."""
    request = pb.LowerFundRequest(
        programme=programme, period=period, amount_fen=_parsed(yuan), reason=reason, funder=funder,
        allow_pending=pending,
    )  # fmt: skip
    answer = once.call(session, session.client.subsidies.LowerFund, request, request_id)
    asked = answer.change_request if answer.HasField("change_request") else None
    _shown(session, request.request_id, answer.fund, asked)


def open_fund(
    session: Session,
    programme: Programme,
    period: Annotated[
        str, typer.Option("--period", help="The period to open: 2027, 2027Q1 or 2027-03.")
    ],
    reason: Reason,
) -> None:
    """Open a programme's fund for a coming period, with no money in it."""
    request = pb.OpenFundRequest(programme=programme, period=period, reason=reason)
    fund = session.client.subsidies.OpenFund(request).fund
    if session.as_json:
        print_json({"fund": to_json(fund)})
    else:
        _funds(session, [fund])


def grant(
    session: Session,
    programme: Programme,
    enterprise: Annotated[str, typer.Argument(metavar="ENTERPRISE", help="To whom.")],
    hours: Annotated[str, typer.Argument(metavar="HOURS", help="How much, such as 500h.")],
    period: Period,
    reason: Reason,
    request_id: RequestId = None,
) -> None:
    """Grant free hours of a programme to an enterprise; they count one unit for one hour."""
    seconds = amounts.parse_duration(hours)
    if seconds is None:
        raise Failed("option.unit_hours", exits.USAGE, option="HOURS", given=hours)
    request = voucher_pb2.GrantHoursRequest(
        programme=programme, period=period, enterprise=enterprise, unit_seconds=seconds,
        reason=reason,
    )  # fmt: skip
    found = once.call(session, session.client.subsidies.GrantHours, request, request_id).grant
    if session.as_json:
        print_json({"request_id": request.request_id, "grant": to_json(found)})
    else:
        grants_table(session, [found])
