"""What an answer of ModelArts, or its absence, means: one pure function, and its classes.

Only an answer that surely comes from the platform says that nothing was done. Whatever a proxy
writes, or what arrives in part, leaves the outcome of a creation open, and says nothing of a job.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
)

_THROTTLED: Final = frozenset({"APIGW.0308"})
_AUTH: Final = frozenset({"APIGW.0301", "APIGW.0303", "ModelArts.6401"})
_QUOTA: Final = frozenset({"ModelArts.0116", "ModelArts.0118"})
_CONFLICT: Final = frozenset({"ModelArts.6357"})
_NOT_FOUND: Final = frozenset({"ModelArts.0102"})
_NO_SUCH_API: Final = "APIGW.0101"
_MESSAGE_MAX: Final = 300


class Call(StrEnum):
    """What kind of call was made."""

    CREATE = "CREATE"
    CHANGE = "CHANGE"  # may be made twice with the effect of once
    READ = "READ"


class ErrorClass(StrEnum):
    """What went wrong, by what is to be done."""

    NOT_SENT = "NOT_SENT"  # nothing left us: make the call again, later
    THROTTLED = "THROTTLED"  # make it again after the pause that the center wants
    AUTH = "AUTH"  # renew the credentials or correct the clock once, then an operator must act
    QUOTA = "QUOTA"  # our user may have no more jobs now
    CONFLICT = "CONFLICT"  # the name is taken, or the job is already as wanted
    NOT_FOUND = "NOT_FOUND"  # the platform says that it has no such job
    ABSENT = "ABSENT"  # this installation has no such call
    PERMANENT = "PERMANENT"  # refused for good
    UNKNOWN = "UNKNOWN"  # the job may have been created: look its name up
    RETRYABLE = "RETRYABLE"  # make it again


def classify(
    call: Call, *, sent: bool, status: int | None, code: str, readable: bool = True
) -> ErrorClass | None:
    """Return the class of a call's end; None if it went well.

    ``status`` is None if no whole answer arrived; ``code`` is the platform's own error code, empty
    if the body held none; ``readable`` says whether the body of a success was what was expected.
    """
    lost = ErrorClass.UNKNOWN if call is Call.CREATE else ErrorClass.RETRYABLE
    if not sent:
        return ErrorClass.NOT_SENT
    if status is None:
        return lost
    if 200 <= status < 300:
        return None if readable else lost
    if status == 429 or code in _THROTTLED:
        return ErrorClass.THROTTLED
    if not 400 <= status < 500 or status == 408:
        return lost
    if status == 401 or code in _AUTH:
        return ErrorClass.AUTH
    if not code:  # of a proxy, not of the platform
        return lost
    if status == 403:
        return ErrorClass.AUTH
    return _refused(call, status, code)


def _refused(call: Call, status: int, code: str) -> ErrorClass:
    if code == _NO_SUCH_API:
        return ErrorClass.ABSENT
    if code in _QUOTA:
        return ErrorClass.QUOTA
    if code in _CONFLICT or status == 409:
        return ErrorClass.CONFLICT
    if call is not Call.CREATE and (status == 404 or code in _NOT_FOUND):
        return ErrorClass.NOT_FOUND
    return ErrorClass.PERMANENT


class CallFailed(Exception):
    """One call did not go well; ``kind`` says what that means."""

    def __init__(
        self,
        kind: ErrorClass,
        message: str,
        *,
        call: Call = Call.READ,
        code: str = "",
        retry_after_s: float = 1.0,
    ) -> None:
        super().__init__(message)
        self.kind, self.call, self.code, self.retry_after_s = kind, call, code, retry_after_s

    def to_adapter_error(self) -> AdapterError:
        """Return it as the contract of adapters names it."""
        message = str(self)
        match self.kind:
            case ErrorClass.THROTTLED | ErrorClass.QUOTA:
                return Throttled(message, self.retry_after_s)
            case ErrorClass.AUTH:
                return Unauthorized(message)
            case ErrorClass.UNKNOWN:
                return OutcomeUnknown(message)
            case ErrorClass.RETRYABLE if self.call is Call.CHANGE:
                return OutcomeUnknown(message)
            case ErrorClass.PERMANENT if self.call is Call.CREATE:
                return Rejected(message, self.code)
            case _:
                return Unavailable(message)


def error_of(body: object) -> tuple[str, str]:
    """Return the code and message of a parsed error body, in whichever of its shapes; or empty."""
    if not isinstance(body, Mapping):
        return "", ""
    inner = body.get("error")
    if isinstance(inner, Mapping):
        body = inner
    return (
        _first(body, "error_code", "errorCode", "code"),
        _first(body, "error_msg", "errorMsg", "error_message", "message")[:_MESSAGE_MAX],
    )


def _first(body: Mapping[object, object], *names: str) -> str:
    for name in names:
        value = body.get(name)
        if isinstance(value, str | int) and str(value):
            return str(value)
    return ""
