"""Finds runs by their name when their native id is not known or not to be trusted.

Only accounting can be asked for a name: the controller has no such call, and its whole list takes
22 s and 8 GB on a big site. Accounting learns of a job up to 5 s after the controller (a thread of
its own sends new jobs every 5 s), later while its database is away. What both mean for "there is no
such job" is all in here.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.contract import RunRef
from adapters.errors import AdapterError, Unavailable
from adapters.slurm.client import SlurmClient
from adapters.slurm.clock import CenterClock
from adapters.slurm.identity import Identity, Stretches, by_native, named, preferred
from adapters.slurm.records import Diagnosis

#: Longer than accounting lags behind a controller that is not busy, while both are well.
LAG_S: Final = 8.0
#: New jobs are told to accounting in the order of their submission, so many each 5 s.
_TOLD_AT_ONCE: Final = 1_000
_TOLD_EACH_S: Final = 5.0
_LAG_MOST_S: Final = 600.0
#: So many messages wait at a busy controller that is well.
_QUEUE_MAX: Final = 100
#: No message waits at the controller for so long while accounting answers.
QUEUED_S: Final = 600.0
_CONTROLLER, _ACCOUNTING = "controller", "accounting"
#: A controller that takes so long for its own figures stood still meanwhile.
_SLOW_S: Final = 3.0
_NAMES_MAX: Final = 100
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Found:
    """What accounting has under a run's name: native jobs, the one that is the run first."""

    run: RunRef
    jobs: tuple[Stretches, ...]


