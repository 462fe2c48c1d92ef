"""Who would pay a quoted job, how much money is left for it, and why others do not pay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from quota.charges import Part, Refusal, Slice, Source, telling
from quota.eligibility import Admitted
from quota.slices import Span, cut
from quota.transfers import wallet_account
from scheduler.store.paying import Judgement, Means, Wanted


class CapLeft(NamedTuple):
    """What a yearly cap has left before a job, and what the job would use of it, in fen."""

    year: int
    cap_fen: int
    left_fen: int
    used_fen: int


class SourceLeft(NamedTuple):
    """What an account has left before a job, and what the job would take: fen or unit-seconds."""

    source: Source
    left: int
    taken: int


@dataclass(frozen=True, slots=True)
class ProgrammeQuote:
    """What one programme gives; ``parts`` by slice, ``telling`` the one that says most of why."""

    admitted: Admitted
    name: str
    parts: tuple[Part, ...]
    telling: Part
    caps: tuple[CapLeft, ...]
    sources: tuple[SourceLeft, ...]

    @property
    def amount_fen(self) -> int:
        """What it gives in sum."""
        return sum(part.amount_fen for part in self.parts)

    @property
    def unit_seconds(self) -> int:
        """Free unit-seconds in sum."""
        return sum(part.unit_seconds for part in self.parts)


@dataclass(frozen=True, slots=True)
class Funding:
    """Who would pay a job; ``refusals`` with the names of their programmes."""

    programmes: tuple[ProgrammeQuote, ...]
    refusals: tuple[tuple[Refusal, str], ...]
    advance_fen: int
    wallet_fen: int
    wallet_left_fen: int
    free_unit_seconds: int
    slices: tuple[tuple[Slice, int], ...]


def funding(means: Means, one: Wanted, found: Judgement, names: Mapping[str, str]) -> Funding:
    """Return who would pay a run as it was judged; ``names`` are those of programmes."""
    charge = found.quote
    slices: Sequence[Slice] = ()
    if found.cuts is not None:
        span = Span(0, means.now_ms, means.now_ms + one.wall_limit_s * 1000, one.units)
        slices = cut([span], found.cuts).slices
    parts: dict[str, list[Part]] = {}
    for part in charge.parts:
        parts.setdefault(part.programme, []).append(part)
    return Funding(
        tuple(
            _programme(means, one, admitted, mine, names.get(admitted.rule.programme, ""))
            for admitted in found.admitted
            if (mine := parts.get(admitted.rule.programme))
        ),
        tuple((refusal, names.get(refusal.programme, "")) for refusal in found.refusals),
        charge.advance_fen,
        charge.wallet_fen,
        max(0, means.left.get(wallet_account(one.enterprise), 0)),
        charge.unit_seconds,
        tuple(zip(slices, charge.slices_fen, strict=True)) if len(slices) > 1 else (),
    )


def _programme(
    means: Means, one: Wanted, admitted: Admitted, parts: Sequence[Part], name: str
) -> ProgrammeQuote:
    programme = admitted.rule.programme
    taken: dict[str, int] = {part.bound_by: 0 for part in parts if part.bound_by}
    used: dict[int, int] = {}
    for part in parts:
        for draw in part.draws:
            taken[draw.account] = taken.get(draw.account, 0) + draw.amount
            if draw.cap_year is not None and not draw.cap_reserved:
                used[draw.cap_year] = used.get(draw.cap_year, 0) + draw.amount
    known = {source.account: source for source in means.sources_of(one.enterprise, programme)}
    sources = tuple(
        SourceLeft(known[account], max(0, means.left.get(account, 0)), amount)
        for account, amount in taken.items()
        if account in known
    )
    rule = admitted.rule
    caps = tuple(
        CapLeft(
            year,
            rule.year_cap_fen,
            max(0, rule.year_cap_fen - means.caps.get((programme, one.enterprise, year), 0)),
            fen,
        )
        for year, fen in sorted(used.items())
        if rule.year_cap_fen is not None
    )
    return ProgrammeQuote(admitted, name, tuple(parts), telling(parts), caps, sources)
