"""Figures of a replay that need the whole course of events, not job by job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from scheduler.replay.setup import Setup, hard_limit
from scheduler.replay.simulate import Replayed

_END, _ARRIVAL, _START = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Course:
    """Of one kind over a window.

    ``lost_unit_ms`` is the integral of idle units while some queued job asks for no more than are
    idle. ``over_limit`` counts instants at which a city held more than nominal plus borrow limit,
    or all together more than there is: it must be 0. ``peak_units`` is each city's highest use.
    """

    lost_unit_ms: int
    over_limit: int
    peak_units: Mapping[str, int]


def follow(
    replayed: Replayed, places: Sequence[int], kind: str, setup: Setup, from_ms: int, to_ms: int
) -> Course:
    """Walk through the events of the jobs at ``places`` (all of one kind)."""
    jobs, starts = replayed.jobs, replayed.start_ms
    events: list[tuple[int, int, int]] = []
    for place in places:
        job, start_ms = jobs[place], starts[place]
        events.append((job.submit_ms, _ARRIVAL, place))
        events.append((start_ms, _START, place))
        events.append((start_ms + job.run_ms, _END, place))
    events.sort()
    capacity = setup.capacities[kind]
    limits = {city: hard_limit(setup.quotas[city, kind]) for city in setup.weights}
    used = dict.fromkeys(setup.weights, 0)
    peak = dict.fromkeys(setup.weights, 0)
    waiting: list[tuple[int, int]] = []
    idle, lost, over, last_ms = capacity, 0, 0, from_ms
    for at_ms, what, place in events:
        if at_ms > last_ms:
            until_ms = min(at_ms, to_ms)
            while waiting and starts[waiting[0][1]] < at_ms:
                heappop(waiting)
            if until_ms > last_ms and waiting and waiting[0][0] <= idle:
                lost += idle * (until_ms - last_ms)
            last_ms = at_ms
        job = jobs[place]
        if what == _ARRIVAL:
            heappush(waiting, (job.units, place))
        elif what == _END:
            idle += job.units
            used[job.city] -= job.units
        else:
            idle -= job.units
            held = used[job.city] = used[job.city] + job.units
            if held > peak[job.city]:
                peak[job.city] = held
            limit = limits[job.city]
            if idle < 0 or (limit is not None and held > limit):
                over += 1
    return Course(lost, over, peak)
