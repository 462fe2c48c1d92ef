"""Gives each ``CorridorError`` its gRPC status with ``google.rpc`` details.

Every status carries an ``ErrorInfo`` (domain ``corridor``, the error's stable reason and its
metadata); what else it carries is drawn in ``scheduler.errors``.
"""

from typing import Any, Final, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from scheduler import errors

DOMAIN: Final = "corridor"
_MESSAGE_MAX: Final = 800
_FIELD_MAX: Final = 400
_BYTES_EACH: Final = 2  # of a character on the average; more of them in a text make it shorter
_VIOLATIONS_MAX_BYTES: Final = 5_000

#: The mapping, most derived class first; the base class answers for what is not listed.
CODES: Final[tuple[tuple[type[errors.CorridorError], int], ...]] = (
    (errors.InvalidRequest, code_pb2.INVALID_ARGUMENT),
    (errors.NotFound, code_pb2.NOT_FOUND),
    (errors.RequestIdReused, code_pb2.ALREADY_EXISTS),
    (errors.AlreadyThere, code_pb2.ALREADY_EXISTS),
    (errors.Conflict, code_pb2.ABORTED),
    (errors.WrongState, code_pb2.FAILED_PRECONDITION),
    (errors.TooOld, code_pb2.OUT_OF_RANGE),
    (errors.QuotaExceeded, code_pb2.RESOURCE_EXHAUSTED),
    (errors.RateLimited, code_pb2.RESOURCE_EXHAUSTED),
    (errors.Unauthenticated, code_pb2.UNAUTHENTICATED),
    (errors.Forbidden, code_pb2.PERMISSION_DENIED),
    (errors.TemporarilyAway, code_pb2.UNAVAILABLE),
)


def code_of(error: errors.CorridorError) -> int:
    """Return the number of the gRPC status code of an error; INTERNAL for an unlisted class."""
    for kind, code in CODES:
        if isinstance(error, kind):
            return code
    return code_pb2.INTERNAL


def to_status(error: errors.CorridorError) -> status_pb2.Status:
    """Return the ``google.rpc.Status`` of an error, with all its details.

    Of many field violations the first that fit 5,000 bytes are told, of long texts their begin, for
    a caller's own words may be in them: details travel in trailers, and a client takes no more than
    8 KiB of them.
    """
    told = {key: _cut(value, _FIELD_MAX) for key, value in error.metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=told)
    details = [_packed(info), *map(_packed, _special(error))]
    return status_pb2.Status(code=code_of(error), message=_message(error), details=details)


def _message(error: errors.CorridorError) -> str:
    return _cut(error.message, _MESSAGE_MAX)


def _cut(text: str, most: int) -> str:
    """Return the begin of a text: ``most`` characters, of those that take much room fewer."""
    return text[:most].encode(errors="replace")[: most * _BYTES_EACH].decode(errors="ignore")


def _special(error: errors.CorridorError) -> list[Message]:
    match error:
        case errors.InvalidRequest():
            return [_bad_request(error)]
        case errors.QuotaExceeded():
            return [_quota_failure(error)]
        case errors.RateLimited():
            return [_quota_failure(error), _retry_info(error.retry_after_s)]
        case errors.WrongState():
            state = error_details_pb2.PreconditionFailure()
            state.violations.add(
                type=error.reason,
                subject=_cut(error.subject, _FIELD_MAX),
                description=_message(error),
            )
            return [state]
        case errors.TemporarilyAway():
            return [_retry_info(error.retry_after_s)]
    return []


def _quota_failure(
    error: errors.QuotaExceeded | errors.RateLimited,
) -> error_details_pb2.QuotaFailure:
    told = error_details_pb2.QuotaFailure()
    told.violations.add(subject=_cut(error.subject, _FIELD_MAX), description=_message(error))
    return told


def _retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    nanos = round(seconds * 1e9)
    delay = duration_pb2.Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
    return error_details_pb2.RetryInfo(retry_delay=delay)


def _bad_request(error: errors.InvalidRequest) -> error_details_pb2.BadRequest:
    told = error_details_pb2.BadRequest()
    for violation in error.violations:
        told.field_violations.add(
            field=_cut(violation.field, _FIELD_MAX),
            description=_cut(violation.description, _FIELD_MAX),
        )
        if told.ByteSize() > _VIOLATIONS_MAX_BYTES and len(told.field_violations) > 1:
            del told.field_violations[-1]
            break
    return told


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


async def abort(
    context: "grpc.aio.ServicerContext[Any, Any]", error: errors.CorridorError
) -> NoReturn:
    """End the call with the rich status of ``error``; always raises."""
    status = rpc_status.to_status(to_status(error))
    await context.abort(status.code, status.details, status.trailing_metadata)
