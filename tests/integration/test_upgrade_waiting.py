"""A database of the first release, with jobs that wait, run and are held, goes on as it is."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from adapters.contract import Phase
from scheduler.domain.ids import element_uid
from scheduler.placement.model import CORRIDOR, JobQueued, RunActive
from scheduler.store import following, job_commands, leader, migrate, planner_feed
from scheduler.store.database import open_engine
from tests import first_release
from tests.property.job_world import JobWorld
from tests.simulation.world import OPERATOR

RUNS, TRIED, WAITS, HELD = range(180214143385600000, 180214143385600004)
NOW_MS = 1_790_000_010_000


@pytest.fixture
def it(each_store: str, tmp_path: Path) -> JobWorld:
    """The first release's database, brought up to date, with a new leader."""
    world = JobWorld()
    if each_store == "sqlite":
        _bring_up(open_engine(f"sqlite:///{tmp_path / 'corridor.db'}"))
        with sqlite3.connect(tmp_path / "corridor.db") as new:
            new.backup(world.db._raw)
        new.close()
    else:
        world.db.spoil()
        world.db.beside().execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        world.db.engine.dispose()  # what its connections had prepared is of other tables
        _bring_up(open_engine(world.db.url))
    world.verify()
    world.clock.ms = NOW_MS
    world.epoch = world.db.do(lambda c: leader.take_over(c, "new", 0))
    world.restart()
    return world


def _bring_up(engine: Engine) -> None:
    first_release.make(engine)
    assert migrate.current(engine) == "0001"
    assert migrate.upgrade(engine) == migrate.head()
    engine.dispose()


def test_the_planner_is_told_what_it_was_told_before(it: JobWorld) -> None:
    _, told = it.db.read_sync(lambda c: planner_feed.snapshot(c, NOW_MS, CORRIDOR))
    queued = {one.uid: one for one in told if isinstance(one, JobQueued)}
    assert sorted(queued) == [TRIED, WAITS]
    assert queued[TRIED].not_before_ms > NOW_MS
    assert (queued[WAITS].options[0].terms, queued[WAITS].user) == ("REQUIRED", "")
    assert [one.uid for one in told if isinstance(one, RunActive)] == [RUNS]


def test_its_jobs_go_on_to_their_ends(it: JobWorld) -> None:
    it.follow()
    assert it.begin(WAITS)
    it.end(WAITS, 60, units=2)
    it.end(RUNS, 60)
    order = job_commands.Order(OPERATOR, "", it.clock.ms, 0)
    it.db.do(lambda c: job_commands.release(c, [HELD], order))
    it.clock.ms += 4_000_000
    it.follow()
    for uid, units in ((TRIED, 2), (HELD, 4)):
        assert it.begin(uid)
        it.end(uid, 30, Phase.SUCCEEDED, units=units)
    assert {it.state(uid) for uid in (RUNS, TRIED, WAITS, HELD)} == {"SUCCEEDED"}
    it.verify()


def test_it_takes_arrays_and_jobs_that_wait_for_the_old_ones(it: JobWorld) -> None:
    array = it.array(2, waits_for=((RUNS, "AFTER_SUCCESS"),))
    it.follow()
    assert element_uid(array, 0) not in it.known
    it.end(RUNS, 60)
    it.follow()
    assert element_uid(array, 1) in it.known
    assert it.db.read_sync(following.find_all).dependents == set()
    assert it.known == it.snapshot()
