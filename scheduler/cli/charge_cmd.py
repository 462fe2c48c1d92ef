"""``corridor charge``: what settled runs cost, and what is corrected of it."""

from enum import StrEnum
from typing import Annotated

import typer
from corridor.v1 import approval_pb2
from corridor.v1 import charge_pb2 as pb

from scheduler.cli import amounts, exits, once
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.once import RequestId
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session

PANEL = "Quotas and money"


class Code(StrEnum):
    """Why a charge is lowered, in one word."""

    CENTER_FAULT = "center-fault"
    METERING_ERROR = "metering-error"
    PRICE_ERROR = "price-error"
    DUPLICATE = "duplicate"
    GOODWILL = "goodwill"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=ClientGroup, help="Charges of settled runs.", no_args_is_help=True)
    add(group, "show", show)
    add(group, "correct", correct)
    add(group, "write-off", write_off)
    add(group, "claw-back", claw_back)
    app.add_typer(group, name="charge", rich_help_panel=PANEL)


Run = Annotated[
    str, typer.Argument(metavar="RUN", help="The run, such as j0501zsw000000.1; `show JOB` has it.")
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]
Yuan = Annotated[str, typer.Argument(metavar="YUAN", help="How much, such as 1200.00.")]


def show(session: Session, run: Run) -> None:
    """Show what a settled run costs, who bears it, and how it was corrected."""
    answer = session.client.subsidies.GetRunCharge(pb.GetRunChargeRequest(run_id=run))
    if session.as_json:
        print_json(to_json(answer.charge))
    else:
        _charge(session, answer.charge)


def _charge(session: Session, one: pb.RunCharge) -> None:
    out, t = session.out, session.t
    facts: list[tuple[str, str | Cell]] = [
        ("bill.run", one.run_id),
        ("bill.enterprise", f"{one.enterprise} ({session.name(one.city)})"),
        ("bill.center", session.name(one.center)),
        ("bill.settled", amounts.money(one.settled_fen)),
        ("bill.gross", amounts.money(one.gross_fen)),
        ("bill.subsidy", amounts.money(one.subsidy_fen)),
        ("bill.self_pay", amounts.money(one.self_pay_fen)),
    ]
    for key, fen in (
        ("bill.debt", one.debt_fen),
        ("bill.written_off", one.written_off_fen),
        ("bill.clawed_back", one.clawed_back_fen),
    ):
        if fen:
            facts.append((key, Cell(amounts.money(fen), "red")))
    if one.free_unit_seconds:
        facts.append(("bill.free", amounts.hours_text(one.free_unit_seconds)))
    out.facts(facts)
    _shares(session, one)
    if one.answers:
        out.line(t("bill.answers"))
        out.table(
            [Column("bill.programme"), Column("bill.rate", right=True), Column("bill.bound")],
            [
                [
                    row.programme,
                    f"{row.rate_bp / 100:.2f} %" if row.rate_bp else "-",
                    out.limit(row.binding),
                ]
                for row in one.answers
            ],
        )
    if one.corrections:
        out.line(t("bill.corrections"))
        _corrections(session, one)


def _shares(session: Session, one: pb.RunCharge) -> None:
    columns = [
        Column("bill.account"),
        Column("bill.to", rank=1),
        Column("bill.amount", right=True),
    ]
    rows: list[list[str | Cell]] = [
        [
            row.account,
            row.credit_account,
            amounts.hours_text(row.amount) if row.unit_seconds else amounts.money(row.amount),
        ]
        for row in one.shares
    ]
    session.out.table(columns, rows, "bill.nothing")


