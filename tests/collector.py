"""A collector of traces: a real OTLP server on loopback that keeps what it is sent."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Kept:
    """A span as it came: ids in hexadecimal, what is said of it in plain values."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    said: Mapping[str, Any]
    links: tuple[tuple[str, str], ...]
    kind: int
    failed: bool
    resource: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """What a link to it says."""
        return self.trace_id, self.span_id


class Collector(rpc.TraceServiceServicer):
    """Keeps spans; refuses all while ``refusing`` is a status, and answers once ``open``."""

    def __init__(self) -> None:
        self.spans: list[Kept] = []
        self.metadata: list[Mapping[str, Any]] = []
        self.refusing: grpc.StatusCode | None = None
        self.open = threading.Event()
        self.open.set()
        self.address = ""
        self._news = threading.Condition()

    def Export(
        self, request: pb.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> pb.ExportTraceServiceResponse:
        self.open.wait(_PATIENCE_S)
        if self.refusing is not None:
            context.abort(self.refusing, "not now")
        with self._news:
            self.metadata.append(dict(context.invocation_metadata()))
            self.spans += [
                _kept(span, _plain(group.resource.attributes))
                for group in request.resource_spans
                for scope in group.scope_spans
                for span in scope.spans
            ]
            self._news.notify_all()
        return pb.ExportTraceServiceResponse()

    def until(self, enough: Callable[[list[Kept]], bool]) -> list[Kept]:
        """Wait until what came is enough, and return it."""
        with self._news:
            if not self._news.wait_for(lambda: enough(self.spans), _PATIENCE_S):
                names = sorted(span.name for span in self.spans)
                raise AssertionError(f"not enough came: {names}")
            return list(self.spans)


def _kept(span: Any, resource: Mapping[str, Any]) -> Kept:
    return Kept(
        span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
        span.start_time_unix_nano, span.end_time_unix_nano, _plain(span.attributes),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links), span.kind,
        span.status.code == 2, resource,
    )  # fmt: skip


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextlib.contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4, thread_name_prefix="collector"))
    rpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    collector.address = f"http://127.0.0.1:{bound}"
    server.start()
    try:
        yield collector
    finally:
        collector.open.set()
        server.stop(0).wait()
