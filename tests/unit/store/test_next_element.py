"""Of an array the next element is explained: the first that waits to be placed."""

from scheduler.domain.ids import element_uid
from scheduler.store import planner_jobs
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
