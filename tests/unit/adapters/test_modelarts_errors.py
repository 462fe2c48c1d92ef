"""What answers mean, and what becomes of them in the contract."""

import itertools

import pytest

from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
)
from adapters.modelarts.errors import Call, CallFailed, ErrorClass, classify, error_of

C, E = Call, ErrorClass
#: Call, sent, status, code, readable: class.
TABLE: list[tuple[Call, bool, int | None, str, bool, ErrorClass | None]] = [
    (C.CREATE, True, 201, "", True, None),
    (C.CREATE, True, 201, "", False, E.UNKNOWN),
    (C.READ, True, 200, "", False, E.RETRYABLE),
    (C.CREATE, False, None, "", True, E.NOT_SENT),
    (C.CREATE, True, None, "", True, E.UNKNOWN),
    (C.CHANGE, True, None, "", True, E.RETRYABLE),
    (C.READ, True, None, "", True, E.RETRYABLE),
    (C.CREATE, True, 302, "", True, E.UNKNOWN),
    (C.CREATE, True, 500, "ModelArts.0010", True, E.UNKNOWN),
    (C.CREATE, True, 502, "APIGW.0202", True, E.UNKNOWN),
    (C.CREATE, True, 504, "APIGW.0201", True, E.UNKNOWN),
    (C.READ, True, 504, "APIGW.0201", True, E.RETRYABLE),
    (C.CREATE, True, 408, "APIGW.0106", True, E.UNKNOWN),
    (C.CREATE, True, 500, "ModelArts.0116", True, E.UNKNOWN),
    (C.CREATE, True, 429, "", True, E.THROTTLED),
    (C.READ, True, 403, "APIGW.0308", True, E.THROTTLED),
    (C.CREATE, True, 503, "APIGW.0308", True, E.THROTTLED),
    (C.CREATE, True, 401, "", True, E.AUTH),
    (C.CREATE, True, 403, "ModelArts.0011", True, E.AUTH),
    (C.CREATE, True, 403, "", True, E.UNKNOWN),  # of what guards against bad answers, maybe
    (C.READ, True, 400, "ModelArts.6401", True, E.AUTH),
    (C.READ, True, 400, "APIGW.0303", True, E.AUTH),
    (C.CREATE, True, 400, "", True, E.UNKNOWN),  # a page of a proxy tells nothing
    (C.READ, True, 404, "", True, E.RETRYABLE),  # nor that a job is gone
    (C.CHANGE, True, 404, "", True, E.RETRYABLE),
    (C.READ, True, 404, "ModelArts.0102", True, E.NOT_FOUND),
    (C.CHANGE, True, 400, "ModelArts.0102", True, E.NOT_FOUND),
    (C.READ, True, 404, "APIGW.0101", True, E.ABSENT),
    (C.CREATE, True, 404, "APIGW.0101", True, E.ABSENT),
    (C.CREATE, True, 404, "ModelArts.0102", True, E.PERMANENT),
    (C.CREATE, True, 400, "ModelArts.0116", True, E.QUOTA),
    (C.CREATE, True, 400, "ModelArts.0118", True, E.QUOTA),
    (C.CHANGE, True, 400, "ModelArts.6357", True, E.CONFLICT),
    (C.CREATE, True, 409, "ModelArts.1", True, E.CONFLICT),
    (C.CREATE, True, 400, "ModelArts.0104", True, E.PERMANENT),
    (C.CREATE, True, 400, "ModelArts.2763", True, E.PERMANENT),
]  # fmt: skip


@pytest.mark.parametrize(("call", "sent", "status", "code", "readable", "kind"), TABLE)
def test_an_answer_has_its_class(
    call: Call, sent: bool, status: int | None, code: str, readable: bool, kind: ErrorClass | None
) -> None:
    assert classify(call, sent=sent, status=status, code=code, readable=readable) is kind


def test_a_creation_is_never_called_undone_without_the_platforms_word() -> None:
    """Only a refusal that is surely of the gateway or the platform lets it be sent again."""
    codes = ("", "ModelArts.0102", "ModelArts.0116", "APIGW.0101", "X.1")
    for status, code in itertools.product(range(100, 600), codes):
        kind = classify(C.CREATE, sent=True, status=status, code=code, readable=False)
        told = status in (401, 429) or (400 <= status < 500 and status != 408 and code)
        assert (kind is E.UNKNOWN) is not bool(told), (status, code)


@pytest.mark.parametrize(
    ("kind", "call", "error"),
    [
        (E.NOT_SENT, C.CREATE, Unavailable),
        (E.THROTTLED, C.CREATE, Throttled),
        (E.QUOTA, C.CREATE, Throttled),
        (E.AUTH, C.READ, Unauthorized),
        (E.UNKNOWN, C.CREATE, OutcomeUnknown),
        (E.CONFLICT, C.CREATE, Unavailable),
        (E.RETRYABLE, C.READ, Unavailable),
        (E.RETRYABLE, C.CHANGE, OutcomeUnknown),
        (E.PERMANENT, C.CREATE, Rejected),
        (E.PERMANENT, C.READ, Unavailable),
        (E.ABSENT, C.CREATE, Unavailable),
        (E.NOT_FOUND, C.READ, Unavailable),
    ],
)
def test_a_class_has_its_error_of_the_contract(
    kind: ErrorClass, call: Call, error: type[AdapterError]
) -> None:
    made = CallFailed(kind, "why", call=call, code="X.1", retry_after_s=7.0).to_adapter_error()
    assert type(made) is error
    if isinstance(made, Throttled):
        assert made.retry_after_s == 7.0
    if isinstance(made, Rejected):
        assert made.reason == "X.1"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error_code": "A.1", "error_msg": "no"}, ("A.1", "no")),
        ({"errorCode": "A.1", "errorMsg": "no"}, ("A.1", "no")),
        ({"code": "A.1", "message": "no"}, ("A.1", "no")),
        ({"is_success": False, "error_code": "A.1", "error_message": "no"}, ("A.1", "no")),
        ({"error": {"code": 401, "message": "no", "title": "Unauthorized"}}, ("401", "no")),
        ({"error_code": None, "error_msg": ["odd"]}, ("", "")),
        (["no object"], ("", "")),
        (None, ("", "")),
        ({"error_msg": "x" * 1000}, ("", "x" * 300)),
    ],
)
def test_an_error_body_is_read_in_all_its_shapes(body: object, told: tuple[str, str]) -> None:
    assert error_of(body) == told
