"""How good estimates of starts are: bands asked at submission, judged by what became of the jobs.

A job that does not start at once is asked about right after the plan of its submission; one that
does needs no estimate. Every such job is asked, or a seeded sample of them. A band covers a start
that is neither before its earliest nor after its latest instant; the error of the likely start is
the start less the likely start, so that a positive bias means that jobs start later than was said.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol

import numpy as np

from scheduler.placement.model import Delta, Explanation, JobQueued, Plan

#: The planner learns from its own estimates so often; the service lets it do so every minute.
SAMPLED_EVERY_MS = 2 * 3_600_000
_SHARE_BITS = 32


class AskedPlanner(Protocol):
    """A planner that also answers questions; ``PlanningCore`` is one."""

    def load(self, revision: int, deltas: Sequence[Delta]) -> None:
        """Take a snapshot."""
        ...

    def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        """Take in what happened and plan."""
        ...

    def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """Why a job waits, and when it may start."""
        ...

    def sample(self, now_ms: int, estimate: bool) -> object:
        """Learn from starts that were estimated before, and estimate others."""
        ...


class Band(NamedTuple):
    """What was said of a job at ``asked_ms``; None where nothing was said."""

    uid: int
    kind: str
    asked_ms: int
    earliest_ms: int | None
    likely_ms: int | None
    latest_ms: int | None


class EstimateJudge:
    """A planner for a replay that asks another one about each job that has to wait.

    ``share`` of the jobs is asked about, chosen by ``seed`` and uid alone. Answers change nothing
    of the plans.
    """

    def __init__(self, planner: AskedPlanner, share: float = 1.0, seed: int = 0) -> None:
        self._planner = planner
        self._below, self._seed = round(share * (1 << _SHARE_BITS)), seed
        self._new: list[JobQueued] = []
        self.bands: list[Band] = []
        self.start_ms: dict[int, int] = {}
        self.at_once = 0
        self._sampled_ms: int | None = None

    def load(self, revision: int, deltas: Sequence[Delta]) -> None:
        """Take a snapshot."""
        self._planner.load(revision, deltas)

    def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        """Plan; when all that can start has started, ask about the new jobs that did not."""
        self._new += [delta for delta in deltas if isinstance(delta, JobQueued)]
        plan = self._planner.cycle(before, deltas, after, now_ms)
        for start in plan.starts:
            self.start_ms.setdefault(start.uid, now_ms)
        if not plan.more and (
            self._sampled_ms is None or now_ms >= self._sampled_ms + SAMPLED_EVERY_MS
        ):
            self._planner.sample(now_ms, estimate=True)
            self._sampled_ms = now_ms
        if not plan.more and self._new:
            new, self._new = self._new, []
            for job in new:
                self._ask(job, now_ms)
        return plan

    def _ask(self, job: JobQueued, now_ms: int) -> None:
        if job.uid in self.start_ms:
            self.at_once += 1
            return
        if not self._is_chosen(job.uid):
            return
        found = self._planner.explain(job.uid, now_ms)
        if found is not None:
            reason = found.reason
            self.bands.append(
                Band(
                    job.uid, job.options[0].flavor, now_ms, reason.start_earliest_ms,
                    reason.start_likely_ms, reason.start_latest_ms,
                )
            )  # fmt: skip

    def _is_chosen(self, uid: int) -> bool:
        digest = blake2b(f"{self._seed} {uid}".encode(), digest_size=_SHARE_BITS // 8).digest()
        return int.from_bytes(digest) < self._below


@dataclass(frozen=True, slots=True)
class EstimateFigures:
    """Estimates of some jobs judged; times in seconds, shares of the jobs that were asked about.

    ``error_median_s`` is the median of how far the likely start was off, ``bias_median_s`` and
    ``bias_mean_s`` of how much later the start was. ``naive_error_median_s`` is the error of one
    who always says "now". ``silent`` jobs got no likely start.
    """

    jobs: int
    silent: int
    covered: float
    before_earliest: float
    after_latest: float
    without_latest: float
    error_median_s: float
    error_p90_s: float
    error_per_wait_median: float
    bias_median_s: float
    bias_mean_s: float
    wait_median_s: float
    naive_error_median_s: float
    band_median_s: float

    def to_json(self) -> dict[str, float]:
        """Plain data."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def judge(bands: Sequence[Band], start_ms: Mapping[int, int]) -> EstimateFigures | None:
    """Judge bands by the starts; None if no band is of a job that started."""
    told = [band for band in bands if band.uid in start_ms]
    said = [band for band in told if band.likely_ms is not None]
    if not said:
        return None

    def column(value: Callable[[Band], float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([value(band) for band in said], dtype=np.float64) / 1000.0

    start = column(lambda band: start_ms[band.uid])
    asked = column(lambda band: band.asked_ms)
    likely = column(lambda band: band.likely_ms or 0)
    earliest = column(lambda band: band.asked_ms if band.earliest_ms is None else band.earliest_ms)
    open_end = np.array([band.latest_ms is None for band in said])
    latest = column(lambda band: band.latest_ms or 0)
    wait, error = start - asked, start - likely
    early, late = start < earliest, ~open_end & (start > latest)
    widths = (latest - earliest)[~open_end]
    return EstimateFigures(
        jobs=len(said),
        silent=len(told) - len(said),
        covered=float(np.mean(~early & ~late)),
        before_earliest=float(np.mean(early)),
        after_latest=float(np.mean(late)),
        without_latest=float(np.mean(open_end)),
        error_median_s=float(np.median(np.abs(error))),
        error_p90_s=float(np.percentile(np.abs(error), 90)),
        error_per_wait_median=float(np.median(np.abs(error) / np.maximum(wait, 1.0))),
        bias_median_s=float(np.median(error)),
        bias_mean_s=float(np.mean(error)),
        wait_median_s=float(np.median(wait)),
        naive_error_median_s=float(np.median(np.abs(wait))),
        band_median_s=float(np.median(widths)) if len(widths) else 0.0,
    )


def judge_by_kind(bands: Sequence[Band], start_ms: Mapping[int, int]) -> dict[str, EstimateFigures]:
    """Judge the bands of each kind; kinds of which nobody was asked about are left out."""
    found: dict[str, EstimateFigures] = {}
    for kind in sorted({band.kind for band in bands}):
        figures = judge([band for band in bands if band.kind == kind], start_ms)
        if figures is not None:
            found[kind] = figures
    return found
