"""Figures of one course of events, by city and flavor.

Waits are of jobs submitted in the span, from submission to the first real start. Unit-hours and
money are of what was used within the span alone. What a city holds above its nominal quota is
borrowed (see ``using``). Money is at present prices; a subsidy is an estimate: rates,
caps a job and caps a year count, used caps and what is left in funds do not.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from scheduler.placement.model import CityQuotaSet, CitySet, Delta, PoolSet
from scheduler.replay.lives import WAITING, Stay
from scheduler.whatif.history import History, is_wide
from scheduler.whatif.scenarios import OTHERS
from scheduler.whatif.using import ALL, HOUR_MS, Money, Use, money_of, part, settings_of, use_of

#: Figures of others are told only if so many cities stand behind them, none of them this much.
_CITIES_MIN: Final = 3
_SHARE_MAX_PERCENT: Final = 80


@dataclass(frozen=True, slots=True)
class Row:
    """One city (or ``others``) and flavor (or ``""`` for all, then without unit-hours).

    Waits in seconds, None without a job. ``jobs`` were submitted in the span, ``unstarted`` of them
    never could start. ``share_of_nominal`` is use over nominal quota and span, None without a
    quota.
    """

    city: str
    flavor: str
    jobs: int
    unstarted: int
    mean_wait_s: float | None
    p95_wait_s: float | None
    wide_jobs: int
    wide_p95_wait_s: float | None
    unit_hours: float
    borrowed_unit_hours: float
    lent_unit_hours: float
    share_of_nominal: float | None
    gross_fen: int
    subsidy_fen: int


@dataclass(frozen=True, slots=True)
class FlavorUse:
    """A flavor as a whole; ``utilization`` is None where it would tell of others."""

    flavor: str
    capacity_units: int
    utilization: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """A scenario's rows by city and flavor.

    ``withheld`` says that some figures of others are not told since they would tell of a single
    one. ``evictions`` are of all cities, None if withheld.
    """

    scenario: str
    rows: tuple[Row, ...]
    flavors: tuple[FlavorUse, ...]
    evictions: int | None
    withheld: bool = False


class Course(NamedTuple):
    """What happened: the runs, who never started, and how many runs were evicted."""

    stays: Sequence[Stay]
    states: Sequence[str]
    evictions: int


class Asker(NamedTuple):
    """Who may see what: with ``city`` other cities are told only summed up, or not at all."""

    city: str | None = None
    others: bool = True


def figures(
    name: str, history: History, settings: Sequence[Delta], course: Course, asker: Asker
) -> Figures:
    """Compute a scenario's figures, as far as the asker may see them."""
    pools = {one.flavor: one for one in sorted(settings_of(settings, PoolSet))}
    cities = sorted(one.city for one in settings_of(settings, CitySet))
    quotas = {
        (one.city, one.flavor): one.nominal_units for one in settings_of(settings, CityQuotaSet)
    }
    first = _first_runs(course.stays)
    uses = {
        flavor: use_of(pool, cities, quotas, history, course.stays)
        for flavor, pool in pools.items()
    }
    money = money_of(history, course.stays)
    table = _Waits(history, first, course.states)
    hidden = tuple(one for one in cities if asker.city not in (None, one))
    told = _told(hidden, asker, table, uses)
    rows = [
        _row(city, (city,), flavor, table, uses, quotas, money, history)
        for city in cities
        if city not in hidden
        for flavor in (ALL, *uses)
    ]
    rows += [
        _row(OTHERS, hidden, flavor, table, uses, quotas, money, history)
        for flavor in (ALL, *uses)
        if hidden and flavor in told
    ]
    span_ms = history.to_ms - history.from_ms
    return Figures(
        name,
        tuple(row for row in rows if row.flavor == ALL or row.jobs or row.unit_hours),
        tuple(
            FlavorUse(
                flavor,
                pool.capacity_units,
                part(sum(uses[flavor].used.values()), pool.capacity_units * span_ms)
                if flavor in told
                else None,
            )
            for flavor, pool in pools.items()
        ),
        course.evictions if ALL in told else None,
        not told.issuperset({ALL, *uses}),
    )


