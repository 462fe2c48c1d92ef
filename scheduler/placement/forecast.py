"""When waiting jobs will start if nothing else comes: the planner itself, run ahead of time.

A second planner is told what the first one knows of some flavors, and is driven from now on: runs
end when they are expected to, the jobs that wait are started by the very rules and in the very
order in which they will be, and so on until nobody waits or enough was looked at. What is not known
(jobs to come, runs that fail, quotas that move, money that comes free) is not in it, nor what is
used meanwhile of flavors that no job binds to these.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, nsmallest
from typing import Final, TypeVar

from scheduler.domain.reasons import UNFORESEEN
from scheduler.placement.intake import Intake
from scheduler.placement.model import (
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PoolSet,
    Promised,
    RunActive,
    RunEnded,
)
from scheduler.placement.parking import class_of
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import Entry, LocalShards
from scheduler.placement.waiting import WaitingClass

#: Jobs that are looked at in one forecast (about 0.15 ms each), and of one class.
JOBS_MAX: Final = 600
_CLASS_MAX: Final = 256
_FIRST: Final = (PoolSet, CitySet, EnterpriseSet)

_Rule = TypeVar("_Rule", bound=Delta)

#: (enterprise, user, option, age in ms) to how long the run takes in all, in ms.
Expect = Callable[[str, str, Option, int], int]


@dataclass(slots=True)
class Forecast:
    """Expected starts by uid; ``complete`` if all that wait were looked at.

    A job that is in ``asked`` and not in ``starts`` was not reached until ``until_ms``.
    """

    made_ms: int
    starts: dict[int, int] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    until_ms: int = 0
    complete: bool = True


def connected(root: Intake, flavors: Iterable[str]) -> frozenset[str]:
    """Return the flavors whose queues are bound to these by jobs with alternatives."""
    found, more = set(flavors), True
    shapes = {tuple(option.flavor for option in kind.options) for kind in root.census.kinds}
    while more:
        more = False
        for shape in shapes:
            if not found.isdisjoint(shape) and not found.issuperset(shape):
                found.update(shape)
                more = True
    return frozenset(found)


def forecasts(
    root: RootPlanner,
    flavors: frozenset[str],
    now_ms: int,
    expects: Sequence[Expect],
    extra: JobQueued | None = None,
    jobs_max: int = JOBS_MAX,
) -> list[Forecast]:
    """Run ahead for the jobs that wait for some flavors, and one that might be queued.

    Once for each way to expect run times. Nothing of ``root`` changes. It ends once ``extra`` has
    started.
    """
    seen = Forecast(now_ms)
    waiting = _waiting(root, flavors, jobs_max, seen)
    if extra is not None:
        waiting.append(extra)
        seen.asked.add(extra.uid)
    found = [Forecast(now_ms, {}, seen.asked, now_ms, seen.complete) for _ in expects]
    for one, expect in zip(found, expects, strict=True):
        ahead = RootPlanner(root.policy, LocalShards(1))
        ends = _copy(root, ahead, flavors, now_ms, expect)
        ahead.apply(waiting, now_ms)
        _as_planned(root, ahead, extra)
        _run(ahead, ends, now_ms, expect, one, None if extra is None else extra.uid)
    return found


def _waiting(
    root: RootPlanner, flavors: frozenset[str], jobs_max: int, found: Forecast
) -> list[JobQueued]:
    """The jobs that wait for the flavors, of each class the first ones, at most so many."""
    # Every class has its part; of too many those whose first jobs wait for longest.
    of_flavors = (
        waiting
        for waiting in root.classes.values()
        if waiting.key not in root.parking.stalled
        and any(option.flavor in flavors for option in waiting.options)
    )
    classes = nsmallest(jobs_max, of_flavors, key=lambda waiting: waiting.window[0][1:3])
    found.complete = len(classes) < jobs_max
    jobs: list[JobQueued] = []
    for at, waiting in enumerate(classes):
        part = max(1, min(_CLASS_MAX, (jobs_max - len(jobs)) // (len(classes) - at)))
        entries = _entries(root, waiting, part)
        found.complete &= len(entries) == waiting.count
        jobs += [
            JobQueued(
                uid, waiting.city, waiting.enterprise, -priority, queued_ms, waiting.options,
                user=waiting.user,
            )
            for priority, queued_ms, uid, _ in entries
        ]  # fmt: skip
        if len(jobs) >= jobs_max:
            found.complete &= at == len(classes) - 1
            break
    jobs += [
        parked.job._replace(not_before_ms=parked.due_ms)
        for parked in root.parking.jobs.values()
        if parked.reason.code not in UNFORESEEN
        and any(option.flavor in flavors for option in parked.job.options)
    ][:jobs_max]
    found.asked.update(job.uid for job in jobs)
    return jobs


def _entries(root: RootPlanner, waiting: WaitingClass, most: int) -> Sequence[Entry]:
    if waiting.count <= len(waiting.window) or most <= len(waiting.window):
        return waiting.window[:most]
    taken = root.pending_takes()
    return root.shards.more(waiting.shard, waiting.key, taken[waiting.shard], most).window


def _unqueued(rule: _Rule) -> _Rule:
    """A rule as it is where what starts begins at once: nothing waits in a center's own queue."""
    return rule._replace(queue_max=None) if isinstance(rule, PoolSet) else rule


