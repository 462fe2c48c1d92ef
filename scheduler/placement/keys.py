"""What enterprises and cities are ordered by: quotas and faded use, in exact integers.

Use is weighed by the pool: a unit-second counts as its part of the pool's capacity, so that a
card and a core compare. An enterprise is ordered by what it used of all flavors, a city by what it
used of the one that is asked for. All keys are scaled by common multiples of the weights and
capacities; nothing is rounded when two of them are compared.
"""

from collections.abc import Mapping
from math import lcm
from typing import Final

from quota.instant import NO_LIMITS
from scheduler.placement.model import Option, PolicySettings, UsageSet
from scheduler.placement.pools import Pool
from scheduler.placement.usage import FadingUse
from scheduler.placement.waiting import WaitingClass

#: (whether it has what it owns, faded use per weight, queue time, uid) of a city's head.
CityKey = tuple[bool, int, int, int]
#: What a charge added to the use of an enterprise and of its city.
Score = tuple[int, int]

_NOTHING: Final[Score] = (0, 0)

_NORM_BITS: Final = 40
#: The use of a city that used what its weight entitles it to.
PAR: Final = 1 << 10


class Keys:
    """Weights, use and shares; ``pools`` are those of the planner."""

    def __init__(self, pools: Mapping[str, Pool], policy: PolicySettings) -> None:
        self._pools = pools
        self._city_weights: dict[str, int] = {}
        self._enterprise_weights: dict[str, int] = {}
        self._cities: dict[str, str] = {}
        self._member_use = FadingUse[str](policy.usage_half_life_ms)
        #: By city and flavor.
        self._city_use = FadingUse[tuple[str, str]](policy.city_half_life_ms)
        self._half_life_ms = policy.city_half_life_ms
        self._share_unit = self._city_lcm = self._member_lcm = 1
        self._stale = True

    def set_city(self, city: str, weight: int) -> None:
        """Set a city's weight."""
        self._city_weights[city] = weight
        self._stale = True

    def set_enterprise(self, enterprise: str, city: str, weight: int) -> None:
        """Set an enterprise's city and its weight inside the city."""
        self._enterprise_weights[enterprise] = weight
        self._cities[enterprise] = city
        self._stale = True

    def capacity_moved(self) -> None:
        """A pool's capacity is another one."""
        self._stale = True

    def _reweigh(self) -> None:
        """Recompute the common multiples that keep comparisons exact."""
        capacities = [pool.book.capacity for pool in self._pools.values() if pool.book.capacity]
        self._city_lcm = lcm(*self._city_weights.values())
        self._member_lcm = lcm(*self._enterprise_weights.values())
        self._share_unit = lcm(*capacities) * self._city_lcm
        for pool in self._pools.values():
            pool.norm = (1 << _NORM_BITS) // max(1, pool.book.capacity)
        self._stale = False

    # --- use --------------------------------------------------------------------------------------

    def charge(
        self, city: str, enterprise: str, option: Option, used_ms: int, now_ms: int,
        instead: Score = _NOTHING,
    ) -> Score:  # fmt: skip
        """Add the use of a run; returns the score, to be taken away by ``refund``.

        ``instead`` is the score of an earlier charge, to be taken away at once.
        """
        if self._stale:
            self._reweigh()
        flavor = option.flavor
        amount = option.units * used_ms * self._pools[flavor].norm // 1000
        own = self._member_use.add(enterprise, amount, now_ms, instead[0])
        return own, self._city_use.add((city, flavor), amount, now_ms, instead[1])

    def refund(self, city: str, enterprise: str, flavor: str, score: Score) -> None:
        """Take a charge away."""
        self._member_use.remove(enterprise, score[0])
        self._city_use.remove((city, flavor), score[1])

    def note(self, use: UsageSet) -> None:
        """Add past use of an enterprise, and of its city."""
        city = self._cities.get(use.enterprise, "")
        own, of_city = use.unit_seconds, use.city_unit_seconds
        if self._stale:
            self._reweigh()
        pool = self._pools.get(use.flavor)
        norm = 0 if pool is None else pool.norm
        self._member_use.add(use.enterprise, own * norm, use.at_ms)
        of_city = own if of_city is None else of_city
        self._city_use.add((city, use.flavor), of_city * norm, use.at_ms)

    def copy_use(self, other: "Keys") -> None:
        """Forget all use, and go on from that of another planner."""
        self._member_use, self._city_use = other._member_use.copy(), other._city_use.copy()

    # --- keys -------------------------------------------------------------------------------------

    def enterprise_key(self, enterprise: str) -> int:
        """Faded use per weight, scaled to an integer."""
        if self._stale:
            self._reweigh()
        score = self._member_use.scores.get(enterprise, 0)
        return score * (self._member_lcm // self._enterprise_weights.get(enterprise, 1))

    def rise(self, enterprise: str, option: Option, at_ms: int) -> int:
        """By how much a start of an option raises the key of its enterprise."""
        if self._stale:
            self._reweigh()
        pool = self._pools.get(option.flavor)
        amount = 0 if pool is None else option.units * option.wall_ms * pool.norm // 1000
        weight = self._enterprise_weights.get(enterprise, 1)
        return amount * self._member_use.weight_now(at_ms) * (self._member_lcm // weight)

    def city_key(self, waiting: WaitingClass) -> CityKey:
        """The key of a city's head between the cities."""
        if self._stale:
            self._reweigh()
        city, pools, scores = waiting.city, self._pools, self._city_use.scores
        has_own, least = True, -1
        for option in waiting.options:
            flavor = option.flavor
            pool = pools.get(flavor)
            if pool is not None:
                book = pool.book
                own = book.used.get(city, 0) >= book.limits.get(city, NO_LIMITS)[0]
                score = scores.get((city, flavor), 0)
                if least < 0 or (score < least if own == has_own else has_own):
                    has_own, least = own, score
        use = max(0, least) * (self._city_lcm // self._city_weights.get(city, 1))
        _, queued_ms, uid, _ = waiting.window[0]
        return has_own, use, queued_ms, uid

    def city_use(self, city: str, flavor: str, at_ms: int) -> int:
        """Faded use of a city, ``PAR`` if it used its weight's part of the pool for a half-life."""
        if self._stale:
            self._reweigh()
        score = self._city_use.scores.get((city, flavor), 0) * sum(self._city_weights.values())
        par = (self._half_life_ms << _NORM_BITS) // 1000 * self._city_weights.get(city, 1)
        return score * PAR // (par * self._city_use.weight_now(at_ms))

    def _share(self, pool: Pool, city: str, units: int = 0) -> int:
        """What a city would hold above its nominal with ``units`` more, per capacity and weight."""
        above = pool.book.borrowed_after(city, units)
        if not above:
            return 0
        weight = self._city_weights.get(city, 1)
        return above * (self._share_unit // (pool.book.capacity * weight or 1))

    def borrowed_share(self, city: str, flavor: str, borrowed: int) -> int:
        """A city's largest borrowed share, per weight, if it borrowed so much of a flavor."""
        shares = [self._share(pool, city) for pool in self._pools.values() if pool.flavor != flavor]
        unit = self._share_unit // (
            self._pools[flavor].book.capacity * self._city_weights.get(city, 1) or 1
        )
        return max(borrowed * unit, *shares, 0)
