"""The verdict on a soak: what departs from the rule is wrong unless Slurm's log proves it."""

from collections.abc import Sequence
from dataclasses import replace

from tests.centers.soak_books import (
    AGAIN,
    BEGUN,
    DENIED,
    FORGOTTEN,
    LATER,
    LOST,
    RESTATED,
    RETOLD,
    RUNAWAY,
    UNTAKEN,
    UNTOLD_END,
    UNTOLD_START,
    Books,
    Line,
    Run,
    Told,
)
from tests.centers.soak_log import Native, SlurmLog
from tests.testbed.slurm_testbed import Accounted

ROW = Accounted(1, "j.1", "wuhan", "cpu", "COMPLETED", 10, 20, 23, 3, 1, 0, "0:0", None)
AGAIN_ROW = replace(ROW, job_id=2, name="j.2", submit_s=90, start_s=90, end_s=92, elapsed_s=2)
FAILED_ROW = replace(ROW, state="NODE_FAIL", end_s=60, elapsed_s=40)
DONE = Run("j.1", 7, 1, "SUCCEEDED", None, 3)
FAILED = Run("j.1", 7, 1, "FAILED", "NODE", 0, end_s=60)
RETRIED = Run("j.2", 7, 2, "SUCCEEDED", None, 2)
NATIVE = Native(1, 10.0, launched=[20.0], ended=[23.0])
SECOND = Native(2, 90.0, launched=[90.0], ended=[92.0])
LOST_END = replace(NATIVE, taken_up=[30.0], lost=[60.0])
LINES = [Line("begins", "soak-1", 1, "j.1", 0, 20), Line("ends", "soak-1", 1, "j.1", 0, 23)]
LATER_LINES = [Line("begins", "soak-1", 2, "j.2", 0, 90), Line("ends", "soak-1", 2, "j.2", 0, 92)]


def books(
    first: Sequence[Accounted],
    last: Sequence[Accounted],
    runs: Sequence[Run],
    natives: Sequence[Native],
    lines: Sequence[Line] = tuple(LINES),
    once: bool = False,
    trouble: Sequence[float] = (),
) -> Books:
    told = Told(trouble=list(trouble))
    told.note(first)
    told.note(last)
    log = SlurmLog()
    for native in natives:
        log.natives.setdefault(native.job_id, []).append(native)
    found = Books(told, log, {run.name: run for run in runs}, lines, once)
    found.hold()
    return found


def test_one_native_job_for_each_run_billed_as_sacct_says_is_right() -> None:
    right = books([ROW], [ROW], [DONE], [NATIVE])
    assert (right.wrong, right.counts) == ([], {})
    assert len(books([ROW], [ROW], [DONE._replace(billed_s=4)], [NATIVE]).wrong) == 1
    assert len(books([], [], [DONE], [NATIVE]).wrong) == 1, "billed, and sacct knows of nothing"


def test_a_run_whose_program_never_ended_is_lost() -> None:
    assert len(books([ROW], [ROW], [DONE], [NATIVE], LINES[:1]).wrong) == 1
    assert len(books([], [], [DONE._replace(billed_s=0)], [], []).wrong) == 2


def test_a_native_job_that_nobody_knows_must_have_been_forgotten() -> None:
    stray = Native(9, 12.0)
    assert len(books([ROW], [ROW], [DONE], [NATIVE, stray]).wrong) == 1
    forgotten = books([ROW], [ROW], [DONE], [NATIVE, replace(stray, forgotten_s=30.0)])
    assert (forgotten.wrong, forgotten.counts) == ([], {FORGOTTEN: 1})
    begun = replace(stray, forgotten_s=30.0, launched=[13.0])
    assert len(books([ROW], [ROW], [DONE], [NATIVE, begun]).wrong) == 1, "its program said nothing"


def test_two_native_jobs_of_a_run_are_wrong_unless_the_first_was_forgotten_before() -> None:
    lines = [*LINES, Line("begins", "soak-1", 2, "j.1", 0, 90)]
    again = replace(AGAIN_ROW, name="j.1", elapsed_s=3)

    def of(first: Native, *heard: Accounted) -> Books:
        return books([*heard, again], [*heard, again], [DONE], [first, SECOND], lines)

    assert len(of(NATIVE).wrong) == 1
    assert len(of(replace(NATIVE, forgotten_s=95.0)).wrong) == 1, "forgotten after it was sent"
    right = of(replace(NATIVE, forgotten_s=30.0))
    assert (right.wrong, right.counts) == ([], {BEGUN: 1})
    heard = replace(ROW, state="RUNNING", end_s=None, elapsed_s=0)
    assert len(of(replace(NATIVE, forgotten_s=30.0), heard).wrong) == 1, "sacct knew that it ran"


