"""Money that came back to a city: jobs parked there for want of it are looked at again."""

from collections.abc import Iterable
from typing import Final

from scheduler.clock import Clock
from scheduler.placement.model import Delta, Unparked

#: At most so often for each city, in real seconds.
_EVERY_S: Final = 1.0


class MoneyBack:
    """Cities into which money came back, for the planner to hear of."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cities: set[str] = set()
        self._told_ms: dict[str, int] = {}

    def into(self, cities: Iterable[str]) -> None:
        """Money came back into these cities."""
        self._cities.update(cities)

    def due(self) -> list[Delta]:
        """Return what the planner is to be told now, each city at most once a second."""
        now_ms = self._clock.now_ms()
        due = [
            city
            for city in sorted(self._cities)
            if city not in self._told_ms
            or self._clock.real_s(now_ms - self._told_ms[city]) >= _EVERY_S
        ]
        self._told_ms.update(dict.fromkeys(due, now_ms))
        self._cities.difference_update(due)
        return [Unparked(city) for city in due]
