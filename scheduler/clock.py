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

    def now_ms(self) -> int:
        return int(self._offset_ms + time.monotonic() * 1000)

    def real_s(self, duration_ms: int) -> float:
        return duration_ms / 1000


class ScaledClock:
    """Time that starts at ``start_ms`` and runs ``speed`` times as fast as the wall clock.

    For demonstrations and simulated centers only; whoever shows its times says so.
    """

    def __init__(self, start_ms: int, speed: float) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive, not {speed}")
        self._start_ms, self.speed = start_ms, speed
        self._origin_s = time.monotonic()

    def now_ms(self) -> int:
        return self._start_ms + int((time.monotonic() - self._origin_s) * 1000 * self.speed)

    def real_s(self, duration_ms: int) -> float:
        return duration_ms / 1000 / self.speed
