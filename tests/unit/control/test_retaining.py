"""When the leader lets go of what is old, and how much of it with a tick."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scheduler.control.retaining import Retaining
from scheduler.control.settings import LoopSettings
from scheduler.store import leader, retention
from scheduler.store.database import Connection
from scheduler.store.submissions import More
from tests.property.job_world import JobWorld

DAY_MS = 86_400_000


class Port:
    """Writes as the leader, and counts."""

    def __init__(self, it: JobWorld) -> None:
        self._it, self.epoch, self.writes = it, it.epoch, 0

    def write(self, call: Callable[[Connection], Any]) -> Awaitable[Any]:
        self.writes += 1
        return self._it.db.write(call)


@pytest.fixture
def it() -> JobWorld:
    """Jobs that ended 30 days before now, and one that waits."""
    made = JobWorld()
    made.clock.ms = int(time.time() * 1_000) - 30 * DAY_MS
    made.cancel(*made.submit(*[More()] * (retention.JOBS_MAX + 2)))
    made.submit(More())
    made.clock.ms += 30 * DAY_MS
    return made


def left(it: JobWorld) -> tuple[int, int]:
    """How many events and jobs there are."""
    [row] = it.db.rows("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM job)")
    return row[0], row[1]


def retaining(it: JobWorld, **settings: float) -> tuple[Retaining, Port]:
    port = Port(it)
    return Retaining(it.db, it.clock, LoopSettings(ray="off", **settings), port), port  # type: ignore[arg-type]


async def test_a_little_goes_with_each_tick_until_nothing_is_left(it: JobWorld) -> None:
    made, port = retaining(it, events_keep_d=29, jobs_keep_d=29)
    await made.once()
    assert port.writes == 3, "one of each kind"
    assert left(it)[1] == 3, "so many jobs at a time"
    for _ in range(3):
        await made.once()
    assert left(it) == (1, 1)
    written = port.writes
    for _ in range(3):
        await made.once()
    assert port.writes == written, "and where there is nothing, nothing is written"


async def test_what_grew_old_since_goes_after_a_while(it: JobWorld) -> None:
    made, _ = retaining(it, events_keep_d=0, jobs_keep_d=29)
    while left(it)[1] > 1:
        await made.once()
    for _ in range(2):
        await made.once()
    it.clock.ms -= 29 * DAY_MS
    it.cancel(*it.submit(More()))
    it.submit(More())
    it.clock.ms += 29 * DAY_MS + 1
    await made.once()
    assert left(it)[1] == 3, "it does not look with every tick"
    it.clock.ms += 60_000
    await made.once()
    assert left(it)[1] == 2


async def test_a_day_of_zero_keeps_for_ever(it: JobWorld) -> None:
    before = left(it)
    made, port = retaining(it, events_keep_d=0, jobs_keep_d=0)
    await made.once()
    assert (left(it), port.writes) == (before, 0)


async def test_a_clock_that_runs_ahead_makes_nothing_old(it: JobWorld) -> None:
    made, port = retaining(it, events_keep_d=300, jobs_keep_d=300)
    it.clock.ms += 365 * DAY_MS
    await made.once()
    assert port.writes == 0


async def test_one_that_was_replaced_lets_go_of_nothing(it: JobWorld) -> None:
    made, port = retaining(it, events_keep_d=29, jobs_keep_d=29)
    it.db.do(lambda c: leader.take_over(c, "next", 0))
    before = left(it)
    with pytest.raises(leader.Fenced):
        await made.once()
    assert (left(it), port.writes) == (before, 0)
