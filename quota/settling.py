"""From a hold to its settlement: what each payer finally pays for the metered use.

Settlement never posts more than a leg holds. What was used beyond the hold is paid by the funds
and the wallet as far as they are offered for it, and else is the enterprise's debt, never a
fund's (T7). Rules, rates and prices are those that admission froze.
"""

from collections.abc import Sequence
from typing import Final

from quota.amounts import slices_fen
from quota.charges import NOTHING, Bill, Binding, Draw, Left, Leg, Line, Part, Quote, Slice, Source
from quota.eligibility import Admitted, order
from quota.quoting import quote
from quota.settling_plain import settle_plainly
from quota.slices import Cut

_Key = tuple[int, int]
#: Limits that settlement finds because nothing but what is held was offered.
_BY_HOLD: Final = frozenset((Binding.FUND, Binding.YEAR_CAP, Binding.VOUCHER, Binding.GRANT))


def settle(
    legs: Sequence[Leg],
    admitted: Sequence[Admitted],
    cut: Cut,
    left: Left = NOTHING,
    wallet_fen: int = 0,
) -> Bill:
    """Return the bill for metered use; ``admitted`` are the frozen rules of the legs.

    ``left`` and ``wallet_fen`` are what may be taken beyond the legs. What rounding moves from the
    funds to a wallet that holds nothing for it stays with funds that hold more, a fen for a
    programme and slice at most, so that the enterprise pays no more than it was quoted but for
    what was used beyond the hold. Most runs are settled from their holds alone, the short way.
    """
    plain = settle_plainly(legs, admitted, cut) if left is NOTHING else None
    return plain or settle_in_full(legs, admitted, cut, left, wallet_fen)


def settle_in_full(
    legs: Sequence[Leg],
    admitted: Sequence[Admitted],
    cut: Cut,
    left: Left = NOTHING,
    wallet_fen: int = 0,
) -> Bill:
    """Return what ``settle`` does, by the way that is open to all runs."""
    own = sorted(admitted, key=lambda one: order(one.rule))
    found = quote(cut.slices, own, _offered(legs, left, cut), settling=True)
    posting = _Posting(legs)
    for part in found.parts:
        posting.take(part)
    rest = posting.pay(found.wallet_fen)
    off = {r.programme for r, _, _ in own if r.unit == "FEN" and r.mode == "DEDUCT"}
    rounding = rest <= len(found.parts)
    parts = []
    for part in found.parts:
        told, moved = part, 0
        if rest and rounding and part.programme in off:
            told, moved = posting.round_up(part, cut.slices[part.slice])
            rest -= moved
        if told.binding in _BY_HOLD and told.programme not in left.sources:
            told = told._replace(binding=posting.bound(told, cut.slices[part.slice]))
        parts.append(told)
    more = min(rest, wallet_fen)
    charge = Quote(found.slices_fen, tuple(parts))
    return Bill(
        charge, _lines(charge, cut), posting.posted, tuple(posting.direct), more, rest - more
    )


def void(legs: Sequence[Leg]) -> Bill:
    """Return the bill of a run that costs nothing: all legs are freed."""
    return Bill(Quote(()), (), {(leg.rev, leg.leg): 0 for leg in legs})


def _offered(legs: Sequence[Leg], left: Left, cut: Cut) -> Left:
    """What may be given: what the legs hold, then what is left beside them.

    Held sources come first. Caps are what the legs hold of each year, and what is left of it.
    """
    sources: dict[str, list[Source]] = {}
    accounts = dict(left.accounts)
    caps: dict[tuple[str, int], int] = {}
    for leg in legs:
        if leg.programme is None:
            continue
        accounts[leg.account] = accounts.get(leg.account, 0) + leg.amount
        if leg.cap_year is not None and not leg.cap_reserved:
            caps[leg.programme, leg.cap_year] = (
                caps.get((leg.programme, leg.cap_year), 0) + leg.amount
            )
        mine = sources.setdefault(leg.programme, [])
        reserved = leg.cap_year if leg.cap_reserved else None
        source = Source(leg.account, leg.funder, leg.from_ms, leg.to_ms, len(mine), reserved)
        if all(source.account != one.account for one in mine):
            mine.append(source)
    for programme, others in left.sources.items():
        mine = sources.get(programme, [])
        there = {one.account for one in mine}
        mine += [one for one in others if one.account not in there]
    for programme in sources:
        for year in {at.year for at in cut.slices}:
            key = programme, year
            caps[key] = caps.get(key, 0) + left.caps.get(key, 0)
    return Left({name: tuple(found) for name, found in sources.items()}, accounts, caps)


