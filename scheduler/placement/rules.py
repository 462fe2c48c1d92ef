"""The rules that the root planner is told: pools, quotas, weights, stops, and what they hold.

The base of the root planner's state; ``Intake`` takes in jobs and runs.
"""

from typing import NamedTuple

from quota.instant import CityLimits, FlavorBook
from scheduler.placement.keys import Keys, Score
from scheduler.placement.model import (
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    Evicted,
    JobQueued,
    Option,
    PolicySettings,
    PoolSet,
    ReclaimSet,
    StopSet,
    UsageSet,
    UsedUp,
)
from scheduler.placement.pools import Pool
from scheduler.placement.shard import ClassKey


class ActiveRun(NamedTuple):
    """A run that holds units, with what is needed to undo its start."""

    city: str
    enterprise: str
    option: Option
    start_ms: int
    score: Score
    user: str
    #: When it ends at the latest: at its limit, or sooner if it is being evicted.
    end_ms: int
    priority: int = 0
    interruptible: bool = False
    evictions: int = 0
    #: Until it really began: when its job was queued, and what it asked for.
    queued_ms: int = 0
    options: tuple[Option, ...] = ()

    @property
    def key(self) -> ClassKey:
        """The class of its job, until it really began."""
        return self.city, self.enterprise, self.options, self.user

    def job(self, uid: int) -> JobQueued:
        """Its job as it waited, until it really began."""
        return JobQueued(
            uid, self.city, self.enterprise, self.priority, self.queued_ms, self.options, 0,
            self.user, self.interruptible, self.evictions,
        )  # fmt: skip


def rule_key(rule: Delta) -> tuple[str, ...]:
    """What a rule is about: a later one with an equal key takes its place."""
    subject = tuple(word for word in rule[:2] if isinstance(word, str))
    named = isinstance(rule, CityQuotaSet | EnterpriseQuotaSet)
    return (type(rule).__name__, *(subject if named else subject[:1]))


