"""Faults put into a workload: failures by class, cancellations, an outage, a capacity cut.

All is drawn from the seed and the job's number, so a job's fate depends neither on the policy nor
on the other jobs, and two policies are compared on the same fates. Published logs of AI clusters
show 12-43 % of jobs failing; a replay without failures is too kind.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from scheduler.placement.model import JobQueued, Option
from scheduler.replay.lives import CANCELLED, Attempt, Cut, Life, Outage
from scheduler.replay.trace import TraceJob

HOUR_MS: Final = 3_600_000
#: Fails at its limit; all other classes end a run early.
TIME_LIMIT: Final = "TIME_LIMIT"
#: How early runs end that fail by what they are: programs soon, machines at any time.
_SOON: Final = frozenset({"USER_CODE", "OUT_OF_MEMORY", "IMAGE", "INPUT"})


class Failing(NamedTuple):
    """Of the jobs of a kind this part fails (in 1/10,000), by class in proportion to weights."""

    rate_bp: int
    classes: Mapping[str, int]


class OutageAt(NamedTuple):
    """An outage of some kinds (empty: all), at a part of the workload's span, in 1/10,000."""

    at_bp: int
    span_ms: int
    kinds: frozenset[str] = frozenset()
    hang: bool = False


class CutAt(NamedTuple):
    """A cut of some kinds (empty: all) to a part of their capacity, both in 1/10,000."""

    at_bp: int
    span_ms: int
    to_bp: int
    kinds: frozenset[str] = frozenset()


_AI_CLASSES: Final = {
    "USER_CODE": 55, "OUT_OF_MEMORY": 15, TIME_LIMIT: 10, "INPUT": 5, "NODE": 12, "CENTER": 3,
}  # fmt: skip
_HPC_CLASSES: Final = {"USER_CODE": 50, TIME_LIMIT: 30, "NODE": 15, "CENTER": 5}


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong. ``failures`` by kind, ``*`` for kinds that are not named.

    Of all jobs ``waiting_bp`` are given up if they still wait after at most ``patience_ms``, and
    ``running_bp`` are cancelled while they run. A job has ``attempts_max`` attempts; what is tried
    again are the classes of the service's default policy.
    """

    seed: int = 1
    failures: Mapping[str, Failing] = field(
        default_factory=lambda: {
            "cpu": Failing(600, _HPC_CLASSES),
            "*": Failing(2_800, _AI_CLASSES),
        }
    )
    attempts_max: int = 3
    waiting_bp: int = 500
    patience_ms: int = 2 * HOUR_MS
    running_bp: int = 400
    outages: tuple[OutageAt, ...] = (OutageAt(4_000, 6 * HOUR_MS),)
    cuts: tuple[CutAt, ...] = (CutAt(6_500, 48 * HOUR_MS, 7_500),)


DEFAULT: Final = Faults()
NONE: Final = Faults(failures={}, waiting_bp=0, running_bp=0, outages=(), cuts=())


def lives_of(jobs: Sequence[TraceJob], faults: Faults = NONE) -> tuple[Life, ...]:
    """Return the lives of a workload's jobs, by place."""
    options: dict[tuple[str, int, int, int], tuple[Option, ...]] = {}
    found = []
    for place, job in enumerate(jobs):
        shape = (job.kind, job.units, job.nodes, job.wall_ms)
        known = options.setdefault(shape, (Option(*shape),))
        queued = JobQueued(place, job.city, job.enterprise, 0, job.submit_ms, known, user=job.user)
        found.append(_life(job, queued, faults))
    return tuple(found)


def _life(job: TraceJob, queued: JobQueued, faults: Faults) -> Life:
    failing = faults.failures.get(job.kind, faults.failures.get("*"))
    draw = random.Random(f"{faults.seed}:{job.job_id}")
    # Drawn in one order whatever the rates are: another rate gives the others the same fates.
    gives_up, stops = draw.randrange(10_000), draw.randrange(10_000)
    patience_ms, part_bp = draw.randrange(1, faults.patience_ms + 1), draw.randrange(1, 10_000)
    attempts = _attempts(job, failing, faults.attempts_max, draw)
    if stops < faults.running_bp:
        attempts = (Attempt(max(1, job.run_ms * part_bp // 10_000), CANCELLED),)
    return Life(
        queued,
        job.submit_ms,
        attempts,
        faults.attempts_max,
        deadline_ms=job.submit_ms + patience_ms if gives_up < faults.waiting_bp else None,
    )


def _attempts(
    job: TraceJob, failing: Failing | None, most: int, draw: random.Random
) -> tuple[Attempt, ...]:
    """A failed attempt may be followed by another; one that does not fail is the last."""
    found: list[Attempt] = []
    while failing is not None and len(found) < most and draw.randrange(10_000) < failing.rate_bp:
        names = sorted(failing.classes)
        (failure,) = draw.choices(names, [failing.classes[name] for name in names])
        found.append(Attempt(_failed_after_ms(job, failure, draw), failure))
    if len(found) < most:
        found.append(Attempt(min(job.run_ms, job.wall_ms)))
    return tuple(found)


def _failed_after_ms(job: TraceJob, failure: str, draw: random.Random) -> int:
    if failure == TIME_LIMIT:
        return job.wall_ms
    part_bp = draw.randrange(10_000)
    if failure in _SOON:
        part_bp = part_bp * part_bp // 10_000
    return max(1, min(job.run_ms, job.wall_ms) * part_bp // 10_000)


def outside_of(
    faults: Faults, capacities: Mapping[str, int], from_ms: int, to_ms: int
) -> tuple[Outage | Cut, ...]:
    """Return the outages and cuts in a workload that spans [from, to]."""
    span_ms = to_ms - from_ms
    found: list[Outage | Cut] = []
    for outage in faults.outages:
        at_ms = from_ms + span_ms * outage.at_bp // 10_000
        kinds = frozenset(capacities) & (outage.kinds or frozenset(capacities))
        if kinds:
            found.append(Outage(kinds, at_ms, at_ms + outage.span_ms, outage.hang))
    for cut in faults.cuts:
        at_ms = from_ms + span_ms * cut.at_bp // 10_000
        for kind in sorted(frozenset(capacities) & (cut.kinds or frozenset(capacities))):
            units = capacities[kind] * cut.to_bp // 10_000
            found.append(Cut(kind, at_ms, at_ms + cut.span_ms, units))
    return tuple(found)
