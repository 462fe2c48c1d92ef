"""CenterService, its comparisons with centers' own records."""

from typing import Final

from corridor.v1 import reconciliation_pb2 as pb

from quota.reconciling import Tolerance, Window
from scheduler.domain.ids import run_id
from scheduler.rpc import approval_methods, caller
from scheduler.rpc.messages import (
    CallContext,
    milliseconds,
    optional,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import reconciling
from scheduler.services.context import Context
from scheduler.store.differences import DifferenceRow
from scheduler.store.reconciliations import CenterRecord, Reconciliation

_SHOWN_MAX: Final = 1_000
_KIND: Final = "DIFFERENCE_KIND_"
_RESOLUTION: Final = "DIFFERENCE_RESOLUTION_"


class ReconcilingMethods:
    """Mixed into the servicer of CenterService."""

    _context: Context

    async def ReconcileCenter(
        self, request: pb.ReconcileCenterRequest, context: CallContext
    ) -> pb.ReconcileCenterResponse:
        submit_s = request.submit_tolerance.seconds if request.HasField("submit_tolerance") else 60
        wish = reconciling.Wish(
            request.center,
            Window(milliseconds(request.from_time), milliseconds(request.to_time)),
            Tolerance(submit_s, request.tolerance_seconds, request.tolerance_fen),
            request.source,
            [_record(one) for one in request.records],
            request.ask_adapter,
            not request.validate_only,
            request.reason,
        )
        told, found = await reconciling.reconcile(self._context, caller.current(), wish)
        return pb.ReconcileCenterResponse(
            reconciliation=_reconciliation(told),
            differences=[_difference(one) for one in found[:_SHOWN_MAX]],
        )

    async def ListReconciliations(
        self, request: pb.ListReconciliationsRequest, context: CallContext
    ) -> pb.ListReconciliationsResponse:
        size = page_size(request.page_size)
        before = page_key(request.page_token, int) or (0,)
        found = await reconciling.list_reconciliations(
            self._context, request.center, size + 1, before[0]
        )
        rows, more = split_page(found, size)
        return pb.ListReconciliationsResponse(
            reconciliations=[_reconciliation(one) for one in rows],
            next_page_token=page_token(rows[-1].number) if more else "",
        )

    async def ListDifferences(
        self, request: pb.ListDifferencesRequest, context: CallContext
    ) -> pb.ListDifferencesResponse:
        size = page_size(request.page_size)
        before = page_key(request.page_token, int) or (0,)
        found = await reconciling.list_differences(
            self._context,
            caller.current(),
            center=request.center,
            show_resolved=request.show_resolved,
            limit=size + 1,
            before=before[0],
        )
        rows, more = split_page(found, size)
        return pb.ListDifferencesResponse(
            differences=[_difference(one) for one in rows],
            next_page_token=page_token(rows[-1].diff_id) if more else "",
        )

    async def ResolveDifference(
        self, request: pb.ResolveDifferenceRequest, context: CallContext
    ) -> pb.ResolveDifferenceResponse:
        names = pb.DifferenceResolution.DESCRIPTOR.values_by_number
        how = names.get(request.resolution)
        found = await reconciling.resolve(
            self._context,
            caller.current(),
            request.difference_id,
            "" if how is None else how.name.removeprefix(_RESOLUTION),
            request.reason,
        )
        return pb.ResolveDifferenceResponse(
            difference=_difference(found.difference),
            change_request=approval_methods.given(found.request, kept=True),
        )


def _record(one: pb.CenterUse) -> CenterRecord:
    return CenterRecord(
        one.name,
        one.native_id,
        milliseconds(one.submit_time),
        milliseconds(one.start_time),
        milliseconds(one.end_time),
        one.cores,
        one.cards,
        optional(one, "amount_fen"),
    )


def _reconciliation(one: Reconciliation) -> pb.Reconciliation:
    return pb.Reconciliation(
        number=one.number,
        center=one.center,
        from_time=timestamp(one.from_ms),
        to_time=timestamp(one.to_ms),
        source=one.source,
        record_count=one.record_count,
        foreign_count=one.foreign_count,
        unsettled_count=one.unsettled_count,
        agreed_count=one.agreed_count,
        difference_count=one.difference_count,
        new_count=one.new_count,
        ended_count=one.ended_count,
        actor=one.actor,
        create_time=timestamp(one.created_ms),
    )


def _difference(one: DifferenceRow) -> pb.Difference:
    return pb.Difference(
        difference_id=one.diff_id,
        center=one.center,
        kind=pb.DifferenceKind.Value(f"{_KIND}{one.kind}"),
        run_id=run_id(one.job_uid, one.attempt) if one.job_uid else "",
        native_id=one.native_id,
        use_time=timestamp(one.use_ms),
        here=one.here,
        there=one.there,
        open=one.state == "OPEN",
        find_time=timestamp(one.found_ms),
        resolve_time=timestamp(one.resolved_ms),
        resolved_by=one.resolved_by,
        resolution=one.resolution,
        charge_revision=one.charge_revision,
    )
