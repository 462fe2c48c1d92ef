"""What enterprises and cities are ordered by: faded use and borrowed shares, in exact integers.

Use is weighed by the pool: a unit-second counts as its part of the pool's capacity, so that a
card and a core compare. All keys are scaled by common multiples of the weights and capacities;
nothing is rounded when two of them are compared.
"""

from collections.abc import Mapping
from math import lcm
from typing import Final

from quota.instant import NO_LIMITS
from scheduler.placement.model import Option
from scheduler.placement.pools import Pool
from scheduler.placement.usage import FadingUse
from scheduler.placement.waiting import WaitingClass

#: (balance, borrowed share, faded use, each per weight; queue time, uid) of a city's head.
CityKey = tuple[int, int, int, int, int]

_NORM_BITS: Final = 40


class Keys:
    """Weights, use and shares; ``pools`` are those of the planner."""

    def __init__(self, pools: Mapping[str, Pool], half_life_ms: int) -> None:
        self._pools = pools
        self._city_weights: dict[str, int] = {}
        self._enterprise_weights: dict[str, int] = {}
        self._cities: dict[str, str] = {}
        self._member_use = FadingUse(half_life_ms)
        self._city_use = FadingUse(half_life_ms)
        #: Borrowed shares above 0 by city and flavor, of cities that were asked for.
        self._shares: dict[str, dict[str, int]] = {}
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

    def quota_moved(self) -> None:
        """A city's nominal quota is another one."""
        self._shares.clear()

    def _reweigh(self) -> None:
        """Recompute the common multiples that keep comparisons exact."""
        capacities = [pool.book.capacity for pool in self._pools.values() if pool.book.capacity]
        self._city_lcm = lcm(*self._city_weights.values())
        self._member_lcm = lcm(*self._enterprise_weights.values())
        self._share_unit = lcm(*capacities) * self._city_lcm
        for pool in self._pools.values():
            pool.norm = (1 << _NORM_BITS) // max(1, pool.book.capacity)
        self._shares.clear()
        self._stale = False

    # --- use --------------------------------------------------------------------------------------

    def charge(self, city: str, enterprise: str, option: Option, used_ms: int, now_ms: int) -> int:
        """Add the use of a run; returns the score, to be taken away by ``refund``."""
        return self._add(city, enterprise, option.flavor, option.units * used_ms, now_ms)

    def refund(self, city: str, enterprise: str, score: int) -> None:
        """Take a charge away."""
        self._member_use.remove(enterprise, score)
        self._city_use.remove(city, score)

    def note(self, enterprise: str, flavor: str, unit_seconds: int, at_ms: int) -> None:
        """Add past use of an enterprise, and of its city."""
        city = self._cities.get(enterprise, "")
        self._add(city, enterprise, flavor, unit_seconds * 1000, at_ms)

    def copy_use(self, other: "Keys") -> None:
        """Forget all use, and go on from that of another planner."""
        self._member_use, self._city_use = other._member_use.copy(), other._city_use.copy()

    def _add(self, city: str, enterprise: str, flavor: str, unit_ms: int, at_ms: int) -> int:
        if self._stale:
            self._reweigh()
        pool = self._pools.get(flavor)
        amount = 0 if pool is None else unit_ms * pool.norm // 1000
        self._city_use.add(city, amount, at_ms)
        return self._member_use.add(enterprise, amount, at_ms)

    def held(self, city: str, pool: Pool) -> None:
        """A city holds more or less of a pool than before."""
        shares = self._shares.get(city)
        if shares is not None:
            share = self._share(pool, city)
            if share:
                shares[pool.flavor] = share
            else:
                shares.pop(pool.flavor, None)

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
        city = waiting.city
        balance = min(
            (
                self._balance(pool, city, option.units)
                for option in waiting.options
                if (pool := self._pools.get(option.flavor)) is not None
            ),
            default=0,
        )
        weight = self._city_weights.get(city, 1)
        score = self._city_use.scores.get(city, 0) * (self._city_lcm // weight)
        _, queued_ms, uid, _ = waiting.window[0]
        return balance, self._dominant(city), score, queued_ms, uid

    def _balance(self, pool: Pool, city: str, units: int) -> int:
        """How far above its nominal a city would be halfway through a start, per weight.

        Twice the units, so that half of them is whole. Below its nominal it is below 0. A start
        counts by half: counted in full, as borrowing is, the narrow jobs of a city always go
        before its wide ones and those of small cities last; not counted, the other way round
        (the divisors of Webster, Jefferson and Adams for seats of a parliament).
        """
        book, weight = pool.book, self._city_weights.get(city, 1)
        twice = 2 * (book.used.get(city, 0) - book.limits.get(city, NO_LIMITS).nominal) + units
        return twice * (self._share_unit // (book.capacity * weight or 1))

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

    def _dominant(self, city: str) -> int:
        """The city's largest borrowed share of any flavor, per weight."""
        shares = self._shares.get(city)
        if shares is None:
            found = {flavor: self._share(pool, city) for flavor, pool in self._pools.items()}
            shares = self._shares[city] = {
                flavor: share for flavor, share in found.items() if share
            }
        return max(shares.values(), default=0)
