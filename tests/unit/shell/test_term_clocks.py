"""The clock of a term is not behind what another replica, whose clock was ahead, has stored."""

import pytest

from scheduler.clock import Clock, ScaledClock, WallClock
from scheduler.leading import catch_up

AHEAD_MS = 90_000


@pytest.mark.parametrize("clock", [WallClock(), ScaledClock(1_790_000_000_000, 1)])
def test_it_goes_on_from_the_newest_instant_stored(clock: Clock) -> None:
    before_ms = clock.now_ms()
    catch_up(clock, before_ms - AHEAD_MS)
    assert before_ms <= clock.now_ms() < before_ms + AHEAD_MS
    catch_up(clock, before_ms + AHEAD_MS)
    assert clock.now_ms() > before_ms + AHEAD_MS
    assert clock.real_s(1000) == 1.0
    catch_up(clock, None)
    assert clock.now_ms() > before_ms + AHEAD_MS
