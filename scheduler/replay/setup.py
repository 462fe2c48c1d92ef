"""The machine of a replay: capacities by kind, cities with their weights and quotas."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler.placement.model import CityQuotaSet, CitySet, Delta, EnterpriseSet, PoolSet
from scheduler.replay.trace import ReplayError, TraceJob

CENTER = "replay"

#: Population in units of 100 people (2020).
CITY_WEIGHTS: Mapping[str, int] = {
    "wuhan": 123265,
    "huanggang": 58827,
    "xianning": 26583,
    "huangshi": 24691,
    "ezhou": 10794,
}


@dataclass(frozen=True, slots=True)
class Setup:
    """What the planner is told before the first job."""

    capacities: Mapping[str, int]
    weights: Mapping[str, int]
    quotas: Mapping[tuple[str, str], CityQuotaSet]

    def deltas(self, jobs: Iterable[TraceJob]) -> list[Delta]:
        """Pools, cities, quotas and the enterprises of the jobs, in a fixed order."""
        found: list[Delta] = [
            PoolSet(kind, CENTER, units) for kind, units in sorted(self.capacities.items())
        ]
        found += [CitySet(city, weight) for city, weight in sorted(self.weights.items())]
        found += [quota for _, quota in sorted(self.quotas.items())]
        members = {(job.enterprise, job.city) for job in jobs}
        found += [EnterpriseSet(enterprise, city) for enterprise, city in sorted(members)]
        return found

    def largest(self) -> dict[tuple[str, str], int]:
        """Return the most units that a job of (city, kind) may ask for and still ever start."""
        found = {}
        for kind, capacity in self.capacities.items():
            for city in self.weights:
                quota = self.quotas[city, kind]
                others = sum(
                    _guarantee(self.quotas[other, kind]) for other in self.weights if other != city
                )
                hard = hard_limit(quota)
                most = capacity - others
                found[city, kind] = most if hard is None else min(most, hard)
        return found

    def placeable(self, jobs: Iterable[TraceJob]) -> tuple[tuple[TraceJob, ...], dict[str, int]]:
        """Split off jobs that could never start, counted by reason.

        Raises ``ReplayError`` for a job of a city that has no weight.
        """
        largest = self.largest()
        kept: list[TraceJob] = []
        dropped: dict[str, int] = {}
        for job in jobs:
            if job.city not in self.weights:
                raise ReplayError(
                    f"job {job.job_id}: city {job.city!r} has no weight: "
                    f"give it one in the file of --quotas"
                )
            most = largest.get((job.city, job.kind))
            if most is not None and job.units <= most:
                kept.append(job)
                continue
            why = f"no capacity for {job.kind}" if most is None else "too large"
            dropped[why] = dropped.get(why, 0) + 1
        return tuple(kept), dropped


def hard_limit(quota: CityQuotaSet) -> int | None:
    """Units that a city never exceeds (nominal plus borrow limit); None if it has no limit."""
    limit = quota.borrow_limit_units
    return None if limit is None else quota.nominal_units + limit


def _guarantee(quota: CityQuotaSet) -> int:
    lend = quota.lend_limit_units
    return 0 if lend is None else max(0, quota.nominal_units - lend)


def apportion(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share whole units by weight, largest remainder first, ties by name; they add up."""
    whole = sum(weights.values())
    parts = {name: divmod(total * weight, whole) for name, weight in weights.items()}
    shares = {name: part[0] for name, part in parts.items()}
    left = total - sum(shares.values())
    for name in sorted(parts, key=lambda name: (-parts[name][1], name))[:left]:
        shares[name] += 1
    return shares


def corridor(
    capacities: Mapping[str, int],
    weights: Mapping[str, int] = CITY_WEIGHTS,
    quotas: Mapping[tuple[str, str], CityQuotaSet] | None = None,
) -> Setup:
    """Return pools shared by the cities: nominal by weight, all of it lent, no borrow limit.

    ``quotas`` by (city, kind) replace those. Raises ``ReplayError`` if a quota is for a kind
    without capacity or the guarantees of a kind are more than there is.
    """
    found: dict[tuple[str, str], CityQuotaSet] = {}
    for kind, capacity in capacities.items():
        for city, units in apportion(capacity, weights).items():
            found[city, kind] = CityQuotaSet(city, kind, units)
    for key, quota in (quotas or {}).items():
        if key not in found:
            raise ReplayError(f"quota of {key[0]} for {key[1]}: no capacity of that kind is given")
        found[key] = quota
    for kind, capacity in capacities.items():
        guaranteed = sum(_guarantee(found[city, kind]) for city in weights)
        if guaranteed > capacity:
            raise ReplayError(
                f"quotas of {kind}: cities keep {guaranteed} units for themselves "
                f"(nominal less lend_limit), there are {capacity}"
            )
    return Setup(dict(capacities), dict(weights), found)