def test_a_second_start_is_slurms_only_if_a_controller_took_the_job_up_between() -> None:
    twice = [*LINES, Line("begins", "soak-1", 1, "j.1", 0, 40)]
    launched = replace(NATIVE, launched=[20.0, 40.0])
    assert len(books([ROW], [ROW], [DONE], [launched], twice).wrong) == 1
    slurms = books([ROW], [ROW], [DONE], [replace(launched, taken_up=[30.0])], twice)
    assert (slurms.wrong, slurms.counts) == ([], {AGAIN: 1})
    assert len(books([ROW], [ROW], [DONE], [NATIVE], twice).wrong) == 1, "no node launched it"


def test_nothing_excuses_a_second_start_of_a_program_that_refuses_it() -> None:
    launched = replace(NATIVE, launched=[20.0, 40.0], taken_up=[30.0])
    assert books([ROW], [ROW], [DONE], [launched], once=True).wrong == []
    again = Line("begins", "soak-1", 1, "j.1", 0, 40)
    assert len(books([ROW], [ROW], [DONE], [launched], [*LINES, again], once=True).wrong) == 1
    put_back = again._replace(restarts=1)
    assert books([ROW], [ROW], [DONE], [launched], [*LINES, put_back], once=True).wrong == []


def test_a_job_is_tried_again_only_if_slurm_lost_the_end_and_had_told_nobody() -> None:
    lines, natives = [*LINES, *LATER_LINES], [LOST_END, SECOND]
    right = books([FAILED_ROW], [FAILED_ROW, AGAIN_ROW], [FAILED, RETRIED], natives, lines)
    assert (right.wrong, right.counts) == ([], {LOST: 1})
    told = books([ROW], [FAILED_ROW, AGAIN_ROW], [FAILED, RETRIED], natives, lines)
    assert len(told.wrong) == 1, "sacct had told the end"
    other = FAILED._replace(failure="USER_CODE")
    rows = [FAILED_ROW, AGAIN_ROW]
    assert len(books([FAILED_ROW], rows, [other, RETRIED], natives, lines).wrong) == 1
    sound = books([FAILED_ROW], rows, [FAILED, RETRIED], [NATIVE, SECOND], lines)
    assert len(sound.wrong) == 2, "by its log Slurm lost nothing"


def test_an_end_that_slurm_took_back_is_heard_if_there_is_peace_to_hear_it() -> None:
    lines, natives = [*LINES, *LATER_LINES], [LOST_END, SECOND]

    def of(native: Native, *trouble: float) -> Books:
        rows = [FAILED_ROW, AGAIN_ROW]
        runs = [FAILED, RETRIED]
        return books([ROW], rows, runs, [native, SECOND], lines, trouble=trouble)

    right = of(LOST_END, 30, 40.1, 45, 59)
    assert (right.wrong, right.counts) == ([], {RETOLD: 1})
    assert len(of(LOST_END, 30, 39.9, 70).wrong) == 1, "20 s of peace"
    assert len(of(replace(LOST_END, ended=[]), 30, 40.1, 45).wrong) == 1, "who told that end?"
    assert len(of(replace(LOST_END, taken_up=[]), 30, 40.1, 45).wrong) > 1, "nobody took it up"
    billed = FAILED._replace(billed_s=3)
    rows = [FAILED_ROW, AGAIN_ROW]
    trouble = [30, 40.1, 45]
    assert len(books([ROW], rows, [billed, RETRIED], natives, lines, trouble=trouble).wrong) == 1


def test_an_end_that_was_closed_by_hand_was_told_by_no_daemon() -> None:
    going_on = replace(ROW, state="RUNNING", end_s=None, elapsed_s=0)
    closed = replace(ROW, end_s=20, elapsed_s=0)
    log = SlurmLog({1: [replace(NATIVE, ended=[], forgotten_s=21.0)], 2: [SECOND]})
    failed = FAILED._replace(failure="CENTER")
    runs = {run.name: run for run in (failed, RETRIED)}

    def of(before: Accounted) -> Books:
        told = Told()
        told.close([before], [closed])
        told.note([closed, AGAIN_ROW])
        found = Books(told, log, runs, [*LINES, *LATER_LINES])
        found.hold()
        return found

    right = of(going_on)
    assert (right.wrong, right.counts) == ([], {LOST: 1})
    assert len(of(closed).wrong) == 1, "it had that end before"