class Rules:
    """What was last said of each pool, city and enterprise."""

    def __init__(self, policy: PolicySettings) -> None:
        self.policy = policy
        self.pools: dict[str, Pool] = {}
        self.keys = Keys(self.pools, policy)
        self.active: dict[int, ActiveRun] = {}
        #: The last word on each pool, city, enterprise and quota, by what it is about.
        self.rules: dict[tuple[str, ...], Delta] = {}
        #: Cities and enterprises that start nothing.
        self.stops: set[str] = set()
        #: (node, flavor) of budgets that are used up and may go below zero.
        self.used_up: frozenset[tuple[str, str]] = frozenset()
        #: Promised jobs and the flavors of their pools.
        self.holders: dict[int, str] = {}
        #: Flavors whose borrowed units are leases.
        self.leased: set[str] = set()
        #: Flavors where something was freed or moved.
        self.dirty: set[str] = set()
        self._home: dict[str, str] = {}
        self._limits_moved = False

    def _rule(self, delta: Delta) -> None:
        if not isinstance(delta, UsageSet | Evicted):  # what happened is no rule
            self.rules[rule_key(delta)] = delta
        match delta:
            case PoolSet(flavor, center, capacity, is_open, corridor, queue_max):
                pool = self._pool(flavor)
                pool.center, pool.is_open = center, is_open
                pool.set_queue(queue_max)
                if not is_open:
                    self.release_holder(pool)
                if (pool.book.capacity, pool.book.corridor) != (capacity, corridor):
                    pool.book.set_capacity(capacity)
                    pool.book.set_corridor(corridor)
                    self.keys.capacity_moved()
                    self._limits_moved = True
                self.dirty.add(flavor)
            case ReclaimSet(flavor):
                pool = self._pool(flavor)
                if pool.reclaim != delta:
                    pool.set_reclaim(delta)
                    (self.leased.add if pool.leases else self.leased.discard)(flavor)
                    self._limits_moved = True
                    self.dirty.add(flavor)
            case StopSet(node, state):
                self._stop(node, state)
            case UsedUp(nodes):
                moved = self.used_up ^ frozenset(nodes)
                self.used_up = frozenset(nodes)
                self.dirty.update(flavor for _, flavor in moved)
            case CitySet(city, weight):
                self.keys.set_city(city, weight)
            case EnterpriseSet(enterprise, city, weight):
                self.keys.set_enterprise(enterprise, city, weight)
                if self._home.get(enterprise) != city:
                    self._move_home(enterprise, city)
            case CityQuotaSet(city, flavor, nominal, borrow, lend):
                limits = CityLimits(nominal, borrow, lend)
                book = self._pool(flavor).book
                if book.limits.get(city) != limits:
                    book.set_limits(city, limits)
                    self._limits_moved = True
                    self.dirty.add(flavor)
            case EnterpriseQuotaSet(enterprise, flavor, cap, guarantee):
                self._set_member(enterprise, self._pool(flavor), cap, guarantee)
            case Evicted(uid, flavor, units, at_ms):
                self._pool(flavor).note_evicted(at_ms, uid, units)
            case UsageSet():
                self.keys.note(delta)
            case _:
                raise TypeError(f"not a delta: {delta!r}")

    def _move_home(self, enterprise: str, city: str) -> None:
        """What is kept for an enterprise is kept by the city that it belongs to now."""
        self._home[enterprise] = city
        for pool in self.pools.values():
            if enterprise in pool.book.kept:
                kept, _ = pool.book.kept[enterprise]
                pool.book.set_guarantee(city, enterprise, kept, pool.book.capped_used[enterprise])
                self._limits_moved = True
                self.dirty.add(pool.flavor)

    def _set_member(self, enterprise: str, pool: Pool, cap: int | None, guarantee: int) -> None:
        """Set an enterprise's cap, and what its city keeps for it."""
        book, city = pool.book, self._home.get(enterprise, "")
        kept = book.kept.get(enterprise, (0, city))
        if book.caps.get(enterprise) == cap and kept == (guarantee, city):
            return
        held = self._held(enterprise, pool.flavor)
        book.set_cap(enterprise, cap, held)
        book.set_guarantee(city, enterprise, guarantee, held)
        self._limits_moved = True
        self.dirty.add(pool.flavor)

    def _stop(self, node: str, state: str) -> None:
        """Open or stop a city or an enterprise: what it has waiting starts no more."""
        if (state == "OPEN") == (node not in self.stops):
            return
        if state == "OPEN":
            self.stops.discard(node)
            self.dirty.update(self.pools)
        else:
            self.stops.add(node)
            for pool in self.pools.values():
                holder = pool.holder
                if holder is not None and self.stopped(holder.city, holder.enterprise):
                    self.free_holder(holder.entry[2])
        self._limits_moved = True

    def stopped(self, city: str, enterprise: str) -> str:
        """The node (of the city, else of the enterprise) that is stopped; empty if none is."""
        if self.stops:
            for node in (f"cities/{city}", f"enterprises/{enterprise}"):
                if node in self.stops:
                    return node
        return ""

    def comes_last(self, flavor: str, city: str, enterprise: str) -> bool:
        """Whether the budget of a city or an enterprise is used up: others go before its jobs."""
        used_up = self.used_up
        return bool(used_up) and (
            (f"cities/{city}", flavor) in used_up
            or (f"enterprises/{enterprise}", flavor) in used_up
        )

    def _pool(self, flavor: str) -> Pool:
        pool = self.pools.get(flavor)
        if pool is None:
            # Capacity unknown yet: closed until its PoolSet comes.
            pool = self.pools[flavor] = Pool(flavor, "", FlavorBook.empty(0), is_open=False)
        return pool

    def _held(self, enterprise: str, flavor: str) -> int:
        return sum(
            run.option.units
            for run in self.active.values()
            if run.enterprise == enterprise and run.option.flavor == flavor
        )

    # --- promises ---------------------------------------------------------------------------------

    def free_holder(self, uid: int) -> None:
        """A promised job needs its promise no more."""
        flavor = self.holders.get(uid)
        if flavor is not None:
            pool = self.pools[flavor]
            self.release_holder(pool)
            pool.waits = True
            self.dirty.add(flavor)

    def release_holder(self, pool: Pool) -> None:
        """A pool is promised to nobody."""
        if pool.holder is not None:
            self.holders.pop(pool.holder.entry[2], None)
            pool.hold(None)
