"""A second opinion on evictions: whose runs were stopped, for whom, and how many.

Told after each plan, with the books of ``IdleChecker``. It proves the rules of reclaim by eviction
(E9, I4, I5 of the reference model): the job that evicts stays within its city's nominal quota and
is promised the pool; whose run is evicted belongs to another city, which borrows, is interruptible,
old enough and not yet evicted twice; no run is stopped without need; the units held within nominal
quotas will rise; a pool has one set of evictions at a time and keeps to its rate; no two jobs evict
each other while nothing else ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Final

from scheduler.placement.model import Eviction, Plan, ReclaimSet, Reservation

if TYPE_CHECKING:
    from tests.property.idle_checker import IdleChecker, Running

#: All sets of so many runs are tried.
_SUBSETS_OF: Final = 9


@dataclass
class EvictionChecker:
    """Follows the evictions of one course."""

    #: Runs that are being stopped, with the flavor and the job that each is for.
    ending: dict[int, tuple[str, int]] = field(default_factory=dict)
    #: (instant, run, flavor, units).
    done: list[tuple[int, int, str, int]] = field(default_factory=list)
    #: (who evicted, who was evicted) since something else ended.
    pairs: set[tuple[int, int]] = field(default_factory=set)
    #: Promises for which runs were evicted: (job, flavor).
    served: set[tuple[int, str]] = field(default_factory=set)
    seen: int = 0

    def was_evicted(self, uid: int) -> bool:
        """Whether a run that ended did so because it was evicted."""
        return self.ending.pop(uid, None) is not None

    def refused(self, uid: int) -> None:
        """An eviction was not begun."""
        _, for_uid = self.ending.pop(uid)
        self.served = {one for one in self.served if one[0] != for_uid}
        del self.done[max(at for at, one in enumerate(self.done) if one[1] == uid)]

    def planned(self, books: "IdleChecker", plan: Plan) -> None:
        """Prove a plan's evictions and take them."""
        promised = {(one.uid, one.flavor): one.units for one in plan.reservations}
        self.served &= promised.keys()
        for flavor in {one.flavor for one in plan.evictions}:
            ours = [one for one in plan.evictions if one.flavor == flavor]
            self._prove(books, plan.now_ms, ours, promised)
        started = {start.uid for start in plan.starts}
        for one in plan.evictions:
            assert one.uid not in started, f"{one}: the same plan starts it"
            run = books.running[one.uid]
            limit_ms = min(run.limit_ms, plan.now_ms + one.grace_ms)
            books.running[one.uid] = replace(run, limit_ms=limit_ms)
            self.ending[one.uid] = (one.flavor, one.for_uid)
            self.done.append((plan.now_ms, one.uid, one.flavor, one.units))
            self.served.add((one.for_uid, one.flavor))
            assert (one.uid, one.for_uid) not in self.pairs, f"{one}: they evict each other"
            self.pairs.add((one.for_uid, one.uid))
            self.seen += 1

    def settled(self, books: "IdleChecker", plan: Plan) -> None:
        """Prove that no set of runs was passed over: every subset of few runs is tried."""
        for one in plan.reservations:
            reclaim = books.reclaim.get(one.flavor)
            if reclaim is None or reclaim.mode != "evict" or one.flavor in books.closed:
                continue
            if any(of == one.flavor for of, _ in self.ending.values()):
                continue
            if (one.uid, one.flavor) in self.served or any(
                of == one.flavor for _, of in books.kept
            ):
                continue
            passed_over = self._passed_over(books, plan.now_ms, one, reclaim)
            assert not passed_over, f"at {plan.now_ms} {one}: {passed_over} could be evicted"

    def _passed_over(
        self, books: "IdleChecker", now_ms: int, promise: Reservation, reclaim: ReclaimSet
    ) -> tuple[int, ...]:
        """Runs within the rate by whose end a promised owner could start, of cities that then
        still hold what they own; the fewest."""
        job, flavor = books.waiting[promise.uid], promise.flavor
        runs = {uid: run for uid, run in books.running.items() if run.option.flavor == flavor}
        used = _by_city(runs.values())
        nominal = {city: q.nominal_units for (city, of), q in books.quotas.items() if of == flavor}
        if used.get(job.city, 0) + promise.units > nominal.get(job.city, 0):
            return ()
        ripe_ms = now_ms - max(1, reclaim.run_min_ms)
        may_go = [
            uid
            for uid, run in runs.items()
            if run.interruptible and run.evictions < 2 and run.city != job.city
            and run.start_ms <= ripe_ms
        ]  # fmt: skip
        room = self.room(books, flavor, now_ms, reclaim)
        option = next(o for o in job.options if o.flavor == flavor)._replace(units=promise.units)
        for count in range(1, len(may_go) + 1) if len(may_go) <= _SUBSETS_OF else ():
            for gone in combinations(may_go, count):
                left = [run for uid, run in runs.items() if uid not in gone]
                after = _by_city(left)
                whole = all(
                    after.get(runs[uid].city, 0) >= nominal.get(runs[uid].city, 0) for uid in gone
                )
                units = sum(runs[uid].option.units for uid in gone)
                if whole and units <= room and books.fits(left, job, option):
                    return gone
        return ()

    def _prove(
        self, books: "IdleChecker", now_ms: int, ours: list[Eviction],
        promised: dict[tuple[int, str], int],
    ) -> None:  # fmt: skip
        flavor, for_uid = ours[0].flavor, ours[0].for_uid
        reclaim = books.reclaim[flavor]
        assert reclaim.mode == "evict"
        assert not any(of == flavor for of, _ in self.ending.values()), "one set at a time"
        assert {one.for_uid for one in ours} == {for_uid}
        assert (for_uid, flavor) not in self.served, f"{ours}: once more for the same job"
        assert (for_uid, flavor) in promised, f"{ours}: for a job that is promised nothing"
        job, units = books.waiting[for_uid], promised[for_uid, flavor]
        runs = {u: run for u, run in books.running.items() if run.option.flavor == flavor}
        used = _by_city(runs.values())
        nominal = {city: q.nominal_units for (city, of), q in books.quotas.items() if of == flavor}
        mine = used.get(job.city, 0) + units
        assert mine <= nominal.get(job.city, 0), f"{ours}: for a job that would borrow"
        gone: dict[str, int] = {}
        for one in ours:
            run = runs[one.uid]
            assert one.units == run.option.units
            assert run.city != job.city
            assert run.interruptible, f"{one}: is not interruptible"
            assert run.evictions < 2, f"{one}: was evicted twice"
            assert now_ms - run.start_ms >= reclaim.run_min_ms, f"{one}: is too young"
            borrowed = used[run.city] - gone.get(run.city, 0) - nominal.get(run.city, 0)
            assert borrowed > 0, f"{one}: its city does not borrow"
            gone[run.city] = gone.get(run.city, 0) + one.units
        lost = sum(
            max(0, min(used[city], nominal.get(city, 0)) - (used[city] - units_of))
            for city, units_of in gone.items()
        )
        assert units > lost, f"{ours}: no more is held within nominal quotas than before"
        self._prove_need(books, ours, runs, units)
        self._prove_rate(books, now_ms, ours, reclaim)

    @staticmethod
    def _prove_need(
        books: "IdleChecker", ours: list[Eviction], runs: "dict[int, Running]", units: int
    ) -> None:
        """With all of them gone the job fits, with one of them left it does not."""
        job, flavor = books.waiting[ours[0].for_uid], ours[0].flavor
        option = next(o for o in job.options if o.flavor == flavor)._replace(units=units)
        gone = {one.uid for one in ours}
        left = [run for uid, run in runs.items() if uid not in gone]
        assert books.fits(left, job, option), f"{ours}: too few"
        for uid in gone:
            assert not books.fits([*left, runs[uid]], job, option), f"{ours}: {uid} needlessly"

    def _prove_rate(
        self, books: "IdleChecker", now_ms: int, ours: list[Eviction], reclaim: ReclaimSet
    ) -> None:
        now = sum(one.units for one in ours)
        assert now <= self.room(books, ours[0].flavor, now_ms, reclaim), f"{ours}: too many at once"

    def room(self, books: "IdleChecker", flavor: str, now_ms: int, reclaim: ReclaimSet) -> int:
        """What is left of ``rate_bps`` of all owned units within ``rate_ms``."""
        owned = sum(q.nominal_units for (_, of), q in books.quotas.items() if of == flavor)
        owned += books.corridor.get(flavor, max(0, books.capacities[flavor] - owned))
        since_ms = now_ms - reclaim.rate_ms
        late = sum(n for at_ms, _, of, n in self.done if of == flavor and at_ms > since_ms)
        return owned * reclaim.rate_bps // 10_000 - late


def _by_city(runs: "Iterable[Running]") -> dict[str, int]:
    used: dict[str, int] = {}
    for run in runs:
        used[run.city] = used.get(run.city, 0) + run.option.units
    return used
