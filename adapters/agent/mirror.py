"""What a center's agent told, kept where asking for it costs nothing. Pure.

It is a cache of the agent's journal: empty when the scheduler's process begins, filled by the
first inventory, and never believed while no agent is there to correct it.
"""

from collections.abc import Iterable, Mapping, Sequence

from adapters.agent.words import Inventory, RunReport
from adapters.contract import ACTIVE_PHASES, Accepted, Observation, Phase, RunRef


class Mirror:
    """The runs of one center as its agent told them last."""

    def __init__(self) -> None:
        self._runs: dict[str, RunReport] = {}
        self.runs: Mapping[str, RunReport] = self._runs
        #: Those that run or wait at the center.
        self.active: dict[str, Observation] = {}
        self._telling: dict[str, RunReport] | None = None
        self._newer: set[str] = set()

    def begin(self, same_journal: bool) -> None:
        """A session begins: half an inventory is worth nothing, nor are sequences of another
        journal."""
        self._telling = None
        if not same_journal:
            self._runs.clear()
            self.active.clear()

    def page(self, page: Inventory) -> bool:
        """Take a page of an inventory; True once it is whole, and all that was not in it is gone.

        What arrived by itself since the inventory began is newer, and stays.
        """
        if page.first:
            self._telling, self._newer = {}, set()
        if self._telling is None:
            return False
        self._telling.update((one.ref.run_id, one) for one in page.runs)
        if not page.last:
            return False
        newer = {run_id: self._runs[run_id] for run_id in self._newer if run_id in self._runs}
        self._runs.clear()
        self.active.clear()
        self.take(self._telling.values())
        self.take(newer.values())
        self._telling = None
        return True

    def take(self, reports: Iterable[RunReport]) -> int:
        """Take what changed; late and repeated reports change nothing. Returns how many did."""
        taken = 0
        for report in reports:
            run_id = report.ref.run_id
            known = self._runs.get(run_id)
            if known is not None and report.sequence <= known.sequence:
                continue
            self._runs[run_id] = report
            if report.gone or report.observation.phase not in ACTIVE_PHASES:
                self.active.pop(run_id, None)
            else:
                self.active[run_id] = report.observation
            self._newer.add(run_id)
            taken += 1
        return taken

    def accepted(self, ref: RunRef, answer: Accepted) -> None:
        """Take the answer to a submission, until the agent reports what the center says."""
        known = self._runs.get(ref.run_id)
        if known is not None and not known.gone and known.ref.native_id == answer.native_id:
            return
        ref = RunRef(ref.run_id, ref.name, answer.native_id, answer.submit_ms)
        seen = Observation(ref.run_id, ref.native_id, Phase.WAITING, 0, ref.submit_ms)
        sequence = 0 if known is None else known.sequence
        self._runs[ref.run_id] = RunReport(sequence, ref, seen)
        self.active[ref.run_id] = seen
        self._newer.add(ref.run_id)

    def drop(self, run_ids: Iterable[str]) -> None:
        """Let go of runs that nobody asks for any more."""
        for run_id in run_ids:
            self._runs.pop(run_id, None)
            self.active.pop(run_id, None)

    def over(self) -> Sequence[str]:
        """Return the runs that are not active: those that may be done with."""
        return [run_id for run_id in self._runs if run_id not in self.active]
