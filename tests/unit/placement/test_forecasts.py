"""When jobs are expected to start, and where they stand, one rule at a time."""

from scheduler.placement.foresight import Foresight
from scheduler.placement.model import (
    EASY,
    Explanation,
    JobQueued,
    PoolSet,
    RunEnded,
    RunHistory,
    UsageSet,
)
from tests.unit.placement.board import HOUR_MS, Board, started


def told(board: Board, uid: int) -> Explanation:
    """What is said of a waiting job."""
    found = board.core.explain(uid, board.now_ms)
    assert found is not None
    return found


def likely_h(board: Board, uid: int) -> float:
    """In how many hours a job is expected to start."""
    likely_ms = told(board, uid).reason.start_likely_ms
    assert likely_ms is not None
    return (likely_ms - board.now_ms) / HOUR_MS


def test_who_used_less_is_expected_to_start_first() -> None:
    # In submission order w1 would be first; it used more of late.
    board = Board(UsageSet("w1", "a", 1_000_000, 0))
    board.plan(board.job(1, "e1", 10))
    twice = [board.job(uid, "w2", 10, wall_h=2) for uid in (3, 4)]
    board.plan(board.job(2, "w1", 10, wall_h=4), *twice)
    assert [likely_h(board, uid) for uid in (3, 4, 2)] == [1, 3, 5]


def test_run_times_are_expected_as_they_were_of_late_and_limits_make_the_latest() -> None:
    half = RunHistory("w1", "", "a", 10, 4 * HOUR_MS, 2 * HOUR_MS)
    board = Board(half, half, policy=EASY)
    board.plan(board.job(1, "w1", 10, wall_h=4), board.job(2, "e1", 10), board.job(3, "e1", 10))
    reason = told(board, 3).reason
    # One run that is expected to end in two hours, and one of an hour.
    assert likely_h(board, 3) == 3
    assert (reason.start_earliest_ms, reason.start_latest_ms) == (2 * HOUR_MS, 5 * HOUR_MS)
    # Once it ran for longer than expected, it is expected to go on for a while.
    board.plan(after_ms=3 * HOUR_MS)
    assert 0.5 <= likely_h(board, 2) <= 1


def test_a_promise_is_the_latest_start() -> None:
    board = Board(policy=EASY)
    board.plan(board.job(1, "w1", 6, wall_h=2), board.job(2, "e1", 10), board.job(3, "e1", 10))
    assert told(board, 2).reason.start_latest_ms == 2 * HOUR_MS
    assert told(board, 3).reason.start_latest_ms == 3 * HOUR_MS


def test_a_job_that_is_only_asked_about_changes_nothing_and_stands_last() -> None:
    board = Board()
    board.plan(board.job(1, "w1", 10, wall_h=2))
    board.plan(board.job(2, "w1", 5))
    asked = board.job(99, "w1", 10)
    found = board.core.estimate(asked, board.now_ms)
    assert found.reason.start_likely_ms == 3 * HOUR_MS
    assert found.waiting_in_city == 2
    assert board.core.explain(99, board.now_ms) is None
    assert started(board.plan(RunEnded(1, HOUR_MS), after_ms=HOUR_MS)) == [2]


def test_enterprises_take_turns_in_the_queue_of_their_city() -> None:
    # Each start of one unit for an hour raises the use of its enterprise by as much.
    board = Board(PoolSet("a", "c", 4), units=4)
    board.plan(board.job(1, "e1", 4, wall_h=9))
    jobs = [board.job(10 + n, "w1", 1) for n in range(4)]
    jobs += [board.job(20 + n, "w2", 1) for n in range(2)]
    board.plan(*jobs)
    order = sorted(jobs, key=lambda job: told(board, job.uid).position_in_city)
    assert [job.uid for job in order] == [10, 20, 11, 21, 12, 13]
    assert {told(board, job.uid).waiting_in_city for job in jobs} == {6}
    assert told(board, 13).position_in_city == 6


def test_wider_jobs_take_fewer_turns() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 10, wall_h=9))
    jobs = [board.job(10 + n, "w1", 2) for n in range(4)]
    board.plan(*jobs, *(board.job(20 + n, "w2", 3) for n in range(2)))
    places = [told(board, job.uid).position_in_city for job in jobs]
    # w1, w2 (3 units), w1, w2, w1, w1.
    assert places == [1, 3, 5, 6]


def test_less_use_comes_first_then_short_limits() -> None:
    board = Board(UsageSet("w1", "a", 9_000, 0))
    board.plan(board.job(1, "e1", 10, wall_h=9))
    narrow, wide = board.job(10, "w1", 1, waited_h=9), board.job(11, "w2", 8)
    long, short = board.job(12, "w1", 2, wall_h=9, waited_h=3), board.job(13, "w1", 2)
    board.plan(narrow, wide, long, short)
    order = sorted((10, 11, 12, 13), key=lambda uid: told(board, uid).position_in_city)
    assert order == [11, 10, 13, 12]


def test_places_in_an_enterprise_are_by_turn_also_far_behind_what_the_root_knows() -> None:
    board = Board()
    board.plan(board.job(1, "w1", 10, wall_h=9))
    jobs = [
        board.job(100 + n, "e1", 2, wall_h=1 + n % 4 * 3, waited_h=n * 7 % 90, priority=n % 3)
        for n in range(180)
    ]
    board.plan(*jobs)
    classes = board.core._root.classes

    def turn(job: JobQueued) -> tuple[int, int, int]:
        [waiting] = [one for one in classes.values() if one.options == job.options]
        assert waiting.count > len(waiting.window)
        return -job.priority, job.queued_ms + waiting.delay_ms, job.uid

    order = [job.uid for job in sorted(jobs, key=turn)]
    assert [told(board, uid).position_in_city for uid in order] == list(range(1, 181))


def test_places_of_very_many_are_told_without_counting_all() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 10, wall_h=9))
    jobs = [board.job(100 + n, member, 1) for n, member in enumerate(["w1", "w2"] * 2_500)]
    board.plan(*jobs)
    places = [told(board, 100 + n).position_in_city for n in (0, 1, 3_000, 4_999)]
    assert places[:2] == [1, 2]
    assert 2_500 <= places[2] <= 3_500
    assert 4_500 <= places[3] <= 5_000


def test_a_forecast_answers_for_many_questions_and_is_made_anew_when_old() -> None:
    board = Board()
    board.plan(board.job(1, "w1", 10))
    board.plan(board.job(2, "w1", 5), board.job(3, "e1", 5))
    foresight = Foresight(board.core._root, 1_000)
    key, entry = ("wuhan", "w1", board.job(2, "w1", 5).options, ""), (0, 0, 2, 0)

    def known() -> int:
        (made,) = {found.likely.made_ms for found in foresight._outlooks.values()}
        return made

    foresight.start(key, entry, 0, None)
    foresight.start(key, (0, 0, 3, 0), 1_000, None)
    assert known() == 0
    foresight.start(key, entry, 1_001, None)
    assert known() == 1_001
    foresight.start(key, (0, 0, 77, 0), 1_002, None)  # it did not know this one
    assert known() == 1_002


def test_of_very_many_jobs_the_last_is_expected_after_the_work_before_it() -> None:
    board = Board()
    board.plan(board.job(1, "w1", 10))
    board.plan(*(board.job(10 + n, "w1", 10, wall_h=1) for n in range(700)))
    assert likely_h(board, 10) == 1
    assert 500 < likely_h(board, 709) <= 702
