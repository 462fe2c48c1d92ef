"""Opens tracing from the settings: where spans go, and which traces are recorded.

Nothing of OpenTelemetry is imported where no collector is set.
"""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from scheduler import __version__
from scheduler.config import BadConfig
from scheduler.control.tracing import TraceDesk
from scheduler.domain.traces import Chooser
from scheduler.openers import is_loopback
from scheduler.rpc.call_trace import CallTraces
from scheduler.settings import Settings, TracingSettings
from scheduler.span_queue import SpanQueue

#: A service that stops waits so long for spans to go out, twice at most.
_PATIENCE_S: Final = 2.0
_HEADER: Final = re.compile(r"([0-9a-z_.-]+)\s*:\s*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")
_NOT_INSTALLED: Final = (
    "tracing.endpoint is set, and what sends traces is not installed: run"
    " pip install 'corridor[otel]', or leave tracing.endpoint empty ({error})"
)


@dataclass(frozen=True, slots=True)
class Tracing:
    """Tracing that is on: for calls, and for the control loop; ``close`` may take some seconds."""

    calls: CallTraces
    desk: TraceDesk
    close: Callable[[], None]


def open_tracing(
    settings: Settings, replica: str, on_outcome: Callable[[str, int], None]
) -> Tracing | None:
    """Return what tells of spans, None if no collector is set; ``replica`` is this one's name.

    ``on_outcome`` counts what became of spans (``SpanQueue``). Raises ``BadConfig``.
    """
    given = settings.tracing
    if not given.endpoint:
        return None
    headers, ca = _headers(given), _ca(given)
    _check(given, bool(headers))
    try:
        from scheduler.otel import Collector
    except ImportError as error:
        raise BadConfig(_NOT_INSTALLED.format(error=error)) from error
    resource = {"service.name": given.service_name, "service.instance.id": replica}
    collector = Collector(
        given.endpoint, headers, ca, given.timeout_s,
        {**resource, "service.version": __version__}, __version__,
    )  # fmt: skip
    queue = SpanQueue(collector.export, on_outcome, given.queue_max)
    chooser = Chooser(given.ratio, given.callers_per_s, secrets.token_bytes, time.monotonic)

    def close() -> None:
        queue.flush(_PATIENCE_S)
        collector.close()
        queue.close(_PATIENCE_S)

    return Tracing(CallTraces(queue, chooser), TraceDesk(queue, chooser.fresh), close)


def _check(given: TracingSettings, has_headers: bool) -> None:
    parts = urlsplit(given.endpoint)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        raise BadConfig(
            "tracing.endpoint must be http://HOST:PORT or https://HOST:PORT of a collector that"
            " takes OTLP over gRPC, such as http://127.0.0.1:4317"
        )
    if parts.username or parts.password or parts.path.strip("/") or parts.query:
        raise BadConfig(
            "tracing.endpoint has more than a host and a port; what a collector asks of its callers"
            " goes into tracing.headers_file"
        )
    if has_headers and parts.scheme == "http" and not is_loopback(f"{parts.hostname}:0"):
        raise BadConfig(
            f"tracing.endpoint: {parts.hostname} is another machine, and what is in"
            " tracing.headers_file would travel in plain text: give an https:// address"
        )


def _headers(given: TracingSettings) -> list[tuple[str, str]]:
    if not given.headers_file:
        return []
    found = []
    text = _read("tracing.headers_file", given.headers_file).decode(errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = _HEADER.fullmatch(line.strip())
        if parts is None or parts[1].endswith("-bin") or parts[1].startswith("grpc-"):
            # Not the line itself: it may hold a secret.
            raise BadConfig(
                f"tracing.headers_file: line {number} of {given.headers_file} is not `name: value`"
                " with a name of lower-case letters"
            )
        found.append((parts[1], parts[2]))
    return found


def _ca(given: TracingSettings) -> bytes | None:
    return _read("tracing.ca_file", given.ca_file) if given.ca_file else None


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadConfig(f"{name}: cannot read {path}: {error.strerror}") from error
