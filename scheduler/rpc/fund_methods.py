"""SubsidyService, its methods about funds of periods and about months of the books."""

from typing import Final

from corridor.v1 import period_pb2
from corridor.v1 import subsidy_service_pb2 as pb

from scheduler.rpc import approval_methods, caller
from scheduler.rpc.messages import CallContext, timestamp
from scheduler.services import funds, periods
from scheduler.services.context import Context
from scheduler.store.appropriations import Payment
from scheduler.store.book_months import MonthInfo
from scheduler.store.fund_figures import FunderMoney, FundInfo
from scheduler.store.funds_reduction import Lowering

_STATES: Final = {
    "OPEN": period_pb2.BOOK_MONTH_STATE_OPEN,
    "CLOSING": period_pb2.BOOK_MONTH_STATE_CLOSING,
    "CLOSED": period_pb2.BOOK_MONTH_STATE_CLOSED,
}


class FundMethods:
    """Mixed into the servicer of SubsidyService."""

    _context: Context

    async def ListFunds(
        self, request: pb.ListFundsRequest, context: CallContext
    ) -> pb.ListFundsResponse:
        found = await funds.list_funds(
            self._context, caller.current(), request.city, request.programme
        )
        return pb.ListFundsResponse(funds=[_fund(one) for one in found])

    async def AppropriateFund(
        self, request: pb.AppropriateFundRequest, context: CallContext
    ) -> pb.AppropriateFundResponse:
        payment = Payment(
            request.programme, request.period, request.amount_fen, request.request_id,
            request.funder,
        )  # fmt: skip
        done = await funds.appropriate(self._context, caller.current(), payment, request.reason)
        return pb.AppropriateFundResponse(
            fund=_fund(done.fund), change_request=approval_methods.given(done.request)
        )

    async def OpenFund(
        self, request: pb.OpenFundRequest, context: CallContext
    ) -> pb.OpenFundResponse:
        fund = await periods.open_fund(
            self._context, caller.current(), request.programme, request.period, request.reason
        )
        return pb.OpenFundResponse(fund=_fund(fund))

    async def LowerFund(
        self, request: pb.LowerFundRequest, context: CallContext
    ) -> pb.LowerFundResponse:
        lowering = Lowering(
            request.programme, request.period, request.amount_fen, request.request_id,
            request.funder, request.allow_pending,
        )  # fmt: skip
        done = await periods.lower_fund(self._context, caller.current(), lowering, request.reason)
        return pb.LowerFundResponse(
            fund=_fund(done.fund), change_request=approval_methods.given(done.request)
        )

    async def CloseFund(
        self, request: pb.CloseFundRequest, context: CallContext
    ) -> pb.CloseFundResponse:
        fund = await periods.close_fund(
            self._context, caller.current(), request.programme, request.period, request.reason
        )
        return pb.CloseFundResponse(fund=_fund(fund))

    async def ListBookMonths(
        self, request: period_pb2.ListBookMonthsRequest, context: CallContext
    ) -> period_pb2.ListBookMonthsResponse:
        found = await periods.list_months(self._context)
        return period_pb2.ListBookMonthsResponse(months=[_month(one) for one in found])

    async def CloseBookMonth(
        self, request: period_pb2.CloseBookMonthRequest, context: CallContext
    ) -> period_pb2.CloseBookMonthResponse:
        found = await periods.close_month(
            self._context, caller.current(), request.month, request.reason
        )
        return period_pb2.CloseBookMonthResponse(month=_month(found))


def _fund(one: FundInfo) -> pb.Fund:
    return pb.Fund(
        programme=one.programme,
        city=one.city,
        period=one.period,
        start_time=timestamp(one.start_ms),
        end_time=timestamp(one.end_ms),
        state=one.state,
        appropriated_fen=one.appropriated_fen,
        held_fen=one.held_fen,
        posted_fen=one.posted_fen,
        available_fen=one.available_fen,
        vouchers_fen=one.vouchers_fen,
        lapsed_fen=one.lapsed_fen,
        reducing_fen=one.reducing_fen,
        funders=[_funder(money) for money in one.funders],
    )


def _funder(one: FunderMoney) -> pb.FundFunder:
    return pb.FundFunder(
        funder=one.funder,
        account=one.account_id,
        appropriated_fen=one.appropriated_fen,
        held_fen=one.held_fen,
        posted_fen=one.posted_fen,
        vouchers_fen=one.vouchers_fen,
        available_fen=one.available_fen,
        lapsed_fen=one.lapsed_fen,
        reducing_fen=one.reducing_fen,
    )


def _month(one: MonthInfo) -> period_pb2.BookMonth:
    return period_pb2.BookMonth(
        month=one.month,
        start_time=timestamp(one.start_ms),
        end_time=timestamp(one.end_ms),
        state=_STATES[one.state],
        open_difference_count=one.differences,
        close_time=timestamp(one.closed_ms),
        closed_by=one.closed_by,
        reason=one.reason,
    )
