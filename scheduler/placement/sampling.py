"""What the loop asks the planner now and then: who waits for what, and how good estimates were.

Reasons are told by kind of job, so an answer is as long as there are kinds, not jobs. Of a bounded
number of waiting jobs it is remembered when they were first expected to start; what became of them
is told once they have started.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from scheduler.domain.reasons import ReasonCode
from scheduler.placement.census import Kind, shape_of, subject_of
from scheduler.placement.explaining import Band, Explainer
from scheduler.placement.model import Start
from scheduler.placement.parking import class_of
from scheduler.placement.reasoning import Reasoning
from scheduler.placement.root import RootPlanner

#: Jobs whose first estimates are remembered, and parked jobs whose reasons are told one by one.
_JOBS_MAX: Final = 5_000
_PARKED_MAX: Final = 500
#: Jobs that are estimated at one look.
_NEW_MAX: Final = 20
#: Waiting jobs that a forecast for this purpose looks at.
_LOOKED_AT_MAX: Final = 600
#: Parked jobs of these reasons have them in their events.
_IN_EVENTS: Final = frozenset({ReasonCode.RETRY_BACKOFF, ReasonCode.NOT_BEFORE})


class Judged(NamedTuple):
    """A start that was estimated: how long it was expected to wait, and how long it waited."""

    city: str
    flavor: str
    expected_ms: int
    waited_ms: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """Reasons by subject (see ``subject_of``; ``j<uid>`` of a single job), and judged starts."""

    reasons: dict[str, str]
    judged: list[Judged]


class _Said(NamedTuple):
    at_ms: int
    band: Band


class Sampler:
    """Looks at a root planner between cycles; it changes nothing."""

    def __init__(self, root: RootPlanner, explainer: Explainer) -> None:
        self._root, self._explainer = root, explainer
        self._said: dict[int, _Said] = {}
        self._judged: list[Judged] = []
        self._subjects: dict[Kind, str] = {}

    def sample(self, now_ms: int, estimate: bool) -> Sampled:
        """Tell all reasons, and the starts judged since the last time.

        With ``estimate`` jobs that wait and were not estimated yet are.
        """
        if estimate:
            self._estimate(now_ms)
        judged, self._judged = self._judged, []
        return Sampled(self._reasons(now_ms), judged)

    def _reasons(self, now_ms: int) -> dict[str, str]:
        root = self._root
        reasoning = Reasoning(root, now_ms)
        found: dict[str, str] = {}
        subjects: dict[Kind, str] = {}

        def note(kind: Kind, code: ReasonCode) -> None:
            subject = subjects[kind] = self._subjects.get(kind) or subject_of(kind)
            found[subject] = code.value

        for kind, code, _ in root.census.reasons(reasoning, root.classes):
            note(kind, code)
        # What one job was refused for its class waits for, even if it has no other job.
        for parked in root.parking.jobs.values():
            job = parked.job
            if class_of(job) in root.parking.stalled:
                code = reasoning.of_parked(parked).code
                note(Kind(job.city, job.enterprise, shape_of(job.options)), code)
        self._subjects = subjects
        alone = (
            (uid, code)
            for uid, parked in root.parking.jobs.items()
            if (code := reasoning.of_parked(parked).code) not in _IN_EVENTS
            and class_of(parked.job) not in root.parking.stalled
        )
        for (uid, code), _ in zip(alone, range(_PARKED_MAX), strict=False):
            found[f"j{uid}"] = code.value
        return found

    def _estimate(self, now_ms: int) -> None:
        """Remember when some jobs are expected to start, the newest first."""
        new = [
            uid
            for found in self._explainer.foresight.forecasts(now_ms, _LOOKED_AT_MAX)
            for uid in found.asked
            if uid not in self._said
        ]
        for uid in sorted(new, reverse=True)[:_NEW_MAX]:
            band = self._explainer.band(uid, now_ms)
            if band is not None:
                self._said[uid] = _Said(now_ms, band)
        while len(self._said) > _JOBS_MAX:
            del self._said[next(iter(self._said))]

    def started(self, starts: Iterable[Start], now_ms: int) -> None:
        """Judge the estimates of jobs that start."""
        if not self._said:
            return
        for start in starts:
            said = self._said.pop(start.uid, None)
            if said is not None:
                self._judge(said, start, now_ms)

    def _judge(self, said: _Said, start: Start, now_ms: int) -> None:
        at_ms, band = said
        waited_ms, flavor = now_ms - at_ms, start.option.flavor
        latest_ms = None
        if band.latest_ms is not None and not band.promised:
            latest_ms = band.latest_ms - at_ms
        self._explainer.calibration.note(flavor, band.earliest_ms - at_ms, latest_ms, waited_ms)
        if len(self._judged) < _JOBS_MAX:
            expected_ms = band.likely_ms - at_ms
            self._judged.append(Judged(start.city, flavor, expected_ms, waited_ms))
