"""A corridor under load, made up: pools, cities, enterprises and waiting jobs, from a seed.

20 pools (flavors), 500 enterprises in five cities, 126 shapes of jobs: the load for which the
targets of planning were set. Three of five shapes name one flavor, the others have alternatives.
"""

import random
from typing import Final

from scheduler.placement.model import (
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PoolSet,
)
from scheduler.replay.setup import CITY_WEIGHTS, apportion

POOLS: Final = 20
ENTERPRISES: Final = 500
SHAPES: Final = 126
POOL_UNITS: Final = 512
BEGIN_MS: Final = 1_790_000_000_000
_UNITS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
_WALLS_MS: Final = tuple(minutes * 60_000 for minutes in (10, 30, 60, 240, 720, 1440))


def rules() -> list[Delta]:
    """Pools, cities with their quotas, enterprises."""
    told: list[Delta] = [CitySet(city, weight) for city, weight in CITY_WEIGHTS.items()]
    for number in range(POOLS):
        told.append(PoolSet(flavor(number), f"center-{number % 4}", POOL_UNITS))
        for city, nominal in apportion(POOL_UNITS, CITY_WEIGHTS).items():
            told.append(CityQuotaSet(city, flavor(number), nominal))
    told += [EnterpriseSet(name, city) for name, city in members()]
    return told


def flavor(number: int) -> str:
    """The name of a pool."""
    return f"center-{number % 4}/device-{number}"


def members() -> list[tuple[str, str]]:
    """The enterprises with their cities, by population."""
    spread = apportion(ENTERPRISES, CITY_WEIGHTS)
    names = [city for city, count in spread.items() for _ in range(count)]
    return [(f"enterprise-{number:03}", city) for number, city in enumerate(names)]


class Arrivals:
    """Jobs without end, one after another, from a seed."""

    def __init__(self, seed: int = 1, shapes: int = SHAPES) -> None:
        self._rng = random.Random(seed)
        self._members = members()
        self._shapes = [self._shape() for _ in range(shapes)]
        self._uid = 0

    def _shape(self) -> tuple[Option, ...]:
        rng = self._rng
        units, wall_ms = rng.choice(_UNITS), rng.choice(_WALLS_MS)
        several = rng.choices((1, 2, 4), (3, 1, 1))[0]
        numbers = rng.sample(range(POOLS), several)
        return tuple(Option(flavor(number), units, 1, wall_ms) for number in numbers)

    def take(self, count: int, at_ms: int = BEGIN_MS) -> list[Delta]:
        """The next jobs, submitted about ``at_ms`` in the order of their uids."""
        rng, found = self._rng, list[Delta]()
        for _ in range(count):
            self._uid += 1
            name, city = rng.choice(self._members)
            priority = 50 if rng.random() < 0.1 else 0
            options = rng.choice(self._shapes)
            found.append(
                JobQueued(self._uid, city, name, priority, at_ms + self._uid // 100, options)
            )
        return found
