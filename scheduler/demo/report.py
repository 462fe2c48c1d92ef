"""Figures of a finished demonstration, by city and center and by city and flavor; pure.

Units and hours are what the centers wrote down, money is what the ledger posted, outcomes are what
the API says.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from quota.transfers import Kind, Link
from scheduler.demo.checks import Holding, peaks
from scheduler.demo.journals import Stay
from scheduler.store.evidence import RunRow

#: Center of a job that never got a run.
NOWHERE: Final = ""
#: Stands for all cities together.
EVERYONE: Final = ""


class EndedJob(NamedTuple):
    """A job in its final state, as the API lists it."""

    uid: int
    city: str
    state: str
    submit_ms: int


@dataclass(slots=True)
class Jobs:
    """Jobs of a city whose last run was at a center; waits in ms from submission to first start."""

    by_state: Counter[str] = field(default_factory=Counter)
    waits_ms: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.by_state.values())

    def add(self, other: "Jobs") -> None:
        """Take in another group."""
        self.by_state += other.by_state
        self.waits_ms += other.waits_ms


@dataclass(slots=True)
class Use:
    """What a city used of a flavor and what it cost; the peak is of held units."""

    unit_ms: int = 0
    peak_units: int = 0
    nominal_units: int = 0
    subsidy_fen: int = 0
    self_pay_fen: int = 0

    @property
    def unit_hours(self) -> float:
        """Unit-hours."""
        return self.unit_ms / 3_600_000

    @property
    def gross_fen(self) -> int:
        """Both parts."""
        return self.subsidy_fen + self.self_pay_fen


def jobs_by_city(jobs: Iterable[EndedJob], runs: Sequence[RunRow]) -> dict[tuple[str, str], Jobs]:
    """Jobs by (city, center of the last run), in order; ``NOWHERE`` for those without a run."""
    last: dict[int, str] = {}
    first_start_ms: dict[int, int] = {}
    for run in runs:  # by job and attempt
        last[run.uid] = run.center
        if run.start_ms is not None:
            first_start_ms.setdefault(run.uid, run.start_ms)
    found: dict[tuple[str, str], Jobs] = {}
    for job in jobs:
        group = found.setdefault((job.city, last.get(job.uid, NOWHERE)), Jobs())
        group.by_state[job.state] += 1
        if job.uid in first_start_ms:
            # A real center tells whole seconds, which may lie before the submission.
            group.waits_ms.append(max(0, first_start_ms[job.uid] - job.submit_ms))
    return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or "~")))


def use_by_city(
    runs: Iterable[RunRow],
    stays: Iterable[Stay],
    transfers: Iterable[Link],
    held: Sequence[Holding],
    nominal: Mapping[tuple[str, str], int],
) -> dict[tuple[str, str], Use]:
    """Use by (flavor, city), in order; under the city ``EVERYONE`` all cities together."""
    cities = sorted({city for city, _ in nominal})
    found = {
        (flavor, city): Use()
        for flavor in sorted({flavor for _, flavor in nominal})
        for city in (EVERYONE, *cities)
    }

    def each(city: str, flavor: str) -> tuple[Use, Use]:
        return found[flavor, city], found[flavor, EVERYONE]

    for (city, flavor), units in nominal.items():
        for use in each(city, flavor):
            use.nominal_units += units
    for (city, flavor), units in peaks(held).items():
        found[flavor, city].peak_units = units
    for (_, flavor), units in peaks(one._replace(city=EVERYONE) for one in held).items():
        found[flavor, EVERYONE].peak_units = units
    for stay in stays:
        if stay.start_ms is not None and stay.end_ms is not None:
            for use in each(stay.city, stay.flavor):
                use.unit_ms += stay.units * (stay.end_ms - stay.start_ms)
    of_run = {(run.uid, run.attempt): (run.city, run.flavor) for run in runs}
    for link in transfers:
        entry = link.entry
        if entry.kind not in (Kind.POST, Kind.DIRECT) or not entry.job_uid:
            continue
        for use in each(*of_run[entry.job_uid, entry.attempt]):
            if entry.debit_account.startswith("fund:"):
                use.subsidy_fen += entry.amount_fen
            else:
                use.self_pay_fen += entry.amount_fen
    return found


def total_jobs(groups: Iterable[Jobs]) -> Jobs:
    """All groups together."""
    total = Jobs()
    for group in groups:
        total.add(group)
    return total


def quantile(values: Sequence[int], share: float) -> int | None:
    """The smallest value that at least ``share`` of the values do not exceed; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    place = max(0, -(-int(share * 1_000) * len(ordered) // 1_000) - 1)
    return ordered[min(place, len(ordered) - 1)]
