"""Who lends what: units above nominal, told back to the cities that leave theirs idle."""

from collections.abc import Mapping
from typing import NamedTuple

from quota.amounts import split


class Standing(NamedTuple):
    """A city's quota of one flavor and the units it holds; ``lend`` None lends all."""

    nominal: int
    lend: int | None
    used: int

    @property
    def borrowed(self) -> int:
        """Units held above nominal."""
        return max(0, self.used - self.nominal)

    @property
    def lendable(self) -> int:
        """Units of its nominal that are idle and may be used by others."""
        idle = max(0, self.nominal - self.used)
        return idle if self.lend is None else min(idle, self.lend)


def lent(cities: Mapping[str, Standing], corridor: int) -> dict[str, int]:
    """Return how many units each city lends now.

    What is borrowed comes from the corridor's own units first; the rest is laid on the cities in
    proportion to what each has idle and lendable, in whole units, and never above it.
    """
    borrowed = sum(one.borrowed for one in cities.values())
    names = sorted(cities)
    idle = [cities[name].lendable for name in names]
    drawn = min(max(0, borrowed - corridor), sum(idle))
    if drawn == 0:
        return dict.fromkeys(names, 0)
    return dict(zip(names, split(drawn, idle), strict=True))
