"""What a course of events used and cost, by city and flavor, within the span of a history.

What a city holds above its nominal quota is borrowed. It is lent first by the corridor's own units,
then by cities below their nominal quota in proportion to what they leave idle.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from quota.amounts import gross_fen
from quota.calendar import natural_year
from quota.charges import Left, Slice
from quota.eligibility import Admitted, eligible
from quota.quoting import plenty, quote
from quota.rules import Ask
from scheduler.domain.states import NOT_BILLED
from scheduler.placement.model import Delta, PoolSet
from scheduler.replay.lives import Stay
from scheduler.whatif.history import History, Prices

#: Stands for all flavors together.
ALL: Final = ""
HOUR_MS: Final = 3_600_000.0
_UNBILLED: Final = frozenset(map(str, NOT_BILLED))
T = TypeVar("T")


def settings_of(settings: Sequence[Delta], kind: type[T]) -> list[T]:
    """Return the deltas of one kind."""
    return [one for one in settings if isinstance(one, kind)]


def part(of: int, whole: int) -> float:
    """Return a part, 0 of nothing."""
    return of / whole if whole else 0.0


class Use:
    """Unit-milliseconds of one flavor by city within the span."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()
        self.borrowed: Counter[str] = Counter()
        self.lent: defaultdict[str, float] = defaultdict(float)


# --- units ----------------------------------------------------------------------------------------


def use_of(
    pool: PoolSet, cities: Sequence[str], quotas: Mapping[tuple[str, str], int],
    history: History, stays: Sequence[Stay],
) -> Use:  # fmt: skip
    """Walk through the changes of use; between two of them all stands still."""
    found = Use()
    numbers = {city: number for number, city in enumerate(cities)}
    nominal = [quotas.get((city, pool.flavor), 0) for city in cities]
    own = pool.corridor_units
    corridor = max(0, pool.capacity_units - sum(nominal)) if own is None else own
    events: list[tuple[int, int, int]] = []
    for stay in stays:
        if stay.option.flavor == pool.flavor:
            from_ms, to_ms = max(stay.start_ms, history.from_ms), min(stay.end_ms, history.to_ms)
            if from_ms < to_ms:
                number = numbers[history.lives[stay.place].queued.city]
                events.append((from_ms, number, stay.option.units))
                events.append((to_ms, number, -stay.option.units))
    events.sort()
    held = [0] * len(cities)
    last_ms = history.from_ms
    for at_ms, number, units in events:
        if at_ms > last_ms:
            _stretch(found, cities, nominal, held, corridor, at_ms - last_ms)
            last_ms = at_ms
        held[number] += units
    return found


def _stretch(
    found: Use, cities: Sequence[str], nominal: Sequence[int], held: Sequence[int],
    corridor: int, span_ms: int,
) -> None:  # fmt: skip
    borrowed = idle = 0
    for city, own, units in zip(cities, nominal, held, strict=True):
        found.used[city] += units * span_ms
        if units > own:
            found.borrowed[city] += (units - own) * span_ms
            borrowed += units - own
        else:
            idle += own - units
    lent = min(max(0, borrowed - corridor), idle)
    if lent:
        for city, own, units in zip(cities, nominal, held, strict=True):
            if units < own:
                found.lent[city] += lent * (own - units) / idle * span_ms


# --- money ----------------------------------------------------------------------------------------


class Money(NamedTuple):
    """Fen by (city, flavor); flavor ``""`` is the sum."""

    gross: Counter[tuple[str, str]]
    subsidy: Counter[tuple[str, str]]


def money_of(history: History, stays: Sequence[Stay]) -> Money:
    """What the runs used within the span costs, in the order of their ends."""
    found = Money(Counter(), Counter())
    prices, purse = history.prices, _Purse(history.prices)
    for stay in sorted(stays, key=lambda stay: (stay.end_ms, stay.place)):
        price = prices.by_flavor.get(stay.option.flavor)
        from_ms = max(stay.ran_ms, history.from_ms)
        seconds = (min(stay.end_ms, history.to_ms) - from_ms - stay.hung_ms) // 1000
        if price is None or stay.ending in _UNBILLED or seconds <= 0:
            continue
        queued = history.lives[stay.place].queued
        unit_seconds = stay.option.units * seconds
        year = natural_year(stay.end_ms)
        whole = Slice(from_ms, stay.end_ms, unit_seconds, year, price)
        gross, subsidy = purse.charge(queued.enterprise, stay.option.flavor, whole)
        for key in ((queued.city, ALL), (queued.city, stay.option.flavor)):
            found.gross[key] += gross
            found.subsidy[key] += subsidy
    return found


class _Purse:
    """What there is to give while runs are charged: funds have enough, vouchers and grants end."""

    def __init__(self, prices: Prices) -> None:
        self._prices, self._left = prices, dict(prices.left)
        self._given: Counter[tuple[str, str, int]] = Counter()

    def charge(self, enterprise: str, flavor: str, whole: Slice) -> tuple[int, int]:
        """Return (gross, subsidy) of a run whose contract and project no rule asks for, in fen."""
        prices = self._prices
        applicant = prices.applicants.get(enterprise)
        if applicant is None or not prices.rules:
            return gross_fen(1, whole.unit_seconds, whole.price_ufen), 0
        ask = Ask(prices.centers.get(flavor, ""), flavor, flavor in prices.domestic)
        admitted, _ = eligible(prices.rules, applicant, ask)
        found = quote((whole,), admitted, self._there(enterprise, whole.year, admitted))
        for part in found.parts:
            for draw in part.draws:
                if draw.account in self._left:
                    self._left[draw.account] -= draw.amount
                if draw.cap_year is not None and not draw.cap_reserved:
                    self._given[part.programme, enterprise, draw.cap_year] += draw.amount
        return found.gross_fen, found.subsidy_fen

    def _there(self, enterprise: str, year: int, admitted: Sequence[Admitted]) -> Left:
        enough = plenty(admitted)
        own = {
            rule.programme: self._prices.own.get((enterprise, rule.programme), ())
            for rule, _, _ in admitted
            if rule.issue == "VOUCHER" or rule.unit != "FEN"
        }
        caps = {
            (rule.programme, year): max(
                0, rule.year_cap_fen - self._given[rule.programme, enterprise, year]
            )
            for rule, _, _ in admitted
            if rule.year_cap_fen is not None
        }
        return Left({**enough.sources, **own}, {**enough.accounts, **self._left}, caps)
