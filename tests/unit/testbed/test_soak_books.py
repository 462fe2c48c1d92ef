"""The verdict on a soak: what is ours is wrong, what Slurm did is counted."""

from collections.abc import Sequence
from dataclasses import replace

from tests.centers.soak_books import Books, End, Run, Told, by_name
from tests.testbed.slurm_testbed import Accounted

ROW = Accounted(1, "j.1", "wuhan", "cpu", "COMPLETED", 10, 20, 23, 3, 1, 0, "0:0", None)
AGAIN = replace(ROW, job_id=2, name="j.2", submit_s=90, start_s=90, end_s=92, elapsed_s=2)
DONE = Run("j.1", "SUCCEEDED", None, 3)
LOST = Run("j.1", "FAILED", "NODE", 0)
RETRIED = Run("j.2", "SUCCEEDED", None, 2)


def books(
    first: Sequence[Accounted],
    last: Sequence[Accounted],
    runs: Sequence[Run],
    ends: Sequence[End] = (),
) -> Books:
    told = Told()
    told.note(first)
    told.note(last)
    found = Books(told, by_name(last), {run.name: run for run in runs})
    found.hold(ends)
    return found


def test_what_is_billed_is_what_slurm_says() -> None:
    right = books([ROW], [ROW], [DONE], [End("soak-1", 1, "j.1")])
    assert (right.wrong, right.counts) == ([], {})
    assert len(books([ROW], [ROW], [DONE._replace(billed_s=4)]).wrong) == 1
    assert len(books([], [], [DONE]).wrong) == 1


def test_a_bill_may_be_what_slurm_said_before_it_said_otherwise() -> None:
    restated = replace(ROW, state="NODE_FAIL", end_s=99, elapsed_s=79)
    assert books([ROW], [restated], [DONE]).wrong == []
    assert sum(books([ROW], [restated], [DONE]).counts.values()) == 1
    assert len(books([ROW], [restated], [DONE._replace(billed_s=79)]).wrong) == 1


def test_a_second_attempt_is_ours_only_if_slurm_had_told_the_first_ones_end() -> None:
    ends = [End("soak-1", 1, "j.1"), End("soak-1", 2, "j.2")]
    failed = replace(ROW, state="NODE_FAIL")
    slurms = books([failed], [failed, AGAIN], [LOST, RETRIED], ends)
    assert (slurms.wrong, slurms.counts.total()) == ([], 1)
    by_root = replace(ROW, state="CANCELLED", by_uid=0)
    assert books([by_root], [by_root, AGAIN], [LOST, RETRIED], ends).wrong == []
    by_us, ended = replace(by_root, by_uid=1001), LOST._replace(state="CANCELLED")
    assert len(books([by_us], [by_us, AGAIN], [ended, RETRIED], ends).wrong) == 1
    assert len(books([ROW], [failed, AGAIN], [LOST, RETRIED], ends).wrong) == 1


def test_one_native_job_that_ran_twice_is_slurms_and_two_of_a_run_are_ours() -> None:
    twice = [End("soak-1", 1, "j.1")] * 2
    assert books([ROW], [ROW], [DONE], twice).wrong == []
    assert books([ROW], [ROW], [DONE], twice).counts.total() == 1
    two = [End("soak-1", 1, "j.1"), End("soak-1", 2, "j.1")]
    other = replace(ROW, job_id=2, state="RUNNING", end_s=None, elapsed_s=0)
    assert len(books([ROW, other], [ROW], [DONE], two).wrong) == 1
    assert books([ROW], [ROW], [DONE], two).wrong == [], "accounting never heard of the other"
    assert books([ROW], [ROW], [DONE], two).counts.total() == 1
