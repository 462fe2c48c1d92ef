"""A second look at what came of lives: it shares no code with the planner or the world.

It walks through every instant and holds the runs to capacity, quota and promises, and each job to
one end. Units are counted by its own sums.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scheduler.replay.lives import Cut, Lived, Outage, Stay


class Limits(NamedTuple):
    """Of a city and flavor: nominal, most it may hold (None: no limit), guarantee."""

    nominal: int
    most: int | None
    guarantee: int


def check(
    lived: Lived,
    capacities: Mapping[str, int],
    limits: Mapping[tuple[str, str], Limits],
    outside: Sequence[Outage | Cut] = (),
) -> list[str]:
    """Return what is wrong, at most the first ten."""
    wrong: list[str] = []
    for flavor, capacity in capacities.items():
        wrong += _units(lived, flavor, capacity, limits, outside)
    wrong += _ends(lived)
    wrong += [
        f"job {one.place} was promised {one.promised_ms} and started at {one.started_ms}"
        for one in lived.promises
        if one.late and not one.void
    ]
    return wrong[:10]


def _units(
    lived: Lived, flavor: str, capacity: int, limits: Mapping[tuple[str, str], Limits],
    outside: Sequence[Outage | Cut],
) -> list[str]:  # fmt: skip
    """At each instant: all ends first, then the starts; no start may find too little."""
    stays = [stay for stay in lived.stays if stay.option.flavor == flavor]
    starts: dict[int, list[Stay]] = {}
    ends: dict[int, list[Stay]] = {}
    for stay in stays:
        starts.setdefault(stay.start_ms, []).append(stay)
        ends.setdefault(stay.end_ms, []).append(stay)
    used: dict[str, int] = {}
    wrong = []
    for at_ms in sorted({*starts, *ends}):
        for stay in ends.get(at_ms, []):
            used[_city(lived, stay)] -= stay.option.units
        before = _kept(used, limits, flavor)
        for stay in starts.get(at_ms, []):
            city = _city(lived, stay)
            used[city] = used.get(city, 0) + stay.option.units
            most = limits[city, flavor].most
            if most is not None and used[city] > most:
                wrong.append(f"{at_ms}: {city} holds {used[city]} of {flavor}, may {most}")
        if not starts.get(at_ms):
            continue
        granted = _granted(flavor, capacity, outside, at_ms)
        if sum(used.values()) > granted:
            wrong.append(f"{at_ms}: {used} of {flavor} are held, {granted} granted")
        kept = _kept(used, limits, flavor)
        whole = max(granted, sum(one.nominal for (_, of), one in limits.items() if of == flavor))
        # What was cut under those who hold it may be too little; guarantees are kept all the same.
        if kept > max(whole, before):
            wrong.append(f"{at_ms}: held or guaranteed are {kept} of {whole} {flavor}")
    if any(used.values()):
        wrong.append(f"{flavor}: {used} are held at the end")
    return wrong


def _kept(used: Mapping[str, int], limits: Mapping[tuple[str, str], Limits], flavor: str) -> int:
    """Units of a flavor that are held, or guaranteed to a city that holds less."""
    return sum(
        max(used.get(city, 0), limit.guarantee)
        for (city, of), limit in limits.items()
        if of == flavor
    )


def _granted(flavor: str, capacity: int, outside: Sequence[Outage | Cut], at_ms: int) -> int:
    for one in outside:
        if not one.from_ms <= at_ms < one.to_ms:
            continue
        if isinstance(one, Outage) and flavor in one.flavors:
            return 0
        if isinstance(one, Cut) and one.flavor == flavor:
            capacity = min(capacity, one.units)
    return capacity


def _city(lived: Lived, stay: Stay) -> str:
    return lived.lives[stay.place].queued.city


def _ends(lived: Lived) -> list[str]:
    """Each job ends once; one run at a time; as many attempts as it has; none after its end."""
    wrong = []
    by_place: dict[int, list[Stay]] = {}
    for stay in lived.stays:
        by_place.setdefault(stay.place, []).append(stay)
    for place, life in enumerate(lived.lives):
        stays, state = by_place.get(place, []), lived.states[place]
        endings = [stay.ending for stay in stays]
        good = endings.count("")
        if (good, endings[-1:] == [""]) != ((1, True) if state == "SUCCEEDED" else (0, False)):
            wrong.append(f"job {place} is {state} with runs that ended {endings}")
        if "CANCELLED" in endings[:-1]:
            wrong.append(f"job {place} ran on after it was cancelled: {endings}")
        for one, other in itertools.pairwise(stays):
            if other.start_ms < one.end_ms:
                wrong.append(f"job {place} has two runs at {other.start_ms}")
        failures = [one for one in endings if one not in ("", "CANCELLED", "PREEMPTED")]
        if len(failures) > life.attempts_max:
            wrong.append(f"job {place} failed {len(failures)} times of {life.attempts_max}")
        if any(one not in life.retry_on for one in failures[:-1]):
            wrong.append(f"job {place} was tried again after {failures}")
        if state == "FAILED" and failures[-1:] != endings[-1:]:
            wrong.append(f"job {place} is FAILED, its runs ended {endings}")
        if state == "EXPIRED" and life.deadline_ms is None:
            wrong.append(f"job {place} is EXPIRED and has no deadline")
    return wrong
