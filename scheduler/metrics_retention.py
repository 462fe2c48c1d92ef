"""What is old, and whether it is let go of. Only who leads looks."""

import time
from collections.abc import Mapping
from typing import Final

from scheduler.metrics_making import Maker

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class RetentionFigures:
    """See ``control.metrics_port``; ``clear`` ends what only a leader knows."""

    def __init__(self, make: Maker) -> None:
        self._rows = make.counter(
            "retention_rows_total", "Rows that were old and let go of, or emptied.", "table"
        )
        self._seconds = make.histogram(
            "retention_seconds", "Time of one step of letting go.", _BUCKETS, "kind"
        )
        self._done = make.gauge(
            "retention_done_timestamp_seconds",
            "When nothing too old was left last; since when this leader leads until it has looked.",
            "kind",
        )
        self._backlog = make.gauge(
            "retention_backlog_seconds", "How much too old the oldest is that is kept.", "kind"
        )

    def begins(self, kind: str) -> None:
        """A leader begins to look."""
        self._done.labels(kind).set(time.time())

    def looked(self, kind: str, beyond_ms: int) -> None:
        """Something is so much too old; 0: nothing is."""
        self._backlog.labels(kind).set(beyond_ms / 1000)
        if not beyond_ms:
            self._done.labels(kind).set(time.time())

    def let_go(self, kind: str, rows: Mapping[str, int], seconds: float) -> None:
        """One step took so long."""
        self._seconds.labels(kind).observe(seconds)
        for table, count in rows.items():
            self._rows.labels(table).inc(count)

    def clear(self) -> None:
        """Another leads."""
        self._done.clear()
        self._backlog.clear()
