"""A database of the first release, with jobs that wait, run and are held, goes on as it is.

``tests/data/first_release.sql`` holds the rows that the first release left behind: a job that
runs, one that lost its node and waits for its second attempt, one that waits, one that is held.
"""

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from adapters.contract import Phase
from scheduler.domain.ids import element_uid
from scheduler.placement.model import CORRIDOR, JobQueued, RunActive
from scheduler.store import following, job_commands, leader, migrate, planner_feed
from scheduler.store.database import open_engine
from tests.property.job_world import JobWorld
from tests.simulation.world import OPERATOR

ROWS = Path(__file__).parents[1] / "data" / "first_release.sql"
RUNS, TRIED, WAITS, HELD = range(180214143385600000, 180214143385600004)
NOW_MS = 1_790_000_010_000


@pytest.fixture
def it(tmp_path: Path) -> JobWorld:
    """The first release's database, brought up to date, with a new leader."""
    file = tmp_path / "corridor.db"
    engine = open_engine(f"sqlite:///{file}")
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with engine.connect() as raw:
        connection = raw.execution_options(corridor_write=True)
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
    engine.dispose()
    with sqlite3.connect(file) as old:
        old.executescript(ROWS.read_text(encoding="utf-8"))
    old.close()
    engine = open_engine(f"sqlite:///{file}")
    assert migrate.upgrade(engine) == migrate.head()
    engine.dispose()
    world = JobWorld()
    with sqlite3.connect(file) as new:
        new.backup(world.db._raw)
    new.close()
    world.clock.ms = NOW_MS
    world.epoch = world.db.do(lambda c: leader.take_over(c, "new", 0))
    world.restart()
    return world


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
