"""What became of the spans of traces; all 0 where tracing is off."""

from typing import Final

from scheduler.metrics_making import Maker

OUTCOMES: Final = ("exported", "failed", "dropped")


class TracingCounters:
    """Implements what ``span_queue.SpanQueue`` tells, also from its thread."""

    def __init__(self, make: Maker) -> None:
        self._spans = make.counter(
            "trace_spans_total",
            "Spans of traces that a collector took, did not take, or that found the queue full.",
            "outcome",
        )
        for outcome in OUTCOMES:
            self._spans.labels(outcome)

    def spans(self, outcome: str, count: int) -> None:
        """So many spans ended so."""
        self._spans.labels(outcome).inc(count)
