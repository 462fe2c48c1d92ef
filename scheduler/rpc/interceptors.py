"""The one interceptor around every call: who calls, may they, how it ended, how long it took.

Identity, role and rate are checked before the request is read, so a stranger cannot make the
service take 64 MiB in; a request's bounds (``rpc.bounds``) before its method sees it. What a
method raises becomes a rich status; what nobody foresaw becomes INTERNAL with an id that the log
explains, never a traceback.
"""

import asyncio
import contextlib
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
import structlog

from scheduler.auth import roles
from scheduler.auth.rates import Rates
from scheduler.auth.verifier import Verifier
from scheduler.errors import CorridorError, TemporarilyAway, Unauthenticated
from scheduler.rpc import bounds, caller
from scheduler.rpc.errors import abort, code_of
from scheduler.rpc.forwarding import FROM_STORE, Forwarder, LeaderUnheard
from scheduler.store import outages

#: Told of every ended call: full method name, status code name, seconds it took.
OnCall = Callable[[str, str, float], None]
#: Told of every call that begins, in its task: full method name, metadata.
OnBegin = Callable[[str, Any], None]

Handler = Any  # grpc.RpcMethodHandler: its stubs and its runtime class do not agree
CallContext = Any  # grpc.aio.ServicerContext, likewise

_STOPPING: Final = TemporarilyAway(
    "the service is stopping; open the stream again, from the last resume token if it has one"
)
_SUBMIT: Final = "/corridor.v1.JobService/SubmitJobs"
_STATUS_NAMES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg, unused-ignore]
    """See the module; ``on_call`` and ``on_begin`` must be quick and must not raise.

    What ``forwarder`` says is for another replica to answer is passed on to that one; ``rates`` is
    how much each caller may ask for, by default as much as it likes. ``on_unknown`` is told the
    reason whenever a token says nobody.
    """

    def __init__(
        self,
        verifier: Verifier,
        on_call: OnCall,
        forwarder: Forwarder | None = None,
        rates: Rates | None = None,
        on_unknown: Callable[[str], None] = lambda _reason: None,
        on_begin: OnBegin | None = None,
    ) -> None:
        self._on_unknown, self._on_begin = on_unknown, on_begin
        self._verifier = verifier
        self._rates = rates or Rates()
        self._on_call = on_call
        self._forwarder = forwarder
        self._wrapped: dict[str, Handler] = {}
        #: What answers from the store where the leader does not, bytes for bytes.
        self._here: dict[str, Callable[[bytes, CallContext], Awaitable[bytes]]] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        #: Streams of which a message is on its way to the caller.
        self._sending: set[asyncio.Task[Any]] = set()
        self._probes: set[asyncio.Task[Any]] = set()
        self._draining = False

    def end_streams(self) -> None:
        """End all open streams with UNAVAILABLE, so that who watches resumes elsewhere or later."""
        self._draining = True
        # One that is sending ends after that: cancelled in the server's hands, it would end without
        # a status.
        for task in self._streams - self._sending:
            task.cancel()

    def end_probes(self) -> None:
        """End the streams of those who watch the service's health, likewise."""
        for task in list(self._probes):
            task.cancel()

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Handler]],
        handler_call_details: Any,
    ) -> Handler:
        """Return the handler of the call, or one that refuses it."""
        method: str = handler_call_details.method
        handler = self._wrapped.get(method)
        if handler is None:
            original = await continuation(handler_call_details)
            if original is None:
                return None
            if roles.service_of(method) in roles.OPEN_SERVICES:
                return self._open(method, original)
            handler = self._wrap(method, original)
            self._wrapped[method] = handler
        if self._on_begin is not None:
            self._on_begin(method, handler_call_details.invocation_metadata)
        try:
            principal = await self._verifier.principal(
                _authorization(handler_call_details.invocation_metadata)
            )
            roles.check(method, principal.role)
            self._rates.call(principal)
        except CorridorError as error:
            if isinstance(error, Unauthenticated):
                self._on_unknown(error.reason)
            return self._refuse(method, error)
        except Exception as error:
            return self._refuse(method, _unforeseen(method, error))
        caller.set_current(principal)
        if self._forwarder is not None:
            address = self._forwarder.target(method, handler_call_details.invocation_metadata)
            if address:
                return self._passing_on(self._forwarder, address, method)
        return handler

    def _passing_on(self, forwarder: Forwarder, address: str, method: str) -> Handler:
        """Return a handler that reads no request; it answers only if the leader does not."""
        here = self._here.get(method)

        async def pass_on(request: bytes, context: CallContext) -> bytes:
            try:
                return await forwarder.pass_on(address, method, request, context)
            except LeaderUnheard:
                if here is None:
                    raise
            return await here(request, context)

        return grpc.unary_unary_rpc_method_handler(self._returning(method, pass_on))

    def _wrap(self, method: str, original: Handler) -> Handler:
        behavior = _behavior(original)
        serve = self._streaming if inspect.isasyncgenfunction(behavior) else self._returning
        checked = _checked(method, original, self._rates, behavior)
        read = bounds.reader(method, original.request_deserializer)
        if method in FROM_STORE:
            self._here[method] = _in_bytes(read, checked, original.response_serializer)
        return _like(original, serve(method, checked), read)

    def _returning(self, method: str, behavior: Any) -> Any:
        async def serve(request: Any, context: CallContext) -> Any:
            start = time.perf_counter()
            try:
                answer = await behavior(request, context)
            except BaseException as error:
                await self._fail(method, context, error, start)
                raise
            self._on_call(method, "OK", time.perf_counter() - start)
            return answer

        return serve

    def _streaming(self, method: str, behavior: Any) -> Any:
        async def serve(request: Any, context: CallContext) -> AsyncIterator[Any]:
            start = time.perf_counter()
            task = asyncio.current_task()
            assert task is not None, "every call is a task"
            principal = caller.current()
            try:
                self._rates.open_stream(principal)
            except CorridorError as error:
                await self._fail(method, context, error, start)
                raise
            self._streams.add(task)
            try:
                async with contextlib.aclosing(behavior(request, context)) as messages:
                    async for message in messages:
                        self._sending.add(task)
                        yield message
                        self._sending.discard(task)
                        if self._draining:
                            raise asyncio.CancelledError
            except asyncio.CancelledError as error:
                told = _STOPPING if self._draining else error
                await self._fail(method, context, told, start)
                raise
            except BaseException as error:
                await self._fail(method, context, error, start)
                raise
            finally:
                self._rates.close_stream(principal)
                self._streams.discard(task)
                self._sending.discard(task)
            self._on_call(method, "OK", time.perf_counter() - start)

        return serve

    def _open(self, method: str, original: Handler) -> Handler:
        """What needs no identity and is not counted."""
        read = bounds.reader(method, original.request_deserializer)
        behavior = self._probe(original) if original.response_streaming else _behavior(original)
        return _like(original, behavior, read)

    def _probe(self, original: Handler) -> Any:
        """A stream that writes its answers itself."""

        async def serve(request: Any, context: CallContext) -> None:
            task = asyncio.current_task()
            assert task is not None, "every call is a task"
            self._probes.add(task)
            try:
                await _behavior(original)(request, context)
            except asyncio.CancelledError:
                if self._draining:
                    await abort(context, _STOPPING)
                raise
            finally:
                self._probes.discard(task)

        return serve

    async def _fail(
        self, method: str, context: CallContext, error: BaseException, start: float
    ) -> None:
        """Count a failed call, then tell its caller; returns only if the status is told already."""
        self._on_call(method, _code_name(error, context), time.perf_counter() - start)
        await _tell(method, context, error)

    def _refuse(self, method: str, error: CorridorError) -> Handler:
        name = _code_name(error, None)

        # As a stream of requests, whatever the method has: so not even one is taken in.
        async def refuse(_requests: Any, context: CallContext) -> Any:
            self._on_call(method, name, 0.0)
            await abort(context, error)

        return grpc.stream_stream_rpc_method_handler(refuse)


