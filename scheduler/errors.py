"""What the service refuses, by class; ``scheduler.rpc.errors`` gives each its gRPC status.

CorridorError
├── InvalidRequest      fields are wrong: INVALID_ARGUMENT + BadRequest
├── NotFound            not there, or not yours to see: NOT_FOUND + ErrorInfo
├── RequestIdReused     the key was used with another payload: ALREADY_EXISTS + ErrorInfo
├── AlreadyThere        something of that name exists: ALREADY_EXISTS + ErrorInfo
├── Conflict            the etag is stale: ABORTED + ErrorInfo
├── WrongState          not possible in this state: FAILED_PRECONDITION + PreconditionFailure
├── TooOld              what was asked for is no longer kept: OUT_OF_RANGE + ErrorInfo
├── QuotaExceeded       above a limit for good: RESOURCE_EXHAUSTED + QuotaFailure
├── RateLimited         too much at a time: RESOURCE_EXHAUSTED + QuotaFailure + RetryInfo
├── Unauthenticated     no or no valid token: UNAUTHENTICATED + ErrorInfo
├── Forbidden           a valid token, but not for this: PERMISSION_DENIED + ErrorInfo
└── TemporarilyAway     try again after ``retry_after_s``: UNAVAILABLE + RetryInfo

Every message says what is wrong and what to do about it; ``reason`` is stable UPPER_SNAKE.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field by its path in the request, such as ``jobs[3].wall_limit``."""

    field: str
    description: str


class CorridorError(Exception):
    """Base of all errors the service raises on purpose."""

    reason = "CORRIDOR_ERROR"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason
        self.metadata: dict[str, str] = dict(metadata or {})


class InvalidRequest(CorridorError):
    """Fields are wrong; ``violations`` names each."""

    reason = "INVALID_REQUEST"

    def __init__(self, violations: Sequence[FieldViolation], message: str | None = None) -> None:
        self.violations = tuple(violations)
        shown = "; ".join(f"{v.field}: {v.description}" for v in self.violations[:3])
        more = len(self.violations) - 3
        super().__init__(message or shown + (f"; and {more} more" if more > 0 else ""))


class NotFound(CorridorError):
    """It is not there, or the caller may not know that it is."""

    reason = "NOT_FOUND"


class RequestIdReused(CorridorError):
    """The request id was used before with another payload; nothing was stored."""

    reason = "REQUEST_ID_REUSED"


class AlreadyThere(CorridorError):
    """Something of that name exists."""

    reason = "ALREADY_EXISTS"


class Conflict(CorridorError):
    """It changed since the caller read it."""

    reason = "ETAG_MISMATCH"


class WrongState(CorridorError):
    """Not possible now; ``subject`` is what stands in the way."""

    reason = "WRONG_STATE"

    def __init__(self, message: str, *, subject: str, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.subject = subject


class TooOld(CorridorError):
    """It was there, and is no longer kept."""

    reason = "TOO_OLD"


class QuotaExceeded(CorridorError):
    """Above a limit that waiting does not lift; ``subject`` is its owner (``cities/wuhan``)."""

    reason = "EXCEEDS_MAX"

    def __init__(self, message: str, *, subject: str, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.subject = subject


class RateLimited(CorridorError):
    """More than one caller may ask for at a time; ``limit`` is the setting that says so.

    Nothing was changed; it works again after ``retry_after_s``.
    """

    reason = "RATE_LIMITED"

    def __init__(self, message: str, *, subject: str, limit: str, retry_after_s: float) -> None:
        super().__init__(message, metadata={"limit": limit})
        self.subject, self.retry_after_s = subject, retry_after_s


class Unauthenticated(CorridorError):
    """No token, or none that is valid."""

    reason = "UNAUTHENTICATED"


class Forbidden(CorridorError):
    """The token is valid but gives no right to this."""

    reason = "FORBIDDEN"


class TemporarilyAway(CorridorError):
    """Something is down; nothing was changed."""

    reason = "UNAVAILABLE"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
