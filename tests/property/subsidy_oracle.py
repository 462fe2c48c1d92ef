"""A slow and obvious second implementation of subsidies, and the cases that both are tried on.

It gives fen by fen: one more as long as nothing forbids it. What forbids is written as people say
it, in products and comparisons of fractions. All ways to choose from exclusive groups are tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from hypothesis import strategies as st

from quota.charges import Left, Slice, Source
from quota.eligibility import Admitted
from quota.rules import Funder, Rule

BP = 10_000
PERIOD_MS = 1_000
UFEN = 1_000_000


class Given(NamedTuple):
    """What one programme gives to one slice, and what forbids one fen (or second) more."""

    amount: int
    forbidding: frozenset[str]


@dataclass
class Oracle:
    """Amounts by (programme, slice) of one way to choose; ``free`` are unit-seconds."""

    slices: Sequence[Slice]
    left: Left
    minimums: bool = True
    taken: dict[str, int] = field(default_factory=dict)
    free: dict[tuple[str, int], Given] = field(default_factory=dict)
    given: dict[tuple[str, int], Given] = field(default_factory=dict)

    def room(self, source: Source) -> int:
        return self.left.accounts.get(source.account, 0) - self.taken.get(source.account, 0)

    def sources(self, rule: Rule, number: int) -> list[Source]:
        at = self.slices[0 if rule.boundary == "BY_START" else number]
        found = [
            source
            for source in self.left.sources.get(rule.programme, ())
            if source.from_ms <= at.start_ms < source.to_ms
        ]
        return sorted(found, key=lambda source: (source.expire_ms, source.account))

    def over(self, one: Admitted, number: int) -> bool:
        first = self.slices[0].year if one.since is None else one.since
        years = one.rule.support_years
        return years is not None and self.slices[number].year >= first + years

    def grant(self, one: Admitted) -> None:
        for number, at in enumerate(self.slices):
            sources, amount = self.sources(one.rule, number), 0
            while True:
                others = sum(got.amount for (_, where), got in self.free.items() if where == number)
                useful = next((s for s in sources if self.room(s) > 0), None)
                forbidding = {
                    "RATE": amount + 1 > Fraction(at.unit_seconds * one.rate_bp, BP)
                    or others + amount + 1 > at.unit_seconds,
                    "GRANT": bool(sources) and useful is None,
                    "NO_GRANT": not sources,
                }
                if any(forbidding.values()):
                    break
                assert useful is not None
                self.taken[useful.account] = self.taken.get(useful.account, 0) + 1
                amount += 1
            names = frozenset(name for name, forbids in forbidding.items() if forbids)
            self.free[one.rule.programme, number] = Given(amount, names)

    def gross(self) -> list[int]:
        """Of each slice, by the rounded running total."""
        total, rounded, found = Fraction(0), 0, []
        for number, at in enumerate(self.slices):
            free = sum(got.amount for (_, where), got in self.free.items() if where == number)
            total += Fraction((at.unit_seconds - free) * at.price_ufen, UFEN)
            now = int(total + Fraction(1, 2))
            found.append(now - rounded)
            rounded = now
        return found

    def give(self, one: Admitted) -> None:
        rule, gross, before = one.rule, self.gross(), dict(self.taken)
        mine: dict[int, Given] = {}
        used: dict[int, int] = {}
        for number, at in enumerate(self.slices):
            others = sum(got.amount for (_, where), got in self.given.items() if where == number)
            earlier = sum(got.amount for got in mine.values())
            amount = 0
            shares: dict[str, int] = {}
            while True:
                forbidding = self._forbidding(
                    one, number, gross[number], others, earlier, amount, used, shares
                )
                if any(forbidding.values()):
                    break
                amount += 1
                if rule.issue == "VOUCHER":
                    self._take_voucher(rule, number, used, at.year)
                else:
                    used[at.year] = used.get(at.year, 0) + 1
            for source in self.sources(rule, number) if rule.issue == "POOL" else ():
                # What funders give of it is a matter of rounding: none gives more than it has.
                self.taken[source.account] = self.taken.get(source.account, 0) + shares.get(
                    source.account, 0
                )
            names = frozenset(name for name, forbids in forbidding.items() if forbids)
            mine[number] = Given(amount, names)
        total = sum(got.amount for got in mine.values())
        if self.minimums and 0 < total < rule.minimum_fen:
            self.taken = before
            mine = {number: Given(0, frozenset({"MINIMUM"})) for number in mine}
        self.given.update({(rule.programme, number): got for number, got in mine.items()})

    def _forbidding(
        self, one: Admitted, number: int, gross: int, others: int, earlier: int, amount: int,
        used: dict[int, int], shares: dict[str, int],
    ) -> dict[str, bool]:  # fmt: skip
        rule, at, more = one.rule, self.slices[number], amount + 1
        base = gross if rule.base == "GROSS" else gross - others
        cap = None
        if rule.year_cap_fen is not None:
            cap = self.left.caps.get((rule.programme, at.year), rule.year_cap_fen)
        sources = self.sources(rule, number)
        capped = cap is not None and used.get(at.year, 0) + 1 > cap
        forbidding = {
            "RATE": more > Fraction(base * one.rate_bp, BP),
            "JOB_CAP": rule.job_cap_fen is not None and earlier + more > rule.job_cap_fen,
            "CEILING": others + more > Fraction(gross * rule.ceiling_bp, BP),
            "SUPPORT_YEARS": self.over(one, number),
        }
        if rule.issue == "VOUCHER":
            with_room = [source for source in sources if self.room(source) > 0]
            forbidding |= {
                "NO_VOUCHER": not sources,
                "VOUCHER": bool(sources) and not with_room,
                "YEAR_CAP": bool(with_room)
                and capped
                and all(source.cap_year is None for source in with_room),
            }
            return forbidding
        funders = {source.funder: source for source in sources}
        missing = [funder for funder in rule.shares if funder.name not in funders]
        short = [
            funder
            for funder in rule.shares
            if funder.name in funders
            and Fraction(more * funder.share_bp, BP) > self.room(funders[funder.name])
        ]
        shares.clear()
        shares.update(
            zip(
                (funders[f.name].account for f in rule.shares if f.name in funders),
                plain_split(amount, rule.shares),
                strict=False,
            )
        )
        return forbidding | {"YEAR_CAP": capped, "NO_FUND": bool(missing), "FUND": bool(short)}

    def _take_voucher(self, rule: Rule, number: int, used: dict[int, int], year: int) -> None:
        cap = None
        if rule.year_cap_fen is not None:
            cap = self.left.caps.get((rule.programme, year), rule.year_cap_fen)
        for source in self.sources(rule, number):
            free = source.cap_year is not None or cap is None or used.get(year, 0) < cap
            if self.room(source) > 0 and free:
                self.taken[source.account] = self.taken.get(source.account, 0) + 1
                if source.cap_year is None:
                    used[year] = used.get(year, 0) + 1
                return


def plain_split(amount: int, funders: Sequence[Funder]) -> list[int]:
    """Largest remainders, by handing out what rounding left one by one."""
    exact = [Fraction(amount * funder.share_bp, BP) for funder in funders]
    parts = [int(one) for one in exact]
    while sum(parts) < amount:
        rests = [one - part for one, part in zip(exact, parts, strict=True)]
        parts[rests.index(max(rests))] += 1
    return parts


def plain_ways(admitted: Sequence[Admitted]) -> list[list[Admitted]]:
    """All ways to keep exactly one rule of each exclusive group."""
    groups = {one.rule.exclusive_group for one in admitted if one.rule.exclusive_group}
    found = []
    for kept in product((True, False), repeat=len(admitted)):
        way = [one for one, keep in zip(admitted, kept, strict=True) if keep]
        named = [one.rule.exclusive_group for one in way if one.rule.exclusive_group]
        free = [one for one in way if not one.rule.exclusive_group]
        if sorted(named) == sorted(groups) and len(free) == sum(
            not one.rule.exclusive_group for one in admitted
        ):
            found.append(way)
    return found


def plain_quote(
    slices: Sequence[Slice], admitted: Sequence[Admitted], left: Left
) -> tuple[list[int], list[Oracle]]:
    """The gross of each slice, and the ways that give most."""
    found = []
    for way in plain_ways([one for one in admitted if one.rule.unit == "FEN"]):
        oracle = Oracle(slices, left)
        for one in admitted:
            if one.rule.unit == "UNIT_S":
                oracle.grant(one)
        for one in way:
            oracle.give(one)
        found.append(oracle)
    totals = [sum(got.amount for got in oracle.given.values()) for oracle in found]
    best = [oracle for oracle, total in zip(found, totals, strict=True) if total == max(totals)]
    return best[0].gross(), best


# --- cases ----------------------------------------------------------------------------------------

RATES = st.sampled_from((0, 1, 1_000, 3_333, 5_000, 9_999, BP))
AMOUNTS = st.integers(0, 120)


@st.composite
def slices_drawn(draw: st.DrawFn) -> tuple[Slice, ...]:
    """One to three slices, each in its own period; the year changes after some."""
    found: list[Slice] = []
    year = 2026
    for number in range(draw(st.integers(1, 3))):
        year += bool(found) and draw(st.booleans())
        start = number * PERIOD_MS
        price = draw(st.sampled_from((0, 333_333, 1_000_000, 2_777_778)))
        found.append(Slice(start, start + PERIOD_MS, draw(st.integers(0, 60)), year, price))
    return tuple(found)


@st.composite
def rules_drawn(draw: st.DrawFn, *, minimum: bool = True, grants: bool = True) -> list[Admitted]:
    """One to four rules of all kinds in the order in which they give."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        programme, rate = f"p{number}", draw(RATES)
        boundary = draw(st.sampled_from(("SPLIT", "SPLIT", "BY_START")))
        years = draw(st.sampled_from((None, None, 1, 2)))
        since = draw(st.sampled_from((None, 2025, 2026)))
        if grants and not number and draw(st.booleans()):
            rule = Rule(programme, 1, "wuhan", rate, unit="UNIT_S", boundary=boundary)
        else:
            issue = draw(st.sampled_from(("POOL", "POOL", "VOUCHER")))
            shares = ((), (), (5_000, 5_000), (6_667, 3_000, 333))
            funders = draw(st.sampled_from(shares)) if issue == "POOL" else ()
            rule = Rule(
                programme, 1, "wuhan", rate, priority=number, issue=issue, boundary=boundary,
                exclusive_group=draw(st.sampled_from(("", "", "a", "b"))),
                base=draw(st.sampled_from(("GROSS", "REMAINING"))),
                job_cap_fen=draw(st.none() | AMOUNTS),
                year_cap_fen=draw(st.none() | AMOUNTS),
                minimum_fen=draw(st.sampled_from((0, 0, 5, 40))) if minimum else 0,
                ceiling_bp=draw(st.sampled_from((1, 2_500, 5_000, 8_000, BP))),
                mode=draw(st.sampled_from(("DEDUCT", "DEDUCT", "REIMBURSE"))),
                funders=tuple(
                    Funder(name, share)
                    for name, share in zip(("wuhan", "hubei", "zone"), funders, strict=False)
                ),
                support_years=years,
                cap_on=draw(st.sampled_from(("USE", "ISSUE"))) if issue == "VOUCHER" else "USE",
            )  # fmt: skip
        found.append(Admitted(rule, rate, since))
    return found


