"""What an adapter knows of its runs: a cache of what the center said, never the truth."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from adapters.contract import (
    ACTIVE_PHASES,
    Accepted,
    FailureClass,
    Observation,
    Phase,
    RunRef,
    Usage,
)
from adapters.slurm.identity import marked_ms
from adapters.slurm.records import NativeJob
from adapters.slurm.states import Outcome, outcome

_RANK: Final = {Phase.WAITING: 1, Phase.RUNNING: 2}
_RANKS: Final = 4
#: A run is looked at so often while there are few, in seconds since the last look.
_WAITING_S: Final = 1.0
_YOUNG_S: Final = 2.0
_OLD_S: Final = 10.0
_YOUNG_FOR_S: Final = 120.0


@dataclass(slots=True)
class Entry:
    """One run. Instants ``_s`` are of the monotonic clock.

    ``run`` is the identity that the scheduler was given; ``verdict`` is why we ended a job that
    waited for ever; ``seen_s`` when the controller last said how it stands; ``checked_s``, of the
    center's clock, when accounting was last asked whether it has ended; ``risen`` that its job goes
    on at the controller although it has.
    """

    run: RunRef
    job_id: int
    observation: Observation
    since_s: float
    seen_s: float
    due_s: float = 0.0
    restarts: int = 0
    verdict: Outcome | None = None
    usage: tuple[Usage, ...] | None = None
    notified: bool = False
    checked_s: int = 0
    risen: bool = False

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.observation.phase not in ACTIVE_PHASES

    @property
    def accepted(self) -> Accepted:
        """The answer to its submission."""
        return Accepted(self.run.run_id, self.run.native_id, self.run.submit_ms)


@dataclass(slots=True)
class Table:
    """Runs by their id; the active ones are also in the order in which they are looked at."""

    runs: dict[str, Entry] = field(default_factory=dict)
    active: dict[str, Entry] = field(default_factory=dict)
    _queue: list[tuple[float, str]] = field(default_factory=list)

    def taken(self, run: RunRef, job_id: int, submit_ms: int, now_s: float) -> Entry:
        """Note an acceptance of which nothing else is known."""
        known = replace(run, native_id=str(job_id), submit_ms=submit_ms)
        waiting = Observation(
            run.run_id, str(job_id), Phase.WAITING, _RANK[Phase.WAITING], submit_ms
        )
        entry = Entry(known, job_id, waiting, now_s, now_s)
        self._put(entry, now_s)
        return entry

    def saw(self, run: RunRef, job: NativeJob, restarts: int, now_s: float) -> Entry:
        """Note what the center says of a run; an end that was noted stays as it is.

        ``restarts`` is used where the record does not tell how often the job began again.
        """
        entry = self.runs.get(run.run_id)
        if entry is not None and entry.job_id != job.job_id:
            entry = None
        if entry is None:
            same = run.native_id in ("", str(job.job_id))
            submit_ms = run.submit_ms if same else 0
            submit_ms = submit_ms or marked_ms(job.comment) or job.submit_s * 1000
            known = replace(run, native_id=str(job.job_id), submit_ms=submit_ms)
            seen = observation(known, job, outcome(job), job.restarts or restarts)
            entry = Entry(known, job.job_id, seen, now_s, now_s)
        elif not entry.final:
            entry.restarts = max(entry.restarts, restarts if job.restarts is None else job.restarts)
            result = outcome(job)
            if entry.verdict is not None and result.phase is Phase.CANCELLED:
                result = entry.verdict
            seen = observation(entry.run, job, result, entry.restarts)
            if seen.sequence > entry.observation.sequence:
                if seen.phase is not entry.observation.phase:
                    entry.since_s = now_s
                entry.observation = seen
        entry.seen_s = now_s
        self._put(entry, now_s)
        return entry

    def lost(self, entry: Entry, end_ms: int, message: str) -> None:
        """Note that the center lost a run that had begun."""
        seen = entry.observation
        entry.observation = replace(
            seen,
            phase=Phase.FAILED,
            sequence=seen.sequence // _RANKS * _RANKS + 3,
            end_ms=max(end_ms, seen.start_ms or 0, seen.submit_ms),
            failure=FailureClass.CENTER,
            message=message,
        )
        self.active.pop(entry.run.run_id, None)

    def forget(self, run_id: str) -> None:
        """Let go of a run."""
        self.runs.pop(run_id, None)
        self.active.pop(run_id, None)

    def hurry(self, run_id: str) -> None:
        """Have a run looked at before the others."""
        entry = self.active.get(run_id)
        if entry is not None:
            entry.due_s = 0.0
            heapq.heappush(self._queue, (0.0, run_id))

    def due(self, now_s: float, most: int) -> list[Entry]:
        """At most so many runs whose look is due, the longest waiting first."""
        found: list[Entry] = []
        while self._queue and len(found) < most and self._queue[0][0] <= now_s:
            due_s, run_id = heapq.heappop(self._queue)
            entry = self.active.get(run_id)
            if entry is None or entry.due_s != due_s:
                continue  # it was looked at since, or is over
            entry.due_s = -1.0
            found.append(entry)
        return found

    def again(self, entries: Sequence[Entry], now_s: float) -> None:
        """Have runs whose look failed looked at again."""
        for entry in entries:
            if entry.due_s == -1.0 and not entry.final:
                self._schedule(entry, now_s + _WAITING_S)

    def oldest_s(self) -> float | None:
        """When the run that was not looked at for longest was; None if there is none."""
        return min((entry.seen_s for entry in self.active.values()), default=None)

    def _put(self, entry: Entry, now_s: float) -> None:
        run_id = entry.run.run_id
        self.runs[run_id] = entry
        if entry.final:
            self.active.pop(run_id, None)
            return
        self.active[run_id] = entry
        waits = entry.observation.phase is Phase.WAITING
        young = now_s - entry.since_s < _YOUNG_FOR_S
        pause_s = _WAITING_S if waits else _YOUNG_S if young else _OLD_S
        self._schedule(entry, now_s + pause_s)

    def _schedule(self, entry: Entry, due_s: float) -> None:
        entry.due_s = due_s
        heapq.heappush(self._queue, (due_s, entry.run.run_id))


def observation(run: RunRef, job: NativeJob, result: Outcome, restarts: int) -> Observation:
    """A record in the contract's words; its sequence depends on the record alone.

    So two adapters, one after the other, number what they see alike.
    """
    begun = result.phase is not Phase.WAITING
    return Observation(
        run_id=run.run_id,
        native_id=run.native_id,
        phase=result.phase,
        sequence=restarts * _RANKS + _RANK.get(result.phase, 3),
        submit_ms=run.submit_ms,
        start_ms=_ms(job.start_s) if begun else None,
        end_ms=_ms(job.end_s) if result.phase not in ACTIVE_PHASES else None,
        failure=result.failure,
        exit_code=result.exit_code,
        message=result.message,
    )


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000
