"""History read from the store: played under unchanged settings it gives the very waits it had."""

import heapq
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection

from adapters.contract import FailureClass, Phase
from scheduler.domain.spec import JobSpec
from scheduler.domain.states import RETRIED_BY_DEFAULT
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import CORRIDOR, Start
from scheduler.store import admission, job_commands, planner_feed
from scheduler.store import history as histories
from scheduler.store.seed_files import SeedQuota
from scheduler.whatif.figures import Asker, Figures
from scheduler.whatif.history import History
from scheduler.whatif.playing import Task, play
from scheduler.whatif.scenarios import HISTORY, TODAY, Scenario
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, job

QUOTAS = [
    SeedQuota("wuhan", NPU, 4, None, 2), SeedQuota("ezhou", NPU, 3, 3, None),
    SeedQuota("xianning", NPU, 1, None, None), SeedQuota("wuhan", CPU, 32, 8, None),
    SeedQuota("ezhou", CPU, 16, None, 8), SeedQuota("xianning", CPU, 16, None, None),
]  # fmt: skip
SEE_ALL = Asker()


def _admit(
    connection: Connection, epoch: int, starts: Sequence[Start], now_ms: int
) -> admission.Admitted:
    return admission.admit(connection, epoch, starts, now_ms)


class Day:
    """A service in virtual time: its store and its planner, without a network."""

    def __init__(self) -> None:
        self.it = Hands(worlds.build(quotas=QUOTAS))
        self.core = PlanningCore(CORRIDOR)
        self._ends: list[tuple[int, int, int, FailureClass | None]] = []
        self._fates: dict[int, list[tuple[int, FailureClass | None]]] = {}
        revision, told = self.it.db.read_sync(
            lambda c: planner_feed.snapshot(c, self.it.clock.ms, CORRIDOR.usage_half_life_ms)
        )
        self.core.load(revision, told, self.it.clock.ms)
        self._wake_ms: int | None = None

    def submit(self, who: str, spec: JobSpec, *fates: tuple[int, FailureClass | None]) -> int:
        """A job comes, whose attempts take so many seconds and end so."""
        (uid,) = self.it.world.submit(who, [spec])
        self._fates[uid] = list(fates)
        return uid

    def plan(self) -> None:
        """Plan and start until nothing more starts."""
        it = self.it
        while True:
            before = self.core.revision
            news = partial(planner_feed.read_deltas, after=before, limit=10_000)
            after, deltas, _, changed = it.db.read_sync(news)
            assert not changed
            plan = self.core.cycle(before, deltas, after, it.clock.ms)
            self._wake_ms = plan.wake_ms
            if not plan.starts:
                return
            now_ms, starts = it.clock.ms, plan.starts
            done = it.db.do(partial(_admit, epoch=it.epoch, starts=starts, now_ms=now_ms))
            assert not done.refused
            uids = [start.uid for start in plan.starts]
            it.send(*uids)
            it.report(*(it.seen(uid, Phase.RUNNING, 1, start_ms=it.clock.ms) for uid in uids))
            for uid in uids:
                fates = self._fates[uid]
                seconds, failure = fates.pop(0) if len(fates) > 1 else fates[0]
                heapq.heappush(self._ends, (it.clock.ms + seconds * 1000, uid, seconds, failure))

    def go_on_to(self, at_ms: int | None) -> None:
        """Let all happen that happens before an instant (None: all), what came now first."""
        if at_ms == self.it.clock.ms:
            return
        self.plan()
        while True:
            nexts = [one for one in (self._ends[0][0] if self._ends else None, self._wake_ms)
                     if one is not None]  # fmt: skip
            now_ms = min(nexts, default=None)
            if now_ms is None or (at_ms is not None and now_ms >= at_ms):
                break
            self.it.clock.ms = now_ms
            while self._ends and self._ends[0][0] == now_ms:
                _, uid, seconds, failure = heapq.heappop(self._ends)
                phase = Phase.FAILED if failure else Phase.SUCCEEDED
                self.it.end(uid, seconds, phase, failure)
            self.plan()
        if at_ms is not None:
            self.it.clock.ms = at_ms


def random_day(seed: int) -> Day:
    """Some hundred jobs of three cities; some fail and are tried again."""
    rng = random.Random(seed)
    day = Day()
    at_ms = day.it.clock.ms
    classes = (None, None, None, None, FailureClass.NODE, FailureClass.USER_CODE)
    for _ in range(120):
        at_ms += rng.choice((0, 7_000, 61_000, 240_000))
        day.go_on_to(at_ms)
        flavor, most = rng.choice(((NPU, 5), (CPU, 30)))
        wall_s = rng.choice((600, 1800, 5400))
        spec = job(flavor, min(most, rng.randint(1, most)), wall_s, priority=rng.choice((0, 0, 5)))
        fate = (rng.randint(1, wall_s), rng.choice(classes))
        fates: tuple[tuple[int, FailureClass | None], ...] = (fate, (rng.randint(1, wall_s), None))
        if fate[1] not in RETRIED_BY_DEFAULT:
            fates = (fate, fate)
        day.submit(rng.choice(("w1", "e1", "x1")), spec, *fates)
    day.go_on_to(at_ms + 1)
    return day


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
    assert found.estimated == 0
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
    assert now.estimated == waiting > 3
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
    with pytest.raises(histories.TooManyJobs) as caught:
        day.it.db.read_sync(lambda c: histories.read(c, day.it.clock.ms, 7, CORRIDOR, 119))
    assert caught.value.jobs == 120
