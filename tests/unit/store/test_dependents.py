"""Jobs that wait for others: ready when those have ended, cancelled when in vain."""

import pytest

from scheduler.domain.arrays import ArraySpec
from scheduler.domain.ids import element_uid, job_id
from scheduler.store.submissions import More
from tests.property.job_world import JobWorld
from tests.simulation.world import CPU, job

AFTER_SUCCESS, AFTER_ANY_END = "AFTER_SUCCESS", "AFTER_ANY_END"


def after(*uids: int, condition: str = AFTER_SUCCESS) -> More:
    """A job that waits for others."""
    return More(waits_for=tuple((uid, condition) for uid in uids))


def end(it: JobWorld, uid: int, *, well: bool) -> None:
    """Run a job to its end and follow."""
    it.begin(uid)
    it.finish(uid, well=well)
    it.follow()


def two(it: JobWorld) -> list[int]:
    """Two jobs of one try each."""
    uids = it.submit(More(), More(), spec=job(CPU, 1, 60, attempts_max=1))
    it.follow()
    return uids


def test_a_job_is_told_when_the_last_it_waits_for_has_ended() -> None:
    it = JobWorld()
    one, other = two(it)
    [last] = it.submit(after(one, other))
    it.follow()
    assert sorted(it.known) == [one, other]
    end(it, one, well=True)
    assert last not in it.known
    end(it, other, well=True)
    assert list(it.known) == [last]
    assert it.kinds(last) == ["SUBMITTED", "READY"]


@pytest.mark.parametrize(
    ("condition", "state"), [(AFTER_SUCCESS, "CANCELLED"), (AFTER_ANY_END, "QUEUED")]
)
def test_what_follows_a_failure_is_for_the_job_to_say(condition: str, state: str) -> None:
    it = JobWorld()
    one, _ = two(it)
    [last] = it.submit(after(one, condition=condition))
    it.follow()
    end(it, one, well=False)
    assert it.state(last) == state
    assert (last in it.known) == (state == "QUEUED")


def test_those_in_vain_are_cancelled_down_the_chain_in_one_step_and_say_why() -> None:
    it = JobWorld()
    one, _ = two(it)
    [second] = it.submit(after(one))
    [third] = it.submit(after(second))
    [array] = it.submit(More(array=ArraySpec(3), waits_for=((third, AFTER_SUCCESS),)))
    [anyhow] = it.submit(after(array, condition=AFTER_ANY_END))
    it.follow()
    it.hold(element_uid(array, 1))
    end(it, one, well=False)
    states = [it.state(uid) for uid in (second, third, array, element_uid(array, 1), anyhow)]
    assert states == ["CANCELLED"] * 4 + ["QUEUED"]
    assert it.message(second) == f"{job_id(one)}, for whose success it waited, is FAILED (NODE)"
    assert it.message(third).startswith(f"{job_id(second)}, for whose success")
    assert anyhow in it.known


def test_a_job_that_waits_for_what_has_ended_waits_for_nothing() -> None:
    it = JobWorld()
    one, other = two(it)
    end(it, one, well=True)
    end(it, other, well=False)
    good, bad = it.submit(after(one), after(other))
    it.follow()
    assert (it.state(good), it.state(bad)) == ("QUEUED", "CANCELLED")
    assert list(it.known) == [good]


def test_waiting_for_an_array_is_waiting_for_its_end() -> None:
    it = JobWorld()
    array = it.array(2)
    [last] = it.submit(after(array))
    it.follow()
    for index in range(2):
        assert last not in it.known
        end(it, element_uid(array, index), well=True)
    assert list(it.known) == [last]


def test_an_array_tells_its_elements_when_it_waits_no_more() -> None:
    it = JobWorld()
    one, _ = two(it)
    [array] = it.submit(More(array=ArraySpec(5, 2), waits_for=((one, AFTER_SUCCESS),)))
    it.follow()
    assert element_uid(array, 0) not in it.known
    end(it, one, well=True)
    assert [uid for uid in it.known if uid > array] == [
        element_uid(array, 0),
        element_uid(array, 1),
    ]


def test_a_held_job_is_told_when_it_is_released_after_the_others_have_ended() -> None:
    it = JobWorld()
    one, _ = two(it)
    [last] = it.submit(after(one), held=True)
    it.follow()
    end(it, one, well=True)
    assert last not in it.known
    it.release(last)
    it.follow()
    assert last in it.known


def test_a_job_released_before_the_others_have_ended_waits_on() -> None:
    it = JobWorld()
    one, _ = two(it)
    [last] = it.submit(after(one), held=True)
    it.follow()
    it.release(last)
    it.follow()
    assert last not in it.known
    end(it, one, well=True)
    assert last in it.known


@pytest.mark.sqlite
def test_a_new_leader_follows_what_the_old_one_did_not() -> None:
    it = JobWorld()
    one, other = two(it)
    good, bad = it.submit(after(one), after(other))
    it.follow()
    for uid, well in ((one, True), (other, False)):
        it.begin(uid)
        it.finish(uid, well=well)
    it.restart()
    assert good not in it.known, "nobody has followed yet"
    it.follow()
    assert (list(it.known), it.state(bad)) == ([good], "CANCELLED")
    before = it.db.changes()
    it.restart()
    it.follow()
    assert it.db.changes() == before, "once is enough"
