"""From a hold to its settlement: what each payer finally pays for the metered use.

A hold has one leg per payer. Settlement never posts more than a leg holds; what the center metered
above the hold (it ran past the limit) becomes the enterprise's debt, never the fund's.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from quota.amounts import slices_fen
from quota.subsidy import Rule, settled_amount


class Leg(NamedTuple):
    """One payer's part of a hold: ``programme`` for a fund, None for the wallet."""

    leg: int
    amount_fen: int
    programme: str | None
    rule_version: int | None


class Segment(NamedTuple):
    """One uninterrupted stretch of metered use in whole seconds."""

    segment: int
    seconds: int
    units: int


class Bill(NamedTuple):
    """What is posted: per segment, per leg, and what no leg covers (the enterprise's debt)."""

    gross_fen: int
    segments_fen: tuple[int, ...]
    posted_fen: Mapping[int, int]
    receivable_fen: int
    subsidy_fen: int


def settle(
    legs: Sequence[Leg],
    rules: Mapping[tuple[str, int], Rule],
    segments: Sequence[Segment],
    price_ufen: int,
) -> Bill:
    """Return the bill for metered segments at the frozen price and rules.

    ``legs`` stand in the order in which their rules give. Subsidies are computed anew from the
    metered gross by the frozen rates. What rounding moves from the funds to a wallet that holds
    nothing for it stays with the first fund that held more, so the enterprise never pays more
    than was held of it, but for an overrun.
    """
    parts = slices_fen([one.units * one.seconds * price_ufen for one in segments])
    gross = sum(parts)
    held = sum(leg.amount_fen for leg in legs)
    covered = min(gross, held)
    posted: dict[int, int] = {}
    given = 0
    for leg in legs:
        if leg.programme is None or leg.rule_version is None:
            continue
        rule = rules[leg.programme, leg.rule_version]
        amount = min(settled_amount(rule, gross, given, leg.amount_fen), covered - given)
        posted[leg.leg] = amount
        given += amount
    rest = covered - given
    for leg in legs:  # the wallet first, then funds that held more than their rate gives now
        if leg.programme is None:
            posted[leg.leg] = min(rest, leg.amount_fen)
            rest -= posted[leg.leg]
    for leg in legs:
        if leg.programme is not None and rest:
            more = min(rest, leg.amount_fen - posted[leg.leg])
            posted[leg.leg] += more
            rest -= more
            given += more
    return Bill(gross, tuple(parts), posted, gross - covered, given)


def void(legs: Sequence[Leg]) -> Bill:
    """Return the bill of a run that costs nothing: all legs are freed."""
    return Bill(0, (), {leg.leg: 0 for leg in legs}, 0, 0)
