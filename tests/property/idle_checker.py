"""A slow and plain second opinion on a course of plans: did any unit idle that could be used?

It shares no code with the planner. It is told the machine and, instant by instant, what ended,
what came and what the plan said, keeps its own books by counting runs one by one, and proves
after each plan: no limit is broken; a promise is for the earliest instant at which the job could
start if all runs ended at their limits; no waiting job, on any of its options, fits the free units
and the quotas and ends before, or fits beside, every promise; no promise is ever missed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from scheduler.placement.model import CityQuotaSet, JobQueued, Option, Plan


@dataclass(frozen=True, slots=True)
class Running:
    """A run that holds units until ``limit_ms`` at the latest."""

    city: str
    enterprise: str
    option: Option
    limit_ms: int


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
    #: Cities and enterprises that start nothing.
    stopped: set[str] = field(default_factory=set)
    #: Whether rules stay as they are, so that every promise must be kept.
    steady: bool = True
    #: Jobs and flavors that must not be tried for now.
    parked: set[int] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    waiting: dict[int, JobQueued] = field(default_factory=dict)
    running: dict[int, Running] = field(default_factory=dict)
    promised_ms: dict[tuple[int, str], int] = field(default_factory=dict)
    proven: int = 0

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

    def planned(self, plan: Plan) -> None:
        """Take a plan's starts; ``settled`` proves the last plan of an instant."""
        for start in plan.starts:
            job = self.waiting.pop(start.uid)
            option = start.option
            assert option in job.options, f"{start}: not an option of the job"
            assert start.uid not in self.parked, f"{start}: is parked"
            assert not self.is_stopped(job), f"{start}: is stopped"
            assert option.flavor not in self.closed, f"{start}: the pool is closed"
            assert self.fits(self.running.values(), job, option), f"{start}: breaks a limit"
            at_ms = self.promised_ms.get((start.uid, option.flavor), plan.now_ms)
            assert plan.now_ms <= at_ms or not self.steady, f"{start}: promised for {at_ms}"
            self.running[start.uid] = Running(
                job.city, job.enterprise, option, plan.now_ms + option.wall_ms
            )

    def settled(self, plan: Plan) -> None:
        """Prove the promises, and that nobody who waits could run beside them."""
        promises: dict[str, tuple[JobQueued, Option, int]] = {}
        for one in plan.reservations:
            job = self.waiting[one.uid]
            assert not self.is_stopped(job), f"{one}: is stopped"
            option = next(o for o in job.options if o[:2] == (one.flavor, one.units))
            earliest_ms = self.earliest(job, option, plan.now_ms)
            assert one.start_ms == earliest_ms, f"{one}: could start at {earliest_ms}"
            before_ms = self.promised_ms.get((one.uid, one.flavor), one.start_ms)
            assert one.start_ms <= before_ms or not self.steady, f"{one}: was for {before_ms}"
            self.promised_ms[one.uid, one.flavor] = one.start_ms
            assert one.flavor not in promises, f"{one}: a second promise"
            promises[one.flavor] = (job, option, one.start_ms)
        seen: set[tuple[str, str, tuple[Option, ...]]] = set()
        for job in self.waiting.values():
            if job.uid in self.parked or self.is_stopped(job):
                continue
            alike = (job.city, job.enterprise, job.options)
            if alike in seen:
                continue
            seen.add(alike)
            for option in job.options:
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
        if not self.fits(self.running.values(), job, option):
            return False
        if promise is None or now_ms + option.wall_ms <= promise[2]:
            return True
        holder, held, start_ms = promise
        still = [run for run in self.running.values() if run.limit_ms > start_ms]
        still.append(Running(job.city, job.enterprise, option, now_ms + option.wall_ms))
        return self.fits(still, holder, held)

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
            if self.fits([run for run in on_flavor if run.limit_ms > at_ms], job, option):
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