def _lines(charge: Quote, cut: Cut) -> tuple[Line, ...]:
    """What each piece costs; free unit-seconds of a slice are of its earliest pieces."""
    free = [0] * len(cut.slices)
    for part in charge.parts:
        free[part.slice] += part.unit_seconds
    spared = []
    for piece in cut.pieces:
        taken = min(free[piece.slice], piece.seconds * piece.units)
        free[piece.slice] -= taken
        spared.append(taken)
    costs = slices_fen(
        [
            (piece.seconds * piece.units - taken) * cut.slices[piece.slice].price_ufen
            for piece, taken in zip(cut.pieces, spared, strict=True)
        ]
    )
    return tuple(
        Line(*piece, taken, fen)
        for piece, taken, fen in zip(cut.pieces, spared, costs, strict=True)
    )


class _Posting:
    """What legs have still to post while a bill is made out."""

    def __init__(self, legs: Sequence[Leg]) -> None:
        self.posted: dict[_Key, int] = {(leg.rev, leg.leg): 0 for leg in legs}
        self.direct: list[Part] = []
        self._wallet = [leg for leg in legs if leg.programme is None]
        self._legs: dict[str, list[Leg]] = {}
        for leg in legs:
            if leg.programme is not None:
                self._legs.setdefault(leg.programme, []).append(leg)

    def take(self, part: Part) -> None:
        """Post what a part draws from its legs; what they do not hold is taken directly."""
        beyond = []
        for draw in part.draws:
            rest = draw.amount
            for leg in self._legs.get(part.programme, ()):
                if leg.account == draw.account and leg.cap_year == draw.cap_year:
                    rest -= self._post(leg, rest)
            if rest:
                beyond.append(draw._replace(amount=rest))
        if beyond:
            total = sum(draw.amount for draw in beyond)
            fen, free = (0, total) if part.unit_seconds else (total, 0)
            self.direct.append(
                part._replace(amount_fen=fen, unit_seconds=free, draws=tuple(beyond))
            )

    def pay(self, amount: int) -> int:
        """Post what the wallet's legs hold of an amount; returns the rest."""
        for leg in self._wallet:
            amount -= self._post(leg, amount)
        return amount

    def round_up(self, part: Part, at: Slice) -> tuple[Part, int]:
        """Post a fen more for a part if one of its legs still holds it; returns also how many."""
        for leg in self._serving(part, at):
            if self._post(leg, 1):
                draws = {(draw.account, draw.cap_year): draw for draw in part.draws}
                key = leg.account, leg.cap_year
                draw = draws.get(key) or Draw(
                    leg.account, 0, leg.funder, leg.cap_year, leg.cap_reserved, leg.from_ms,
                    leg.to_ms,
                )  # fmt: skip
                draws[key] = draw._replace(amount=draw.amount + 1)
                more = part._replace(amount_fen=part.amount_fen + 1, draws=tuple(draws.values()))
                return more, 1
        return part, 0

    def bound(self, part: Part, at: Slice) -> Binding:
        """What limited at admission what all is used of now."""
        found = [leg.binding for leg in self._serving(part, at)]
        if part.binding in found:
            return part.binding
        cut = [one for one in found if one is not Binding.RATE]
        return next((one for one in cut if one in _BY_HOLD), cut[0] if cut else Binding.HOLD)

    def _serving(self, part: Part, at: Slice) -> list[Leg]:
        return [
            leg
            for leg in self._legs.get(part.programme, ())
            if leg.from_ms <= at.start_ms < leg.to_ms
            and (leg.cap_reserved or leg.cap_year in (None, at.year))
        ]

    def _post(self, leg: Leg, amount: int) -> int:
        key = leg.rev, leg.leg
        amount = min(amount, leg.amount - self.posted[key])
        self.posted[key] += amount
        return amount
