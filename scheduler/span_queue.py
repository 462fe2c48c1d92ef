"""Spans on their way to a collector: a bounded queue, and a thread that empties it.

Whoever emits a span never waits: what finds the queue full is dropped and counted, and so is what
the collector did not take. Nothing here knows how spans travel.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from scheduler.domain.traces import SpanRecord

log = structlog.get_logger()

QUEUE_MAX: Final = 8_192
_BATCH: Final = 512
_EVERY_S: Final = 0.5
#: While the collector is away, that is said so often.
_TELL_S: Final = 60.0

#: Sends spans, in the queue's thread; returns why they were not taken, empty if they were.
Export = Callable[[Sequence[SpanRecord]], str]


class SpanQueue:
    """Implements ``domain.traces.Spans``; ``on_outcome`` counts spans ``exported``, ``failed`` and
    ``dropped``. Close it."""

    def __init__(
        self,
        export: Export,
        on_outcome: Callable[[str, int], None],
        most: int = QUEUE_MAX,
    ) -> None:
        self._export, self._on_outcome, self._most = export, on_outcome, most
        self._waiting: deque[SpanRecord] = deque()
        self._change = threading.Condition()
        self._hurried = self._closed = False
        self._told_s: float | None = None
        self.emitted = self.gone = 0
        self._thread = threading.Thread(target=self._run, name="corridor-spans", daemon=True)
        self._thread.start()

    def emit(self, span: SpanRecord) -> None:
        """Take a span on its way, or drop it if too many wait."""
        with self._change:
            self.emitted += 1
            full = self._closed or len(self._waiting) >= self._most
            if full:
                self.gone += 1
            else:
                self._waiting.append(span)
                if len(self._waiting) == _BATCH:
                    self._change.notify_all()
        if full:
            self._on_outcome("dropped", 1)

    def flush(self, patience_s: float) -> None:
        """Wait, for so many seconds at most, until what was emitted has gone."""
        with self._change:
            upto = self.emitted
            self._hurried = True
            self._change.notify_all()
            self._change.wait_for(lambda: self.gone >= upto, patience_s)

    def close(self, patience_s: float) -> None:
        """Let what waits go out within so many seconds; the rest is dropped."""
        self.flush(patience_s)
        with self._change:
            self._closed = True
            left = len(self._waiting)
            self._waiting.clear()
            self.gone += left
            self._change.notify_all()
        if left:
            self._on_outcome("dropped", left)
        self._thread.join(patience_s)

    def _run(self) -> None:
        while True:
            with self._change:
                if not self._hurried and len(self._waiting) < _BATCH and not self._closed:
                    self._change.wait(_EVERY_S)
                if self._closed:
                    return
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                if not batch:
                    self._hurried = False
                    continue
            self._send(batch)
            with self._change:
                self.gone += len(batch)
                self._change.notify_all()

    def _send(self, batch: Sequence[SpanRecord]) -> None:
        try:
            problem = self._export(batch)
        except Exception as error:  # a collector's trouble is never ours
            problem = f"{type(error).__name__}: {error}"
        self._on_outcome("failed" if problem else "exported", len(batch))
        now_s = time.monotonic()
        if not problem:
            if self._told_s is not None:
                log.info("spans_taken_again")
            self._told_s = None
        elif self._told_s is None or now_s - self._told_s >= _TELL_S:
            log.warning("spans_not_taken", spans=len(batch), error=problem)
            self._told_s = now_s
