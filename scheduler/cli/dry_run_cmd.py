"""``corridor programme simulate``: what another rule, or other prices, would have given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import grpc
import typer
from corridor.v1 import dry_run_pb2 as pb

from scheduler.cli import amounts, exits, price_cmd, rule_file
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed, FailedCall
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Cell, Column, Output
from scheduler.cli.session import Session
from scheduler.problem import problem_of

#: A year of runs is charged twice.
TIMEOUT_S = 300.0
_SHOWN = 10


def register(programme: typer.Typer) -> None:
    """Add the command to ``corridor programme``."""
    add(programme, "simulate", simulate)


def simulate(
    session: Session,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="The rule to try, as for propose."),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            "--price",
            metavar="FLAVOR=YUAN",
            help="A price to try: yuan for an hour of one unit; may be repeated.",
        ),
    ] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=366, help="Runs settled in so many days until now.")
    ] = 28,
) -> None:
    """Charge past runs again under a rule or prices that are proposed; nothing is changed."""
    if file is None and not price:
        raise Failed("trial.nothing", exits.USAGE)
    wanted = pb.SimulateRuleRequest(
        prices=[price_cmd.flavor_price(one) for one in price or ()], days=days
    )
    said = None
    if file is not None:
        said = rule_file.read(file, rule_file.VERSION)
        wanted.programme = said.values["programme"]
        wanted.rule.CopyFrom(said.rule)
    timeout_s = session.given.timeout_s or TIMEOUT_S
    try:
        found = session.client.subsidies.SimulateRule(wanted, timeout=timeout_s)
    except grpc.RpcError as error:
        problem = problem_of(error)
        if said is not None:
            said.raise_refusal(problem)
        raise FailedCall(problem) from error
    if session.as_json:
        print_json({"simulation": to_json(found)})
    else:
        _show(session, found)


def _show(session: Session, found: pb.SimulateRuleResponse) -> None:
    out = session.out
    city = session.name(found.city) if found.city else out.t("trial.all_cities")
    head = out.t("trial.head", runs=f"{found.run_count:,}", days=found.days, city=city)
    out.line(head, "bold")
    out.line()
    columns = [
        Column("trial.programme"),
        Column("trial.booked", right=True, rank=3),
        Column("trial.today", right=True),
        Column("trial.proposed", right=True),
        Column("trial.change", right=True),
        Column("trial.runs", right=True, rank=2),
        Column("trial.ends", rank=1),
        Column("trial.would_end", rank=1),
        Column("trial.limits", flex=16, rank=4),
    ]
    rows: list[list[str | Cell]] = [
        [
            one.programme,
            amounts.money(one.booked_fen),
            amounts.money(one.today_fen),
            amounts.money(one.proposed_fen),
            _change(one.proposed_fen - one.today_fen),
            f"{one.runs_today:,} → {one.runs_proposed:,}",
            one.likely_date_today or "-",
            one.likely_date_proposed or "-",
            _limits(out, one.limits_proposed),
        ]
        for one in found.programmes
    ]
    total = found.subsidy_proposed_fen - found.subsidy_today_fen
    rows.append(
        [
            Cell(out.t("trial.total"), "bold"),
            amounts.money(sum(one.booked_fen for one in found.programmes)),
            amounts.money(found.subsidy_today_fen),
            amounts.money(found.subsidy_proposed_fen),
            _change(total),
            "",
            "",
            "",
            "",
        ]
    )
    out.table(columns, rows, "trial.none")
    _enterprises(session, found)
    if found.gross_today_fen != found.gross_proposed_fen:
        today, proposed = found.gross_today_fen, found.gross_proposed_fen
        pair = amounts.money(today), amounts.money(proposed)
        out.line(out.t("trial.gross", today=pair[0], proposed=pair[1]))
    out.line(out.t("trial.note"))


def _enterprises(session: Session, found: pb.SimulateRuleResponse) -> None:
    """Those for which most changes."""
    moved = [
        one
        for one in found.enterprises
        if (one.gross_today_fen, one.subsidy_today_fen)
        != (one.gross_proposed_fen, one.subsidy_proposed_fen)
    ]
    if not moved:
        return
    columns = [
        Column("trial.enterprise"),
        Column("trial.cost", right=True, rank=1),
        Column("trial.today", right=True),
        Column("trial.proposed", right=True),
        Column("trial.self_pay", right=True, rank=1),
    ]
    rows: list[list[str | Cell]] = [
        [
            one.enterprise,
            amounts.money(one.gross_proposed_fen),
            amounts.money(one.subsidy_today_fen),
            amounts.money(one.subsidy_proposed_fen),
            amounts.money(one.gross_proposed_fen - one.subsidy_proposed_fen),
        ]
        for one in moved[:_SHOWN]
    ]
    session.out.line()
    session.out.table(columns, rows)
    if len(moved) > _SHOWN:
        session.out.line(session.t("trial.more", n=len(moved) - _SHOWN))


def _change(fen: int) -> Cell:
    sign = "+" if fen > 0 else ""
    return Cell(f"{sign}{amounts.money(fen)}" if fen else "=", "bold" if fen else "")


def _limits(out: Output, limits: Mapping[str, int]) -> str:
    return ", ".join(f"{out.limit(name)}: {count:,}" for name, count in sorted(limits.items()))
