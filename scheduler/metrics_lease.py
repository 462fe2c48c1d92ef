"""Who leads, as each replica shows it."""

import time
from collections.abc import Callable

from scheduler.metrics_making import Maker


class LeaseGauges:
    """Implements ``control.leadership.LeadershipMetrics``; ``leader`` is told whether this process
    leads, and under which epoch."""

    def __init__(self, make: Maker, leader: Callable[[bool, int], None]) -> None:
        self.leader = leader
        self._age_s, self._at_s = 0.0, time.monotonic()
        self._taken = make.counter("leader_takeovers_total", "Times this process took the lead.")
        age = make.gauge(
            "leader_lease_age_seconds", "How long ago the lease was renewed, as seen from here."
        )
        age.set_function(self._age)

    def lease(self, age_s: float) -> None:
        """How long ago the lease was renewed, just now."""
        self._age_s, self._at_s = age_s, time.monotonic()

    def took_over(self) -> None:
        """This process became the leader."""
        self._taken.inc()

    def _age(self) -> float:
        return self._age_s + time.monotonic() - self._at_s
