"""CenterService: messages in, use cases, messages out."""

from typing import Final

from corridor.v1 import center_service_pb2 as pb
from corridor.v1 import center_service_pb2_grpc, fact_pb2, inventory_pb2, resolution_pb2

from scheduler.domain.ids import run_id
from scheduler.rpc import caller
from scheduler.rpc.center_messages import center_message, inventory_message
from scheduler.rpc.messages import CallContext, milliseconds, optional
from scheduler.rpc.price_methods import PriceMethods
from scheduler.rpc.reconciling_methods import ReconcilingMethods
from scheduler.services import centers, resolving
from scheduler.services.context import Context

_RESOLUTION: Final = "RUN_RESOLUTION_"


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
        return pb.GetCenterResponse(center=center_message(view))

    async def ListCenters(
        self, request: pb.ListCentersRequest, context: CallContext
    ) -> pb.ListCentersResponse:
        views = await centers.list_centers(self._context)
        return pb.ListCentersResponse(centers=[center_message(view) for view in views])

    async def CordonCenter(
        self, request: pb.CordonCenterRequest, context: CallContext
    ) -> pb.CordonCenterResponse:
        view = await centers.cordon(self._context, caller.current(), request.center, request.reason)
        return pb.CordonCenterResponse(center=center_message(view))

    async def DrainCenter(
        self, request: pb.DrainCenterRequest, context: CallContext
    ) -> pb.DrainCenterResponse:
        deadline_ms = milliseconds(request.deadline) if request.HasField("deadline") else None
        view = await centers.drain(
            self._context, caller.current(), request.center, request.reason, deadline_ms
        )
        return pb.DrainCenterResponse(center=center_message(view))

    async def ResumeCenter(
        self, request: pb.ResumeCenterRequest, context: CallContext
    ) -> pb.ResumeCenterResponse:
        view = await centers.resume(self._context, caller.current(), request.center, request.reason)
        return pb.ResumeCenterResponse(center=center_message(view))

    async def TakeInventory(
        self, request: inventory_pb2.TakeInventoryRequest, context: CallContext
    ) -> inventory_pb2.TakeInventoryResponse:
        found = await centers.take_inventory(self._context, request.center)
        return inventory_message(request.center, found)

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
