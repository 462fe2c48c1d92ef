"""``corridor wallet``: enterprises' own money, and how far they may go below it."""

from collections.abc import Sequence
from typing import Annotated

import typer
from corridor.v1 import wallet_pb2 as pb

from scheduler.cli import amounts, exits, once
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.once import RequestId
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged

PANEL = "Quotas and money"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=ClientGroup, help="Wallets: enterprises' own money.", no_args_is_help=True
    )
    add(group, "show", show)
    add(group, "top-up", top_up)
    add(group, "credit", credit)
    app.add_typer(group, name="wallet", rich_help_panel=PANEL)


Enterprise = Annotated[str, typer.Argument(metavar="ENTERPRISE", help="The enterprise.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]


def show(
    session: Session,
    enterprise: Annotated[
        str, typer.Argument(metavar="ENTERPRISE", help="Only this enterprise.")
    ] = "",
    city: Annotated[str, typer.Option("--city", help="Only this city.")] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many.")
    ] = 50,
) -> None:
    """Show wallets: credit, what was paid in, is held, was spent, and is available."""
    wanted = pb.ListWalletsRequest(city=city, enterprise=enterprise)
    rows = paged(session.client.subsidies.ListWallets, wanted, "wallets", limit)
    if session.as_json:
        print_json({"wallets": [to_json(one) for one in rows]})
    else:
        _wallets(session, rows)


def _wallets(session: Session, rows: Sequence[pb.Wallet]) -> None:
    columns = [
        Column("wallet.enterprise"),
        Column("wallet.city", rank=3),
        Column("wallet.credit", right=True, rank=1),
        Column("wallet.paid_in", right=True, rank=2),
        Column("wallet.held", right=True, rank=2),
        Column("wallet.spent", right=True, rank=1),
        Column("wallet.available", right=True),
        Column("wallet.owed", right=True, rank=1),
    ]
    cells: list[list[str | Cell]] = [
        [
            one.enterprise,
            session.name(one.city),
            amounts.money(one.credit_limit_fen),
            amounts.money(one.paid_in_fen),
            amounts.money(one.held_fen),
            amounts.money(one.spent_fen),
            Cell(amounts.money(one.available_fen), "" if one.available_fen else "red"),
            Cell(amounts.money(one.owed_fen), "red") if one.owed_fen else "",
        ]
        for one in rows
    ]
    session.out.table(columns, cells, "wallet.none")


def _parsed(given: str) -> int:
    """Return the fen of an amount; raises ``Failed``."""
    fen = amounts.parse_yuan(given)
    if fen is None:
        raise Failed("option.yuan", exits.USAGE, option="YUAN", given=given)
    return fen


def top_up(
    session: Session,
    enterprise: Enterprise,
    yuan: Annotated[str, typer.Argument(metavar="YUAN", help="How much, such as 500000.00.")],
    reason: Reason,
    request_id: RequestId = None,
) -> None:
    """Note what an enterprise paid in; for operators."""
    request = pb.TopUpWalletRequest(enterprise=enterprise, amount_fen=_parsed(yuan), reason=reason)
    answer = once.call(session, session.client.subsidies.TopUpWallet, request, request_id)
    if session.as_json:
        print_json({"request_id": request.request_id, "wallet": to_json(answer.wallet)})
    else:
        _wallets(session, [answer.wallet])


def credit(
    session: Session,
    enterprise: Enterprise,
    yuan: Annotated[str, typer.Argument(metavar="YUAN", help="The limit, such as 200000.00.")],
    reason: Reason,
) -> None:
    """Set how far an enterprise may go below what it paid in; for operators."""
    request = pb.SetWalletCreditRequest(
        enterprise=enterprise, credit_limit_fen=_parsed(yuan), reason=reason
    )
    found = session.client.subsidies.SetWalletCredit(request).wallet
    if session.as_json:
        print_json(to_json(found))
    else:
        _wallets(session, [found])