def _told(
    hidden: Sequence[str], asker: Asker, table: "_Waits", uses: Mapping[str, Use]
) -> frozenset[str]:
    """Return the flavors whose sum over the hidden cities tells of no single one of them.

    Enough cities stand behind it and none dominates, in this very course: a scenario may stop all
    but one. All flavors together are told only if each is, for one could be worked out else.
    """
    flavors = frozenset(uses)
    if not hidden:
        return flavors | {ALL}
    if not asker.others:
        return frozenset()
    told = set()
    for flavor, use in uses.items():
        started = {city: len(table.waits.get((city, flavor), ())) for city in hidden}
        used = {city: use.used[city] for city in hidden}
        # That none of them used anything would tell of each, too.
        if all(_many(one.values()) for one in (started, used)):
            told.add(flavor)
    return frozenset(told | ({ALL} if told == flavors else set()))


def _many(parts: Iterable[int]) -> bool:
    shares = [one for one in parts if one]
    return len(shares) >= _CITIES_MIN and max(shares) * 100 <= _SHARE_MAX_PERCENT * sum(shares)


def _first_runs(stays: Iterable[Stay]) -> dict[int, Stay]:
    first: dict[int, Stay] = {}
    for stay in stays:
        known = first.get(stay.place)
        if known is None or stay.start_ms < known.start_ms:
            first[stay.place] = stay
    return first


class _Waits:
    """Waits of the jobs submitted in the span, by city and flavor of the first run."""

    def __init__(
        self, history: History, first: Mapping[int, Stay], states: Sequence[str]
    ) -> None:  # fmt: skip
        self.waits: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self.wide: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self.unstarted: Counter[tuple[str, str]] = Counter()
        self.jobs: Counter[tuple[str, str]] = Counter()
        today = history.capacities()
        for place, life in enumerate(history.lives):
            queued = life.queued
            if not history.from_ms <= queued.queued_ms < history.to_ms:
                continue
            stay = first.get(place)
            option = queued.options[0] if stay is None else stay.option
            keys = ((queued.city, ALL), (queued.city, option.flavor))
            for key in keys:
                self.jobs[key] += 1
            if stay is None:
                if states[place] == WAITING:
                    self.unstarted.update(keys)
                continue
            wait_ms = stay.ran_ms - queued.queued_ms
            wide = is_wide(option, today)
            for key in keys:
                self.waits[key].append(wait_ms)
                if wide:
                    self.wide[key].append(wait_ms)


def _row(
    label: str, members: Sequence[str], flavor: str, table: _Waits, uses: Mapping[str, Use],
    quotas: Mapping[tuple[str, str], int], money: Money, history: History,
) -> Row:  # fmt: skip
    keys = [(city, flavor) for city in members]
    waits = [wait for key in keys for wait in table.waits.get(key, ())]
    wide = [wait for key in keys for wait in table.wide.get(key, ())]
    use = uses.get(flavor)
    used = 0 if use is None else sum(use.used[city] for city in members)
    nominal = sum(quotas.get(key, 0) for key in keys)
    span_ms = history.to_ms - history.from_ms
    return Row(
        label,
        flavor,
        sum(table.jobs[key] for key in keys),
        sum(table.unstarted[key] for key in keys),
        sum(waits) / len(waits) / 1000 if waits else None,
        _p95_s(waits),
        len(wide),
        _p95_s(wide),
        used / HOUR_MS,
        0.0 if use is None else sum(use.borrowed[city] for city in members) / HOUR_MS,
        0.0 if use is None else sum(use.lent[city] for city in members) / HOUR_MS,
        part(used, nominal * span_ms) if nominal else None,
        sum(money.gross[key] for key in keys),
        sum(money.subsidy[key] for key in keys),
    )


def _p95_s(waits: Sequence[int]) -> float | None:
    return float(np.percentile(np.array(waits), 95)) / 1000 if waits else None
