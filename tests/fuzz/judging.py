"""What may be said of how a call ended."""

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from scheduler.auth import roles
from tests.fuzz.calling import Outcome
from tests.fuzz.world import MARK, Metadata, World

#: A defect of ours, or one that hides: nothing that a caller sends may make the service say so.
DEFECTS: Final = frozenset({"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS"})
#: An agent is sent on that obeyed a later leader than ours, whatever number it gives it.
_ELSEWHERE: Final = "a later leader was obeyed"
_MESSAGE_MAX: Final = 1_000
_DETAILS_MAX: Final = 8_000
_KINDS: Final[tuple[type[Message], ...]] = (
    error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.QuotaFailure,
    error_details_pb2.PreconditionFailure, error_details_pb2.RetryInfo,
)  # fmt: skip
#: Callers of ezhou, who may see nothing of other cities.
_OF_EZHOU: Final = frozenset({"city", "city2", "member", "admin"})


def wrong(
    world: World, name: str, caller: str, metadata: Metadata, sent: bytes, outcome: Outcome
) -> Iterator[str]:
    """Yield what is wrong with the answer to a call."""
    if outcome.code in DEFECTS and _ELSEWHERE not in outcome.message:
        yield f"{outcome.code}: {outcome.message[:200]}"
    if outcome.is_refused:
        yield from _told_badly(name, metadata, outcome)
    if caller in _OF_EZHOU:
        yield from _seen(world, sent, outcome)


def _told_badly(name: str, metadata: Metadata, outcome: Outcome) -> Iterator[str]:
    if not outcome.message.strip():
        yield f"{outcome.code} without a word"
    if len(outcome.message) > _MESSAGE_MAX or len(outcome.details) > _DETAILS_MAX:
        yield f"{len(outcome.message)} characters and {len(outcome.details)} bytes of details"
    said = outcome.message.encode("utf-8", "replace") + outcome.details
    for _, value in metadata:
        secret = value.removeprefix("Bearer ").encode()
        if len(secret) > 20 and secret in said:
            yield "the token is told back"
    if roles.service_of(name) in roles.OPEN_SERVICES:
        return
    try:
        status = status_pb2.Status.FromString(outcome.details)
    except DecodeError:
        yield "details that nobody can read"
        return
    infos = [one for one in status.details if one.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    if len(infos) != 1 or not all(_unpacks(one) for one in status.details):
        yield f"details without one ErrorInfo: {outcome.code}: {outcome.message[:100]}"
        return
    info = error_details_pb2.ErrorInfo()
    infos[0].Unpack(info)
    if info.domain != "corridor" or not info.reason.isupper():
        yield f"reason {info.reason!r} of {info.domain!r}"


def _unpacks(packed: object) -> bool:
    return any(packed.Is(kind.DESCRIPTOR) for kind in _KINDS)  # type: ignore[attr-defined]


def _seen(world: World, sent: bytes, outcome: Outcome) -> Iterator[str]:
    """What is of other cities and was not in the request."""
    marks = [MARK, "sample-wuhan", *world.of["theirs"]]
    told = (outcome.message.encode("utf-8", "replace"), outcome.details, *outcome.answers)
    for mark in (one.encode() for one in marks):
        if mark not in sent and any(mark in part for part in told):
            yield f"it shows {mark.decode()} of another city"