@st.composite
def left_drawn(draw: st.DrawFn, admitted: Sequence[Admitted], periods: int) -> Left:
    """Funds of periods and funders (some are missing), vouchers, grants, caps used in part."""
    sources: dict[str, tuple[Source, ...]] = {}
    accounts: dict[str, int] = {}
    caps: dict[tuple[str, int], int] = {}
    for rule, _, _ in admitted:
        mine = []
        if rule.issue == "VOUCHER":
            for number in range(draw(st.integers(0, 3))):
                year = draw(st.sampled_from((None, 2025, 2026))) if rule.cap_on == "ISSUE" else None
                expire = draw(st.integers(1, 3))
                mine.append(
                    Source(f"voucher:{rule.programme}{number}", expire_ms=expire, cap_year=year)
                )
        else:
            for period in range(periods):
                bounds = (period * PERIOD_MS, (period + 1) * PERIOD_MS)
                mine += [
                    Source(f"fund:{rule.programme}:{period}:{funder}", funder, *bounds)
                    for funder, _ in rule.shares
                    if draw(st.integers(0, 9))
                ]
        sources[rule.programme] = tuple(mine)
        accounts.update({source.account: draw(AMOUNTS) for source in mine})
        if rule.year_cap_fen is not None:
            for year in (2026, 2027):
                if draw(st.booleans()):
                    caps[rule.programme, year] = draw(st.integers(0, rule.year_cap_fen))
    return Left(sources, accounts, caps)


class Case(NamedTuple):
    """A run to be quoted."""

    slices: tuple[Slice, ...]
    admitted: list[Admitted]
    left: Left


@st.composite
def cases(draw: st.DrawFn, *, minimum: bool = True, grants: bool = True) -> Case:
    """Runs, rules of all kinds, and what is left of everything."""
    slices = draw(slices_drawn())
    admitted = draw(rules_drawn(minimum=minimum, grants=grants))
    return Case(slices, admitted, draw(left_drawn(admitted, len(slices))))
