"""What a replay is judged by; the definitions are those of the usual scheduling literature.

Waits are start less submission. Bounded slowdown is ``max(1, (wait + run) / max(run, 10 s))``
(Feitelson and Rudolph; the mean is AVEbsld). Percentiles interpolate linearly. Waits and slowdowns
are of the jobs submitted in the window alone; utilization counts the part of every run that is in
the window; loss of capacity and makespan are of the whole course.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.replay.fairness import DAY_S, Floats, Shares, Work, shares
from scheduler.replay.setup import Setup
from scheduler.replay.simulate import Replayed
from scheduler.replay.timeline import follow
from scheduler.replay.trace import Trace

BSLD_TAU_S = 10.0
_WEEK_S = 7 * DAY_S
_WARMUP_DAYS, _WARMUP_FROM_DAYS = 2, 7
_CORE_CLASSES, _CARD_CLASSES = (8, 64, 512), (1, 4, 8)


@dataclass(frozen=True, slots=True)
class Window:
    """Whole days that count: the first ones only fill an empty machine. None: everything."""

    first_day: int
    days: int

    @property
    def from_s(self) -> float:
        """Its begin."""
        return self.first_day * DAY_S

    @property
    def to_s(self) -> float:
        """Its end."""
        return (self.first_day + self.days) * DAY_S


@dataclass(frozen=True, slots=True)
class Waits:
    """Waits in seconds and bounded slowdowns of some jobs; all 0 if there are none."""

    jobs: int
    mean_wait_s: float
    median_wait_s: float
    p95_wait_s: float
    max_wait_s: float
    avebsld: float
    median_bsld: float
    avebsld_per_user: float
    waits_over_7d: int
    share_wait_over_10x_limit: float


@dataclass(frozen=True, slots=True)
class CityFigures:
    """One city's part of a kind; ``got_unit_hours`` in the window, ``peak_units`` ever."""

    waits: Waits
    nominal_units: int
    peak_units: int
    got_unit_hours: float


@dataclass(frozen=True, slots=True)
class KindFigures:
    """One kind. Shares are None if there is one city; so is the share with rho > 1 if not asked."""

    capacity_units: int
    waits: Waits
    utilization: float
    makespan_s: float
    utilization_makespan: float
    loss_of_capacity: float
    promises: int
    promises_broken: int
    over_quota: int
    share_shortfall: float | None
    share_deviation: float | None
    jain_got_per_entitled: float | None
    enterprises_slower_than_alone: float | None
    by_size: Mapping[str, Waits]
    by_city: Mapping[str, CityFigures]


@dataclass(frozen=True, slots=True)
class Measures:
    """All figures of one replay; ``waits`` over all kinds, of the jobs in the window."""

    trace: str
    policy: str
    jobs_replayed: int
    skipped: Mapping[str, int]
    window_days: tuple[int, int] | None
    cycles: int
    looked_at: int
    waits: Waits
    kinds: Mapping[str, KindFigures]

    def to_json(self) -> dict[str, object]:
        """Plain data; the figures of ``waits`` stand beside the others of their object."""
        found = _plain(asdict(self))
        assert isinstance(found, dict)
        return found


def _plain(value: object) -> object:
    if isinstance(value, dict):
        flat: dict[str, object] = {}
        for name, item in value.items():
            if name == "waits":
                flat.update(item)
            else:
                flat[name] = item
        return {name: _plain(item) for name, item in flat.items()}
    if isinstance(value, tuple):
        return list(value)
    return round(value, 6) if isinstance(value, float) else value


class _Table:
    """The jobs of a replay as columns; times in seconds."""

    def __init__(self, replayed: Replayed, setup: Setup) -> None:
        jobs = replayed.jobs
        self.cities = list(setup.weights)
        numbers = {city: number for number, city in enumerate(self.cities)}
        users: dict[str, int] = {}
        self.submit_s = np.array([job.submit_ms for job in jobs]) / 1000.0
        self.start_s = np.array(replayed.start_ms) / 1000.0
        self.run_s = np.array([job.run_ms for job in jobs]) / 1000.0
        self.wall_s = np.array([job.wall_ms for job in jobs]) / 1000.0
        self.units = np.array([float(job.units) for job in jobs])
        self.city = np.array([numbers[job.city] for job in jobs])
        self.kind = np.array([job.kind for job in jobs])
        self.user = np.array([users.setdefault(job.user, len(users)) for job in jobs])
        self.wait_s = self.start_s - self.submit_s
        self.bsld = np.maximum(1.0, (self.wait_s + self.run_s) / np.maximum(self.run_s, BSLD_TAU_S))

    def waits(self, chosen: NDArray[np.bool_]) -> Waits:
        """Figures of the chosen jobs."""
        wait, bsld, count = self.wait_s[chosen], self.bsld[chosen], int(chosen.sum())
        if not count:
            return Waits(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0)
        _, member = np.unique(self.user[chosen], return_inverse=True)
        per_user = np.bincount(member, bsld) / np.bincount(member)
        return Waits(
            count,
            float(wait.mean()),
            float(np.median(wait)),
            float(np.percentile(wait, 95)),
            float(wait.max()),
            float(bsld.mean()),
            float(np.median(bsld)),
            float(per_user.mean()),
            int((wait > _WEEK_S).sum()),
            float((wait > 10 * self.wall_s[chosen]).mean()),
        )

    def got(self, chosen: NDArray[np.bool_], from_s: float, to_s: float) -> Floats:
        """Unit-seconds by city that the chosen jobs ran between two instants."""
        start, end = self.start_s[chosen], (self.start_s + self.run_s)[chosen]
        inside = np.clip(np.minimum(end, to_s) - np.maximum(start, from_s), 0.0, None)
        by_city = np.bincount(self.city[chosen], inside * self.units[chosen], len(self.cities))
        return by_city.astype(np.float64)

    def work(self, chosen: NDArray[np.bool_]) -> Work:
        """The chosen jobs as work of cities."""
        return Work(
            self.submit_s[chosen], self.start_s[chosen], self.run_s[chosen], self.units[chosen],
            self.city[chosen],
        )  # fmt: skip


