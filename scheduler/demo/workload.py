"""From the corridor trace to what enterprises ask for: typed jobs and sample enterprises.

Pure: the same trace, flavors, prices and seed give the same workload. Every draw derives from the
seed and the job's number in the trace, so a shorter workload is a part of a longer one.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from corridor.v1 import job_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from adapters.contract import FailureClass
from adapters.simulated.fate import OUTCOME_LABEL, RUNTIME_LABEL, SUCCEEDED
from quota.amounts import gross_fen
from scheduler.domain.spec import FlavorLimits
from scheduler.replay.trace import TraceJob

#: Label of each job: its number in the trace, by which its acknowledgement is checked.
TRACE_LABEL: Final = "trace-job"
FLAVOR_OF: Final = {
    "cpu": "wuhan-sc/kunpeng-920",
    "npu": "wuhan-ai/ascend-910b",
    "gpu": "wuhan-sc/accelerator",
}
_IMAGE_OF: Final = {
    "cpu": "registry.example/sample/mpi-aarch64:1",
    "npu": "registry.example/sample/train-aarch64:1",
    "gpu": "registry.example/sample/train-aarch64:1",
}
#: Injected failures in so many of 10,000 jobs; ``@1`` fails the first attempt only.
FAILURES_PER_10K: Final = {
    "USER_CODE": 120,
    "OUT_OF_MEMORY": 40,
    "TIME_LIMIT": 30,
    "IMAGE": 15,
    "INPUT": 15,
    "REJECTED_BY_CENTER": 10,
    "NODE@1": 90,
    "CENTER@1": 40,
    "PREEMPTED@1": 30,
    "LOST@1": 20,
}
_CANCELLED_PER_10K: Final = 150
_DEADLINE_PER_10K: Final = 100
_NO_SUBSIDY_PER_10K: Final = 500
_SUBSIDY_REQUIRED_PER_10K: Final = 300
#: Of 100 jobs of a kind so many name a second way to run.
_ALTERNATIVE_PERCENT: Final = {"cpu": 10, "npu": 8, "gpu": 20}

_S: Final = 1000
_H: Final = 3_600 * _S
#: What may run longer is not made to fail or to run to its limit: it would run for days again.
_FAILING_RUN_MS_MAX: Final = 12 * _H
_DEADLINE_MS: Final = 4 * _H
_CREDIT_STEP_FEN: Final = 100_000  # 1,000 yuan
_TIGHT_ONE_IN: Final = 8


@dataclass(frozen=True, slots=True)
class DemoJob:
    """One job of the workload; times in milliseconds from the start of the trace.

    ``run_ms`` is how long it will run at the center, which only the center knows. ``outcome`` is
    what the center will make of it. ``deadline_after_ms`` counts from its submission and
    ``cancel_after_ms`` from its acknowledgement.
    """

    number: int
    submit_ms: int
    enterprise: str
    city: str
    spec: pb.JobSpec
    run_ms: int
    outcome: str
    deadline_after_ms: int | None
    cancel_after_ms: int | None


@dataclass(frozen=True, slots=True)
class DemoEnterprise:
    """A sample enterprise with the credit that an operator grants it."""

    code: str
    city: str
    size_class: str
    sector: str
    startup: bool
    credit_limit_fen: int


@dataclass(frozen=True, slots=True)
class Workload:
    """Jobs by submission, the enterprises that submit them, and what was made up or changed."""

    jobs: tuple[DemoJob, ...]
    enterprises: tuple[DemoEnterprise, ...]
    notes: Mapping[str, int]

    @property
    def last_submit_ms(self) -> int:
        """When the last job comes."""
        return self.jobs[-1].submit_ms


def build(
    trace: Sequence[TraceJob],
    flavors: Mapping[str, FlavorLimits],
    prices_ufen: Mapping[str, int],
    *,
    seed: int,
) -> Workload:
    """Turn jobs of a trace, ordered by submission, into a workload.

    ``flavors`` and ``prices_ufen`` (micro-fen per unit-second) are the catalog by flavor code.
    Raises ``ValueError`` for an empty trace and for a kind or a size that no flavor has.
    """
    if not trace:
        raise ValueError("the workload has no jobs")
    made = [_job(one, flavors, seed) for one in trace]
    jobs = tuple(job for job, _ in made)
    notes: Counter[str] = Counter()
    for job, cut in made:
        notes["cut"] += cut
        notes["alternatives"] += len(job.spec.options) > 1
        notes["failures"] += job.outcome != SUCCEEDED
        notes["cancellations"] += job.cancel_after_ms is not None
        notes["deadlines"] += job.deadline_after_ms is not None
    return Workload(jobs, enterprises_of(jobs, prices_ufen), notes)


def _job(one: TraceJob, flavors: Mapping[str, FlavorLimits], seed: int) -> tuple[DemoJob, bool]:
    """The job, and whether its limit had to be cut to what its flavor allows."""
    rng = random.Random(f"{seed}/{one.job_id}")
    options = _options(one, flavors, rng)
    most_ms = min(flavors[option.flavor].wall_limit_max_s for option in options) * _S
    wall_ms = min(max(_S, one.wall_ms // _S * _S), most_ms)
    run_ms, outcome = _fate(min(one.run_ms, wall_ms), wall_ms, rng)
    spec = pb.JobSpec(
        display_name=f"trace-{one.job_id}",
        options=options,
        wall_limit=Duration(seconds=wall_ms // _S),
        image=_IMAGE_OF[one.kind],
        command=["run-sample", f"--{one.kind}", str(one.job_id)],
        architecture=pb.ARCHITECTURE_AARCH64,
        subsidy=_subsidy(rng),
        labels={
            TRACE_LABEL: str(one.job_id),
            RUNTIME_LABEL: f"{run_ms / _S:.3f}",
        },
    )
    if outcome != SUCCEEDED:
        spec.labels[OUTCOME_LABEL] = outcome
    has_deadline = rng.random() * 10_000 < _DEADLINE_PER_10K
    cancel_after_ms = None
    if rng.random() * 10_000 < _CANCELLED_PER_10K:
        cancel_after_ms = 60 * _S + int(rng.random() * min(run_ms, 6 * _H))
    job = DemoJob(
        one.job_id, one.submit_ms, one.enterprise.lower(), one.city, spec, run_ms, outcome,
        _DEADLINE_MS if has_deadline else None, cancel_after_ms,
    )  # fmt: skip
    return job, one.wall_ms > most_ms


def _options(
    one: TraceJob, flavors: Mapping[str, FlavorLimits], rng: random.Random
) -> list[pb.ResourceOption]:
    """The way of the trace, and for some jobs a second one."""
    flavor = FLAVOR_OF.get(one.kind)
    if flavor is None or flavor not in flavors:
        raise ValueError(f"job {one.job_id}: no flavor is known for kind {one.kind!r}")
    nodes = _nodes(one, flavors[flavor])
    per_node = one.units // nodes
    options = [pb.ResourceOption(flavor=flavor, units_per_node=per_node, nodes=nodes)]
    if rng.random() * 100 >= _ALTERNATIVE_PERCENT[one.kind]:
        return options
    if one.kind == "cpu":
        if per_node % 2 == 0:  # half as many cores on twice as many nodes
            other = pb.ResourceOption(flavor=flavor, units_per_node=per_node // 2, nodes=nodes * 2)
            options.append(other)
        return options
    other_flavor = FLAVOR_OF["gpu" if one.kind == "npu" else "npu"]
    limits = flavors.get(other_flavor)
    if limits is not None and one.units <= limits.units_per_node and nodes == 1:
        options.append(pb.ResourceOption(flavor=other_flavor, units_per_node=per_node, nodes=1))
    return options


def _nodes(one: TraceJob, limits: FlavorLimits) -> int:
    """The fewest nodes, from the trace's number on, over which the units divide evenly."""
    nodes = max(one.nodes, -(-one.units // limits.units_per_node))
    while one.units % nodes:
        nodes += 1
    if one.units > limits.capacity_units:
        raise ValueError(f"job {one.job_id}: {one.units} units, {limits.flavor} has fewer")
    return nodes


def _fate(run_ms: int, wall_ms: int, rng: random.Random) -> tuple[int, str]:
    """How long the job will run and what becomes of it."""
    outcome, moment = _outcome(rng.random() * 10_000), rng.random()
    if outcome == SUCCEEDED:
        return run_ms, SUCCEEDED
    if outcome in (FailureClass.IMAGE, FailureClass.INPUT):
        return min(run_ms, _S), outcome
    if outcome == FailureClass.TIME_LIMIT:
        return (wall_ms, outcome) if wall_ms <= _FAILING_RUN_MS_MAX else (run_ms, SUCCEEDED)
    if outcome.endswith("@1"):
        return (run_ms, outcome) if run_ms <= _FAILING_RUN_MS_MAX else (run_ms, SUCCEEDED)
    return max(1, int(run_ms * moment)), outcome


def _outcome(drawn: float) -> str:
    for outcome, share in FAILURES_PER_10K.items():
        if drawn < share:
            return outcome
        drawn -= share
    return SUCCEEDED


def _subsidy(rng: random.Random) -> pb.SubsidyPreference.ValueType:
    drawn = rng.random() * 10_000
    if drawn < _NO_SUBSIDY_PER_10K:
        return pb.SUBSIDY_PREFERENCE_NONE
    if drawn < _NO_SUBSIDY_PER_10K + _SUBSIDY_REQUIRED_PER_10K:
        return pb.SUBSIDY_PREFERENCE_REQUIRED
    return pb.SUBSIDY_PREFERENCE_PREFERRED


# --- enterprises ----------------------------------------------------------------------------------


class _Need:
    """Money of one enterprise over time, were each job to start at once; in fen.

    Held is the price of the whole wall limit, spent that of the run time.
    """

    def __init__(self, city: str) -> None:
        self.city = city
        self.dearest = self.cost = self.most = self._bound = 0
        self._ends: list[tuple[int, int, int]] = []

    def add(self, submit_ms: int, run_ms: int, held: int, spent: int) -> None:
        """Take in the next job by submission."""
        while self._ends and self._ends[0][0] <= submit_ms:
            _, was_held, was_spent = heapq.heappop(self._ends)
            self._bound += was_spent - was_held
        heapq.heappush(self._ends, (submit_ms + run_ms, held, spent))
        self._bound += held
        self.cost += spent
        self.dearest = max(self.dearest, held)
        self.most = max(self.most, self._bound)

    def credit(self, is_tight: bool) -> int:
        """Enough for all jobs at once, or, if tight, for one after the other."""
        at_least = self.cost + self.dearest
        return at_least if is_tight else max(at_least, self.most * 6 // 5)


def enterprises_of(
    jobs: Iterable[DemoJob], prices_ufen: Mapping[str, int]
) -> tuple[DemoEnterprise, ...]:
    """The enterprises of the jobs; the credit of one in eight is tight.

    Such a one must wait for money now and then (WALLET_SHORT), but never for good: it can pay each
    job once its others are settled.
    """
    needs: dict[str, _Need] = {}
    for job in jobs:
        held, spent = (
            max(
                gross_fen(option.units_per_node * option.nodes, seconds, prices_ufen[option.flavor])
                for option in job.spec.options
            )
            for seconds in (job.spec.wall_limit.seconds, -(-job.run_ms // _S))
        )
        need = needs.setdefault(job.enterprise, _Need(job.city))
        need.add(job.submit_ms, job.run_ms, held, spent)
    return tuple(_enterprise(code, needs[code]) for code in sorted(needs))


def _enterprise(code: str, need: _Need) -> DemoEnterprise:
    rng = random.Random(f"enterprise/{code}")
    size_class = rng.choice(("MICRO", "SMALL", "SMALL", "MEDIUM", "LARGE"))
    credit_fen = need.credit(rng.randrange(_TIGHT_ONE_IN) == 0)
    return DemoEnterprise(
        code,
        need.city,
        size_class,
        rng.choice(("ai", "materials", "biomedicine", "manufacturing")),
        size_class in ("MICRO", "SMALL") and rng.random() < 0.4,
        (credit_fen // _CREDIT_STEP_FEN + 1) * _CREDIT_STEP_FEN,
    )


def first_days(jobs: Sequence[TraceJob], days: float, jobs_max: int | None) -> list[TraceJob]:
    """The jobs of the first days of a trace, at most so many."""
    chosen = [job for job in jobs if job.submit_ms < days * 24 * _H]
    return chosen if jobs_max is None else chosen[:jobs_max]
