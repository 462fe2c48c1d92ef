"""Jobs of which the planner knows nothing are counted by what they wait for."""

import json

import pytest

from scheduler.domain.dependencies import Condition
from scheduler.domain.ids import element_uid
from scheduler.domain.reasons import ReasonCode
from scheduler.store import apart
from scheduler.store.apart import Apart
from scheduler.store.submissions import More
from tests.property.job_world import CITY, JobWorld
from tests.simulation.world import CPU

HELD, BEHIND, OFF = ReasonCode.QUEUE_HELD, ReasonCode.DEPENDENCY, ReasonCode.DEACTIVATED


def counted(it: JobWorld) -> dict[ReasonCode, int]:
    """How many wait for which reason; all are of one city and flavor."""
    found = it.db.read_sync(apart.read)
    assert {one[:2] for one in found} <= {(CITY, CPU)}
    return {one.reason: one.jobs for one in found}


def test_held_jobs_and_those_behind_others_are_counted_and_no_others() -> None:
    it = JobWorld()
    [first, _] = it.submit(More(), More())
    it.submit(More(waits_for=((first, Condition.AFTER_ANY_END),)))
    it.submit(More(), More(), held=True)
    it.follow()
    assert counted(it) == {HELD: 2, BEHIND: 1}
    it.begin(first)
    it.finish(first)
    it.follow()
    assert counted(it) == {HELD: 2}


def test_the_oldest_is_told() -> None:
    it = JobWorld()
    begin_ms = it.clock.ms
    it.submit(More(), held=True)
    it.clock.ms += 60_000
    it.submit(More(), held=True)
    assert it.db.read_sync(apart.read) == [Apart(CITY, CPU, HELD, 2, begin_ms)]


def test_a_job_that_policy_holds_is_switched_off() -> None:
    it = JobWorld()
    [uid] = it.submit(More(), held=True)
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE job SET deactivated = TRUE WHERE uid = {uid}"))
    assert counted(it) == {OFF: 1}


def test_elements_without_room_count_each_and_with_those_that_are_told_make_up_the_array() -> None:
    it = JobWorld()
    array = it.array(7, 2)
    assert counted(it) == {BEHIND: 7}  # nobody has looked at it yet
    it.follow()
    assert (len(it.known), counted(it)) == (2, {BEHIND: 5})
    first = element_uid(array, 0)
    it.begin(first)
    it.follow()
    assert (len(it.known), counted(it)) == (1, {BEHIND: 5})
    it.finish(first)
    it.follow()
    assert (len(it.known), counted(it)) == (2, {BEHIND: 4})
    later = it.array(3, waits_for=((array, Condition.AFTER_SUCCESS),))
    it.follow()
    assert (later in it.known, counted(it)) == (False, {BEHIND: 7})


@pytest.mark.sqlite
def test_they_are_found_by_an_index() -> None:
    it = JobWorld()
    plan = it.db.rows(f"EXPLAIN QUERY PLAN {apart.ALONE}")
    assert "job_apart" in json.dumps([list(row) for row in plan])
