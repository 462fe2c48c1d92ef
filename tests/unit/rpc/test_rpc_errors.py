import urllib.parse

import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from scheduler import errors
from scheduler.errors import FieldViolation
from scheduler.rpc.errors import CODES, to_status

_DETAILS: tuple[type[Message], ...] = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.QuotaFailure,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.RetryInfo,
)


def _unpacked(status: status_pb2.Status) -> dict[str, Message]:
    found: dict[str, Message] = {}
    for detail in status.details:
        for kind in _DETAILS:
            message = kind()
            if detail.Unpack(message):
                found[kind.__name__] = message
    return found


@pytest.mark.parametrize(
    ("error", "code", "extra"),
    [
        (errors.InvalidRequest([FieldViolation("a", "b")]), "INVALID_ARGUMENT", "BadRequest"),
        (errors.NotFound("x"), "NOT_FOUND", None),
        (errors.RequestIdReused("x"), "ALREADY_EXISTS", None),
        (errors.AlreadyThere("x"), "ALREADY_EXISTS", None),
        (errors.Conflict("x"), "ABORTED", None),
        (errors.WrongState("x", subject="jobs/j1"), "FAILED_PRECONDITION", "PreconditionFailure"),
        (errors.QuotaExceeded("x", subject="cities/w"), "RESOURCE_EXHAUSTED", "QuotaFailure"),
        (errors.Unauthenticated("x"), "UNAUTHENTICATED", None),
        (errors.Forbidden("x"), "PERMISSION_DENIED", None),
        (errors.TemporarilyAway("x", retry_after_s=1.5), "UNAVAILABLE", "RetryInfo"),
    ],
)
def test_every_error_has_its_code_reason_and_details(
    error: errors.CorridorError, code: str, extra: str | None
) -> None:
    status = to_status(error)
    assert status.code == code_pb2.Code.Value(code)
    assert status.message == error.message
    found = _unpacked(status)
    assert set(found) == {"ErrorInfo"} | ({extra} if extra else set())
    info = found["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.domain, info.reason) == ("corridor", error.reason)


def test_every_class_is_mapped() -> None:
    assert {kind for kind, _ in CODES} == set(errors.CorridorError.__subclasses__()) & {
        kind for kind in vars(errors).values() if isinstance(kind, type)
    }


def test_details_are_filled_in() -> None:
    away = _unpacked(to_status(errors.TemporarilyAway("x", retry_after_s=1.5)))["RetryInfo"]
    assert isinstance(away, error_details_pb2.RetryInfo)
    assert (away.retry_delay.seconds, away.retry_delay.nanos) == (1, 500_000_000)
    quota = _unpacked(to_status(errors.QuotaExceeded("too big", subject="cities/wuhan")))
    failure = quota["QuotaFailure"]
    assert isinstance(failure, error_details_pb2.QuotaFailure)
    assert failure.violations[0].subject == "cities/wuhan"
    info = _unpacked(to_status(errors.Conflict("x", metadata={"etag": "7"})))["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert info.metadata == {"etag": "7"}


def test_ten_thousand_violations_fit_into_trailers() -> None:
    many = [FieldViolation(f"jobs[{i}].nodes", "must be 1..4096, not 0") for i in range(10_000)]
    status = to_status(errors.InvalidRequest(many))
    assert status.ByteSize() < 7_000
    bad = _unpacked(status)["BadRequest"]
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert bad.field_violations[0].field == "jobs[0].nodes"
    assert len(bad.field_violations) > 50


WIDE = "\U0001f600" * 5_000


@pytest.mark.parametrize(
    "error",
    [
        errors.Forbidden(WIDE, metadata={"center": WIDE, "token_center": "wuhan-sc"}),
        errors.WrongState(WIDE, subject=WIDE, reason="X"),
        errors.QuotaExceeded(WIDE, subject=WIDE),
        errors.InvalidRequest([FieldViolation(WIDE, WIDE)]),
        errors.NotFound("half a character \ud800"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_caller_wrote_what_is_wrong_fits_into_trailers(
    error: errors.CorridorError,
) -> None:
    status = to_status(error)
    as_told = urllib.parse.quote(status.message)  # in the trailer of gRPC itself
    assert len(status.SerializeToString()) + len(as_told) < 16_000
    assert len(status.SerializeToString()) < 8_000
    assert status.message