class _Unforeseen(CorridorError):
    """A defect of ours: the caller gets an id, the log has the rest."""

    reason = "INTERNAL"


def _unforeseen(method: str, error: BaseException) -> CorridorError:
    """Return what is told of an error that is not raised on purpose."""
    away = outages.told(error)
    if away is not None:
        structlog.get_logger().warning(
            "call_refused", method=method, database_away=outages.brief(error)
        )
        return away
    incident = secrets.token_hex(6)
    structlog.get_logger().error("call_failed", method=method, incident=incident, exc_info=error)
    return _Unforeseen(
        f"the service failed on this call; tell the operator the incident id {incident}",
        metadata={"incident": incident},
    )


async def _tell(method: str, context: CallContext, error: BaseException) -> None:
    """Abort with the status of ``error``; returns only if it already carries one."""
    if isinstance(error, CorridorError):
        await abort(context, error)
    if isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
        await abort(context, _unforeseen(method, error))


def _code_name(error: BaseException, context: CallContext) -> str:
    if isinstance(error, CorridorError):
        return _STATUS_NAMES[code_of(error)]
    if outages.told(error) is not None:
        return "UNAVAILABLE"
    if isinstance(error, grpc.aio.AbortError):
        code = context.code()
        return _STATUS_NAMES.get(code, "UNKNOWN") if isinstance(code, int) else str(code.name)
    return "INTERNAL" if isinstance(error, Exception) else "CANCELLED"


def _authorization(metadata: Any) -> str | bytes | None:
    for key, value in metadata or ():
        if key == "authorization":
            return value  # type: ignore[no-any-return]
    return None


def _checked(method: str, original: Handler, rates: Rates, behavior: Any) -> Any:
    """Return a behavior that is given requests within bounds alone, and jobs within the rate."""
    if original.request_streaming:
        return _as(behavior, lambda requests: bounds.read_all(requests))
    if method != _SUBMIT:
        return _as(behavior, bounds.read_one)

    def read(request: Any) -> Any:
        message = bounds.read_one(request)
        rates.jobs(caller.current(), len(message.jobs))
        return message

    return _as(behavior, read)


def _in_bytes(
    read: Callable[[bytes], Any], behavior: Any, serialize: Callable[[Any], bytes]
) -> Callable[[bytes, CallContext], Awaitable[bytes]]:
    async def answer(request: bytes, context: CallContext) -> bytes:
        return serialize(await behavior(read(request), context))

    return answer


def _as(behavior: Any, read: Callable[[Any], Any]) -> Any:
    def checked(request: Any, context: CallContext) -> Any:
        return behavior(read(request), context)

    return checked


def _behavior(handler: Handler) -> Any:
    return (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )


_KINDS: Final = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _like(original: Handler, behavior: Any, deserializer: Any) -> Handler:
    make: Any = _KINDS[bool(original.request_streaming), bool(original.response_streaming)]
    return make(behavior, deserializer, _serializer(original))


def _serializer(original: Handler) -> Any:
    """A stream may give bytes that are serialized already: told to many, serialized once."""
    serialize = original.response_serializer
    if not original.response_streaming:
        return serialize
    return lambda message: message if isinstance(message, bytes) else serialize(message)
