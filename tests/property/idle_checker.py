"""A slow and plain second opinion on a course of plans: did any unit idle that could be used?

It shares no code with the planner. It is told the machine and, instant by instant, what ended,
what came and what the plan said, keeps its own books by counting runs one by one, and proves
after each plan: no limit is broken; a promise is for the earliest instant at which the job could
start if all runs ended at their limits; no waiting job, on any of its options, fits the free units
and the quotas and ends before, or fits beside, every promise; no promise is ever missed.

Where units are lent on leases or called back by evictions, promises are for starts within the
nominal quota, what borrows is short, and nothing new borrows while an owner is blocked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from scheduler.placement.model import (
    CityQuotaSet,
    JobQueued,
    Option,
    Plan,
    ReclaimSet,
    Start,
)
from tests.property.eviction_checker import EvictionChecker


@dataclass(frozen=True, slots=True)
class Running:
    """A run that holds units until ``limit_ms`` at the latest."""

    city: str
    enterprise: str
    option: Option
    limit_ms: int
    start_ms: int = 0
    priority: int = 0
    interruptible: bool = False
    evictions: int = 0


def sizes(option: Option) -> list[Option]:
    """The option at each size at which it may start, the smallest first."""
    found = [option]
    if option.units_min:
        for nodes in range(option.nodes - 1, 0, -1):
            units, rest = divmod(option.units * nodes, option.nodes)
            if not rest and units >= option.units_min:
                found.insert(0, option._replace(units=units, nodes=nodes))
    return found


def least(option: Option) -> Option:
    """The option at its smallest."""
    return sizes(option)[0]


@dataclass
class IdleChecker:
    """Follows one course; every method raises ``AssertionError`` with what is wrong."""

    capacities: Mapping[str, int]
    quotas: Mapping[tuple[str, str], CityQuotaSet]
    #: By (enterprise, flavor).
    caps: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: What a city keeps for an enterprise, by (enterprise, flavor); whose city is in ``homes``.
    kept: Mapping[tuple[str, str], int] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)
    #: Units of the corridor's own by flavor, where they are not what the cities leave.
    corridor: Mapping[str, int] = field(default_factory=dict)
    #: Modes other than churn by flavor.
    reclaim: Mapping[str, ReclaimSet] = field(default_factory=dict)
    #: Cities and enterprises that start nothing.
    stopped: set[str] = field(default_factory=set)
    #: (city or enterprise, flavor) whose budget is used up: no turn, no promise, nothing idle.
    used_up: set[tuple[str, str]] = field(default_factory=set)
    #: Whether rules stay as they are, so that every promise must be kept.
    steady: bool = True
    #: Jobs and flavors that must not be tried for now.
    parked: set[int] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    waiting: dict[int, JobQueued] = field(default_factory=dict)
    running: dict[int, Running] = field(default_factory=dict)
    promised_ms: dict[tuple[int, str], int] = field(default_factory=dict)
    #: Who was promised what by the last plan.
    promised: set[tuple[int, str]] = field(default_factory=set)
    evictions: EvictionChecker = field(default_factory=EvictionChecker)
    proven: int = 0

    def anew(self) -> "IdleChecker":
        """A checker of the same machine that has seen nothing yet."""
        return IdleChecker(
            self.capacities, self.quotas, self.caps, self.kept, self.homes, self.corridor,
            self.reclaim, steady=self.steady,
        )  # fmt: skip

    def queued(self, job: JobQueued) -> None:
        """A job came."""
        assert job.uid not in self.waiting
        assert job.uid not in self.running
        self.waiting[job.uid] = job

    def gone(self, uid: int) -> None:
        """A waiting job was cancelled."""
        del self.waiting[uid]

    def ended(self, uid: int) -> None:
        """A run ended."""
        del self.running[uid]
        if not self.evictions.was_evicted(uid):
            self.evictions.pairs.clear()

    def planned(self, plan: Plan) -> None:
        """Take a plan's starts and evictions; ``settled`` proves the last plan of an instant."""
        owners = {flavor: self.blocked_owners(flavor) for flavor in self.reclaim}
        for start in plan.starts:
            self._start(start, plan.now_ms, owners.get(start.option.flavor, ()))
        promised = {(one.uid, one.flavor) for one in plan.reservations}
        for uid, flavor in promised - self.promised:
            over = self.is_over_budget(self.waiting[uid], flavor)
            assert not over, f"{uid} is promised {flavor}: over budget"
        self.promised = promised
        self.evictions.planned(self, plan)

    def _start(self, start: Start, now_ms: int, owners: Iterable[JobQueued]) -> None:
        job, option = self.waiting[start.uid], start.option
        flavor = option.flavor
        assert any(option in sizes(one) for one in job.options), f"{start}: not an option"
        assert start.uid not in self.parked, f"{start}: is parked"
        assert not self.is_stopped(job), f"{start}: is stopped"
        assert flavor not in self.closed, f"{start}: the pool is closed"
        assert self.fits(self.running.values(), job, option), f"{start}: breaks a limit"
        at_ms = self.promised_ms.pop((start.uid, flavor), now_ms)
        assert now_ms <= at_ms or not self.steady, f"{start}: promised for {at_ms}"
        if self.is_lease(flavor) and not self.is_within(self.running.values(), job, option):
            assert option.wall_ms <= self.reclaim[flavor].lease_ms, f"{start}: borrows for long"
            still = [one for one in owners if self.is_blocked_owner(one, flavor)]
            assert not still, f"{start}: borrows while {still[:1]} is blocked"
        if job.emergency:  # it goes before those that were promised
            self._forget_promises(job)
        del self.waiting[start.uid]
        self.running[start.uid] = Running(
            job.city, job.enterprise, option, now_ms + option.wall_ms, now_ms, job.priority,
            job.interruptible, job.evictions,
        )  # fmt: skip

    def _forget_promises(self, emergency: JobQueued) -> None:
        """Promises to others of what an emergency asks for are void."""
        flavors = {option.flavor for option in emergency.options}
        for key in [key for key in self.promised_ms if key[1] in flavors]:
            if key[0] != emergency.uid:
                del self.promised_ms[key]

    def settled(self, plan: Plan) -> None:
        """Prove the promises, and that nobody who waits could run beside them."""
        promises: dict[str, tuple[JobQueued, Option, int]] = {}
        for one in plan.reservations:
            job = self.waiting[one.uid]
            assert not self.is_stopped(job), f"{one}: is stopped"
            asked = (one.flavor, one.units)
            option = next(o for o in map(least, job.options) if o[:2] == asked)
            earliest_ms = self.earliest(job, option, plan.now_ms)
            assert one.start_ms == earliest_ms, f"{one}: could start at {earliest_ms}"
            before_ms = self.promised_ms.get((one.uid, one.flavor), one.start_ms)
            assert one.start_ms <= before_ms or not self.steady, f"{one}: was for {before_ms}"
            self.promised_ms[one.uid, one.flavor] = one.start_ms
            assert one.flavor not in promises, f"{one}: a second promise"
            promises[one.flavor] = (job, option, one.start_ms)
            if job.emergency:
                self._forget_promises(job)
        if self.steady:
            self.evictions.settled(self, plan)
        seen: set[tuple[str, str, tuple[Option, ...]]] = set()
        for job in self.waiting.values():
            if job.uid in self.parked or self.is_stopped(job):
                continue
            alike = (job.city, job.enterprise, job.options)
            if alike in seen:
                continue
            seen.add(alike)
            for option in map(least, job.options):
                if option.flavor in self.closed:
                    continue
                promise = promises.get(option.flavor)
                assert not self.could_run(job, option, promise, plan.now_ms), (
                    f"at {plan.now_ms} {job} could run on {option}"
                )
                # Units that a city lends to nobody are its own, whoever is promised the pool.
                is_own = promise is None or promise[0].city == job.city
                fits = self.fits(self.running.values(), job, option)
                assert is_own or not fits or not self.is_guaranteed(job, option), (
                    f"at {plan.now_ms} {job} waits for units guaranteed to its city"
                )
                self.proven += 1

    def could_run(
        self, job: JobQueued, option: Option, promise: tuple[JobQueued, Option, int] | None,
        now_ms: int,
    ) -> bool:  # fmt: skip
        """Whether a start now breaks no limit and delays no promise."""
        runs, flavor = self.running.values(), option.flavor
        if not self.fits(runs, job, option):
            return False
        if self.is_lease(flavor) and not self.is_within(runs, job, option):
            too_long = option.wall_ms > self.reclaim[flavor].lease_ms
            if too_long or any(True for _ in self.blocked_owners(flavor)):
                return False
        if promise is None or now_ms + option.wall_ms <= promise[2]:
            return True
        holder, held, start_ms = promise
        still = [run for run in runs if run.limit_ms > start_ms]
        still.append(Running(job.city, job.enterprise, option, now_ms + option.wall_ms))
        return self.can_promise(still, holder, held)

    def can_promise(self, runs: Iterable[Running], job: JobQueued, option: Option) -> bool:
        """Whether a job fits beside runs, for a promise."""
        runs = list(runs)
        is_own = option.flavor not in self.reclaim or self.is_within(runs, job, option)
        return is_own and self.fits(runs, job, option)

    def is_lease(self, flavor: str) -> bool:
        """Whether what borrows of a flavor must be short."""
        return flavor in self.reclaim and self.reclaim[flavor].mode == "lease"

    def is_within(self, runs: Iterable[Running], job: JobQueued, option: Option) -> bool:
        """Whether the job's city then holds and keeps no more than its nominal quota."""
        before = self.books(runs, job.enterprise, option.flavor)
        after = before.after(job, option.units)
        held = after.holds_or_keeps[job.city]
        quota = self.quotas.get((job.city, option.flavor))
        nominal = 0 if quota is None else quota.nominal_units
        return held <= nominal or held == before.holds_or_keeps.get(job.city, 0)

    def is_blocked_owner(self, job: JobQueued, flavor: str) -> bool:
        """Whether a job lacks only units, of those that its city owns."""
        if job.uid in self.parked or self.is_stopped(job) or job.uid not in self.waiting:
            return False
        if self.is_over_budget(job, flavor):
            return False
        runs = [run for run in self.running.values() if run.option.flavor == flavor]
        for option in map(least, job.options):
            if option.flavor == flavor and self.is_within(runs, job, option):
                if not self.fits((), job, option):  # never fits, whoever gives back
                    continue
                cap = self.caps.get((job.enterprise, flavor))
                mine = sum(run.option.units for run in runs if run.enterprise == job.enterprise)
                is_capped = cap is not None and mine + option.units > cap
                quota = self.quotas.get((job.city, flavor))
                if quota is not None and quota.borrow_limit_units is not None:
                    in_city = sum(run.option.units for run in runs if run.city == job.city)
                    most = quota.nominal_units + quota.borrow_limit_units
                    is_capped |= in_city + option.units > most
                if not is_capped and not self.fits(runs, job, option):
                    return True
        return False

    def blocked_owners(self, flavor: str) -> list[JobQueued]:
        """All waiting jobs that lack only units, of those that their cities own."""
        return [job for job in self.waiting.values() if self.is_blocked_owner(job, flavor)]

    def is_over_budget(self, job: JobQueued, flavor: str) -> bool:
        """Whether the budget of its city or enterprise is used up; an emergency goes first."""
        if job.emergency:
            return False
        nodes = f"cities/{job.city}", f"enterprises/{job.enterprise}"
        return any((node, flavor) in self.used_up for node in nodes)

    def is_stopped(self, job: JobQueued) -> bool:
        """Whether the job's city or enterprise is stopped."""
        return not self.stopped.isdisjoint((f"cities/{job.city}", f"enterprises/{job.enterprise}"))

    def is_guaranteed(self, job: JobQueued, option: Option) -> bool:
        """Whether a job fits into what its city lends to nobody, and its enterprise's cap.

        Not in what is kept for other enterprises; and not after a cut, while more is held or
        guaranteed than there is.
        """
        books = self.books(self.running.values(), job.enterprise, option.flavor)
        after = books.after(job, option.units)
        kept = books.guarantees.get(job.city, 0)
        if books.committed > books.total or after.holds_or_keeps[job.city] > kept:
            return False
        cap = self.caps.get((job.enterprise, option.flavor))
        return cap is None or after.mine <= cap

    def earliest(self, job: JobQueued, option: Option, now_ms: int) -> int:
        """The first instant at which a job fits if all runs end at their limits."""
        on_flavor = [r for r in self.running.values() if r.option.flavor == option.flavor]
        for at_ms in sorted({now_ms, *(run.limit_ms for run in on_flavor)}):
            if self.can_promise([r for r in on_flavor if r.limit_ms > at_ms], job, option):
                return at_ms
        raise AssertionError(f"{job} is promised a pool that it never fits")

    def fits(self, runs: Iterable[Running], job: JobQueued, option: Option) -> bool:
        """The quota rules A1, A2, A3, A5 written out: units, caps, limits, guarantees."""
        flavor, city = option.flavor, job.city
        on_flavor = [run for run in runs if run.option.flavor == flavor]
        if sum(run.option.units for run in on_flavor) + option.units > self.capacities[flavor]:
            return False
        before = self.books(on_flavor, job.enterprise, flavor)
        after = before.after(job, option.units)
        if after.mine > self.caps.get((job.enterprise, flavor), after.mine):
            return False
        quota = self.quotas.get((city, flavor))
        if quota is not None and quota.borrow_limit_units is not None:
            most = quota.nominal_units + quota.borrow_limit_units
            if after.used[city] > most:
                return False
            grows = after.holds_or_keeps[city] > before.holds_or_keeps[city]
            if grows and after.holds_or_keeps[city] > most:
                return False
        return after.committed == before.committed or after.committed <= after.total

    def books(self, runs: Iterable[Running], enterprise: str, flavor: str) -> "Books":
        """What is held of a flavor, counted run by run."""
        used = {city: 0 for city, of in self.quotas if of == flavor}
        by_enterprise: dict[str, int] = {enterprise: 0}
        for run in runs:
            if run.option.flavor == flavor:
                used[run.city] = used.get(run.city, 0) + run.option.units
                by_enterprise[run.enterprise] = (
                    by_enterprise.get(run.enterprise, 0) + run.option.units
                )
        guarantees: dict[str, int] = {}
        owned = 0
        for (city, of), quota in self.quotas.items():
            if of == flavor:
                owned += quota.nominal_units
                lend = quota.lend_limit_units
                guarantees[city] = 0 if lend is None else max(0, quota.nominal_units - lend)
        capacity = self.capacities[flavor]
        owned += self.corridor.get(flavor, max(0, capacity - owned))
        kept = {name: units for (name, of), units in self.kept.items() if of == flavor}
        return Books(
            used, by_enterprise, enterprise, guarantees, kept, self.homes, min(owned, capacity)
        )


