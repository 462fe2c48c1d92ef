"""A slow and plain second opinion on a course of plans: did any unit idle that could be used?

It shares no code with the planner. It is told the machine and, instant by instant, what ended,
what came and what the plan said, keeps its own books by counting runs one by one, and proves
after each plan: no limit is broken; a promise is for the earliest instant at which the job could
start if all runs ended at their limits; no waiting job, on any of its options, fits the free units
and the quotas and ends before, or fits beside, every promise; no promise is ever missed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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
            if job.uid in self.parked:
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

    def is_guaranteed(self, job: JobQueued, option: Option) -> bool:
        """Whether a job fits into what its city lends to nobody, and its enterprise's cap."""
        quota = self.quotas.get((job.city, option.flavor))
        if quota is None or quota.lend_limit_units is None:
            return False
        owned = sum(q.nominal_units for (_, of), q in self.quotas.items() if of == option.flavor)
        if owned > self.capacities[option.flavor]:
            return False  # more is promised to the cities than there is
        mine = [run for run in self.running.values() if run.option.flavor == option.flavor]
        used = sum(run.option.units for run in mine if run.city == job.city)
        by_enterprise = sum(run.option.units for run in mine if run.enterprise == job.enterprise)
        cap = self.caps.get((job.enterprise, option.flavor))
        kept = quota.nominal_units - quota.lend_limit_units
        return used + option.units <= kept and (cap is None or by_enterprise + option.units <= cap)

    def earliest(self, job: JobQueued, option: Option, now_ms: int) -> int:
        """The first instant at which a job fits if all runs end at their limits."""
        on_flavor = [r for r in self.running.values() if r.option.flavor == option.flavor]
        for at_ms in sorted({now_ms, *(run.limit_ms for run in on_flavor)}):
            if self.fits([run for run in on_flavor if run.limit_ms > at_ms], job, option):
                return at_ms
        raise AssertionError(f"{job} is promised a pool that it never fits")

    def fits(self, runs: Iterable[Running], job: JobQueued, option: Option) -> bool:
        """The quota rules A1, A2, A3, A5 written out: units, caps, limits, guarantees."""
        flavor, units = option.flavor, option.units
        used = dict.fromkeys({city for city, _ in self.quotas} | {job.city}, 0)
        mine = units
        for run in runs:
            if run.option.flavor == flavor:
                used[run.city] = used.get(run.city, 0) + run.option.units
                if run.enterprise == job.enterprise:
                    mine += run.option.units
        used[job.city] += units
        if sum(used.values()) > self.capacities[flavor]:
            return False
        if mine > self.caps.get((job.enterprise, flavor), mine):
            return False
        total = sum(q.nominal_units for (_, of), q in self.quotas.items() if of == flavor)
        committed = 0
        for city, held in used.items():
            quota = self.quotas.get((city, flavor), CityQuotaSet(city, flavor, 0))
            borrow, lend = quota.borrow_limit_units, quota.lend_limit_units
            if city == job.city and borrow is not None and held > quota.nominal_units + borrow:
                return False
            kept = 0 if lend is None else max(0, quota.nominal_units - lend)
            committed += max(held, kept)
        return committed <= max(total, self.capacities[flavor])
