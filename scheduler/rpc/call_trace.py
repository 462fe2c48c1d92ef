"""The trace of the call that is being served: begun by the interceptor, read by servicers."""

import time
from contextvars import ContextVar
from typing import Any

from scheduler.domain.traces import (
    TRACEPARENT,
    Attribute,
    Chooser,
    SpanKind,
    SpanRecord,
    Spans,
    TraceContext,
)
from scheduler.rpc import caller

#: Statuses that say that we failed, not that the caller asked for what cannot be.
_OURS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE"})


class CallTrace:
    """One call's span until it is over."""

    __slots__ = ("attributes", "context", "method", "parent_id", "start_ns")

    def __init__(self, method: str, context: TraceContext, parent_id: str) -> None:
        self.method, self.context, self.parent_id = method, context, parent_id
        self.start_ns = time.time_ns()
        self.attributes: dict[str, Attribute] = {}


_current: ContextVar[CallTrace | None] = ContextVar("corridor_call_trace", default=None)


def current() -> TraceContext | None:
    """Return the span of the running call; None outside one, or where tracing is off."""
    call = _current.get()
    return None if call is None else call.context


def recorded() -> TraceContext | None:
    """Return the span of the running call if it is recorded."""
    context = current()
    return context if context is not None and context.sampled else None


def note(**said: Attribute) -> None:
    """Say more of the running call, if it is recorded."""
    call = _current.get()
    if call is not None and call.context.sampled:
        call.attributes.update((f"corridor.{name}", value) for name, value in said.items())


class CallTraces:
    """Begins and ends the spans of calls."""

    def __init__(self, spans: Spans, chooser: Chooser) -> None:
        self._spans, self._chooser = spans, chooser

    def begin(self, method: str, metadata: Any) -> None:
        """The running task serves a call."""
        given = [value for key, value in metadata or () if key == TRACEPARENT]
        # Of several none counts.
        context, parent_id = self._chooser.choose(given[0] if len(given) == 1 else None)
        _current.set(CallTrace(method, context, parent_id))

    def end(self, code: str) -> TraceContext | None:
        """The running call ended with a status; returns its span if it is recorded."""
        call = _current.get()
        if call is None or not call.context.sampled:
            return None
        service, _, method = call.method.lstrip("/").rpartition("/")
        told: dict[str, Attribute] = {
            "rpc.system": "grpc", "rpc.service": service, "rpc.method": method,
            "rpc.grpc.status_code": code,
        }  # fmt: skip
        if (principal := caller.known()) is not None:
            told["corridor.role"] = str(principal.role)
            for name in ("enterprise", "city", "center"):
                if value := getattr(principal, name):
                    told[f"corridor.{name}"] = value
        told.update(call.attributes)
        self._spans.emit(
            SpanRecord(
                f"{service}/{method}", call.context, call.parent_id, call.start_ns,
                time.time_ns(), told, kind=SpanKind.SERVER, error=code if code in _OURS else "",
            )
        )  # fmt: skip
        return call.context
