"""Of an array the next element is explained: the first that waits to be placed."""

from sqlalchemy import Connection

from scheduler.domain.dependencies import Condition
from scheduler.domain.ids import element_uid, job_id
from scheduler.domain.principal import EVERYTHING
from scheduler.domain.reasons import PendingReason, ReasonCode, StartOutlook
from scheduler.store import job_relations, jobs, planner_jobs
from scheduler.store.submissions import More
from tests.property.job_world import JobWorld


def begun(size: int, most: int = 0) -> tuple[JobWorld, int]:
    """A corridor with one array that the planner was told of."""
    it = JobWorld()
    array = it.array(size, most)
    it.follow()
    return it, array


def following(it: JobWorld, array: int) -> int | None:
    """The index of the next element, None if none waits."""
    uid = it.db.do(lambda c: planner_jobs.next_element(c, array))
    return None if uid is None else uid - element_uid(array, 0)


def test_the_first_that_has_no_row_yet_is_next() -> None:
    it, array = begun(4)
    assert following(it, array) == 0
    it.begin(element_uid(array, 0))
    it.follow()
    assert following(it, array) == 1


def test_one_that_is_tried_again_comes_before_those_without_rows() -> None:
    it, array = begun(4)
    it.begin(element_uid(array, 0))
    it.begin(element_uid(array, 1))
    it.finish(element_uid(array, 0), well=False)
    it.follow()
    assert following(it, array) == 0


def test_who_waits_for_room_is_not_next_and_at_last_nobody_is() -> None:
    it, array = begun(2, most=1)
    it.begin(element_uid(array, 0))
    it.follow()
    assert following(it, array) is None
    it.finish(element_uid(array, 0))
    it.follow()
    assert following(it, array) == 1
    it.begin(element_uid(array, 1))
    assert following(it, array) is None
    assert following(it, array + 1) is None


def planned(it: JobWorld, uid: int) -> int | PendingReason | None:
    """What the planner knows a job as, or why it does not."""

    def read(connection: Connection) -> int | PendingReason | None:
        row = jobs.get_job(connection, EVERYTHING, uid)
        return job_relations.planned_as(connection, row, job_relations.waits_of(connection, row))

    return it.db.read_sync(read)


def test_an_array_and_its_elements_say_that_they_wait_for_room_in_it() -> None:
    it, array = begun(3, most=1)
    first, second = element_uid(array, 0), element_uid(array, 1)
    assert planned(it, array) == planned(it, first) == first
    full = PendingReason(
        ReasonCode.DEPENDENCY, f"jobs/{job_id(array)}", limit=1, used=1, requested=1, short_by=1,
        outlook=StartOutlook.NONE,
    )  # fmt: skip
    assert planned(it, second) == full  # the first waits to be placed, and takes the room
    it.begin(first)
    it.follow()
    assert (planned(it, array), planned(it, first)) == (full, None)
    it.finish(first)
    it.follow()
    assert planned(it, array) == planned(it, second) == second


def test_elements_wait_for_what_their_array_waits_for() -> None:
    it = JobWorld()
    [before] = it.submit(More())
    array = it.array(3, waits_for=((before, Condition.AFTER_SUCCESS),))
    it.follow()
    assert planned(it, before) == before
    for_job = PendingReason(
        ReasonCode.DEPENDENCY, f"jobs/{job_id(before)}", requested=1, outlook=StartOutlook.NONE
    )
    assert planned(it, array) == for_job
    of_array = planned(it, element_uid(array, 1))
    assert isinstance(of_array, PendingReason)
    assert (of_array.code, of_array.node, of_array.limit) == (
        ReasonCode.DEPENDENCY, f"jobs/{job_id(array)}", None,
    )  # fmt: skip
