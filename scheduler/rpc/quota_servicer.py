"""QuotaService: messages in, use cases, messages out."""

from corridor.v1 import quota_service_pb2 as pb
from corridor.v1 import quota_service_pb2_grpc

from scheduler.rpc import caller
from scheduler.rpc.messages import (
    CallContext,
    optional,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import quotas
from scheduler.services.context import Context
from scheduler.store.quotas import CityLimits, CityQuotaRow
from scheduler.store.quotas_enterprises import EnterpriseQuotaRow


class QuotaServicer(quota_service_pb2_grpc.QuotaServiceServicer):
    """See ``quota_service.proto``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def GetCityQuota(
        self, request: pb.GetCityQuotaRequest, context: CallContext
    ) -> pb.GetCityQuotaResponse:
        row = await quotas.get_city_quota(
            self._context, caller.current(), request.city, request.flavor
        )
        return pb.GetCityQuotaResponse(quota=_city_quota(row))

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
            quotas=[_city_quota(row) for row in rows],
            next_page_token=page_token(rows[-1].city, rows[-1].flavor) if more else "",
        )

    async def UpdateCityQuota(
        self, request: pb.UpdateCityQuotaRequest, context: CallContext
    ) -> pb.UpdateCityQuotaResponse:
        quota = request.quota
        row = await quotas.update_city_quota(
            self._context,
            caller.current(),
            quota.city,
            quota.flavor,
            CityLimits(
                quota.nominal_units,
                optional(quota, "borrow_limit_units"),
                optional(quota, "lend_limit_units"),
            ),
            etag=quota.etag,
            reason=request.reason,
        )
        return pb.UpdateCityQuotaResponse(quota=_city_quota(row))

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
            quotas=[_enterprise_quota(row) for row in rows],
            next_page_token=page_token(rows[-1].enterprise, rows[-1].flavor) if more else "",
        )

    async def UpdateEnterpriseQuota(
        self, request: pb.UpdateEnterpriseQuotaRequest, context: CallContext
    ) -> pb.UpdateEnterpriseQuotaResponse:
        quota = request.quota
        row = await quotas.update_enterprise_quota(
            self._context,
            caller.current(),
            quota.enterprise,
            quota.flavor,
            optional(quota, "cap_units"),
            etag=quota.etag,
            reason=request.reason,
        )
        return pb.UpdateEnterpriseQuotaResponse(quota=_enterprise_quota(row))


def _city_quota(row: CityQuotaRow) -> pb.CityQuota:
    return pb.CityQuota(
        city=row.city,
        flavor=row.flavor,
        nominal_units=row.limits.nominal_units,
        borrow_limit_units=row.limits.borrow_limit_units,
        lend_limit_units=row.limits.lend_limit_units,
        used_units=row.used_units,
        borrowed_units=row.borrowed_units,
        etag=row.etag,
        update_time=timestamp(row.updated_ms),
    )


def _enterprise_quota(row: EnterpriseQuotaRow) -> pb.EnterpriseQuota:
    return pb.EnterpriseQuota(
        enterprise=row.enterprise,
        flavor=row.flavor,
        cap_units=row.cap_units,
        used_units=row.used_units,
        etag=row.etag,
        update_time=timestamp(row.updated_ms),
    )