class Lookup:
    """Asks accounting, and remembers since when it has been well. ``now_s`` is monotonic."""

    def __init__(
        self,
        client: SlurmClient,
        clock: CenterClock,
        identity: Identity,
        accounting_days: int,
        now_s: Callable[[], float],
    ) -> None:
        self._client, self._clock, self._identity = client, clock, identity
        self._days, self._now_s = accounting_days, now_s
        self._trouble_s = -LAG_S
        self._ill: set[str] = set()
        self._drained_s = -LAG_S
        self._opened_s = now_s()
        self._called_s: dict[str, float] = {}
        self._absent: dict[str, float] = {}
        self._nowhere: set[str] = set()
        self._counts: deque[tuple[float, Diagnosis]] = deque()

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Found]:
        """What accounting has of runs, by run id; raises ``Unavailable`` if it does not answer."""
        found: dict[str, Found] = {}
        for start in range(0, len(runs), _NAMES_MAX):
            chunk = runs[start : start + _NAMES_MAX]
            try:
                records = await self._client.history(
                    {
                        "job_name": ",".join(run.name for run in chunk),
                        "start_time": f"uts{self._clock.now_s() - self._days * _DAY_S}",
                        "end_time": f"uts{self._clock.now_s() + _DAY_S}",
                    }
                )
            except Unavailable:
                self.trouble()
                raise
            self.heard()
            by_name = named(records, self._identity)
            for run in chunk:
                jobs = preferred(run, by_native(by_name.get(run.name, ())))
                if jobs:
                    found[run.run_id] = Found(run, tuple(jobs))
        return found

    async def absent(self, runs: Sequence[RunRef]) -> None:
        """Note that neither the controller nor accounting has these runs.

        Raises ``Unavailable`` if that cannot be known: the controller must answer, and accounting
        must have been told everything. What was so once stays so until it is sent again: trouble
        that comes later takes nothing back that was told.
        """
        said = await self.diagnosis()
        if all(run.run_id in self._nowhere for run in runs):
            return
        if said.accounting_queue > _QUEUE_MAX:
            self._doubt()
            raise Unavailable(
                f"accounting lags behind: {said.accounting_queue} messages wait at the controller"
            )
        now_s = self._now_s()
        well_s = now_s - self._trouble_s
        waits = False
        if well_s < LAG_S:
            raise Unavailable(
                f"accounting is back since {well_s:.1f} s only: it may not know of all jobs yet"
            )
        for run in runs:
            # What was sent before both were well would have been told by now.
            sent_s = self._called_s.get(run.run_id, self._opened_s)
            since_s = self._absent.setdefault(run.run_id, max(self._trouble_s, sent_s))
            told_s = since_s + self.lag_s
            if now_s >= told_s and (self._drained_s >= told_s or now_s >= since_s + QUEUED_S):
                self._nowhere.add(run.run_id)
            waits |= now_s >= told_s and run.run_id not in self._nowhere
        if waits:
            raise Unavailable(
                f"{said.accounting_queue} messages wait at the controller: accounting may be told"
                " of more jobs by them"
            )

    async def diagnosis(self) -> Diagnosis:
        """How the controller is. One that was away, or stood still, told accounting nothing."""
        began_s = self._now_s()
        try:
            said = await self._client.diagnosis()
        except AdapterError:
            self._trouble(_CONTROLLER)
            raise
        now_s = self._now_s()
        self._clock.heard(said.at_s)
        self._well(_CONTROLLER)
        if not said.accounting_queue:
            self._drained_s = now_s
        if now_s - began_s > _SLOW_S:
            self._doubt()
        self._counts.append((now_s, said))
        while len(self._counts) > 2 and self._counts[1][0] <= now_s - _LAG_MOST_S:
            self._counts.popleft()
        return said

    @property
    def lag_s(self) -> float:
        """How long accounting may lag behind now: a burst of submissions makes it late.

        Of the time before our first look it is only known that what waits may be untold.
        """
        if not self._counts:
            return LAG_S
        since_s, first = self._counts[0]
        now_s, last = self._counts[-1]
        submitted = last.submitted
        if first.since_s == last.since_s:
            submitted -= first.submitted
        if now_s - since_s < _LAG_MOST_S:
            submitted += first.pending
        lag_s = LAG_S + submitted / _TOLD_AT_ONCE * _TOLD_EACH_S
        return min(lag_s, _LAG_MOST_S)

    def absent_for_s(self, run_id: str) -> float:
        """For how long a run has been absent at every look; 0.0 if it was not looked for."""
        since_s = self._absent.get(run_id)
        return 0.0 if since_s is None else self._now_s() - since_s

    def present(self, run_id: str) -> None:
        """It is there, or may be there from now on."""
        self._absent.pop(run_id, None)
        self._nowhere.discard(run_id)

    def sent(self, run_id: str) -> None:
        """A call for it is made now: it may be there from now on."""
        self.present(run_id)
        now_s = self._now_s()
        self._called_s.pop(run_id, None)
        self._called_s[run_id] = now_s
        while now_s - self._called_s[oldest := next(iter(self._called_s))] > _LAG_MOST_S:
            del self._called_s[oldest]

    @property
    def well_for_s(self) -> float:
        """For how long both are known to have been well; it begins with our first look."""
        return self._now_s() - max(self._trouble_s, self._opened_s)

    @property
    def queued(self) -> bool:
        """Whether messages for accounting wait at the controller, as far as it said."""
        return bool(self._counts) and self._counts[-1][1].accounting_queue > 0

    @property
    def trouble_s(self) -> float:
        """When one of both was last in trouble."""
        return self._trouble_s

    def trouble(self) -> None:
        """Accounting did not answer."""
        self._trouble(_ACCOUNTING)

    def heard(self) -> None:
        """Accounting answered."""
        self._well(_ACCOUNTING)

    def _trouble(self, of: str) -> None:
        self._ill.add(of)
        self._doubt()

    def _well(self, of: str) -> None:
        """One of both answers again: since when it can is not known, so since now."""
        if of in self._ill:
            self._ill.discard(of)
            self._doubt()

    def _doubt(self) -> None:
        """What was absent before now may only have been late."""
        self._trouble_s = self._now_s()
        self._absent = {run_id: self._absent[run_id] for run_id in self._nowhere}
