"""Finish-time fairness: each city's jobs alone on the city's own part of the machine."""

from collections import defaultdict
from collections.abc import Callable

from scheduler.placement.model import CityQuotaSet
from scheduler.replay.setup import Setup
from scheduler.replay.simulate import Planner, Replayed, simulate


def replay_alone(replayed: Replayed, setup: Setup, planner: Callable[[], Planner]) -> Replayed:
    """Replay every (city, kind) on a pool of its own, as large as the city's nominal quota.

    Jobs that are larger than that are left out. Its jobs have the kind ``<kind>@<city>``.
    """
    capacities, quotas = {}, {}
    for (city, kind), quota in setup.quotas.items():
        if quota.nominal_units > 0:
            pool = f"{kind}@{city}"
            capacities[pool] = quota.nominal_units
            for other in setup.weights:
                nominal = quota.nominal_units if other == city else 0
                quotas[other, pool] = CityQuotaSet(other, pool, nominal)
    slices = Setup(capacities, setup.weights, quotas)
    jobs = (job._replace(kind=f"{job.kind}@{job.city}") for job in replayed.jobs)
    kept, _ = slices.placeable(jobs)
    return simulate(kept, slices, planner())


def finish_time_ratios(shared: Replayed, alone: Replayed) -> dict[str, dict[str, float]]:
    """By kind and enterprise: time from submission to end, shared over alone, summed over jobs.

    Above 1 the enterprise would have been better off with its city's part of the machine (Themis;
    Shockwave reports it). Jobs that could not run alone are in neither sum.
    """
    end_ms = {
        job.job_id: start_ms + job.run_ms
        for job, start_ms in zip(shared.jobs, shared.start_ms, strict=True)
    }
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for job, start_ms in zip(alone.jobs, alone.start_ms, strict=True):
        pair = sums[job.kind.partition("@")[0], job.enterprise]
        pair[0] += end_ms[job.job_id] - job.submit_ms
        pair[1] += start_ms + job.run_ms - job.submit_ms
    ratios: dict[str, dict[str, float]] = {}
    for (kind, enterprise), (together, by_itself) in sums.items():
        ratios.setdefault(kind, {})[enterprise] = together / by_itself
    return ratios
