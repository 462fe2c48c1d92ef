"""``corridor fund alerts`` and ``fund forecast``: what comes near, and when money will be spent."""

from typing import Annotated

import typer
from corridor.v1 import alert_pb2 as pb

from scheduler.cli import amounts
from scheduler.cli.client_command import add
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged


def register(fund: typer.Typer) -> None:
    """Add the commands to ``corridor fund``."""
    add(fund, "alerts", list_alerts)
    add(fund, "forecast", forecast)


def list_alerts(
    session: Session,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are over, newest first.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")
    ] = 100,
) -> None:
    """List what funds, caps and vouchers have reached: 50, 80, 100 %, or their last days."""
    request = pb.ListAlertsRequest(show_ended=everything)
    found = paged(session.client.subsidies.ListAlerts, request, "alerts", limit)
    if session.as_json:
        print_json({"alerts": [to_json(one) for one in found]})
        return
    out = session.out
    columns = [
        Column("alert.number", right=True, rank=3),
        Column("alert.raised"),
        Column("alert.name", flex=16),
        Column("alert.what", flex=20),
        Column("alert.figures", flex=20, rank=1),
        Column("alert.city", rank=2),
        Column("alert.over", rank=1),
    ]
    rows: list[list[str | Cell]] = [
        [
            str(one.number),
            out.when(one.raise_time),
            one.name,
            Cell(_what(session, one), "" if one.end_time.seconds else _style(one)),
            _figures(session, one),
            session.name(one.city),
            out.when(one.end_time),
        ]
        for one in found
    ]
    out.table(columns, rows, "alert.none")


def _what(session: Session, one: pb.Alert) -> str:
    return str(session.t(f"alert.{one.kind}", threshold=one.threshold))


def _style(one: pb.Alert) -> str:
    last = {"FUND_USED": 100, "CAP_USED": 100, "VOUCHER_ENDS": 7}.get(one.kind)
    return "red" if one.threshold == last else "yellow"


def _figures(session: Session, one: pb.Alert) -> str:
    figures = one.figures
    match one.kind:
        case "FUND_USED":
            pair = figures["used_fen"], figures["appropriated_fen"]
        case "CAP_USED":
            pair = figures["used_fen"], figures["limit_fen"]
        case "VOUCHER_ENDS":
            return amounts.money(figures["left_fen"])
        case _:
            return amounts.money(figures["available_fen"])
    return f"{amounts.money(pair[0])} / {amounts.money(pair[1])}"


def forecast(
    session: Session,
    programme: Annotated[
        str, typer.Argument(metavar="[PROGRAMME]", help="Only this programme.")
    ] = "",
    city: Annotated[str, typer.Option("--city", help="Only this city.")] = "",
) -> None:
    """Say when funds will be spent, as they were spent in the last four weeks."""
    request = pb.ForecastFundsRequest(city=city, programme=programme)
    found = session.client.subsidies.ForecastFunds(request).forecasts
    if session.as_json:
        print_json({"forecasts": [to_json(one) for one in found]})
        return
    out = session.out
    columns = [
        Column("fund.programme"),
        Column("fund.period"),
        Column("forecast.left", right=True),
        Column("forecast.spent", right=True, rank=1),
        Column("forecast.days", right=True, rank=3),
        Column("forecast.likely"),
        Column("forecast.range", rank=1),
        Column("forecast.period_end", rank=2),
        Column("fund.held", right=True, rank=4),
        Column("forecast.held_until", rank=5),
    ]
    rows: list[list[str | Cell]] = [
        [
            one.programme,
            one.period,
            amounts.money(one.left_fen),
            amounts.money(one.spent_fen),
            str(one.days_known),
            _likely(session, one),
            _range(session, one),
            one.period_end_date,
            amounts.money(one.held_fen),
            out.when(one.held_until_time),
        ]
        for one in found
    ]
    out.table(columns, rows, "fund.none")
    if found:
        out.line(out.t("forecast.note"))


def _likely(session: Session, one: pb.FundForecast) -> Cell:
    if one.likely_date:
        soon = one.likely_date < one.period_end_date
        return Cell(one.likely_date, "red" if soon else "")
    key = "forecast.too_little" if one.days_known < 7 else "forecast.not_soon"
    return Cell(session.t(key))


def _range(session: Session, one: pb.FundForecast) -> str:
    if not one.early_date:
        return ""
    later = session.t("forecast.open")
    return f"{one.early_date} – {one.late_date or later}"
