"""Translates what the admin services share: times, pages, optional numbers and errors."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from adapters.errors import plain
from scheduler.errors import FieldViolation, InvalidRequest

CallContext = Any  # grpc.aio.ServicerContext; its stubs are generic, its runtime class is not

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1000
T = TypeVar("T")


def timestamp(at_ms: int | None) -> Timestamp | None:
    """Return an instant as a message; None and 0 stay unset."""
    if not at_ms:
        return None
    return Timestamp(seconds=at_ms // 1000, nanos=at_ms % 1000 * 1_000_000)


def milliseconds(at: Timestamp) -> int:
    """Return an instant in epoch milliseconds."""
    return at.seconds * 1000 + at.nanos // 1_000_000


def optional(message: Any, field: str) -> int | None:
    """Return an optional number of a message, None if it is unset."""
    return int(getattr(message, field)) if message.HasField(field) else None


def page_size(asked: int) -> int:
    """Return how many rows a page has; ``InvalidRequest`` for a negative number."""
    if asked < 0:
        raise InvalidRequest([FieldViolation("page_size", f"must be 0..{PAGE_MAX}, not {asked}")])
    return min(asked or PAGE_DEFAULT, PAGE_MAX)


def page_token(*key: str | int) -> str:
    """Return the opaque token of the last row's key."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode()


def page_key(token: str, *kinds: type) -> tuple[Any, ...] | None:
    """Return the key in a page token, None for an empty one.

    Raises ``InvalidRequest`` unless the token holds values of exactly these ``kinds``.
    """
    if not token:
        return None
    try:
        key = json.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
    except (binascii.Error, UnicodeError, ValueError, RecursionError):
        key = None
    if (
        not isinstance(key, list)
        or [type(part) for part in key] != list(kinds)
        or not all(map(_can_be_a_key, key))
    ):
        raise InvalidRequest(
            [FieldViolation("page_token", "is not one of this list; send back the one you got")]
        )
    return tuple(key)


def _can_be_a_key(part: Any) -> bool:
    """Whether a database takes a part of a key: whole numbers of 64 bits, texts of Unicode."""
    if isinstance(part, str):
        return plain(part) == part
    return not isinstance(part, int) or -(1 << 63) <= part < 1 << 63


def split_page(rows: Sequence[T], size: int) -> tuple[Sequence[T], bool]:
    """Return (the rows of a page, whether more follow) of one row more than a page has."""
    return rows[:size], len(rows) > size
