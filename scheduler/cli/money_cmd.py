"""``corridor ledger``: the books of subsidies."""

from typing import Annotated

import typer
from corridor.v1 import subsidy_service_pb2 as pb

from scheduler.cli import amounts, digest_cmd, exits
from scheduler.cli.client_command import add
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged

PANEL = "Quotas and money"
#: A whole ledger is read for a verification, which takes longer than other calls.
VERIFY_TIMEOUT_S = 600.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    ledger = typer.Typer(cls=ClientGroup, help="The subsidy ledger.", no_args_is_help=True)
    add(ledger, "list", list_transfers)
    add(ledger, "verify", verify)
    digest_cmd.register(ledger)
    app.add_typer(ledger, name="ledger", rich_help_panel=PANEL)


def list_transfers(
    session: Session,
    account: Annotated[str, typer.Option("--account", help="Only this account.")] = "",
    job: Annotated[str, typer.Option("--job", help="Only this job.")] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many.")
    ] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """List entries of the ledger, newest first."""
    request = pb.ListTransfersRequest(account=account, job_id=job)
    wanted = None if everything else limit
    found = paged(session.client.subsidies.ListTransfers, request, "transfers", wanted)
    if session.as_json:
        print_json({"transfers": [to_json(one) for one in found]})
        return
    columns = [
        Column("ledger.time", rank=1),
        Column("ledger.kind", rank=2),
        Column("ledger.code"),
        Column("ledger.amount", right=True),
        Column("ledger.debit", flex=16),
        Column("ledger.credit", flex=16),
        Column("ledger.run", rank=3),
        Column("ledger.shard", rank=4),
        Column("ledger.sequence", right=True, rank=4),
        Column("ledger.hash", rank=5),
    ]
    rows: list[list[str | Cell]] = [
        [
            session.out.when(one.effective_time),
            one.kind,
            one.code,
            amounts.money(one.amount_fen),
            one.debit_account,
            one.credit_account,
            one.run_id,
            one.shard,
            str(one.sequence),
            one.hash[:16],
        ]
        for one in found
    ]
    session.out.table(columns, rows, "ledger.none")


def verify(session: Session) -> int:
    """Recompute the whole ledger from its first entry; exit code 1 if anything is wrong."""
    timeout_s = session.given.timeout_s or VERIFY_TIMEOUT_S
    found = session.client.subsidies.VerifyLedger(pb.VerifyLedgerRequest(), timeout=timeout_s)
    if session.as_json:
        print_json(to_json(found))
    else:
        out = session.out
        values = {
            "transfers": f"{found.transfer_count:,}",
            "shards": found.shard_count,
            "runs": f"{found.run_count:,}",
        }
        style = "green" if found.ok else "red"
        out.line(out.t("ledger.ok" if found.ok else "ledger.wrong", **values), style)
        for problem in found.problems:
            out.line(f"- {problem}")
    return exits.OK if found.ok else exits.ERROR
