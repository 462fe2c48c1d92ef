"""Subsidy rules: who gives how much of a charge, which limit bound it, and why others give nothing.

Deterministic (reference model 3.3): grants of free unit-seconds first, then rules in the order of
(priority, programme); of an exclusive group one, such that the enterprise pays least; each gives of
each slice ``floor(base * rate)``, at most what is left of its cap per job, of the enterprise's cap
of the natural year, of its fund (each funder its share) or of the enterprise's vouchers, and what
its ceiling on all subsidies up to and with its own leaves. Less than its minimum in sum is nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from operator import gt
from typing import Final, NamedTuple

from quota.amounts import BP, share_fen, slices_fen, split
from quota.charges import (
    FOREVER_MS,
    Binding,
    Draw,
    Left,
    Part,
    Quote,
    Refusal,
    Slice,
    Source,
    telling,
)
from quota.eligibility import Admitted
from quota.rules import Funder, Why

#: So many ways to choose from exclusive groups are weighed at most, the earlier rules first.
_CHOICES_MAX: Final = 256
_ENOUGH: Final = 1 << 62
_Parts = dict[str, list[Part]]


def quote(
    slices: Sequence[Slice], admitted: Sequence[Admitted], left: Left, *, settling: bool = False
) -> Quote:
    """Return what a run costs and what each of the ``admitted`` rules gives, in their order.

    Of several ways to choose from exclusive groups the one that gives most, the earliest of
    equals. The sum never exceeds the gross. When ``settling``, all rules that held something give,
    there is no minimum, and those that come to nothing have their parts too.
    """
    money = [one for one in admitted if one.rule.unit == "FEN"]
    free, unit_seconds = (
        ({}, [at.unit_seconds for at in slices])
        if len(money) == len(admitted)
        else _granted(slices, [one for one in admitted if one.rule.unit != "FEN"], left)
    )
    gross = slices_fen(
        [paid * at.price_ufen for paid, at in zip(unit_seconds, slices, strict=True)]
    )
    best: _Parts = {}
    tried: _Parts = {}
    most = -1
    for chosen in [money] if settling else _choices(money):
        way = _Way(slices, gross, left, settling=settling)
        found = {one.rule.programme: way.give(one) for one in chosen}
        if sum(way.given) > most:
            best, most = found, sum(way.given)
        for programme, parts in found.items():
            tried.setdefault(programme, parts)
    found = {**free, **best}
    if settling:
        parts = [part for one in admitted for part in found[one.rule.programme]]
        return Quote(tuple(gross), tuple(parts))
    parts, refusals = _told(admitted, found, tried)
    return Quote(tuple(gross), tuple(parts), tuple(refusals))


def plenty(admitted: Sequence[Admitted]) -> Left:
    """Return sources for rules as if all funds and vouchers had enough, and no caps were used.

    Free unit-seconds are left out: they are nobody's until they are granted.
    """
    sources = {
        rule.programme: tuple(Source(f"fund:{rule.programme}:{who}", who) for who, _ in rule.shares)
        for rule, _, _ in admitted
        if rule.unit == "FEN"
    }
    accounts = {one.account: _ENOUGH for mine in sources.values() for one in mine}
    return Left(sources, accounts)


def _told(
    admitted: Sequence[Admitted], taken: Mapping[str, list[Part]], tried: Mapping[str, list[Part]]
) -> tuple[list[Part], list[Refusal]]:
    """The parts of those that give, and why the others do not; ``tried`` are all ways' parts."""
    told: list[Part] = []
    refusals: list[Refusal] = []
    for rule, _, _ in admitted:
        parts = taken.get(rule.programme)
        if parts is not None and _gives(parts):
            told += parts
            continue
        alone = parts or tried.get(rule.programme) or []
        if not alone or _gives(alone):
            why, than = Why.EXCLUSIVE, _instead_of(rule.exclusive_group, admitted, taken)
        else:
            why, than = Why(telling(alone).binding.value), ""
        refusals.append(Refusal(rule.programme, rule.version, why, than))
    return told, refusals


def _instead_of(group: str, admitted: Sequence[Admitted], taken: Mapping[str, object]) -> str:
    return next(
        one.rule.programme
        for one in admitted
        if one.rule.exclusive_group == group and one.rule.programme in taken
    )


def _gives(parts: Sequence[Part]) -> bool:
    return any(part.amount_fen or part.unit_seconds for part in parts)


def _choices(admitted: Sequence[Admitted]) -> Iterator[Sequence[Admitted]]:
    """Yield the ways to take one rule of each exclusive group, in the order of the rules."""
    groups: dict[str, list[str]] = {}
    for one in admitted:
        if one.rule.exclusive_group:
            groups.setdefault(one.rule.exclusive_group, []).append(one.rule.programme)
    if all(len(members) == 1 for members in groups.values()):
        yield admitted
        return
    for one_of_each in islice(product(*groups.values()), _CHOICES_MAX):
        yield [
            one
            for one in admitted
            if not one.rule.exclusive_group or one.rule.programme in one_of_each
        ]


