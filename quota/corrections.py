"""A charge that is lowered after its settlement: who gets how much back.

What was charged too much goes back to those who bore it: first the debt that nobody paid yet is
cut, then each programme gives in proportion to the new gross, rounded down in favor of the fund,
and the rest is the enterprise's. Nobody ever bears more than before.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Payer(StrEnum):
    """Who bears a part of a charge."""

    SUBSIDY = "SUBSIDY"  # taken off the bill: a fund or a voucher paid the center
    CLAIM = "CLAIM"  # the wallet paid it, and the city owes it to the enterprise
    WALLET = "WALLET"
    DEBT = "DEBT"  # nothing covered it: the enterprise owes it


class Borne(NamedTuple):
    """A part of a charge in fen. The wallet's part includes what is claimed back."""

    payer: Payer
    amount_fen: int


def gross_of(borne: Sequence[Borne]) -> int:
    """Return what the center gets of a charge; claims are beside it."""
    return sum(one.amount_fen for one in borne if one.payer is not Payer.CLAIM)


def self_pay_of(borne: Sequence[Borne]) -> int:
    """Return what the enterprise pays in the end: wallet and debt, less what it claims back."""
    claimed = sum(one.amount_fen for one in borne if one.payer is Payer.CLAIM)
    own = (Payer.WALLET, Payer.DEBT)
    return sum(one.amount_fen for one in borne if one.payer in own) - claimed


def lowered(borne: Sequence[Borne], gross_fen: int) -> list[int]:
    """Return what each bears of a charge that comes to ``gross_fen`` now, in the same order.

    Raises ValueError for a gross below 0 or above what it was.
    """
    before = gross_of(borne)
    if not 0 <= gross_fen <= before:
        raise ValueError(f"a charge of {before} fen may be lowered to 0..{before}, not {gross_fen}")
    amounts = [one.amount_fen for one in borne]
    if gross_fen == before:
        return amounts
    given = _subsidies(borne, amounts, gross_fen, before)
    claimed = sum(
        amount for one, amount in zip(borne, amounts, strict=True) if one.payer is Payer.CLAIM
    )
    rest = gross_fen - (given - claimed)  # of wallet and debt; more than this is owed by nobody
    for payer in (Payer.WALLET, Payer.DEBT):
        for at, one in enumerate(borne):
            if one.payer is payer:
                amounts[at] = min(amounts[at], rest)
                rest -= amounts[at]
    return amounts


def _subsidies(borne: Sequence[Borne], amounts: list[int], gross_fen: int, before: int) -> int:
    """Lower the subsidies in ``amounts``; returns their sum.

    What rounding would leave to an enterprise above what it paid before stays with the first
    programmes.
    """
    given = 0
    subsidized = [at for at, one in enumerate(borne) if one.payer in (Payer.SUBSIDY, Payer.CLAIM)]
    for at in subsidized:
        amounts[at] = borne[at].amount_fen * gross_fen // before
        given += amounts[at]
    above = gross_fen - given - self_pay_of(borne)
    for at in subsidized:
        more = min(max(0, above), borne[at].amount_fen - amounts[at])
        amounts[at] += more
        given += more
        above -= more
    return given