@dataclass(frozen=True, slots=True)
class Books:
    """What is held of one flavor at one time, looked at by one enterprise."""

    used: dict[str, int]
    by_enterprise: dict[str, int]
    enterprise: str
    guarantees: dict[str, int]
    kept: dict[str, int]
    homes: Mapping[str, str]
    total: int

    @property
    def mine(self) -> int:
        """Units of the enterprise."""
        return self.by_enterprise[self.enterprise]

    @property
    def holds_or_keeps(self) -> dict[str, int]:
        """By city: what its enterprises hold, or what it keeps for them if that is more."""
        found = dict(self.used)
        for name, units in self.kept.items():
            city = self.homes[name]
            missing = max(0, units - self.by_enterprise.get(name, 0))
            found[city] = found.get(city, 0) + missing
        return found

    @property
    def committed(self) -> int:
        """What all cities together hold, keep or are guaranteed."""
        found = self.holds_or_keeps
        cities = found.keys() | self.guarantees.keys()
        return sum(max(found.get(city, 0), self.guarantees.get(city, 0)) for city in cities)

    def after(self, job: JobQueued, units: int) -> "Books":
        """With a start of so many units."""
        used = {**self.used, job.city: self.used.get(job.city, 0) + units}
        mine = {**self.by_enterprise, job.enterprise: self.mine + units}
        return replace(self, used=used, by_enterprise=mine)