# --- where it comes from --------------------------------------------------------------------------


class _Drawn(NamedTuple):
    """What sources give; with the limit that cut it, None if all that was wanted."""

    draws: tuple[Draw, ...]
    binding: Binding | None = None
    bound_by: str = ""


@dataclass(slots=True)
class _Purse:
    """What accounts have left while a quote is computed."""

    left: Left
    settling: bool = False
    taken: dict[str, int] = field(default_factory=dict)

    def room(self, source: Source) -> int:
        return max(0, self.left.accounts.get(source.account, 0) - self.taken.get(source.account, 0))

    def take(self, draws: Sequence[Draw], sign: int = 1) -> None:
        for draw in draws:
            self.taken[draw.account] = self.taken.get(draw.account, 0) + sign * draw.amount

    def serving(self, one: Admitted, at: Slice, first: Slice) -> list[Source]:
        """The sources of a rule for a slice, in the order in which they are used."""
        sources = self.left.sources.get(one.rule.programme, ())
        start_ms = first.start_ms if one.rule.boundary == "BY_START" else at.start_ms
        found = [source for source in sources if source.from_ms <= start_ms < source.to_ms]
        if len(found) > 1:
            found.sort(key=lambda source: (source.expire_ms, source.account))
        return found

    def pool(self, one: Admitted, sources: Sequence[Source], want: int, year: int | None) -> _Drawn:
        """Take from the fund of each funder its share; the shortest limits them all.

        Of what is held, a funder's part may be rounded to nothing and have no source.
        """
        if not one.rule.funders:
            return self._sole(one, sources, want, year)
        shares = one.rule.funders
        funds = {source.funder: source for source in reversed(sources)}
        rooms = []
        amount, cut, bound_by = want, None, ""
        for funder, share_bp in shares:
            source = funds.get(funder)
            if source is None and not (self.settling and funds):
                return _Drawn((), Binding.NO_FUND, funder)
            room = 0 if source is None else self.room(source)
            rooms.append(room)
            limit = ((room + 1) * BP - 1 if self.settling else room * BP) // share_bp
            if limit < amount:
                amount, cut = limit, Binding.FUND
                bound_by = funder if source is None else source.account
        parts = _shared(amount, shares)
        while self.settling and any(map(gt, parts, rooms)):
            amount, cut = amount - 1, Binding.FUND
            parts = _shared(amount, shares)
        draws = tuple(
            _draw(one, funds[funder], part, year)
            for (funder, _), part in zip(shares, parts, strict=True)
            if part
        )
        return _Drawn(draws, cut, bound_by)

    def _sole(
        self, one: Admitted, sources: Sequence[Source], want: int, year: int | None
    ) -> _Drawn:
        """Take all from the fund of the programme's own city."""
        city = one.rule.city
        source = next((source for source in sources if source.funder == city), None)
        if source is None:
            return _Drawn((), Binding.NO_FUND, city)
        room = self.room(source)
        if want <= room:
            return _Drawn((_draw(one, source, want, year),) if want else ())
        draws = (_draw(one, source, room, year),) if room else ()
        return _Drawn(draws, Binding.FUND, source.account)

    def in_turn(
        self, one: Admitted, sources: Sequence[Source], want: int, cap: int | None,
        year: int | None, short: Binding,
    ) -> _Drawn:  # fmt: skip
        """Take from vouchers or grants one after another.

        ``cap`` limits what is taken from those whose cap is counted on use.
        """
        draws: list[Draw] = []
        capped, last = False, ""
        for source in sources:
            amount, last = min(want, self.room(source)), source.account
            if cap is not None and source.cap_year is None:
                capped = capped or cap < amount
                amount = min(cap, amount)
                cap -= amount
            want -= amount
            if amount:
                draws.append(_draw(one, source, amount, year))
            if not want:
                return _Drawn(tuple(draws))
        if capped:
            return _Drawn(tuple(draws), Binding.YEAR_CAP)
        return _Drawn(tuple(draws), short, last)


def _shared(amount: int, shares: Sequence[Funder]) -> list[int]:
    return split(amount, [share_bp for _, share_bp in shares])


def _draw(one: Admitted, source: Source, amount: int, year: int | None) -> Draw:
    whole = one.rule.boundary == "BY_START"
    return Draw(
        source.account,
        amount,
        source.funder,
        year if source.cap_year is None else source.cap_year,
        source.cap_year is not None,
        0 if whole else source.from_ms,
        FOREVER_MS if whole else source.to_ms,
    )


