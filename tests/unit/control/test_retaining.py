"""When the leader lets go of what is old, and how much of it with a tick."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scheduler.control.retaining import Retaining
from scheduler.control.settings import LoopSettings
from scheduler.metrics import Metrics
from scheduler.store import leader, retention
from scheduler.store.database import Connection
from scheduler.store.submissions import More
from tests.property.job_world import JobWorld

DAY_MS = 86_400_000


class Port:
    """Writes as the leader, and counts."""

    def __init__(self, it: JobWorld) -> None:
        self._it, self.epoch, self.writes = it, it.epoch, 0
        self.metrics = Metrics()

    def shown(self, name: str, **labels: str) -> float | None:
        """What is shown of the letting go."""
        return self.metrics.registry.get_sample_value(f"corridor_retention_{name}", labels)

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


async def test_what_is_old_and_what_went_is_shown(it: JobWorld) -> None:
    made, port = retaining(it, events_keep_d=0, jobs_keep_d=29)
    before_s = time.time()
    await made.once()
    # The oldest ended 30 days ago, and 29 are to be kept; what is left is not done with.
    assert port.shown("backlog_seconds", kind="jobs") == pytest.approx(86_400, abs=60)
    assert port.shown("rows_total", table="job") == retention.JOBS_MAX
    assert port.shown("seconds_count", kind="jobs") == 1
    begun_s = port.shown("done_timestamp_seconds", kind="jobs")
    assert begun_s is not None
    assert begun_s >= before_s, "it is told of from the beginning"
    await made.once()
    assert port.shown("backlog_seconds", kind="jobs"), "there was some left when it looked"
    assert port.shown("done_timestamp_seconds", kind="jobs") == begun_s
    while port.shown("backlog_seconds", kind="jobs"):
        await made.once()
    assert port.shown("rows_total", table="job") == retention.JOBS_MAX + 2
    done_s = port.shown("done_timestamp_seconds", kind="jobs")
    assert done_s is not None
    assert done_s > begun_s
    # What is kept for ever is not told of, and nothing is once another leads.
    assert port.shown("done_timestamp_seconds", kind="events") is None
    port.metrics.leader(False, port.epoch)
    assert port.shown("done_timestamp_seconds", kind="jobs") is None
    assert port.shown("backlog_seconds", kind="jobs") is None


async def test_what_fails_is_not_done(it: JobWorld) -> None:
    made, port = retaining(it, events_keep_d=0, jobs_keep_d=29)
    await made.once()
    begun_s = port.shown("done_timestamp_seconds", kind="jobs")
    it.db.do(lambda c: leader.take_over(c, "next", 0))
    for _ in range(3):
        with pytest.raises(leader.Fenced):
            await made.once()
    assert port.shown("done_timestamp_seconds", kind="jobs") == begun_s
