"""``corridor voucher``: what an enterprise may use, issued and revoked by its city."""

from typing import Annotated

import grpc
import typer
from corridor.v1 import voucher_pb2 as pb

from scheduler.cli import amounts, exits, once, voucher_files
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.once import RequestId
from scheduler.cli.session import Session, paged
from scheduler.cli.voucher_views import grants_table, voucher_facts, vouchers_table
from scheduler.problem import problem_of

PANEL = "Quotas and money"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=ClientGroup, help="Vouchers of enterprises, and free hours.", no_args_is_help=True
    )
    add(group, "list", list_vouchers)
    add(group, "show", show)
    add(group, "issue", issue)
    add(group, "revoke", revoke)
    app.add_typer(group, name="voucher", rich_help_panel=PANEL)


Number = Annotated[str, typer.Argument(metavar="VOUCHER", help="Number of the voucher.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]


def list_vouchers(
    session: Session,
    programme: Annotated[str, typer.Option("--programme", help="Only this programme.")] = "",
    enterprise: Annotated[str, typer.Option("--enterprise", help="Only this enterprise.")] = "",
    period: Annotated[str, typer.Option("--period", help="Only out of this period's fund.")] = "",
    ended: Annotated[
        bool, typer.Option("--ended", help="Also those that give nothing any more.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many.")
    ] = 50,
) -> None:
    """List vouchers, what ends first before others, and free hours."""
    wanted = pb.ListVouchersRequest(
        programme=programme, enterprise=enterprise, period=period, show_ended=ended
    )
    rows = paged(session.client.subsidies.ListVouchers, wanted, "vouchers", limit)
    asked = pb.ListHourGrantsRequest(programme=programme, enterprise=enterprise, period=period)
    grants = list(session.client.subsidies.ListHourGrants(asked).grants)
    if session.as_json:
        print_json(
            {
                "vouchers": [to_json(one) for one in rows],
                "grants": [to_json(one) for one in grants],
            }
        )
        return
    vouchers_table(session, rows)
    if grants:
        session.out.line()
        grants_table(session, grants)


def show(session: Session, voucher: Number) -> None:
    """Show a voucher: what it was issued for, and what became of it."""
    wanted = pb.GetVoucherRequest(voucher_no=voucher)
    found = session.client.subsidies.GetVoucher(wanted).voucher
    if session.as_json:
        print_json(to_json(found))
    else:
        voucher_facts(session, found)


def issue(
    session: Session,
    programme: Annotated[str, typer.Argument(metavar="PROGRAMME", help="The programme.")],
    period: Annotated[str, typer.Option("--period", help="The fund's period, such as 2026.")],
    reason: Reason,
    file: Annotated[
        str,
        typer.Option(
            "--file",
            metavar="CSV",
            help="Many: columns enterprise, face (yuan), number, valid_from, valid_until.",
        ),
    ] = "",
    enterprise: Annotated[str, typer.Option("--enterprise", help="One: to whom.")] = "",
    face: Annotated[str, typer.Option("--face", metavar="YUAN", help="One: for how much.")] = "",
    number: Annotated[
        str, typer.Option("--number", help="One: its number; default: one is made.")
    ] = "",
    valid_from: Annotated[
        str, typer.Option("--valid-from", metavar="DAY", help="One: its first day; default: now.")
    ] = "",
    valid_until: Annotated[
        str,
        typer.Option(
            "--valid-until",
            metavar="DAY",
            help="One: its last day; default: as long as the programme's rule allows.",
        ),
    ] = "",
    request_id: RequestId = None,
) -> None:
    """Issue a voucher out of a programme's fund, or many from a file, all or none."""
    if bool(file) == bool(enterprise):
        raise Failed("option.file_or_one", exits.USAGE)
    said = voucher_files.read(file) if file else None
    new = said.vouchers if said else [_one(enterprise, face, number, valid_from, valid_until)]
    request = pb.IssueVouchersRequest(
        programme=programme, period=period, vouchers=new, reason=reason
    )
    try:
        answer = once.call(session, session.client.subsidies.IssueVouchers, request, request_id)
    except grpc.RpcError as error:
        if said is not None:
            said.raise_refusal(problem_of(error))
        raise
    if session.as_json:
        rows = [to_json(one) for one in answer.vouchers]
        print_json({"request_id": request.request_id, "vouchers": rows})
    else:
        vouchers_table(session, answer.vouchers)


def _one(
    enterprise: str, face: str, number: str, valid_from: str, valid_until: str
) -> pb.NewVoucher:
    """Return the voucher that the options say; raises ``Failed``."""
    fen = amounts.parse_yuan(face)
    if not fen:
        raise Failed("option.yuan", exits.USAGE, option="--face", given=face)
    new = pb.NewVoucher(enterprise=enterprise, face_fen=fen, voucher_no=number)
    for option, given, field, after in (
        ("--valid-from", valid_from, new.valid_from_time, 0),
        ("--valid-until", valid_until, new.valid_to_time, 1),
    ):
        if given:
            at_ms = voucher_files.day_after(given, after)
            if at_ms is None:
                raise Failed("option.day", exits.USAGE, option=option, given=given)
            field.FromMilliseconds(at_ms)
    return new


def revoke(session: Session, voucher: Number, reason: Reason) -> None:
    """End a voucher now: what is not held goes back to the fund, the rest when runs settle."""
    wanted = pb.RevokeVoucherRequest(voucher_no=voucher, reason=reason)
    found = session.client.subsidies.RevokeVoucher(wanted).voucher
    if session.as_json:
        print_json(to_json(found))
    else:
        vouchers_table(session, [found])
