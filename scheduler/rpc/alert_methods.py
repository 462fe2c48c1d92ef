"""SubsidyService, its alerts and forecasts."""

from corridor.v1 import alert_pb2 as pb

from scheduler.rpc import caller
from scheduler.rpc.messages import (
    CallContext,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import alerting
from scheduler.services.context import Context
from scheduler.store.alerts import AlertRow
from scheduler.store.forecasts import FundForecast


class AlertMethods:
    """Mixed into the servicer of SubsidyService."""

    _context: Context

    async def ListAlerts(
        self, request: pb.ListAlertsRequest, context: CallContext
    ) -> pb.ListAlertsResponse:
        size = page_size(request.page_size)
        before = page_key(request.page_token, int) or (0,)
        found = await alerting.list_alerts(
            self._context,
            caller.current(),
            show_ended=request.show_ended,
            limit=size + 1,
            before=before[0],
        )
        rows, more = split_page(found, size)
        return pb.ListAlertsResponse(
            alerts=[_alert(one) for one in rows],
            next_page_token=page_token(rows[-1].number) if more else "",
        )

    async def ForecastFunds(
        self, request: pb.ForecastFundsRequest, context: CallContext
    ) -> pb.ForecastFundsResponse:
        found = await alerting.forecast_funds(
            self._context, caller.current(), request.city, request.programme
        )
        return pb.ForecastFundsResponse(forecasts=[_forecast(one) for one in found])


def _alert(one: AlertRow) -> pb.Alert:
    return pb.Alert(
        number=one.number,
        kind=one.kind,
        name=one.name,
        threshold=one.threshold,
        city=one.city,
        enterprise=one.enterprise,
        figures=one.figures,
        raise_time=timestamp(one.raised_ms),
        end_time=timestamp(one.armed_ms),
        deliver_time=timestamp(one.delivered_ms),
    )


def _forecast(one: FundForecast) -> pb.FundForecast:
    fund, days = one.fund, one.forecast
    return pb.FundForecast(
        programme=fund.programme,
        city=fund.city,
        period=fund.period,
        left_fen=fund.available_fen + fund.vouchers_fen,
        days_known=one.days_known,
        spent_fen=one.spent_fen,
        likely_date=one.date(None if days is None else days.likely_days),
        early_date=one.date(None if days is None else days.early_days),
        late_date=one.date(None if days is None else days.late_days),
        period_end_date=one.period_end,
        held_fen=fund.held_fen,
        held_until_time=timestamp(one.held_until_ms),
    )
