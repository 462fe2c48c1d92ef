"""QuotaService: messages in, use cases, messages out."""

from corridor.v1 import quota_service_pb2 as pb
from corridor.v1 import quota_service_pb2_grpc

from scheduler.rpc import caller
from scheduler.rpc import quota_messages as as_message
from scheduler.rpc.budget_methods import BudgetMethods
from scheduler.rpc.loan_methods import LoanMethods
from scheduler.rpc.messages import (
    CallContext,
    optional,
    page_key,
    page_size,
    page_token,
    split_page,
)
from scheduler.rpc.simulation_methods import SimulationMethods
from scheduler.services import quotas, quotas_use
from scheduler.services.context import Context


class QuotaServicer(
    BudgetMethods, LoanMethods, SimulationMethods, quota_service_pb2_grpc.QuotaServiceServicer
):
    """See ``quota_service.proto``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    # --- cities -----------------------------------------------------------------------------------

    async def GetCityQuota(
        self, request: pb.GetCityQuotaRequest, context: CallContext
    ) -> pb.GetCityQuotaResponse:
        row = await quotas.get_city_quota(
            self._context, caller.current(), request.city, request.flavor
        )
        return pb.GetCityQuotaResponse(quota=as_message.city_quota(row))

    async def ListCityQuotas(
        self, request: pb.ListCityQuotasRequest, context: CallContext
    ) -> pb.ListCityQuotasResponse:
        size = page_size(request.page_size)
        after = page_key(request.page_token, str, str) or ("", "")
        found = await quotas.list_city_quotas(
            self._context, caller.current(), request.city, size + 1, (after[0], after[1])
        )
        rows, more = split_page(found, size)
        return pb.ListCityQuotasResponse(
            quotas=[as_message.city_quota(row) for row in rows],
            next_page_token=page_token(rows[-1].city, rows[-1].flavor) if more else "",
        )

    async def UpdateCityQuota(
        self, request: pb.UpdateCityQuotaRequest, context: CallContext
    ) -> pb.UpdateCityQuotaResponse:
        quota = request.quota
        updated = await quotas.update_city_quota(
            self._context,
            caller.current(),
            quota.city,
            quota.flavor,
            as_message.city_limits(quota),
            as_message.command(request, quota.etag),
        )
        return pb.UpdateCityQuotaResponse(
            quota=as_message.given(as_message.city_quota, updated.quota),
            change=as_message.given(as_message.change, updated.change),
        )

    # --- enterprises ------------------------------------------------------------------------------

    async def GetEnterpriseQuota(
        self, request: pb.GetEnterpriseQuotaRequest, context: CallContext
    ) -> pb.GetEnterpriseQuotaResponse:
        row = await quotas.get_enterprise_quota(
            self._context, caller.current(), request.enterprise, request.flavor
        )
        return pb.GetEnterpriseQuotaResponse(quota=as_message.enterprise_quota(row))

    async def ListEnterpriseQuotas(
        self, request: pb.ListEnterpriseQuotasRequest, context: CallContext
    ) -> pb.ListEnterpriseQuotasResponse:
        size = page_size(request.page_size)
        after = page_key(request.page_token, str, str) or ("", "")
        found = await quotas.list_enterprise_quotas(
            self._context,
            caller.current(),
            request.enterprise,
            request.city,
            size + 1,
            (after[0], after[1]),
        )
        rows, more = split_page(found, size)
        return pb.ListEnterpriseQuotasResponse(
            quotas=[as_message.enterprise_quota(row) for row in rows],
            next_page_token=page_token(rows[-1].enterprise, rows[-1].flavor) if more else "",
        )

    async def UpdateEnterpriseQuota(
        self, request: pb.UpdateEnterpriseQuotaRequest, context: CallContext
    ) -> pb.UpdateEnterpriseQuotaResponse:
        quota = request.quota
        updated = await quotas.update_enterprise_quota(
            self._context,
            caller.current(),
            quota.enterprise,
            quota.flavor,
            as_message.enterprise_limits(quota),
            as_message.command(request, quota.etag),
        )
        return pb.UpdateEnterpriseQuotaResponse(
            quota=as_message.given(as_message.enterprise_quota, updated.quota),
            change=as_message.given(as_message.change, updated.change),
        )

    # --- flavors ----------------------------------------------------------------------------------

    async def GetFlavorQuota(
        self, request: pb.GetFlavorQuotaRequest, context: CallContext
    ) -> pb.GetFlavorQuotaResponse:
        row = await quotas.get_flavor_quota(self._context, request.flavor)
        return pb.GetFlavorQuotaResponse(quota=as_message.flavor_quota(row))

    async def ListFlavorQuotas(
        self, request: pb.ListFlavorQuotasRequest, context: CallContext
    ) -> pb.ListFlavorQuotasResponse:
        rows = await quotas.list_flavor_quotas(self._context)
        return pb.ListFlavorQuotasResponse(quotas=[as_message.flavor_quota(row) for row in rows])

    async def UpdateFlavorQuota(
        self, request: pb.UpdateFlavorQuotaRequest, context: CallContext
    ) -> pb.UpdateFlavorQuotaResponse:
        quota = request.quota
        updated = await quotas.update_flavor_quota(
            self._context,
            caller.current(),
            quota.flavor,
            granted_units=optional(quota, "granted_units"),
            corridor_units=optional(quota, "corridor_units"),
            reclaim=as_message.reclaim(quota),
            command=as_message.command(request, quota.etag),
        )
        return pb.UpdateFlavorQuotaResponse(
            quota=as_message.given(as_message.flavor_quota, updated.quota),
            change=as_message.given(as_message.change, updated.change),
        )

    # --- changes, stops, use ----------------------------------------------------------------------

    async def ListQuotaChanges(
        self, request: pb.ListQuotaChangesRequest, context: CallContext
    ) -> pb.ListQuotaChangesResponse:
        size = page_size(request.page_size)
        (after,) = page_key(request.page_token, int) or (0,)
        found = await quotas.list_quota_changes(
            self._context, caller.current(), request.all_states, size + 1, after
        )
        rows, more = split_page(found, size)
        return pb.ListQuotaChangesResponse(
            changes=[as_message.change(row) for row in rows],
            next_page_token=page_token(rows[-1].change_id) if more else "",
        )

    async def CancelQuotaChange(
        self, request: pb.CancelQuotaChangeRequest, context: CallContext
    ) -> pb.CancelQuotaChangeResponse:
        row = await quotas.cancel_quota_change(
            self._context, caller.current(), request.change_id, request.reason
        )
        return pb.CancelQuotaChangeResponse(change=as_message.change(row))

    async def ListStopStates(
        self, request: pb.ListStopStatesRequest, context: CallContext
    ) -> pb.ListStopStatesResponse:
        size = page_size(request.page_size)
        (after,) = page_key(request.page_token, str) or ("",)
        found = await quotas_use.list_stops(
            self._context, caller.current(), request.all_states, size + 1, after
        )
        rows, more = split_page(found, size)
        return pb.ListStopStatesResponse(
            stops=[as_message.stop(row) for row in rows],
            next_page_token=page_token(rows[-1].node) if more else "",
        )

    async def SetStopState(
        self, request: pb.SetStopStateRequest, context: CallContext
    ) -> pb.SetStopStateResponse:
        row = await quotas_use.set_stop(
            self._context,
            caller.current(),
            request.node,
            as_message.stop_word(request.state),
            etag=request.etag,
            reason=request.reason,
        )
        return pb.SetStopStateResponse(stop=as_message.stop(row))

    async def ListUsage(
        self, request: pb.ListUsageRequest, context: CallContext
    ) -> pb.ListUsageResponse:
        size = page_size(request.page_size)
        after = page_key(request.page_token, str, str, str) or ("", "", "")
        found = await quotas_use.list_usage(
            self._context,
            caller.current(),
            request.city,
            request.flavor,
            size + 1,
            (after[0], after[1], after[2]),
        )
        rows, more = split_page(found, size)
        return pb.ListUsageResponse(
            usages=[as_message.usage(row) for row in rows],
            next_page_token=page_token(*rows[-1].key) if more else "",
        )
