"""Past runs charged again: under the terms of today, and under others that somebody proposes.

Each run is charged for what it really used, in the order in which runs were settled, from funds,
vouchers and caps as they stood when the time began. What is proposed is never compared with what
was booked, but with the same computation under the terms of today: else a change that somebody
else made meanwhile would seem to be one of the proposal. Money that was held and came back is not
played: a fund that was short for a while may have refused what is given here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from quota.charges import Left, Source
from quota.eligibility import Admitted, eligible
from quota.quoting import quote
from quota.rules import Applicant, Ask, Rule
from quota.slices import Cuts, PriceFrom, Span, bounds_of, cut


class PastRun(NamedTuple):
    """A settled run as it used its center; ``day`` is that of its settlement, ``root`` its job.

    ``applicant`` has the city of the job; the contract's givers in ``ask`` are left to the play.
    ``wants`` is False for a job that asked for no subsidy.
    """

    enterprise: str
    day: int
    root: int
    applicant: Applicant
    ask: Ask
    spans: tuple[Span, ...]
    price_ufen: int
    wants: bool = True


class Terms(NamedTuple):
    """Rules, and prices that differ from those at which runs were charged, by flavor."""

    rules: tuple[Rule, ...]
    prices: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Purse:
    """What there was when the time began; plays copy it.

    ``funds`` are sources by programme, ``own`` vouchers and grants by (enterprise, programme),
    ``accounts`` what each had, ``caps`` what was used by (programme, enterprise, natural year).
    """

    funds: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    own: Mapping[tuple[str, str], tuple[Source, ...]] = field(default_factory=dict)
    accounts: Mapping[str, int] = field(default_factory=dict)
    caps: Mapping[tuple[str, str, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class Played:
    """What came of a play, in fen.

    ``days`` is what each programme gave by (programme, day of settlement), ``bindings`` how often
    each limit was the one, by (programme, limit).
    """

    gross_fen: int = 0
    given: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    bindings: Counter[tuple[str, str]] = field(default_factory=Counter)
    days: Counter[tuple[str, int]] = field(default_factory=Counter)
    gross_by: Counter[str] = field(default_factory=Counter)
    given_to: Counter[str] = field(default_factory=Counter)

    @property
    def subsidy_fen(self) -> int:
        """What all programmes gave."""
        return sum(self.given.values())


def play(runs: Iterable[PastRun], terms: Terms, purse: Purse) -> Played:
    """Charge runs again, in their order, under some terms."""
    found = Played()
    accounts, caps = dict(purse.accounts), dict(purse.caps)
    givers: dict[tuple[str, str], dict[str, set[int]]] = {}
    for run in runs:
        mine = givers.setdefault((run.enterprise, run.ask.contract), {})
        others = {name for name, roots in mine.items() if roots - {run.root}}
        admitted = _admitted(run, terms.rules, frozenset(others if run.ask.contract else ()))
        sources = _sources(run, admitted, purse)
        price = terms.prices.get(run.ask.flavor, run.price_ufen)
        bounds = bounds_of(source for of_one in sources.values() for source in of_one)
        slices = cut(run.spans, Cuts((PriceFrom(0, price),), bounds)).slices
        room = _room(run, admitted, {at.year for at in slices}, caps)
        left = Left(sources, accounts, room)
        charge = quote(slices, admitted, left)
        found.gross_fen += charge.gross_fen
        found.gross_by[run.enterprise] += charge.gross_fen
        gave: Counter[str] = Counter()
        for part in charge.parts:
            gave[part.programme] += part.amount_fen
            found.bindings[part.programme, part.binding.value] += 1
            for draw in part.draws:
                accounts[draw.account] -= draw.amount
                if draw.cap_year is not None and not draw.cap_reserved:
                    key = part.programme, run.enterprise, draw.cap_year
                    caps[key] = caps.get(key, 0) + draw.amount
        for refusal in charge.refusals:
            found.bindings[refusal.programme, refusal.why.value] += 1
        for programme, fen in gave.items():
            found.given[programme] += fen
            found.runs[programme] += 1
            found.days[programme, run.day] += fen
            found.given_to[run.enterprise] += fen
            mine.setdefault(programme, set()).add(run.root)
    return found


def _admitted(run: PastRun, rules: Sequence[Rule], givers: frozenset[str]) -> tuple[Admitted, ...]:
    if not run.wants:
        return ()
    return eligible(rules, run.applicant, run.ask._replace(contract_givers=givers)).admitted


def _sources(
    run: PastRun, admitted: Sequence[Admitted], purse: Purse
) -> dict[str, tuple[Source, ...]]:
    return {
        rule.programme: (
            purse.own.get((run.enterprise, rule.programme), ())
            if rule.issue == "VOUCHER" or rule.unit != "FEN"
            else purse.funds.get(rule.programme, ())
        )
        for rule, _, _ in admitted
    }


def _room(
    run: PastRun,
    admitted: Sequence[Admitted],
    years: set[int],
    caps: Mapping[tuple[str, str, int], int],
) -> dict[tuple[str, int], int]:
    """What is left of the caps of the years in which a run used something."""
    return {
        (rule.programme, year): max(
            0, rule.year_cap_fen - caps.get((rule.programme, run.enterprise, year), 0)
        )
        for rule, _, _ in admitted
        if rule.year_cap_fen is not None
        for year in years
    }
