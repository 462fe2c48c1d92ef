"""The usual settlement at a fraction of the work: one stretch of use, within what is held for it.

What ``quota.settling`` finds for any run is found here for those whose bill is plain arithmetic:
nothing cuts their use, each programme gives from one leg, and no leg and no wallet is short. A
property test compares the two.
"""

from collections.abc import Sequence

from quota.amounts import round_fen
from quota.charges import FOREVER_MS, Bill, Binding, Draw, Leg, Line, Part, Quote, Slice
from quota.eligibility import Admitted, order
from quota.quoting import too_late, wanted
from quota.rules import Rule
from quota.slices import Cut


def settle_plainly(legs: Sequence[Leg], admitted: Sequence[Admitted], cut: Cut) -> Bill | None:
    """Return the bill of a run that its hold pays in full; None for one that is not plain.

    ``admitted`` are of different programmes, and plain if they come in the order in which they
    give; one that holds nothing gives nothing.
    """
    if len(cut.pieces) != 1:
        return None
    (at,), (piece,) = cut.slices, cut.pieces
    mine = {leg.programme: leg for leg in legs}
    if len(mine) != len(legs):
        return None
    gross = round_fen(at.unit_seconds * at.price_ufen)
    posted = {(leg.rev, leg.leg): 0 for leg in legs}
    parts = []
    given = claimed = 0
    last: tuple[object, ...] = ()
    for one in admitted:
        rule = one.rule
        here = order(rule)
        leg = mine.get(rule.programme)
        part = _part(one, leg, at, gross, given)
        if part is None or here < last:
            return None
        last = here
        amount = part.amount_fen
        if leg is not None:
            posted[leg.rev, leg.leg] = amount
        given += amount
        if part.claim:
            claimed += amount
        parts.append(part)
    if paid := gross - given + claimed:
        wallet = mine.get(None)
        if wallet is None or paid > wallet.amount:
            return None
        posted[wallet.rev, wallet.leg] = paid
    return Bill(Quote((gross,), tuple(parts)), (Line(*piece, 0, gross),), posted)


def _part(one: Admitted, leg: Leg | None, at: Slice, gross: int, given: int) -> Part | None:
    """What a rule gives from its leg, if that is all that it wants; None if it is not plain."""
    rule = one.rule
    if rule.unit != "FEN" or too_late(one, at, at):
        return None
    if leg is None:
        draws: tuple[Draw, ...] = ()
        amount, bound_by = 0, ""
        binding = Binding.NO_VOUCHER
        if rule.issue != "VOUCHER":
            binding, bound_by = Binding.NO_FUND, rule.shares[0].name
    else:
        amount, binding = wanted(one, gross, given, 0)
        if amount > leg.amount or not _serves(leg, rule, at):
            return None
        bound_by = ""
        whole = rule.boundary == "BY_START"
        draws = ()
        if amount:
            draws = (
                Draw(
                    leg.account, amount, leg.funder, leg.cap_year, leg.cap_reserved,
                    0 if whole else leg.from_ms, FOREVER_MS if whole else leg.to_ms,
                ),
            )  # fmt: skip
    return Part(
        rule.programme, rule.version, amount, binding, 0, one.rate_bp, rule.mode == "REIMBURSE",
        0, draws, bound_by,
    )  # fmt: skip


def _serves(leg: Leg, rule: Rule, at: Slice) -> bool:
    """Whether a leg is of the time and year of a slice, and all that its rule gives comes of it."""
    if leg.grant or not leg.from_ms <= at.start_ms < leg.to_ms:
        return False
    if rule.issue == "VOUCHER" and leg.cap_reserved:
        return leg.cap_year is not None
    sole = rule.issue == "VOUCHER" or (not rule.funders and leg.funder == rule.city)
    return sole and not leg.cap_reserved and leg.cap_year == at.year
