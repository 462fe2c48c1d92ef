"""Errors as the gateway and the service answer them."""

import uuid

from tests.modelarts_center.wire import Response, json_response

ILLEGAL_NAME = "ModelArts.0104"
#: Stands for all refusals of parameters; the real service has many codes for them.
ILLEGAL = "ModelArts.0105"
NO_SUCH_JOB = "ModelArts.0102"
OVER_LIMIT = "ModelArts.0118"
IN_TARGET_STATE = "ModelArts.6357"
NO_SUCH_API = "APIGW.0101"


class ApiError(Exception):
    """A refusal with its HTTP status and code."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def illegal(text: str) -> ApiError:
    """A refusal of a parameter."""
    return ApiError(400, ILLEGAL, text)


def error_response(status: int, code: str, text: str) -> Response:
    """An error in the gateway's shape."""
    request_id = uuid.uuid4().hex
    response = json_response(
        {"error_msg": text, "error_code": code, "request_id": request_id}, status
    )
    response.headers["X-Request-Id"] = request_id
    return response
