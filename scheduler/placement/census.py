"""How many jobs wait, kept up to date job by job, so that to be asked costs nothing by the job."""

from collections import Counter
from dataclasses import dataclass

from scheduler.domain.reasons import ReasonCode
from scheduler.placement.parking import Parking
from scheduler.placement.pools import Pool
from scheduler.placement.waiting import WaitingClass, WaitingLines


@dataclass(frozen=True, slots=True)
class WaitingCounts:
    """Waiting jobs: how many by (city, flavor), the oldest's queue time, and reasons.

    The flavor is that of the first option.
    """

    jobs: dict[tuple[str, str], int]
    oldest_ms: dict[tuple[str, str], int]
    reasons: dict[tuple[str, str, str], int]


class Census:
    """Numbers of waiting jobs by what decides why they wait, and by enterprise."""

    def __init__(self) -> None:
        #: By (city, flavor, units, capped enterprise or "") of the first option.
        self._alike: Counter[tuple[str, str, int, str]] = Counter()
        self.by_member: dict[str, Counter[str]] = {}
        #: Classes that stand in no line: they can never start, or wait with a parked job.
        self._nowhere: dict[WaitingClass, None] = {}

    def add(self, waiting: WaitingClass, jobs: int) -> None:
        """Count more (or fewer) jobs of a class."""
        option = waiting.options[0]
        self._alike[waiting.city, option.flavor, option.units, waiting.capped] += jobs
        members = self.by_member.get(waiting.city)
        if members is None:
            members = self.by_member[waiting.city] = Counter()
        members[waiting.enterprise] += jobs

    def stands(self, waiting: WaitingClass, somewhere: bool) -> None:
        """Note whether a class stands in a line."""
        if somewhere:
            self._nowhere.pop(waiting, None)
        else:
            self._nowhere[waiting] = None

    def counts(
        self, pools: dict[str, Pool], lines: WaitingLines, parking: Parking
    ) -> WaitingCounts:
        """Count; the reason is the limit that binds the first option."""
        jobs: Counter[tuple[str, str]] = Counter()
        reasons: Counter[tuple[str, str, str]] = Counter()
        for (city, flavor, units, capped), count in self._alike.items():
            if count:
                jobs[city, flavor] += count
                reasons[city, flavor, _reason(pools.get(flavor), city, capped, units)] += count
        oldest: dict[tuple[str, str], int] = {}

        def note(city: str, flavor: str, queued_ms: int) -> None:
            oldest[city, flavor] = min(oldest.get((city, flavor), queued_ms), queued_ms)

        for city, flavor in jobs:
            for queued_ms in lines.oldest_ms(flavor, city):
                note(city, flavor, queued_ms)
        for waiting in self._nowhere:
            option = waiting.options[0]
            note(waiting.city, option.flavor, waiting.window[0][1])
            stalled = parking.stalled.get(waiting.key)
            if stalled is not None:
                pool = pools.get(option.flavor)
                said = _reason(pool, waiting.city, waiting.capped, option.units)
                reasons[waiting.city, option.flavor, said] -= waiting.count
                reasons[waiting.city, option.flavor, stalled.code] += waiting.count
        for parked in parking.jobs.values():
            city, flavor = parked.job.city, parked.job.options[0].flavor
            jobs[city, flavor] += 1
            reasons[city, flavor, parked.reason.code] += 1
            note(city, flavor, parked.job.queued_ms)
        return WaitingCounts(dict(jobs), oldest, dict(+reasons))


def _reason(pool: Pool | None, city: str, capped: str, units: int) -> ReasonCode:
    """The binding limit; what fits waits for a reservation."""
    if pool is None:
        return ReasonCode.NO_FLAVOR
    if not pool.is_open:
        return ReasonCode.CENTER_DOWN
    bound = pool.book.bound(city, capped, units)
    return ReasonCode.WAITING_RESERVATION if bound is None else ReasonCode(bound.limit.value)
