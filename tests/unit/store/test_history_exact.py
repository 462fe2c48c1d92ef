"""History read from the store: played under unchanged settings it gives the very waits it had."""

from dataclasses import replace

import pytest

from scheduler.placement.model import CORRIDOR
from scheduler.store import history as histories
from scheduler.store import job_commands
from scheduler.whatif.answers import TooManyJobs
from scheduler.whatif.figures import Asker, Figures
from scheduler.whatif.history import History
from scheduler.whatif.playing import Task, play
from scheduler.whatif.scenarios import HISTORY, TODAY, Scenario
from tests.simulation import world as worlds
from tests.simulation.days import Day, random_day
from tests.simulation.world import NPU, job

SEE_ALL = Asker()


def read(day: Day, days: int = 7) -> History:
    return day.it.db.read_sync(lambda c: histories.read(c, day.it.clock.ms, days, CORRIDOR, 10_000))


def rows(figures: Figures) -> object:
    return figures.rows, figures.flavors, figures.evictions


@pytest.mark.parametrize("seed", range(3))
def test_played_under_unchanged_settings_it_is_what_happened(seed: int) -> None:
    day = random_day(seed)
    day.go_on_to(None)
    day.it.clock.ms += 1
    found = read(day)
    assert not found.estimated
    real = play(found, Task(Scenario(HISTORY), SEE_ALL))
    today = play(found, Task(Scenario(TODAY), SEE_ALL))
    assert rows(real) == rows(today)
    (wuhan,) = [row for row in real.rows if (row.city, row.flavor) == ("wuhan", "")]
    assert wuhan.jobs > 20
    assert wuhan.mean_wait_s is not None
    assert wuhan.mean_wait_s > 60


def test_what_has_not_ended_is_estimated_and_what_is_over_is_as_it_was() -> None:
    day = random_day(9)
    now = read(day)
    waiting = day.it.db.rows("SELECT count(*) FROM job WHERE end_ms IS NULL")[0][0]
    assert len(now.estimated) == waiting > 3
    assert now.counts(None) == (120, waiting)
    of_cities = [now.counts(city) for city in ("wuhan", "ezhou", "xianning")]
    assert [sum(one) for one in zip(*of_cities, strict=True)] == [120, waiting]
    assert len(now.lives) == 120
    whole = play(now, Task(Scenario(TODAY), SEE_ALL))
    assert sum(row.unstarted for row in whole.rows) == 0
    # The runs under way take at least as long as they ran already.
    for life in now.lives:
        assert all(attempt.run_ms > 0 for attempt in life.attempts)


def test_runs_and_jobs_of_the_begin_of_the_span_are_part_of_it() -> None:
    day = Day()
    day_ms = histories.DAY_MS
    midnight = (day.it.clock.ms // day_ms + 1) * day_ms
    day.go_on_to(midnight - 600_000)
    first = day.submit("w1", job(NPU, 8, 7200), (3600, None))
    second = day.submit("e1", job(NPU, 6, 7200), (1800, None))
    day.plan()
    day.go_on_to(midnight + 60_000)
    third = day.submit("x1", job(NPU, 2, 600), (100, None))
    day.plan()
    day.go_on_to(None)
    day.it.clock.ms = midnight + day_ms - 1
    found = read(day, days=0)
    assert found.from_ms == midnight
    one, two, three = found.lives
    assert one.running is not None
    assert one.running.start_ms == midnight - 600_000
    assert (two.come_ms, two.queued.queued_ms) == (midnight, midnight - 600_000)
    assert rows(play(found, Task(Scenario(HISTORY), SEE_ALL))) == rows(
        play(found, Task(Scenario(TODAY), SEE_ALL))
    )
    (npu,) = [row for row in play(found, Task(Scenario(TODAY), SEE_ALL)).rows
              if (row.city, row.flavor) == ("wuhan", NPU)]  # fmt: skip
    # Submitted before the span: its use counts, its wait does not.
    assert (npu.jobs, npu.unit_hours) == (0, 8 * 3000 / 3600)
    assert len({first, second, third}) == 3
    assert three.come_ms == midnight + 60_000


def test_cancelled_held_and_expired_jobs_leave_when_they_did() -> None:
    day = Day()
    day.submit("w1", job(NPU, 8, 7200), (3600, None))
    begin = day.it.clock.ms + 1
    day.go_on_to(begin)
    cancelled = day.submit("e1", job(NPU, 1, 600), (100, None))
    held = day.submit("e1", job(NPU, 2, 600), (100, None))
    expired = day.submit("x1", replace(job(NPU, 3, 600), queue_deadline_ms=begin + 900_000),
                         (100, None))  # fmt: skip
    day.plan()
    day.go_on_to(begin + 60_000)
    first = job_commands.Order(worlds.OPERATOR, "test", begin + 60_000, 0)
    day.it.db.do(lambda c: job_commands.hold(c, [held], first))
    day.go_on_to(begin + 120_000)
    then = replace(first, now_ms=begin + 120_000)
    day.it.db.do(lambda c: job_commands.cancel(c, [cancelled], then))
    day.it.db.do(lambda c: job_commands.release(c, [held], then))
    day.plan()
    day.go_on_to(None)
    day.it.clock.ms = begin + 4 * 3_600_000
    found = read(day)
    lives = {life.queued.options[0].units: life for life in found.lives}
    assert lives[1].cancel_ms == begin + 120_000
    assert lives[2].away == ((begin + 60_000, begin + 120_000),)
    assert lives[3].deadline_ms == begin + 900_000
    assert expired


def test_too_many_jobs_are_refused_before_they_are_read() -> None:
    day = random_day(1)
    with pytest.raises(TooManyJobs) as caught:
        day.it.db.read_sync(lambda c: histories.read(c, day.it.clock.ms, 7, CORRIDOR, 119))
    assert caught.value.jobs == 120
