"""SubsidyService: messages in, use cases, messages out."""

from corridor.v1 import subsidy_service_pb2 as pb
from corridor.v1 import subsidy_service_pb2_grpc

from quota.transfers import Link
from scheduler.domain.ids import run_id
from scheduler.rpc import caller
from scheduler.rpc.alert_methods import AlertMethods
from scheduler.rpc.approval_methods import ApprovalMethods
from scheduler.rpc.charge_methods import ChargeMethods
from scheduler.rpc.digest_methods import DigestMethods
from scheduler.rpc.dry_run_methods import DryRunMethods
from scheduler.rpc.element_ids import find_uid
from scheduler.rpc.fund_methods import FundMethods
from scheduler.rpc.messages import (
    CallContext,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.rpc.programme_methods import ProgrammeMethods
from scheduler.rpc.statement_methods import StatementMethods
from scheduler.rpc.voucher_methods import VoucherMethods
from scheduler.services import funds
from scheduler.services.context import Context


class SubsidyServicer(
    AlertMethods,
    ApprovalMethods,
    ChargeMethods,
    DigestMethods,
    DryRunMethods,
    FundMethods,
    ProgrammeMethods,
    StatementMethods,
    VoucherMethods,
    subsidy_service_pb2_grpc.SubsidyServiceServicer,
):
    """See ``subsidy_service.proto``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ListTransfers(
        self, request: pb.ListTransfersRequest, context: CallContext
    ) -> pb.ListTransfersResponse:
        size = page_size(request.page_size)
        before = page_key(request.page_token, int, str, int)
        found = await funds.list_transfers(
            self._context,
            caller.current(),
            account=request.account,
            job_uid=await _uid(self._context, request.job_id),
            limit=size + 1,
            before=None if before is None else (before[0], before[1], before[2]),
        )
        links, more = split_page(found, size)
        token = ""
        if more:
            last = links[-1]
            token = page_token(last.entry.effective_ms, last.entry.shard, last.seq)
        return pb.ListTransfersResponse(
            transfers=[_transfer(link) for link in links], next_page_token=token
        )

    async def VerifyLedger(
        self, request: pb.VerifyLedgerRequest, context: CallContext
    ) -> pb.VerifyLedgerResponse:
        found = await funds.verify_ledger(self._context)
        return pb.VerifyLedgerResponse(
            ok=found.ok,
            transfer_count=found.transfer_count,
            shard_count=found.shard_count,
            problems=found.problems,
            run_count=found.run_count,
        )


async def _uid(context: Context, job_id: str) -> int:
    return await find_uid(context, caller.current(), job_id) if job_id else 0


def _transfer(link: Link) -> pb.Transfer:
    entry = link.entry
    return pb.Transfer(
        shard=entry.shard,
        sequence=link.seq,
        kind=str(entry.kind),
        code=entry.code,
        debit_account=entry.debit_account,
        credit_account=entry.credit_account,
        amount_fen=entry.amount_fen,
        run_id=run_id(entry.job_uid, entry.attempt) if entry.job_uid else "",
        effective_time=timestamp(entry.effective_ms),
        hash=link.hash.hex(),
    )
