"""Calls that only the leader's process can answer, passed on to it by a replica that follows.

The bytes of the request and what the caller said about himself go on as they came, and the answer
comes back so: the leader judges who calls as if it had been called itself. A call is passed on
once: if the lead moved meanwhile, the caller is told to try again. What the store can answer in
part is not waited for longer than the leader leads, and is then answered from the store.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import grpc
import structlog

from scheduler.domain.traces import TRACEPARENT
from scheduler.errors import TemporarilyAway
from scheduler.rpc import call_trace
from scheduler.services.explaining import REASON_WAIT_S

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
#: Of these the store knows the better part; so long each is waited for, in real seconds, None: for
#: as long as whom it was passed on to leads. What the planner does in it takes no longer.
FROM_STORE: Final[Mapping[str, float | None]] = {
    "/corridor.v1.JobService/GetJob": REASON_WAIT_S + 1.0,
    "/corridor.v1.CenterService/GetCenter": REASON_WAIT_S + 1.0,
    "/corridor.v1.CenterService/ListCenters": REASON_WAIT_S + 1.0,
    "/corridor.v1.JobService/ExplainJob": None,
    "/corridor.v1.JobService/QuoteJobs": None,
}
#: So often it is looked whether the lead has moved, in real seconds.
_LOOK_S: Final = 0.25
#: Names the replica that passed a call on.
MARK: Final = "corridor-passed-on-by"
#: Metadata of the connection or of gRPC itself, which is made anew.
_OWN: Final = frozenset({"user-agent", "content-type", "te", "host", MARK})
#: Calls under way to a leader that was replaced have so long, in real seconds.
_UNDER_WAY_S: Final = 30.0
_DETAILS: Final = "grpc-status-details-bin"

OpenChannel = Callable[[str], grpc.aio.Channel]


class LeaderUnheard(TemporarilyAway):
    """The replica that leads does not answer."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"the replica that leads, {address}, does not answer; try again in a second"
        )


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
        """Have the leader answer; raises as the call shall end, ``LeaderUnheard`` among others."""
        channel: Any = self._to(address)
        left_s = context.time_remaining()
        call = channel.unary_unary(method)(
            request, timeout=left_s, metadata=self._said(context.invocation_metadata())
        )
        try:
            if method in FROM_STORE:
                answer = await self._while_it_leads(call, address, FROM_STORE[method], left_s)
            else:
                answer = await call
        except grpc.aio.AioRpcError as error:
            trailing: Any = error.trailing_metadata() or ()
            told = tuple((key, value) for key, value in trailing if key == _DETAILS)
            if error.code() is grpc.StatusCode.UNAVAILABLE and not told:
                log.warning("leader_unheard", address=address, error=error.details())
                raise LeaderUnheard(address) from error
            await context.abort(error.code(), error.details() or "", told)
            raise
        return answer  # type: ignore[no-any-return]

    async def _while_it_leads(
        self, call: Any, address: str, patience_s: float | None, left_s: float | None
    ) -> Any:
        """Wait for an answer; half of the caller's time is left for one from the store."""
        now_s = asyncio.get_running_loop().time
        bounds = [one for one in (patience_s, None if left_s is None else left_s / 2) if one]
        until_s = now_s() + min(bounds) if bounds else float("inf")
        answer = asyncio.ensure_future(call)
        try:
            while not answer.done():
                left = until_s - now_s()
                if left <= 0 or self._lead.leader() != address:
                    log.warning("leader_silent", address=address)
                    raise LeaderUnheard(address)
                await asyncio.wait({answer}, timeout=min(_LOOK_S, left))
            return answer.result()
        finally:
            answer.cancel()

    def _said(self, metadata: Any) -> list[tuple[str, Any]]:
        """Return what the caller said, and who passes it on."""
        kept = [
            (key, value)
            for key, value in metadata or ()
            if not key.startswith(("grpc-", ":")) and key not in _OWN
        ]
        own = call_trace.current()
        if own is not None:  # the leader's part of the call is a part of ours
            kept = [(key, value) for key, value in kept if key != TRACEPARENT]
            kept.append((TRACEPARENT, str(own)))
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
