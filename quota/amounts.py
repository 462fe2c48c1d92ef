"""Money in exact integers: fen (1/100 yuan) and micro-fen per unit-second.

Gross is rounded once, half-up, on the running total: slices of a job always add up to the rounded
whole (reference model 3.1). Subsidies are rounded down, in favour of the fund.
"""

from collections.abc import Sequence
from typing import Final

UFEN: Final = 1_000_000
BP: Final = 10_000


def gross_fen(units: int, seconds: int, price_ufen: int) -> int:
    """Return what ``units`` cost for ``seconds`` at ``price_ufen`` micro-fen per unit-second."""
    return round_fen(units * seconds * price_ufen)


def round_fen(ufen: int) -> int:
    """Round micro-fen half-up to fen; ``ufen`` is not negative."""
    return (2 * ufen + UFEN) // (2 * UFEN)


def slices_fen(ufens: Sequence[int]) -> list[int]:
    """Round the slices of one total cumulatively: their sum is the rounded total."""
    slices, total, rounded = [], 0, 0
    for ufen in ufens:
        total += ufen
        now = round_fen(total)
        slices.append(now - rounded)
        rounded = now
    return slices


def share_fen(amount_fen: int, rate_bp: int) -> int:
    """Return ``rate_bp`` hundredths of a percent of an amount, rounded down."""
    return amount_fen * rate_bp // BP


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a total by weights, largest remainder first, ties to the earlier; sums to it."""
    weight = sum(weights)
    if weight <= 0:
        raise ValueError("weights must add up to more than 0")
    parts = [total * one // weight for one in weights]
    rest = total - sum(parts)
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % weight), i))
    for index in by_remainder[:rest]:
        parts[index] += 1
    return parts


def yuan(fen: int) -> str:
    """Return an amount as people read it: ``¥1,234.05``."""
    sign = "-" if fen < 0 else ""
    whole, rest = divmod(abs(fen), 100)
    return f"{sign}¥{whole:,}.{rest:02d}"
