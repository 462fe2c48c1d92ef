"""CenterService: messages in, use cases, messages out."""

from typing import Final

from corridor.v1 import center_service_pb2 as pb
from corridor.v1 import center_service_pb2_grpc, fact_pb2, resolution_pb2

from scheduler.domain.ids import run_id
from scheduler.rpc import caller
from scheduler.rpc.messages import CallContext, milliseconds, optional, timestamp
from scheduler.rpc.price_methods import PriceMethods
from scheduler.rpc.reconciling_methods import ReconcilingMethods
from scheduler.services import centers, resolving
from scheduler.services.centers import CenterView
from scheduler.services.context import Context
from scheduler.store.centers import CORDONED, DRAINING, OPEN, OfferedFlavor

_RESOLUTION: Final = "RUN_RESOLUTION_"
_STATES: Final = {
    OPEN: pb.CENTER_STATE_OPEN,
    CORDONED: pb.CENTER_STATE_CORDONED,
    DRAINING: pb.CENTER_STATE_DRAINING,
}


class CenterServicer(
    PriceMethods, ReconcilingMethods, center_service_pb2_grpc.CenterServiceServicer
):
    """See ``center_service.proto``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def GetCenter(
        self, request: pb.GetCenterRequest, context: CallContext
    ) -> pb.GetCenterResponse:
        view = await centers.get_center(self._context, request.center)
        return pb.GetCenterResponse(center=_center(view))

    async def ListCenters(
        self, request: pb.ListCentersRequest, context: CallContext
    ) -> pb.ListCentersResponse:
        views = await centers.list_centers(self._context)
        return pb.ListCentersResponse(centers=[_center(view) for view in views])

    async def CordonCenter(
        self, request: pb.CordonCenterRequest, context: CallContext
    ) -> pb.CordonCenterResponse:
        view = await centers.cordon(self._context, caller.current(), request.center, request.reason)
        return pb.CordonCenterResponse(center=_center(view))

    async def DrainCenter(
        self, request: pb.DrainCenterRequest, context: CallContext
    ) -> pb.DrainCenterResponse:
        view = await centers.drain(self._context, caller.current(), request.center, request.reason)
        return pb.DrainCenterResponse(center=_center(view))

    async def ResumeCenter(
        self, request: pb.ResumeCenterRequest, context: CallContext
    ) -> pb.ResumeCenterResponse:
        view = await centers.resume(self._context, caller.current(), request.center, request.reason)
        return pb.ResumeCenterResponse(center=_center(view))

    async def ResolveRun(
        self, request: resolution_pb2.ResolveRunRequest, context: CallContext
    ) -> resolution_pb2.ResolveRunResponse:
        how = resolution_pb2.RunResolution.DESCRIPTOR.values_by_number.get(request.resolution)
        wish = resolving.Wish(
            request.run_id,
            "" if how is None else how.name.removeprefix(_RESOLUTION),
            optional(request, "exit_code"),
            milliseconds(request.start_time) if request.HasField("start_time") else None,
            milliseconds(request.end_time) if request.HasField("end_time") else None,
            request.reason,
        )
        done = await resolving.resolve(self._context, caller.current(), wish)
        return resolution_pb2.ResolveRunResponse(
            run_id=run_id(*done.key),
            center=done.center,
            resolution=resolution_pb2.RunResolution.Value(_RESOLUTION + done.resolution),
            run_state=done.run_state,
            job_state=done.job_state,
            gross_fen=done.gross_fen,
        )

    async def SetFlavorDomestic(
        self, request: fact_pb2.SetFlavorDomesticRequest, context: CallContext
    ) -> fact_pb2.SetFlavorDomesticResponse:
        await centers.set_domestic(
            self._context, caller.current(), request.flavor, request.domestic, request.reason
        )
        return fact_pb2.SetFlavorDomesticResponse(flavor=request.flavor, domestic=request.domestic)


def _center(view: CenterView) -> pb.Center:
    row, status = view.row, view.status
    return pb.Center(
        center=row.center,
        display_name_zh=row.name_zh,
        display_name_en=row.name_en,
        kind=row.kind,
        simulated=row.simulated,
        state=_STATES.get(row.state, pb.CENTER_STATE_UNSPECIFIED),
        reachable=status.reachable,
        health_detail=status.detail,
        last_answer_time=timestamp(status.last_answer_ms),
        flavors=[_flavor(one) for one in row.flavors],
        active_runs=row.active_runs,
    )


def _flavor(one: OfferedFlavor) -> pb.Flavor:
    row = one.flavor
    return pb.Flavor(
        flavor=row.flavor,
        display_name_zh=row.name_zh,
        display_name_en=row.name_en,
        unit=row.unit,
        architecture=row.architecture,
        capacity_units=row.capacity_units,
        units_per_node=row.units_per_node,
        used_units=one.used_units,
        wall_limit_max_s=row.wall_limit_max_s,
        price_ufen_per_unit_second=one.price.ufen,
        price_version=one.price.version,
        reported_units=one.pool.reported_units,
        effective_units=one.pool.effective_units,
        overcommitted_units=one.pool.overcommitted_units,
        domestic=row.domestic,
    )
