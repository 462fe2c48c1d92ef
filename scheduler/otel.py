"""Spans in OpenTelemetry's form, sent to a collector by OTLP over gRPC.

The only module that knows OpenTelemetry (the extra ``otel``); imported only where tracing is on.
What the exporter says of a collector that is away is told once by the queue, and not by every try.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.trace import SpanKind as Kind

from scheduler.domain.traces import SpanKind, SpanRecord, TraceContext

_KINDS: Final[Mapping[SpanKind, Kind]] = {
    SpanKind.INTERNAL: Kind.INTERNAL,
    SpanKind.SERVER: Kind.SERVER,
    SpanKind.CLIENT: Kind.CLIENT,
}
_RECORDED: Final = TraceFlags(TraceFlags.SAMPLED)
_FINE: Final = Status(StatusCode.UNSET)


class _Heard(logging.Handler):
    """Keeps the last that the exporter said."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.last = record.getMessage()


class Collector:
    """Sends spans to a collector at ``endpoint`` (``http://HOST:PORT``, ``https://...``).

    ``headers`` go with every call; ``ca`` are the authorities trusted for its certificate, as PEM
    (None: the system's). A call is given up after ``timeout_s``.
    """

    def __init__(
        self,
        endpoint: str,
        headers: Sequence[tuple[str, str]],
        ca: bytes | None,
        timeout_s: float,
        resource: Mapping[str, str],
        version: str,
    ) -> None:
        secure = endpoint.startswith("https:")
        self._exporter = OTLPSpanExporter(
            endpoint,
            insecure=not secure,
            credentials=grpc.ssl_channel_credentials(ca) if secure else None,
            headers=tuple(headers) or None,
            timeout=timeout_s,
            compression=grpc.Compression.Gzip,
        )
        self._resource = Resource.create(dict(resource))
        self._scope = InstrumentationScope("corridor", version)
        self._heard = _Heard()
        said = logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter")
        said.propagate, said.handlers = False, [self._heard]

    def export(self, spans: Sequence[SpanRecord]) -> str:
        """Send spans; returns why they were not taken, empty if they were."""
        self._heard.last = ""
        result = self._exporter.export([self._readable(span) for span in spans])
        return "" if result is SpanExportResult.SUCCESS else self._heard.last or "not taken"

    def close(self) -> None:
        """Let go of the channel; a call under way is given up."""
        self._exporter.shutdown()

    def _readable(self, span: SpanRecord) -> ReadableSpan:
        parent = None
        if span.parent_id:
            parent = _context(span.context._replace(span_id=span.parent_id), remote=True)
        return ReadableSpan(
            span.name,
            context=_context(span.context),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            links=[Link(_context(link, remote=True)) for link in span.links],
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else _FINE,
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )


def _context(of: TraceContext, *, remote: bool = False) -> SpanContext:
    return SpanContext(int(of.trace_id, 16), int(of.span_id, 16), remote, _RECORDED)
