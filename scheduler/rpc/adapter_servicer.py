"""AdapterService: agents dial in, each for the one center that its token names."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from corridor.v1 import adapter_service_pb2 as pb
from corridor.v1 import adapter_service_pb2_grpc

from adapters.agent import words
from adapters.agent.remote import RemoteCenter
from adapters.agent.session import Session
from scheduler.domain.principal import Principal
from scheduler.errors import (
    Conflict,
    CorridorError,
    FieldViolation,
    Forbidden,
    InvalidRequest,
    TemporarilyAway,
    WrongState,
)
from scheduler.rpc import agent_messages as messages
from scheduler.rpc import caller
from scheduler.rpc.messages import CallContext
from scheduler.services import watching
from scheduler.services.context import Context

log = structlog.get_logger()

#: Who never says hello is not waited for.
_HELLO_S = 30.0
#: Token and certificate of an agent are judged again so often.
_CHECK_S = 15.0


@dataclass(frozen=True, slots=True)
class Agents:
    """The centers that this service reaches through agents.

    ``centers`` are those of the present term of leadership; ``epoch`` gives its fencing epoch, None
    while this process does not lead. If there is an address ``listen`` for them, agents need a
    certificate of their center, and ``caller_problem`` says what is wrong with the chain shown;
    both are judged again every ``check_s``.
    """

    centers: Mapping[str, RemoteCenter] = field(default_factory=dict)
    epoch: Callable[[], int | None] = lambda: None
    listen: str = ""
    caller_problem: Callable[[Sequence[bytes]], str] | None = None
    check_s: float = _CHECK_S


class AdapterServicer(adapter_service_pb2_grpc.AdapterServiceServicer):
    """See ``adapter_service.proto``."""

    def __init__(self, context: Context, agents: Agents) -> None:
        self._context, self._agents = context, agents

    async def Connect(
        self, request_iterator: AsyncIterator[pb.ConnectRequest], context: CallContext
    ) -> AsyncGenerator[pb.ConnectResponse, None]:
        principal = caller.current()
        hello = await self._hello(request_iterator, principal)
        self._check_certificate(hello.center, context)
        center = self._agents.centers[hello.center]
        epoch = self._epoch(hello)
        session = center.attach(hello, epoch)
        log.info(
            "agent_connected", center=hello.center, version=hello.agent_version,
            journal=hello.journal_id, epoch=epoch,
        )  # fmt: skip
        hearing = asyncio.create_task(
            _hear(session, hello.center, request_iterator), name=f"agent-{hello.center}"
        )
        reason = "its stream was cut"
        try:
            async for said in self._words(session, principal, hearing, context):
                yield messages.from_scheduler(said)
            reason = session.reason or "it hung up"
            if session.replaced:
                raise Conflict(session.reason, reason="AGENT_REPLACED")
            if not session.is_open:
                raise TemporarilyAway(session.reason)
        except CorridorError as error:
            reason = error.message
            raise
        finally:
            hearing.cancel()
            center.detach(session, reason)
            log.info("agent_gone", center=hello.center, reason=reason)

    async def _hello(
        self, heard: AsyncIterator[pb.ConnectRequest], principal: Principal
    ) -> words.Hello:
        """Hear who calls, and whether that is for us to answer."""
        try:
            async with asyncio.timeout(_HELLO_S):
                first = await anext(heard)
            said = messages.to_word(principal.center or "", first)
        except (StopAsyncIteration, TimeoutError) as error:
            raise _out_of_place("hello", f"must be said within {_HELLO_S:g} s") from error
        except ValueError as error:
            raise _out_of_place("said", str(error)) from error
        if not isinstance(said, words.Hello):
            raise _out_of_place("said", "must be hello first")
        if said.protocol != words.PROTOCOL:
            raise _out_of_place(
                "hello.protocol",
                f"must be {words.PROTOCOL}, not {said.protocol}: upgrade the older of agent and"
                " service",
            )
        if said.center != principal.center:
            raise Forbidden(
                f"the token {principal.token_id} is of center {principal.center}, and the agent"
                f" speaks for {said.center}: give it a token of its own center (corridor token"
                f" create NAME --role agent --center {said.center})",
                reason="AGENT_OF_ANOTHER_CENTER",
                metadata={"token_center": principal.center or "", "center": said.center},
            )
        self._check_lead()
        if said.center not in self._agents.centers:
            known = ", ".join(sorted(self._agents.centers)) or "none"
            raise WrongState(
                f"this service does not reach {said.center} through an agent; it does so for:"
                f" {known}. Set `kind: agent` for it in the centers file and restart the service",
                subject=f"centers/{said.center}",
                reason="CENTER_WITHOUT_AGENT",
            )
        return said

    def _check_certificate(self, center: str, context: CallContext) -> None:
        """Ask for a certificate of the center, if agents need one."""
        if not self._agents.listen:
            return
        shown = context.auth_context()
        names = {
            name.decode(errors="replace")
            for key in ("x509_common_name", "x509_subject_alternative_name")
            for name in shown.get(key, ())
        }
        if center not in names:
            said = f"one of {', '.join(sorted(names))}" if names else "none"
            raise Forbidden(
                f"an agent of {center} shows a certificate whose name is {center}, at the address"
                f" {self._agents.listen}; this one showed {said}",
                reason="AGENT_WITHOUT_CERTIFICATE",
                metadata={"center": center},
            )
        self._check_authority(center, context)

    def _check_authority(self, center: str, context: CallContext) -> None:
        """Ask whether who signed the certificate is still trusted: by now that may have changed."""
        if not self._agents.listen or self._agents.caller_problem is None:
            return
        shown = context.auth_context()
        chain = [*shown.get("x509_pem_cert", ()), *shown.get("x509_pem_cert_chain", ())]
        problem = self._agents.caller_problem(chain)
        if problem:
            raise Forbidden(
                f"the agent of {center} may not speak: {problem}",
                reason="AGENT_CERTIFICATE_NOT_TRUSTED",
                metadata={"center": center},
            )

    def _check_lead(self) -> int:
        epoch = self._agents.epoch()
        if epoch is None:
            raise TemporarilyAway(
                "this service does not lead now; try again, here or at another address"
            )
        return epoch

    def _epoch(self, hello: words.Hello) -> int:
        epoch = self._check_lead()
        if epoch < hello.epoch_seen:
            raise TemporarilyAway(
                f"this service led under epoch {epoch}, and a later leader was obeyed under epoch"
                f" {hello.epoch_seen}; try another address"
            )
        return epoch

    async def _words(
        self,
        session: Session,
        principal: Principal,
        hearing: "asyncio.Task[None]",
        context: CallContext,
    ) -> AsyncIterator[words.ToAgent]:
        """Yield what is to be said until the session ends, on either side."""
        loop = asyncio.get_running_loop()
        checked_s = loop.time()

        def hung_up(task: "asyncio.Task[None]") -> None:
            session.end("the agent hung up")
            if not task.cancelled():
                task.exception()  # raised below, unless the session is over for another reason

        hearing.add_done_callback(hung_up)
        while (said := await session.next_word()) is not None:
            if session.is_silent:
                raise TemporarilyAway("nothing was heard of the agent for too long")
            if loop.time() >= checked_s + self._agents.check_s:
                await watching.check_token(self._context, principal)
                self._check_authority(principal.center or "", context)
                checked_s = loop.time()
            yield said
        if hearing.done() and not hearing.cancelled() and (error := hearing.exception()):
            raise error


async def _hear(session: Session, center: str, heard: AsyncIterator[pb.ConnectRequest]) -> None:
    """Hear the agent until it hangs up."""
    async for message in heard:
        try:
            session.hear(messages.to_word(center, message))
        except ValueError as error:
            raise _out_of_place("said", str(error)) from error


def _out_of_place(name: str, what: str) -> InvalidRequest:
    return InvalidRequest([FieldViolation(name, what)])