def _copy(
    root: RootPlanner, ahead: RootPlanner, flavors: frozenset[str], now_ms: int, expect: Expect
) -> list[tuple[int, int]]:
    """Tell the other planner the rules, runs, use and promises; returns when runs end."""
    rules = root.rules.values()
    told: list[Delta] = [_unqueued(rule) for rule in rules if isinstance(rule, _FIRST)]
    told += [rule for rule in rules if not isinstance(rule, _FIRST)]
    ends: list[tuple[int, int]] = []
    for uid, run in root.active.items():
        is_ending = run.end_ms < run.start_ms + run.option.wall_ms
        told.append(
            RunActive(
                uid, run.city, run.enterprise, run.option, run.start_ms, run.priority, run.user,
                run.interruptible, run.evictions, run.end_ms if is_ending else 0,
                root.pools[run.option.flavor].ending.get(uid, 0),
            )
        )  # fmt: skip
        if run.option.flavor in flavors:
            age_ms = max(0, now_ms - run.start_ms)
            end_ms = run.start_ms + expect(run.enterprise, run.user, run.option, age_ms)
            end_ms = min(end_ms, run.end_ms) if is_ending else end_ms
            ends.append((max(end_ms, now_ms + 1), uid))
    for flavor in sorted(flavors):
        pool = root.pools.get(flavor)
        if pool is not None and pool.holder is not None:
            told.append(
                Promised(pool.holder.entry[2], flavor, pool.holder.units, pool.holder.evicts)
            )
    ahead.apply(told, now_ms)
    ahead.keys.copy_use(root.keys)
    for uid, run in root.active.items():
        ahead.active[uid] = ahead.active[uid]._replace(score=run.score)
    heapify(ends)
    return ends


def _as_planned(root: RootPlanner, ahead: RootPlanner, extra: JobQueued | None) -> None:
    """What the first planner has looked at the other one need not look at again."""
    ahead.dirty = set(root.dirty)
    keys = {waiting.key for waiting in root.fresh}
    if extra is not None:
        keys.add(class_of(extra))
    ahead.fresh = {waiting: None for key, waiting in ahead.classes.items() if key in keys}
    for flavor, pool in root.pools.items():
        ahead.pools[flavor].turns = pool.turns
        ahead.pools[flavor].evicted = list(pool.evicted)
        ahead.pools[flavor].spared = dict(pool.spared)


def _run(
    ahead: RootPlanner, ends: list[tuple[int, int]], now_ms: int, expect: Expect, found: Forecast,
    until: int | None,
) -> None:  # fmt: skip
    """Drive the planner until nobody waits, or until one has started."""
    left = len(found.asked)
    at_ms: int | None = now_ms
    while at_ms is not None:
        deltas: list[Delta] = []
        while ends and ends[0][0] <= at_ms:
            _, uid = heappop(ends)
            if uid in ahead.active:  # one that was evicted had two ends
                deltas.append(RunEnded(uid, at_ms - ahead.active[uid].start_ms))
        ahead.apply(deltas, at_ms)
        more = True
        while more:
            plan = ahead.plan(at_ms)
            more = plan.more
            for start in plan.starts:
                found.starts[start.uid] = at_ms
                user = ahead.active[start.uid].user
                took_ms = expect(start.enterprise, user, start.option, 0)
                heappush(ends, (at_ms + max(1, took_ms), start.uid))
                left -= 1
            for eviction in plan.evictions:
                heappush(ends, (at_ms + max(1, eviction.grace_ms), eviction.uid))
        found.until_ms = at_ms
        if not left or (until is not None and until in found.starts):
            return
        wakes = [ends[0][0]] if ends else []
        if plan.wake_ms is not None and plan.wake_ms > at_ms:
            wakes.append(plan.wake_ms)
        at_ms = min(wakes, default=None)


__all__ = ["JOBS_MAX", "Expect", "Forecast", "connected", "forecasts"]