def test_a_job_fails_only_if_its_node_took_it_for_one_that_it_had_killed() -> None:
    failed = DONE._replace(state="FAILED", failure="USER_CODE", billed_s=0)
    row = replace(ROW, state="FAILED", end_s=20, elapsed_s=0)
    denied = Native(1, 10.0, started=[20.0], denied=[20.1], ended=[20.2], given_again=True)
    right = books([row], [row], [failed], [denied], [])
    assert (right.wrong, right.counts) == ([], {DENIED: 1})
    for other in (
        replace(denied, denied=[]),
        replace(denied, given_again=False),
        replace(denied, launched=[20.1]),
    ):
        assert len(books([row], [row], [failed], [other], []).wrong) == 1
    said = failed._replace(failure="TIME_LIMIT")
    assert len(books([row], [row], [said], [denied], []).wrong) == 1


def test_a_run_that_was_never_taken_has_no_native_job() -> None:
    untaken = Run("j.1", 7, 1, "FAILED", "CENTER", 0)
    lines = [line._replace(run_name="j.2") for line in LATER_LINES]
    found = books([AGAIN_ROW], [AGAIN_ROW], [untaken, RETRIED], [SECOND], lines)
    assert (found.wrong, found.counts) == ([], {UNTAKEN: 1})
    known = untaken._replace(native_id=9)
    assert books([AGAIN_ROW], [AGAIN_ROW], [known, RETRIED], [SECOND], lines).wrong != []
    rows = [replace(ROW, state="RUNNING", end_s=None), AGAIN_ROW]
    assert books(rows, rows, [untaken, RETRIED], [NATIVE, SECOND], [*LINES, *lines]).wrong != []


def test_a_bill_may_be_what_sacct_said_first_only_of_a_job_that_rose() -> None:
    restated = replace(ROW, end_s=99, elapsed_s=79)
    risen = replace(NATIVE, taken_up=[30.0], ended=[23.0, 99.0])
    right = books([ROW], [restated], [DONE], [risen])
    assert (right.wrong, right.counts) == ([], {RESTATED: 1})
    assert len(books([ROW], [restated], [DONE], [NATIVE]).wrong) == 1
    assert len(books([ROW], [restated], [DONE._replace(billed_s=4)], [risen]).wrong) == 1


def test_nothing_is_billed_of_what_slurm_lost() -> None:
    lines, natives = [*LINES, *LATER_LINES], [LOST_END, SECOND]
    billed = FAILED._replace(billed_s=3)
    rows = [FAILED_ROW, AGAIN_ROW]
    assert len(books([FAILED_ROW], rows, [billed, RETRIED], natives, lines).wrong) == 1
    later = [ROW, AGAIN_ROW]
    found = books([FAILED_ROW], later, [FAILED, RETRIED], natives, lines)
    assert (found.wrong, found.counts) == ([], {LOST: 1, LATER: 1})


def test_what_accounting_was_not_told_of_a_run_that_ended_well_is_proven_and_counted() -> None:
    free = DONE._replace(billed_s=0)
    found = books([FAILED_ROW], [FAILED_ROW], [free], [LOST_END])
    assert (found.wrong, found.counts) == ([], {UNTOLD_END: 1})
    assert len(books([FAILED_ROW], [FAILED_ROW], [free], [NATIVE]).wrong) == 1
    startless = replace(ROW, start_s=None, elapsed_s=0)
    found = books([startless], [startless], [free], [NATIVE])
    assert (found.wrong, found.counts) == ([], {UNTOLD_START: 1})
    endless = replace(ROW, end_s=None)
    closed = replace(ROW, end_s=20, elapsed_s=0)
    found = books([endless], [closed], [free], [NATIVE])
    assert (found.wrong, found.counts) == ([], {RUNAWAY: 1})


def test_a_difference_is_excused_only_of_a_job_that_rose() -> None:
    risen = replace(NATIVE, taken_up=[30.0], ended=[23.0, 99.0])
    found = books([ROW], [ROW], [DONE], [risen])
    found.hold_differences([("SECONDS", "j.1"), ("MISSING_THERE", "j.1")])
    assert (found.wrong, found.counts.total()) == ([], 2)
    found.hold_differences([("MISSING_HERE", "j.1")])
    assert len(found.wrong) == 1
    found = books([ROW], [ROW], [DONE], [NATIVE])
    found.hold_differences([("SECONDS", "j.1")])
    assert len(found.wrong) == 1
