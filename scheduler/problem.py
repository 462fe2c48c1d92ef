"""What a failed call says: the ``google.rpc`` details that ``scheduler.rpc.errors`` sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from scheduler.errors import FieldViolation


@dataclass(frozen=True, slots=True)
class Problem:
    """What a failed call says: read from its ``google.rpc`` details where it has any.

    ``code`` is the name of the gRPC status code, ``reason`` the stable UPPER_SNAKE word of the
    service ("" if it did not get so far). ``advice`` says what to do where the message, which
    then comes from the transport, does not. ``subject`` owns the limit or state in the way.
    """

    code: str
    message: str
    reason: str = ""
    advice: str = ""
    violations: tuple[FieldViolation, ...] = ()
    subject: str = ""
    retry_after_s: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


_ADVICE: Final = {
    "UNAVAILABLE": "check the address and that the service is up, then try again",
    "DEADLINE_EXCEEDED": "the service did not answer in time; try again, or allow more time",
    "UNIMPLEMENTED": "the service is of another version; ask its operator",
    "RESOURCE_EXHAUSTED": "send less at once",
}


def problem_of(error: "grpc.RpcError | status_pb2.Status") -> Problem:
    """Read a failed call (of either client), or the status of one item of a batch."""
    if isinstance(error, status_pb2.Status):
        return _problem(code_pb2.Code.Name(error.code), error.message, error)  # type: ignore[arg-type]
    call: Any = error
    code: str = call.code().name if callable(getattr(call, "code", None)) else "UNKNOWN"
    message: str = (call.details() or "") if callable(getattr(call, "details", None)) else ""
    try:
        status = rpc_status.from_call(call)
    except (ValueError, AttributeError):  # details that contradict the call itself, or none at all
        status = None
    return _problem(code, message or str(error), status)


def _problem(code: str, message: str, status: status_pb2.Status | None) -> Problem:
    reason = subject = ""
    metadata: dict[str, str] = {}
    violations: tuple[FieldViolation, ...] = ()
    retry_after_s = None
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        over = error_details_pb2.QuotaFailure()
        state = error_details_pb2.PreconditionFailure()
        again = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            violations = tuple(
                FieldViolation(one.field, one.description) for one in bad.field_violations
            )
        elif detail.Unpack(over):
            subject = next((one.subject for one in over.violations), "")
        elif detail.Unpack(state):
            subject = next((one.subject for one in state.violations), "")
        elif detail.Unpack(again):
            retry_after_s = again.retry_delay.seconds + again.retry_delay.nanos / 1e9
    advice = "" if reason else _ADVICE.get(code, "")
    return Problem(code, message, reason, advice, violations, subject, retry_after_s, metadata)
