"""Clocks of the shell; everything below it is given ``now_ms``."""

import time
from typing import Protocol


class Clock(Protocol):
    """Scheduling time in epoch milliseconds UTC, and how long it takes in real seconds."""

    def now_ms(self) -> int:
        """Scheduling time now."""
        ...

    def real_s(self, duration_ms: int) -> float:
        """Real seconds in which ``duration_ms`` of scheduling time passes."""
        ...


class WallClock:
    """The machine's clock, never stepping back within one process."""

    def __init__(self) -> None:
        self._offset_ms = time.time() * 1000 - time.monotonic() * 1000

    def not_before(self, at_ms: int) -> None:
        """Go on from an instant that has not come yet by this clock."""
        self._offset_ms += max(0, at_ms - self.now_ms())

    def now_ms(self) -> int:
        return int(self._offset_ms + time.monotonic() * 1000)

    def real_s(self, duration_ms: int) -> float:
        return duration_ms / 1000


class ScaledClock:
    """Time that starts at ``start_ms`` and runs ``speed`` times as fast as the wall clock.

    For demonstrations and simulated centers only; whoever shows its times says so.
    """

    def __init__(self, start_ms: int, speed: float) -> None:
        self._set(start_ms, speed)

    @property
    def speed(self) -> float:
        """How many times as fast as the wall clock it runs now."""
        return self._pace[2]

    def set_speed(self, speed: float) -> None:
        """Go on from now at another speed; who waits for an instant may wake late by it once."""
        self._set(self.now_ms(), speed)

    def not_before(self, at_ms: int) -> None:
        """Go on from an instant that has not come yet by this clock."""
        self._set(max(at_ms, self.now_ms()), self.speed)

    def _set(self, start_ms: int, speed: float) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive, not {speed}")
        # One tuple, so that a thread that reads never sees half of a change.
        self._pace = (start_ms, time.monotonic(), speed)

    def now_ms(self) -> int:
        start_ms, origin_s, speed = self._pace
        return start_ms + int((time.monotonic() - origin_s) * 1000 * speed)

    def real_s(self, duration_ms: int) -> float:
        return duration_ms / 1000 / self.speed