def _corrections(session: Session, one: pb.RunCharge) -> None:
    columns = [
        Column("bill.number", right=True),
        Column("bill.time", rank=1),
        Column("bill.code"),
        Column("bill.now", right=True),
        Column("bill.month", rank=2),
        Column("bill.actor", rank=2),
        Column("bill.reason", flex=16, rank=1),
    ]
    rows: list[list[str | Cell]] = [
        [
            str(row.revision),
            session.out.when(row.book_time),
            session.out.word("correction.", row.code),
            amounts.money(row.gross_fen),
            row.month_of_use,
            row.actor,
            row.reason,
        ]
        for row in one.corrections
    ]
    session.out.table(columns, rows)


def _parsed(given: str) -> int:
    """Return the fen of an amount; raises ``Failed``."""
    fen = amounts.parse_yuan(given)
    if fen is None:
        raise Failed("option.yuan", exits.USAGE, option="YUAN", given=given)
    return fen


def correct(
    session: Session,
    run: Run,
    yuan: Annotated[
        str, typer.Argument(metavar="YUAN", help="What it is to cost, such as 0.00 or 1200.00.")
    ],
    code: Annotated[Code, typer.Option("--code", help="Why, in one word.")],
    reason: Reason,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Only show what would become of it.")
    ] = False,
    request_id: RequestId = None,
) -> None:
    """Lower what a settled run costs; a large amount waits for another person."""
    request = pb.CorrectChargeRequest(
        run_id=run,
        gross_fen=_parsed(yuan),
        code=pb.CorrectionCode.Value(f"CORRECTION_CODE_{code.name}"),
        reason=reason,
        validate_only=validate_only,
    )
    answer = once.call(session, session.client.subsidies.CorrectCharge, request, request_id)
    if session.as_json:
        print_json({"request_id": request.request_id, **to_json(answer)})
        return
    _waits(session, answer.change_request)
    if validate_only:
        session.out.line(session.t("bill.preview"))
    columns = [
        Column("bill.what"), Column("bill.before", right=True),
        Column("bill.after", right=True),
    ]  # fmt: skip
    rows: list[list[str | Cell]] = [
        [session.t(key), amounts.money(before), amounts.money(after)]
        for key, before, after in (
            ("bill.gross", answer.before.gross_fen, answer.after.gross_fen),
            ("bill.subsidy", answer.before.subsidy_fen, answer.after.subsidy_fen),
            ("bill.self_pay", answer.before.self_pay_fen, answer.after.self_pay_fen),
            ("bill.debt", answer.before.debt_fen, answer.after.debt_fen),
        )
    ]
    session.out.table(columns, rows)


def _waits(session: Session, asked: approval_pb2.ChangeRequest) -> None:
    if asked.number and asked.state == approval_pb2.CHANGE_STATE_PENDING:
        session.out.line(session.t("fund.waits", number=asked.number))


def write_off(
    session: Session, run: Run, yuan: Yuan, reason: Reason, request_id: RequestId = None
) -> None:
    """Give up what an enterprise owes for a run; for operators."""
    request = pb.WriteOffDebtRequest(run_id=run, amount_fen=_parsed(yuan), reason=reason)
    answer = once.call(session, session.client.subsidies.WriteOffDebt, request, request_id)
    if session.as_json:
        print_json({"request_id": request.request_id, **to_json(answer)})
        return
    _waits(session, answer.change_request)
    _charge(session, answer.charge)


def claw_back(
    session: Session,
    run: Run,
    yuan: Yuan,
    programme: Annotated[str, typer.Option("--programme", help="The programme that gave it.")],
    reason: Reason,
    request_id: RequestId = None,
) -> None:
    """Take a subsidy back into its fund as a debt of the enterprise, and block it."""
    request = pb.ClawBackSubsidyRequest(
        run_id=run, programme=programme, amount_fen=_parsed(yuan), reason=reason
    )
    answer = once.call(session, session.client.subsidies.ClawBackSubsidy, request, request_id)
    if session.as_json:
        print_json({"request_id": request.request_id, **to_json(answer)})
        return
    session.out.line(session.t("bill.blocked", enterprise=answer.charge.enterprise))
    _charge(session, answer.charge)
