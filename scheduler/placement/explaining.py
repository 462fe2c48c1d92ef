"""Why a job waits, and when it may start: answers that change nothing.

The reason is the limit that binds the option nearest to a start. The start band is what can be
said for sure: ``start_earliest_ms`` is when the option would fit if all runs ended at their limits
and nobody came before; ``start_latest_ms`` is the promise, where there is one;
``start_likely_ms`` adds to the earliest the work that waits before the job, spread over the pool.
"""

from collections import Counter

from quota.instant import Bound, Limit
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import Explanation, JobQueued, Option
from scheduler.placement.pools import Pool
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import ClassKey, Entry

_RANK = {code: rank for rank, code in enumerate(ReasonCode)}


class Explainer:
    """Reads a root planner between cycles."""

    def __init__(self, root: RootPlanner) -> None:
        self._root = root

    def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """Say why a waiting job waits; None if it does not wait here."""
        root = self._root
        parked = root.parking.jobs.get(uid)
        if parked is not None:
            key = (parked.job.city, parked.job.enterprise, parked.job.options)
            entry = (-parked.job.priority, parked.job.queued_ms, uid, 0)
            position, waiting = self._position(key, entry, None)
            return Explanation(uid, parked.reason, position, waiting)
        place = root.shards.locate(uid, root.pending_takes())
        if place is None:
            return None
        reason = root.parking.stalled.get(place.key) or self.reason(place.key, place.entry, now_ms)
        position, waiting = self._position(place.key, place.entry, place.before_in_enterprise)
        return Explanation(uid, reason, position, waiting)

    def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        """Say what would be said of a job if it were queued now."""
        key = (job.city, job.enterprise, job.options)
        entry = (-job.priority, job.queued_ms, job.uid, 0)
        position, waiting = self._position(key, entry, None)
        return Explanation(job.uid, self.reason(key, entry, now_ms), position, waiting + 1)

    def reason(self, key: ClassKey, entry: Entry, now_ms: int) -> PendingReason:
        """The reason of the option that is nearest to a start."""
        city, enterprise, options = key
        reasons = [self._option(city, enterprise, option, entry, now_ms) for option in options]
        return max(reasons, key=lambda reason: _RANK[reason.code])

    def _option(
        self, city: str, enterprise: str, option: Option, entry: Entry, now_ms: int
    ) -> PendingReason:
        pool = self._root.pools.get(option.flavor)
        if pool is None:
            return PendingReason(ReasonCode.NO_FLAVOR, "corridor", option.flavor)
        if not pool.is_open:
            return PendingReason(ReasonCode.CENTER_DOWN, f"centers/{pool.center}", option.flavor)
        bound = pool.book.bound(city, enterprise, option.units)
        at_ms, later = pool.earliest(city, enterprise, option.units, now_ms)
        promise = self._promise(pool, entry)
        earliest = at_ms if later is not None else None
        likely = None if earliest is None else promise or earliest + self._queued_ms(pool, entry)
        code = self._code(pool, city, enterprise, option, bound, now_ms)
        return PendingReason(
            code,
            bound.node if bound is not None else f"centers/{pool.center}",
            option.flavor,
            limit=bound.height if bound is not None else None,
            used=bound.used if bound is not None else None,
            requested=option.units,
            short_by=bound.short_by if bound is not None else None,
            next_event_ms=self._next_end(pool, now_ms),
            start_earliest_ms=earliest,
            start_likely_ms=likely,
            start_latest_ms=promise,
        )

    def _code(
        self, pool: Pool, city: str, enterprise: str, option: Option, bound: Bound | None,
        now_ms: int,
    ) -> ReasonCode:  # fmt: skip
        if bound is not None:
            below = pool.book.borrowed_after(city, option.units) == 0
            if bound.limit is Limit.POOL_FULL and below and self._lent(pool):
                return ReasonCode.WAITING_RECLAIM
            return ReasonCode(bound.limit.value)
        if not pool.may_pass(city, enterprise, option.units, now_ms + option.wall_ms):
            if self._root.policy.backfill:
                return ReasonCode.WAITING_RESERVATION
            return ReasonCode.BEHIND_HEAD
        return ReasonCode.NOT_EVALUATED

    @staticmethod
    def _lent(pool: Pool) -> bool:
        """Whether some city holds more than its nominal."""
        return any(pool.book.borrowed_after(city, 0) for city in pool.book.used)

    @staticmethod
    def _promise(pool: Pool, entry: Entry) -> int | None:
        holder = pool.holder
        return holder.start_ms if holder is not None and holder.entry[2] == entry[2] else None

    @staticmethod
    def _next_end(pool: Pool, now_ms: int) -> int | None:
        return max(now_ms, pool.ends[0][0]) if pool.ends else None

    def _queued_ms(self, pool: Pool, entry: Entry) -> int:
        """How long the pool would work on the jobs that were queued before this one."""
        work = 0
        for owners in self._root.lines.owners(pool.flavor).values():
            for sizes in owners.values():
                for line in sizes.values():
                    for first, spot, waiting in line:
                        if first[1] < entry[1]:
                            work += waiting.count * spot.units * spot.wall_ms
        return work // max(1, pool.book.capacity)

    def _position(self, key: ClassKey, entry: Entry, before: int | None) -> tuple[int, int]:
        """Return (place, 1 for the next; waiting jobs) in the city, in the order of now."""
        root, city, enterprise = self._root, key[0], key[1]
        if before is None:
            before = root.shards.before(root.shard_of(city), key, entry)
        members = root.census.by_member.get(city) or Counter[str]()
        if root.policy.order == "fifo":
            ahead = sum(
                sum(1 for one in other.window if one[1:3] < entry[1:3])
                for other in root.classes.values()
                if other.city == city and other.enterprise != enterprise
            )
        else:
            mine = (root.keys.enterprise_key(enterprise), enterprise)
            ahead = sum(
                jobs
                for other, jobs in members.items()
                if jobs and (root.keys.enterprise_key(other), other) < mine
            )
        parked = sum(1 for one in root.parking.jobs.values() if one.job.city == city)
        return ahead + before + 1, sum(members.values()) + parked
