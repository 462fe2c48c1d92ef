"""What faults cost: a replay with them beside the same replay without.

Waits are first start less submission, of jobs of the usual window that started in both replays;
unit-hours are of the whole course. Lost is what was held by runs that did not end well.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from scheduler.replay.faults import Faults, lives_of, outside_of
from scheduler.replay.lives import Cut, Lived, Outage
from scheduler.replay.measures import Window, usual_window
from scheduler.replay.setup import Setup
from scheduler.replay.simulate import Planner, Replayed
from scheduler.replay.trace import Trace
from scheduler.replay.world import World

_HOUR_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class KindPrice:
    """One kind; waits in seconds. ``lost_unit_hours`` by how the runs ended.

    ``outage_unit_hours`` were not granted in outages and cuts, ``hung_unit_hours`` were held by
    runs that stood still. ``ended`` counts jobs by what became of them. ``promises_void`` lay
    across an outage or a cut; ``promises_broken`` are late without one and must be 0.
    """

    jobs: int
    compared: int
    mean_wait_s: float
    mean_wait_without_s: float
    p95_wait_s: float
    p95_wait_without_s: float
    useful_unit_hours: float
    lost_unit_hours: Mapping[str, float]
    hung_unit_hours: float
    outage_unit_hours: float
    ended: Mapping[str, int]
    retries: int
    promises: int
    promises_void: int
    promises_broken: int


@dataclass(frozen=True, slots=True)
class Price:
    """All kinds of one replay with faults; instants in seconds of the trace."""

    seed: int
    policy: str
    outages_s: tuple[tuple[str, float, float], ...]
    cuts_s: tuple[tuple[str, float, float, int], ...]
    kinds: Mapping[str, KindPrice]

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


def with_faults(
    trace: Trace,
    policy: str,
    without: Replayed,
    setup: Setup,
    planner: Planner,
    faults: Faults,
    progress: Callable[[int], None] | None = None,
) -> Price:
    """Replay the jobs of ``without`` (the same, without faults) with faults and compare."""
    jobs = without.jobs
    outside = outside_of(faults, setup.capacities, jobs[0].submit_ms, jobs[-1].submit_ms)
    lives = lives_of(jobs, faults)
    lived = World(lives, setup.deltas(jobs), planner, outside, progress).run()
    return price(trace, policy, without, setup, lived, outside, faults.seed)


def price(
    trace: Trace,
    policy: str,
    without: Replayed,
    setup: Setup,
    lived: Lived,
    outside: tuple[Outage | Cut, ...],
    seed: int,
) -> Price:
    """Compare two replays of the same jobs."""
    window = usual_window(trace)
    kinds = sorted({job.kind for job in without.jobs})
    return Price(
        seed,
        policy,
        tuple(
            (flavor, one.from_ms / 1000, one.to_ms / 1000)
            for one in outside
            if isinstance(one, Outage)
            for flavor in sorted(one.flavors)
        ),
        tuple(
            (one.flavor, one.from_ms / 1000, one.to_ms / 1000, one.units)
            for one in outside
            if isinstance(one, Cut)
        ),
        {kind: _kind(kind, window, without, setup, lived, outside) for kind in kinds},
    )


def _kind(
    kind: str, window: Window | None, without: Replayed, setup: Setup, lived: Lived,
    outside: tuple[Outage | Cut, ...],
) -> KindPrice:  # fmt: skip
    places = {place for place, job in enumerate(without.jobs) if job.kind == kind}
    waits = [
        (lived.first_ms[place] - job.submit_ms, without.start_ms[place] - job.submit_ms)
        for place, job in enumerate(without.jobs)
        if place in places and place in lived.first_ms and _counts(window, job.submit_ms)
    ]
    both_s = np.array(waits or [(0, 0)]) / 1000.0
    p95_s = np.percentile(both_s, 95, axis=0)
    lost: Counter[str] = Counter()
    runs: Counter[int] = Counter()
    hung = 0
    for stay in lived.stays:
        if stay.place in places:
            runs[stay.place] += 1
            lost[stay.ending] += stay.option.units * (stay.end_ms - stay.start_ms)
            hung += stay.option.units * stay.hung_ms
    useful = lost.pop("", 0)
    promises = [one for one in lived.promises if one.flavor == kind]
    return KindPrice(
        len(places),
        len(waits),
        float(both_s[:, 0].mean()),
        float(both_s[:, 1].mean()),
        float(p95_s[0]),
        float(p95_s[1]),
        useful / _HOUR_MS,
        {ending: units / _HOUR_MS for ending, units in sorted(lost.items())},
        hung / _HOUR_MS,
        _not_granted(kind, setup.capacities[kind], outside) / _HOUR_MS,
        dict(sorted(Counter(lived.states[place] for place in places).items())),
        sum(count - 1 for count in runs.values()),
        len(promises),
        sum(one.late and one.void for one in promises),
        sum(one.late and not one.void for one in promises),
    )


def _counts(window: Window | None, submit_ms: int) -> bool:
    return window is None or window.from_s * 1000 <= submit_ms < window.to_s * 1000


def _not_granted(kind: str, capacity: int, outside: tuple[Outage | Cut, ...]) -> int:
    """Unit-milliseconds that outages and cuts took, each instant counted once."""
    edges = sorted({at_ms for one in outside for at_ms in (one.from_ms, one.to_ms)})
    lost = 0
    for from_ms, to_ms in itertools.pairwise(edges):
        left = capacity
        for one in outside:
            if one.from_ms <= from_ms < one.to_ms:
                if isinstance(one, Cut) and one.flavor == kind:
                    left = min(left, one.units)
                elif isinstance(one, Outage) and kind in one.flavors:
                    left = 0
        lost += (capacity - left) * (to_ms - from_ms)
    return lost
