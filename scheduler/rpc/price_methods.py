"""CenterService, its methods about prices."""

from corridor.v1 import price_pb2 as pb

from scheduler.rpc import approval_methods, caller
from scheduler.rpc import rule_messages as as_message
from scheduler.rpc.messages import CallContext, page_key, page_size, page_token, split_page
from scheduler.services import prices
from scheduler.services.context import Context
from scheduler.services.programmes import Command
from scheduler.store.price_changes import NewPrice, PriceChange
from scheduler.store.prices import FIRST


class PriceMethods:
    """Mixed into the servicer of CenterService."""

    _context: Context

    async def ListPrices(
        self, request: pb.ListPricesRequest, context: CallContext
    ) -> pb.ListPricesResponse:
        size = page_size(request.page_size)
        after = page_key(request.page_token, str, int, str) or FIRST
        found = await prices.list_prices(
            self._context,
            request.center,
            request.flavor,
            size + 1,
            (after[0], after[1], after[2]),
        )
        rows, more = split_page(found, size)
        now_ms, last = self._context.clock.now_ms(), rows[-1] if more else None
        return pb.ListPricesResponse(
            prices=[as_message.price_version(row, now_ms) for row in rows],
            next_page_token=""
            if last is None
            else page_token(last.flavor, last.from_ms, last.price_id),
        )

    async def SetPrices(
        self, request: pb.SetPricesRequest, context: CallContext
    ) -> pb.SetPricesResponse:
        change = PriceChange(
            request.center,
            tuple(NewPrice(one.flavor, one.price_ufen_per_unit_second) for one in request.prices),
            as_message.instant(request.HasField("effective_time"), request.effective_time),
            request.replace_planned,
        )
        command = Command(request.request_id, request.reason, request.validate_only)
        done = await prices.set_prices(self._context, caller.current(), change, command)
        now_ms = self._context.clock.now_ms()
        return pb.SetPricesResponse(
            change_request=approval_methods.given(done.request, kept=not request.validate_only),
            prices=[as_message.price_version(one, now_ms) for one in done.prices],
        )
