"""Calls that only the leader's process can answer, passed on to it by a replica that follows.

The bytes of the request and what the caller said about himself go on as they came, and the answer
comes back so: the leader judges who calls as if it had been called itself. A call is passed on
once: if the lead moved meanwhile, the caller is told to try again.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc
import structlog

from scheduler.errors import TemporarilyAway

log = structlog.get_logger()

#: What is asked of the planner or of a center's adapter, which live where the lead is.
PASSED_ON: Final = frozenset(
    f"/corridor.v1.{service}/{method}"
    for service, methods in {
        "JobService": ("GetJob", "ExplainJob", "QuoteJobs", "ReadJobLogs"),
        "CenterService": (
            "GetCenter", "ListCenters", "CordonCenter", "DrainCenter", "ResumeCenter",
            "TakeInventory", "ReconcileCenter",
        ),
    }.items()
    for method in methods
)  # fmt: skip
#: Names the replica that passed a call on.
MARK: Final = "corridor-passed-on-by"
#: Metadata of the connection or of gRPC itself, which is made anew.
_OWN: Final = frozenset({"user-agent", "content-type", "te", "host", MARK})
#: Calls under way to a leader that was replaced have so long, in real seconds.
_UNDER_WAY_S: Final = 30.0
_DETAILS: Final = "grpc-status-details-bin"

OpenChannel = Callable[[str], grpc.aio.Channel]


class Lead(Protocol):
    """What is known of who leads."""

    def leads(self) -> bool:
        """Whether this process does."""
        ...

    def leader(self) -> str:
        """Where the leader is reached; empty if nobody leads."""
        ...


class Forwarder:
    """Passes calls on; ``name`` is this replica's."""

    def __init__(self, lead: Lead, name: str, open_channel: OpenChannel) -> None:
        self._lead, self._name, self._open = lead, name, open_channel
        self._address = ""
        self._channel: grpc.aio.Channel | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def target(self, method: str, metadata: Any) -> str:
        """Return where a call is to be passed on to; empty if it is to be served here."""
        if method not in PASSED_ON or self._lead.leads():
            return ""
        if any(key == MARK for key, _ in metadata or ()):
            return ""
        return self._lead.leader()

    async def pass_on(self, address: str, method: str, request: bytes, context: Any) -> bytes:
        """Have the leader answer; raises as the call shall end."""
        channel: Any = self._to(address)
        try:
            answer: bytes = await channel.unary_unary(method)(
                request,
                timeout=context.time_remaining(),
                metadata=self._said(context.invocation_metadata()),
            )
        except grpc.aio.AioRpcError as error:
            trailing: Any = error.trailing_metadata() or ()
            told = tuple((key, value) for key, value in trailing if key == _DETAILS)
            if error.code() is grpc.StatusCode.UNAVAILABLE and not told:
                log.warning("leader_unheard", address=address, error=error.details())
                raise TemporarilyAway(
                    f"the replica that leads, {address}, does not answer; try again in a second"
                ) from error
            await context.abort(error.code(), error.details() or "", told)
            raise
        return answer

    def _said(self, metadata: Any) -> list[tuple[str, Any]]:
        """Return what the caller said, and who passes it on."""
        kept = [
            (key, value)
            for key, value in metadata or ()
            if not key.startswith(("grpc-", ":")) and key not in _OWN
        ]
        return [*kept, (MARK, self._name)]

    def _to(self, address: str) -> grpc.aio.Channel:
        if self._channel is None or address != self._address:
            self._let_go()
            self._address, self._channel = address, self._open(address)
        return self._channel

    def _let_go(self) -> None:
        if self._channel is not None:
            task = asyncio.ensure_future(self._channel.close(_UNDER_WAY_S))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Let go of the channels; calls under way end."""
        for task in list(self._closing):
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(None)
