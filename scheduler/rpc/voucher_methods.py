"""SubsidyService, its methods about vouchers, granted hours and wallets."""

from typing import Final

from corridor.v1 import voucher_pb2 as pb
from corridor.v1 import wallet_pb2

from scheduler.rpc import caller
from scheduler.rpc.messages import (
    CallContext,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import vouchers
from scheduler.services.context import Context
from scheduler.store.grants import Grant, GrantInfo
from scheduler.store.voucher_figures import VoucherInfo, Wanted
from scheduler.store.vouchers import Issue, NewVoucher
from scheduler.store.wallets import WalletInfo

_STATES: Final = {
    "ISSUED": pb.VOUCHER_STATE_ISSUED,
    "USED": pb.VOUCHER_STATE_USED,
    "EXPIRED": pb.VOUCHER_STATE_EXPIRED,
    "REVOKED": pb.VOUCHER_STATE_REVOKED,
}


class VoucherMethods:
    """Mixed into the servicer of SubsidyService."""

    _context: Context

    async def IssueVouchers(
        self, request: pb.IssueVouchersRequest, context: CallContext
    ) -> pb.IssueVouchersResponse:
        new = [_new(one) for one in request.vouchers]
        order = Issue(request.programme, request.period, new, request.request_id)
        found = await vouchers.issue(self._context, caller.current(), order, request.reason)
        return pb.IssueVouchersResponse(vouchers=[_voucher(one) for one in found])

    async def GetVoucher(
        self, request: pb.GetVoucherRequest, context: CallContext
    ) -> pb.GetVoucherResponse:
        found = await vouchers.get_voucher(self._context, caller.current(), request.voucher_no)
        return pb.GetVoucherResponse(voucher=_voucher(found))

    async def ListVouchers(
        self, request: pb.ListVouchersRequest, context: CallContext
    ) -> pb.ListVouchersResponse:
        size = page_size(request.page_size)
        after = page_key(request.page_token, int, str) or (0, "")
        wanted = Wanted(request.programme, request.period, request.enterprise, request.show_ended)
        found = await vouchers.list_vouchers(
            self._context, caller.current(), wanted, size + 1, (after[0], after[1])
        )
        rows, more = split_page(found, size)
        last = rows[-1] if more else None
        return pb.ListVouchersResponse(
            vouchers=[_voucher(one) for one in rows],
            next_page_token="" if last is None else page_token(last.end_ms, last.voucher_no),
        )

    async def RevokeVoucher(
        self, request: pb.RevokeVoucherRequest, context: CallContext
    ) -> pb.RevokeVoucherResponse:
        found = await vouchers.revoke(
            self._context, caller.current(), request.voucher_no, request.reason
        )
        return pb.RevokeVoucherResponse(voucher=_voucher(found))

    async def GrantHours(
        self, request: pb.GrantHoursRequest, context: CallContext
    ) -> pb.GrantHoursResponse:
        order = Grant(
            request.programme, request.period, request.enterprise, request.unit_seconds,
            request.request_id,
        )  # fmt: skip
        found = await vouchers.grant(self._context, caller.current(), order, request.reason)
        return pb.GrantHoursResponse(grant=_grant(found))

    async def ListHourGrants(
        self, request: pb.ListHourGrantsRequest, context: CallContext
    ) -> pb.ListHourGrantsResponse:
        found = await vouchers.list_grants(
            self._context, caller.current(), request.programme, request.period, request.enterprise
        )
        return pb.ListHourGrantsResponse(grants=[_grant(one) for one in found])

    async def ListWallets(
        self, request: wallet_pb2.ListWalletsRequest, context: CallContext
    ) -> wallet_pb2.ListWalletsResponse:
        size = page_size(request.page_size)
        after = page_key(request.page_token, str) or ("",)
        found = await vouchers.list_wallets(
            self._context, caller.current(), request.city, request.enterprise, size + 1, after[0]
        )
        rows, more = split_page(found, size)
        return wallet_pb2.ListWalletsResponse(
            wallets=[_wallet(one) for one in rows],
            next_page_token=page_token(rows[-1].enterprise) if more else "",
        )

    async def TopUpWallet(
        self, request: wallet_pb2.TopUpWalletRequest, context: CallContext
    ) -> wallet_pb2.TopUpWalletResponse:
        found = await vouchers.top_up(
            self._context, caller.current(), request.enterprise, request.amount_fen,
            request.request_id, request.reason,
        )  # fmt: skip
        return wallet_pb2.TopUpWalletResponse(wallet=_wallet(found))

    async def SetWalletCredit(
        self, request: wallet_pb2.SetWalletCreditRequest, context: CallContext
    ) -> wallet_pb2.SetWalletCreditResponse:
        found = await vouchers.set_credit(
            self._context, caller.current(), request.enterprise, request.credit_limit_fen,
            request.reason,
        )  # fmt: skip
        return wallet_pb2.SetWalletCreditResponse(wallet=_wallet(found))


def _new(one: pb.NewVoucher) -> NewVoucher:
    return NewVoucher(
        one.enterprise,
        one.face_fen,
        one.voucher_no,
        one.valid_from_time.ToMilliseconds() if one.HasField("valid_from_time") else None,
        one.valid_to_time.ToMilliseconds() if one.HasField("valid_to_time") else None,
    )


def _voucher(one: VoucherInfo) -> pb.Voucher:
    return pb.Voucher(
        voucher_no=one.voucher_no,
        programme=one.programme,
        period=one.period,
        city=one.city,
        enterprise=one.enterprise,
        face_fen=one.face_fen,
        held_fen=one.held_fen,
        used_fen=one.used_fen,
        returned_fen=one.returned_fen,
        left_fen=one.left_fen,
        valid_from_time=timestamp(one.valid_from_ms),
        valid_to_time=timestamp(one.end_ms),
        state=_STATES[one.state],
        issue_time=timestamp(one.issued_ms),
        issued_by=one.issued_by,
        reason=one.reason,
        ended_by=one.ended_by,
        end_reason=one.end_reason,
    )


def _grant(one: GrantInfo) -> pb.HourGrant:
    return pb.HourGrant(
        programme=one.programme,
        period=one.period,
        city=one.city,
        enterprise=one.enterprise,
        granted_unit_seconds=one.granted_unit_seconds,
        held_unit_seconds=one.held_unit_seconds,
        used_unit_seconds=one.used_unit_seconds,
        left_unit_seconds=one.left_unit_seconds,
        end_time=timestamp(one.end_ms),
    )


def _wallet(one: WalletInfo) -> wallet_pb2.Wallet:
    return wallet_pb2.Wallet(
        enterprise=one.enterprise,
        city=one.city,
        credit_limit_fen=one.credit_limit_fen,
        paid_in_fen=one.paid_in_fen,
        held_fen=one.held_fen,
        spent_fen=one.spent_fen,
        available_fen=one.available_fen,
        owed_fen=one.owed_fen,
    )