def too_late(one: Admitted, at: Slice, first: Slice) -> bool:
    """Whether the years of support are over for a slice of a run."""
    years = one.rule.support_years
    since = first.year if one.since is None else one.since
    return years is not None and at.year - since >= years


def _granted(
    slices: Sequence[Slice], admitted: Sequence[Admitted], left: Left
) -> tuple[_Parts, list[int]]:
    """Free unit-seconds by programme, and those of each slice that must be paid for."""
    purse, found = _Purse(left), _Parts()
    paid = [at.unit_seconds for at in slices]
    for one in admitted:
        rule = one.rule
        parts = found[rule.programme] = []
        for number, at in enumerate(slices):
            want = min(share_fen(at.unit_seconds, one.rate_bp), paid[number])
            sources = purse.serving(one, at, slices[0])
            if sources:
                drawn = purse.in_turn(one, sources, want, None, None, Binding.GRANT)
            else:
                drawn = _Drawn((), Binding.NO_GRANT)
            purse.take(drawn.draws)
            got = sum(draw.amount for draw in drawn.draws)
            paid[number] -= got
            parts.append(
                Part(
                    rule.programme, rule.version, 0, drawn.binding or Binding.RATE, number,
                    one.rate_bp, False, got, drawn.draws, drawn.bound_by,
                )
            )  # fmt: skip
    return found, paid


# --- what each gives ------------------------------------------------------------------------------


class _Way:
    """One way to choose from exclusive groups: what was given and taken so far."""

    def __init__(
        self, slices: Sequence[Slice], gross: Sequence[int], left: Left, *, settling: bool
    ) -> None:
        self._slices, self._gross, self._settling = slices, gross, settling
        self._purse = _Purse(left, settling)
        self.given = [0] * len(gross)

    def give(self, one: Admitted) -> list[Part]:
        """Let a rule give to all slices, or to none if the sum is below its minimum."""
        parts: list[Part] = []
        total = 0
        capped: dict[int, int] = {}
        for number, at in enumerate(self._slices):
            part = self._part(one, number, total, capped)
            self._purse.take(part.draws)
            total += part.amount_fen
            if one.rule.year_cap_fen is not None:
                used = sum(draw.amount for draw in part.draws if not draw.cap_reserved)
                capped[at.year] = capped.get(at.year, 0) + used
            parts.append(part)
        if not self._settling and 0 < total < one.rule.minimum_fen:
            for part in parts:
                self._purse.take(part.draws, -1)
            return [
                part._replace(amount_fen=0, binding=Binding.MINIMUM, draws=(), bound_by="")
                for part in parts
            ]
        for part in parts:
            self.given[part.slice] += part.amount_fen
        return parts

    def _part(self, one: Admitted, number: int, total: int, capped: Mapping[int, int]) -> Part:
        rule, at, first = one.rule, self._slices[number], self._slices[0]
        sources = self._purse.serving(one, at, first)
        want, binding = wanted(one, self._gross[number], self.given[number], total)
        cap = None
        if rule.year_cap_fen is not None:
            most = self._purse.left.caps.get((rule.programme, at.year), rule.year_cap_fen)
            cap = max(0, most - capped.get(at.year, 0))
        if too_late(one, at, first):
            drawn = _Drawn((), Binding.SUPPORT_YEARS)
        elif rule.issue == "VOUCHER":
            drawn = (
                self._purse.in_turn(one, sources, want, cap, at.year, Binding.VOUCHER)
                if sources
                else _Drawn((), Binding.NO_VOUCHER)
            )
        else:
            if cap is not None and cap < want:
                want, binding = cap, Binding.YEAR_CAP
            drawn = self._purse.pool(one, sources, want, at.year)
        return Part(
            rule.programme,
            rule.version,
            sum(draw.amount for draw in drawn.draws),
            drawn.binding or binding,
            number,
            one.rate_bp,
            rule.mode == "REIMBURSE",
            0,
            drawn.draws,
            drawn.bound_by,
        )


def wanted(one: Admitted, gross: int, given: int, total: int) -> tuple[int, Binding]:
    """Return what a rule would give to a slice if it had enough, and what limits that.

    ``gross`` is the slice's, ``given`` what earlier rules give to it, ``total`` what the rule gives
    to earlier slices; all in fen.
    """
    rule = one.rule
    base = gross if rule.base == "GROSS" else gross - given
    want, binding = share_fen(base, one.rate_bp), Binding.RATE
    if rule.job_cap_fen is not None and rule.job_cap_fen - total < want:
        want, binding = rule.job_cap_fen - total, Binding.JOB_CAP
    ceiling = max(0, share_fen(gross, rule.ceiling_bp) - given)
    if ceiling < want:
        want, binding = ceiling, Binding.CEILING
    return want, binding
