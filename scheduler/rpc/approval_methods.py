"""SubsidyService, its methods about changes that need two persons."""

import json
from dataclasses import replace
from typing import Final

from corridor.v1 import approval_pb2 as pb

from scheduler.domain.approving import ChangeKind, ChangeState
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc import caller
from scheduler.rpc.messages import (
    CallContext,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import approving
from scheduler.services.context import Context
from scheduler.store.change_requests import Request, Wanted

_STATES: Final = {state: pb.ChangeState.Value(f"CHANGE_STATE_{state}") for state in ChangeState}
_KINDS: Final = {kind: pb.ChangeKind.Value(f"CHANGE_KIND_{kind}") for kind in ChangeKind}


class ApprovalMethods:
    """Mixed into the servicer of SubsidyService."""

    _context: Context

    async def ListChangeRequests(
        self, request: pb.ListChangeRequestsRequest, context: CallContext
    ) -> pb.ListChangeRequestsResponse:
        size = page_size(request.page_size)
        (before,) = page_key(request.page_token, int) or (None,)
        found = await approving.list_requests(
            self._context, caller.current(), _wanted(request), size + 1, before
        )
        rows, more = split_page(found, size)
        return pb.ListChangeRequestsResponse(
            change_requests=[change_request(row) for row in rows],
            next_page_token=page_token(rows[-1].number) if more else "",
        )

    async def GetChangeRequest(
        self, request: pb.GetChangeRequestRequest, context: CallContext
    ) -> pb.GetChangeRequestResponse:
        row = await approving.get(self._context, caller.current(), request.number)
        return pb.GetChangeRequestResponse(change_request=change_request(row))

    async def ApproveChangeRequest(
        self, request: pb.ApproveChangeRequestRequest, context: CallContext
    ) -> pb.ApproveChangeRequestResponse:
        row = await approving.approve(
            self._context,
            caller.current(),
            request.number,
            request.reason,
            validate_only=request.validate_only,
        )
        return pb.ApproveChangeRequestResponse(change_request=change_request(row))

    async def DenyChangeRequest(
        self, request: pb.DenyChangeRequestRequest, context: CallContext
    ) -> pb.DenyChangeRequestResponse:
        row = await approving.deny(self._context, caller.current(), request.number, request.reason)
        return pb.DenyChangeRequestResponse(change_request=change_request(row))

    async def WithdrawChangeRequest(
        self, request: pb.WithdrawChangeRequestRequest, context: CallContext
    ) -> pb.WithdrawChangeRequestResponse:
        row = await approving.withdraw(
            self._context, caller.current(), request.number, request.reason
        )
        return pb.WithdrawChangeRequestResponse(change_request=change_request(row))


def _wanted(request: pb.ListChangeRequestsRequest) -> Wanted:
    states = {number: state for state, number in _STATES.items()}
    kinds = {number: kind for kind, number in _KINDS.items()}
    wrong = [
        FieldViolation(field, f"unknown {value}")
        for field, known in (("states", states), ("kinds", kinds))
        for value in getattr(request, field)
        if value not in known
    ]
    if wrong:
        raise InvalidRequest(wrong)
    return Wanted(
        [states[value] for value in request.states],
        [kinds[value] for value in request.kinds],
        request.city,
        request.target,
    )


def change_request(row: Request) -> pb.ChangeRequest:
    """Return a change request as a message."""
    return pb.ChangeRequest(
        number=row.number,
        kind=_KINDS[row.kind],
        target=row.target,
        city=row.city,
        before_json=json.dumps(row.before, ensure_ascii=False, sort_keys=True),
        after_json=json.dumps(row.after, ensure_ascii=False, sort_keys=True),
        payload_json=json.dumps(row.payload, ensure_ascii=False, sort_keys=True),
        amount_fen=row.amount_fen,
        state=_STATES[row.state],
        requester=row.requester,
        requester_role=row.role,
        reason=row.reason,
        create_time=timestamp(row.created_ms),
        decided_by=row.decided_by,
        decision_reason=row.decision_reason,
        decide_time=timestamp(row.decided_ms),
    )


def given(row: Request | None, *, kept: bool = True) -> pb.ChangeRequest | None:
    """Return a change request as a message, if there is one; one not kept has no number."""
    if row is None:
        return None
    return change_request(row if kept else replace(row, number=0))
