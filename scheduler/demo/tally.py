"""Where all jobs stand, from the events that a watch brings: pure bookkeeping."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from corridor.v1 import job_pb2 as pb

_WAITING: Final = frozenset({pb.JOB_STATE_QUEUED, pb.JOB_STATE_HELD})
_ACTIVE: Final = frozenset({pb.JOB_STATE_ADMITTED, pb.JOB_STATE_RUNNING})


class Tally:
    """Counts of jobs by state, of runs not settled, and of what else happened.

    Raises ``ValueError`` for a feed that is not in order or leaves a final state.
    """

    def __init__(self) -> None:
        self.states: dict[str, pb.JobState.ValueType] = {}
        self.kinds: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._counts: Counter[pb.JobState.ValueType] = Counter()
        self._unsettled: Counter[str] = Counter()
        self._sequence = 0

    def take(self, events: Iterable[pb.JobEvent]) -> None:
        """Take events in the order of the feed."""
        for event in events:
            if event.sequence <= self._sequence:
                raise ValueError(f"event {event.sequence} came after {self._sequence}")
            self._sequence = event.sequence
            if event.job_id:
                self._take(event)

    def _take(self, event: pb.JobEvent) -> None:
        job, state, kind = event.job_id, event.state, event.kind
        before = self.states.get(job)
        if before != state:
            if before is not None:
                if before not in _WAITING and before not in _ACTIVE:
                    raise ValueError(f"{job} left its final state for {pb.JobState.Name(state)}")
                self._counts[before] -= 1
            self._counts[state] += 1
            self.states[job] = state
        self.kinds[kind] += 1
        if kind == "ADMITTED":
            self._unsettled[job] += 1
        elif kind == "SETTLED":
            self._unsettled[job] -= 1
            if not self._unsettled[job]:
                del self._unsettled[job]
        elif kind == "RUN_ENDED" and event.detail.get("failure"):
            self.failures[event.detail["failure"]] += 1

    @property
    def waiting(self) -> int:
        """Jobs queued or held."""
        return sum(self._counts[state] for state in _WAITING)

    @property
    def active(self) -> int:
        """Jobs on their way to a center or running there."""
        return sum(self._counts[state] for state in _ACTIVE)

    @property
    def ended(self) -> int:
        """Jobs in a final state."""
        return len(self.states) - self.waiting - self.active

    @property
    def unsettled(self) -> int:
        """Jobs with a run whose hold is open."""
        return len(self._unsettled)

    def count(self, state: pb.JobState.ValueType) -> int:
        """Jobs in a state."""
        return self._counts[state]

    def unfinished(self) -> list[str]:
        """Jobs that have not ended or are not settled."""
        going = {job for job, state in self.states.items() if state in _WAITING | _ACTIVE}
        return sorted(going | set(self._unsettled))
