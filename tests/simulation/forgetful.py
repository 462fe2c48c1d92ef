"""A simulated center whose acceptances are provisional: killed, it forgets the youngest of them.

As a controller that saves its state every few seconds. What waited and was taken since is gone,
without a record, and its ids are given out again. What has begun is never forgotten.
"""

from collections import Counter
from typing import Any, Final

from adapters.contract import Phase
from adapters.simulated import SimulatedCenter, journal

PROVISIONAL_S: Final = 6.0


class ForgetfulCenter(SimulatedCenter):
    """Forgets by ``forget``; ``forgotten`` counts how often it did each run."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.forgotten: Counter[str] = Counter()

    @property
    def provisional_s(self) -> float:
        """Seconds for which it may forget."""
        return PROVISIONAL_S

    def forget(self) -> list[str]:
        """Be killed and started again; returns the runs that were forgotten."""
        self._advance()
        cluster, since_ms = self._cluster, self._last_ms - int(PROVISIONAL_S * 1000)
        young = [
            run
            for run in cluster.active.values()
            if run.phase is Phase.WAITING and run.submit_ms > since_ms
        ]
        for run in young:
            del cluster.by_name[run.name], cluster.by_run_id[run.run_id]
            del cluster.active[run.serial]
            cluster.lanes[run.flavor].waiting.remove(run)
        cluster._serial = max((run.serial for run in cluster.by_name.values()), default=0)
        self.forgotten.update(run.name for run in young)
        return [run.run_id for run in young]


def begun_names(center: SimulatedCenter) -> Counter[str]:
    """How often each run really began at a center, by its journal: never more than once."""
    path = center.settings.journal
    assert path is not None
    events = journal.read_events(path)
    return Counter(str(event["name"]) for event in events if event["event"] == "start")