def usual_window(trace: Trace) -> Window | None:
    """Return whole days without the first two for a corridor workload of a week or more.

    A shorter one counts from its first day; the log of one machine as a whole (None).
    """
    if not trace.by_city or not trace.jobs:
        return None
    days = max(1, -(-trace.jobs[-1].submit_ms // int(DAY_S * 1000)))
    first = _WARMUP_DAYS if days >= _WARMUP_FROM_DAYS else 0
    return Window(first, days - first)


def measure(
    trace: Trace,
    policy: str,
    replayed: Replayed,
    setup: Setup,
    skipped: Mapping[str, int],
    ratios: Mapping[str, Mapping[str, float]] | None = None,
) -> Measures:
    """Compute everything; ``ratios`` by kind and enterprise come from ``alone``.

    ``replayed`` has at least one job.
    """
    window = usual_window(trace)
    table = _Table(replayed, setup)
    counted = np.ones(len(replayed.jobs), dtype=bool)
    if window is not None:
        counted = (table.submit_s >= window.from_s) & (table.submit_s < window.to_s)
    kinds = {
        kind: _kind(table, kind, counted, window, replayed, setup, (ratios or {}).get(kind))
        for kind in sorted(setup.capacities)
        if (table.kind == kind).any()
    }
    return Measures(
        trace.name,
        policy,
        len(replayed.jobs),
        dict(skipped),
        None if window is None else (window.first_day, window.first_day + window.days),
        replayed.cycles,
        replayed.looked_at,
        table.waits(counted),
        kinds,
    )


def _kind(
    table: _Table, kind: str, counted: NDArray[np.bool_], window: Window | None,
    replayed: Replayed, setup: Setup, ratios: Mapping[str, float] | None,
) -> KindFigures:  # fmt: skip
    chosen = table.kind == kind
    capacity = setup.capacities[kind]
    begin_s = float(table.submit_s[chosen].min())
    end_s = float((table.start_s + table.run_s)[chosen].max())
    from_s, to_s = (begin_s, end_s) if window is None else (window.from_s, window.to_s)
    makespan_s = end_s - begin_s
    places = np.flatnonzero(chosen).tolist()
    course = follow(replayed, places, kind, setup, round(begin_s * 1000), round(end_s * 1000))
    got = table.got(chosen, from_s, to_s)
    whole = table.got(chosen, begin_s, end_s).sum()
    fair = _shares(table, chosen, window, setup, capacity)
    promised = [place for place in places if place in replayed.promised_ms]
    by_city = {
        city: CityFigures(
            table.waits(chosen & counted & (table.city == number)),
            setup.quotas[city, kind].nominal_units,
            course.peak_units[city],
            float(got[number]) / 3600.0,
        )
        for number, city in enumerate(table.cities)
    }
    return KindFigures(
        capacity,
        table.waits(chosen & counted),
        float(got.sum()) / (capacity * (to_s - from_s)),
        makespan_s,
        float(whole) / (capacity * makespan_s),
        course.lost_unit_ms / (capacity * makespan_s * 1000.0),
        len(promised),
        sum(replayed.start_ms[place] > replayed.promised_ms[place] for place in promised),
        course.over_limit,
        None if fair is None else fair.shortfall,
        None if fair is None else fair.deviation,
        None if fair is None else fair.jain,
        sum(rho > 1 for rho in ratios.values()) / len(ratios) if ratios else None,
        _by_size(table, kind, chosen & counted),
        by_city,
    )


def _shares(
    table: _Table, chosen: NDArray[np.bool_], window: Window | None, setup: Setup, capacity: int
) -> Shares | None:
    if window is None or len(table.cities) < 2:
        return None
    weights = [float(setup.weights[city]) for city in table.cities]
    return shares(table.work(chosen), weights, capacity, window.first_day, window.days)


def _by_size(table: _Table, kind: str, chosen: NDArray[np.bool_]) -> dict[str, Waits]:
    bounds = _CORE_CLASSES if kind == "cpu" else _CARD_CLASSES
    found = {}
    for low, high in zip((0, *bounds), (*bounds, None), strict=True):
        inside = chosen & (table.units > low)
        if high is not None:
            inside &= table.units <= high
        found[size_label(low, high, bounds)] = table.waits(inside)
    return found


def size_label(low: int, high: int | None, bounds: Sequence[int]) -> str:
    """Name a class of sizes in (low, high], such as ``9-64``."""
    if high is None:
        return f">{bounds[-1]}"
    if low == 0:
        return "1" if high == 1 else f"<={high}"
    return f"{low + 1}-{high}"
