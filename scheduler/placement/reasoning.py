"""What keeps a waiting job from its start: one rule, for what is explained and what is counted.

A job's reason is that of the option nearest to a start: the one whose reason stands last in the
order of precedence. Of one option the reason that stands first is said. What a job waits for alone
(a pause, money) is said unless its option waits for what is more lasting.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from quota.instant import Bound, FlavorBook, Limit
from scheduler.domain.reasons import RANK, PendingReason, ReasonCode
from scheduler.placement.choosing import least_units
from scheduler.placement.model import Option, PolicySettings
from scheduler.placement.parking import Parked, Parking, class_of
from scheduler.placement.pools import Pool
from scheduler.placement.refusals import Refusals
from scheduler.placement.shard import ClassKey

#: Limits that move whenever a run ends: what binds by them may be promised, or given back.
_MOVING: Final = frozenset({Limit.CORRIDOR_FULL, Limit.POOL_FULL})
#: What binds whatever time and money do: said before what a job waits for alone.
_LASTING: Final = frozenset(
    {
        ReasonCode.MISCONFIGURED,
        ReasonCode.NO_FLAVOR,
        ReasonCode.QUEUE_HELD,
        ReasonCode.CENTER_DOWN,
        ReasonCode.EXCEEDS_MAX,
    }
)


class State(Protocol):
    """What reasons are judged by; the root planner has it."""

    policy: PolicySettings
    pools: dict[str, Pool]
    parking: Parking
    refusals: Refusals

    def stopped(self, city: str, enterprise: str) -> str:
        """The node that is stopped; empty if none is."""
        ...


class Binding(NamedTuple):
    """What binds an option: whose limit, how high it is, how much is used and what is missing."""

    code: ReasonCode
    node: str
    limit: int | None = None
    used: int | None = None
    short_by: int | None = None

    def reason(self, option: Option) -> PendingReason:
        """As a reason, without times."""
        return PendingReason(
            self.code, self.node, option.flavor, limit=self.limit, used=self.used,
            requested=option.units, short_by=self.short_by,
        )  # fmt: skip


class Reasoning:
    """Judges options by the state of a root planner at one instant."""

    def __init__(self, root: State, now_ms: int) -> None:
        self._root, self._now_ms = root, now_ms
        self._nearest: dict[ClassKey, Binding] = {}

    @property
    def flavors(self) -> Iterable[str]:
        """All flavors."""
        return self._root.pools

    def of_class(self, key: ClassKey, options: Iterable[Binding]) -> Binding | PendingReason:
        """The reason of a class, given what binds its options.

        A class that waits for money has the reason of its refusal; so has one that was refused
        and is tried anew, until it is refused again or starts.
        """
        nearest = self.nearest(options)
        stalled = self._root.parking.stalled.get(key)
        if stalled is not None:
            return self.before(stalled, nearest)
        if nearest.code is ReasonCode.NOT_EVALUATED:
            return self._root.refusals.last.get(key, nearest)
        return nearest

    def of_parked(self, parked: Parked) -> Binding | PendingReason:
        """The reason of a parked job."""
        job = parked.job
        key = class_of(job)
        nearest = self._nearest.get(key)
        if nearest is None:
            options = (self.binding(job.city, job.enterprise, one) for one in job.options)
            nearest = self._nearest[key] = self.nearest(options)
        return self.before(parked.reason, nearest)

    @staticmethod
    def before(own: PendingReason, nearest: Binding) -> Binding | PendingReason:
        """What a job waits for alone, or what binds its option if that is more lasting."""
        is_hidden = nearest.code in _LASTING and RANK[nearest.code] < RANK[own.code]
        return nearest if is_hidden else own

    def refused(self) -> Iterator[ClassKey]:
        """Yield the classes that may have a reason other than what binds their options."""
        stalled = self._root.parking.stalled
        yield from stalled
        yield from (key for key in self._root.refusals.last if key not in stalled)

    @staticmethod
    def nearest(options: Iterable[Binding]) -> Binding:
        """What binds the option that is nearest to a start."""
        return max(options, key=lambda one: RANK[one.code])

    def binding(self, city: str, enterprise: str, option: Option) -> Binding:
        """What binds an option most lastingly."""
        flavor, units = option.flavor, least_units(option)
        pool = self._root.pools.get(flavor)
        if pool is None or (not pool.book.capacity and not pool.center):
            return Binding(ReasonCode.NO_FLAVOR, "corridor")
        book = pool.book
        if city not in book.limits:
            return Binding(ReasonCode.MISCONFIGURED, f"cities/{city}")
        stopped = self._root.stopped(city, enterprise)
        if stopped:
            return Binding(ReasonCode.QUEUE_HELD, stopped)
        if not pool.is_open:
            return Binding(ReasonCode.CENTER_DOWN, f"centers/{pool.center}")
        never = _never(book, city, enterprise, units)
        if never is not None:
            return never
        bound = book.bound(city, enterprise, units)
        if (bound is None or bound.limit in _MOVING) and pool.may_not_borrow(
            city, enterprise, units, option.wall_ms
        ):
            return _lease(pool, city, enterprise, units)
        if bound is not None:
            of_pool = bound.limit is Limit.POOL_FULL
            node = f"centers/{pool.center}" if of_pool else bound.node
            return Binding(self._code(pool, city, units, bound), node, *bound[2:])
        if pool.is_full:
            return Binding(ReasonCode.CENTER_QUEUE, f"centers/{pool.center}")
        if pool.may_pass(city, enterprise, units, self._now_ms + option.wall_ms):
            return Binding(ReasonCode.NOT_EVALUATED, "corridor")
        if self._root.policy.backfill:
            return Binding(ReasonCode.WAITING_RESERVATION, f"centers/{pool.center}")
        return Binding(ReasonCode.BEHIND_HEAD, f"cities/{city}")

    @staticmethod
    def _code(pool: Pool, city: str, units: int, bound: Bound) -> ReasonCode:
        """The code of a limit; units that others borrowed of the city's own are to come back."""
        if bound.limit in _MOVING and pool.book.borrowed_after(city, units) == 0:
            others = (other for other in pool.book.used if other != city)
            if any(pool.book.borrowed_after(other, 0) for other in others):
                return ReasonCode.WAITING_RECLAIM
        return ReasonCode(bound.limit.value)


def _lease(pool: Pool, city: str, enterprise: str, units: int) -> Binding:
    """What a start would borrow that may not: it is too long, or borrowing is frozen."""
    if pool.frozen:
        return Binding(ReasonCode.WAITING_RESERVATION, f"centers/{pool.center}")
    nominal, room = pool.book.limits[city].nominal, pool.book.nominal_room(city, enterprise)
    code, node = ReasonCode.LEASE_TOO_LONG, f"cities/{city}"
    return Binding(code, node, nominal, nominal - room, units - room)


def _never(book: FlavorBook, city: str, enterprise: str, units: int) -> Binding | None:
    """The limit that an option breaks even while nothing runs."""
    if units <= book.most(city, enterprise):
        return None
    code, limits = ReasonCode.EXCEEDS_MAX, book.limits[city]
    cap = book.caps.get(enterprise)
    if units <= book.capacity and cap is not None and units > cap:
        return Binding(code, f"enterprises/{enterprise}", cap, 0, units - cap)
    if units <= book.capacity and limits.borrow is not None:
        most = limits.nominal + limits.borrow
        if units > most:
            return Binding(code, f"cities/{city}", most, 0, units - most)
    most = book.most(city, "")
    return Binding(code, "corridor", most, 0, units - most)
