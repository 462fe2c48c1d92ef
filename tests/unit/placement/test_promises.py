"""Who is promised a pool, and what a promise bars."""

from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import (
    EASY,
    CityQuotaSet,
    EnterpriseQuotaSet,
    JobRemoved,
    PoolSet,
    StartRefused,
    StopSet,
    UsageSet,
)
from tests.unit.placement.board import HOUR_MS, Board, ended, promised, started

#: The center says again what it grants: whoever waits is looked at.
AGAIN = PoolSet("a", "c", 10)


def full(board: Board, member: str = "w1") -> None:
    """Let ten runs of one unit fill the pool: 91 to 100, which end after 1 to 10 hours."""
    jobs = [board.job(90 + hour, member, 1, wall_h=hour) for hour in range(1, 11)]
    assert len(board.plan(*jobs).starts) == 10


def wuhan_used(parts: int) -> UsageSet:
    """So many times what it is entitled to, 5 units for two days, with the 55 unit-hours above."""
    return UsageSet("w1", "a", (parts * 5 * 48 - 55) * 3_600, 200 * HOUR_MS)


#: Nothing that ezhou starts borrows.
OWNS_ALL = CityQuotaSet("ezhou", "a", 10)


def test_the_first_in_order_that_does_not_fit_is_promised_if_its_city_owns_the_units() -> None:
    for units, first in ((5, 2), (6, None)):
        board = Board()
        full(board)
        borrower, lender = board.job(1, "w2", 4), board.job(2, "e1", units)
        assert promised(board.plan(borrower, lender)).get("a") == first, units


def test_a_wide_job_is_due_after_a_day_and_a_half_in_a_crowded_pool() -> None:
    """Of a city that used its part; 120 units are asked for, twelve times what there is."""
    for waited_h, first in ((35, None), (37, 1)):
        board = Board(at_ms=200 * HOUR_MS)
        full(board)
        # Wuhan used what it is entitled to, and lets ezhou's narrow jobs wait.
        used = wuhan_used(parts=1)
        many = [board.job(1_000 + number, "e1", 1) for number in range(114)]
        wide, stop = board.job(1, "w2", 6, waited_h=waited_h), StopSet("cities/ezhou", "HOLD")
        assert promised(board.plan(used, stop, *many, wide, AGAIN)).get("a") == first, waited_h


def test_of_a_city_that_used_more_wide_jobs_are_due_later_in_a_crowded_pool() -> None:
    """Of one that used twice its part after 72 h; 36 h x 1/2 x 2 where half as much is asked for.

    Where a quarter is asked for, what it used makes nobody wait longer.
    """
    for asked, parts, due_h in ((120, 2, 72), (60, 2, 36), (60, 9, 36), (30, 9, 9)):
        for waited_h, first in ((due_h - 1, None), (due_h + 1, 1)):
            board = Board(at_ms=200 * HOUR_MS)
            full(board)
            many = [board.job(1_000 + number, "e1", 1) for number in range(asked - 6)]
            stop, used = StopSet("cities/ezhou", "HOLD"), wuhan_used(parts)
            wide = board.job(1, "w2", 6, waited_h=waited_h)
            plan = board.plan(used, stop, *many, wide, AGAIN)
            assert promised(plan).get("a") == first, (asked, parts, waited_h)


def test_where_less_is_asked_for_a_wide_job_is_due_sooner() -> None:
    """Six units of 120: after 36 h / 20."""
    for waited_h, first in ((1.7, None), (1.9, 1)):
        board = Board(at_ms=200 * HOUR_MS)
        full(board)
        used = UsageSet("w1", "a", 10 * 48 * 3_600, 200 * HOUR_MS)
        wide = board.job(1, "w2", 6, waited_h=waited_h)
        assert promised(board.plan(used, wide, AGAIN)).get("a") == first, waited_h


def test_wide_jobs_of_a_city_that_used_little_are_due_in_a_quarter_of_the_time() -> None:
    for waited_h, first in ((0.4, None), (0.5, 1)):
        board = Board(at_ms=200 * HOUR_MS)
        full(board, "w1")
        wide = board.job(1, "e1", 6, waited_h=waited_h)
        assert promised(board.plan(wide, AGAIN)).get("a") == first, waited_h


def test_a_job_is_wide_from_two_thirds_of_the_widest_on() -> None:
    for units, first in ((5, None), (6, 1)):
        board = Board(at_ms=200 * HOUR_MS)
        full(board)
        job, widest = board.job(1, "w2", units, waited_h=90), board.job(2, "w2", 9)
        assert promised(board.plan(job, widest, AGAIN)).get("a") == first, units


def test_of_those_that_are_due_a_city_that_used_little_comes_first_then_the_oldest() -> None:
    used = UsageSet("w1", "a", 10 * 48 * 3_600, 200 * HOUR_MS)
    for past, first in (((), 1), ((used,), 2)):
        board = Board(at_ms=200 * HOUR_MS)
        full(board)
        older, other = board.job(1, "w2", 6, waited_h=91), board.job(2, "e1", 6, waited_h=90)
        assert promised(board.plan(*past, older, other, AGAIN)) == {"a": first}


def test_one_that_starves_comes_first() -> None:
    for waited_h, first in ((139, 2), (141, 1)):
        board = Board(at_ms=200 * HOUR_MS)
        full(board)
        narrow, due = board.job(1, "w2", 2, waited_h=waited_h), board.job(2, "e1", 5, waited_h=99)
        assert promised(board.plan(narrow, due, AGAIN)) == {"a": first}


def test_a_promise_is_kept_though_another_would_be_first_now() -> None:
    board = Board(at_ms=200 * HOUR_MS)
    full(board)
    assert promised(board.plan(board.job(1, "w2", 4, waited_h=90), AGAIN)) == {"a": 1}
    plan = board.plan(board.job(2, "e1", 4), ended(91), after_ms=HOUR_MS)
    assert (started(plan), promised(plan)) == ([], {"a": 1})
    assert plan.reservations[0].start_ms == 204 * HOUR_MS


def test_beside_a_promise_starts_what_ends_before_it_or_fits_with_it() -> None:
    board = Board(at_ms=200 * HOUR_MS)
    full(board)
    wide = board.job(1, "e1", 3)
    assert board.plan(wide).reservations[0].start_ms == 203 * HOUR_MS
    # One unit is free until 203 h, and none beside the promise then.
    too_long = board.job(2, "e1", 1, wall_h=3)
    in_time = board.job(3, "e1", 1, wall_h=2)
    assert started(board.plan(too_long, in_time, ended(91), after_ms=HOUR_MS)) == [3]


def test_a_city_at_its_limit_bars_no_other_from_the_pool() -> None:
    limits = CityQuotaSet("wuhan", "a", 5, 1)
    board = Board(limits, OWNS_ALL, at_ms=200 * HOUR_MS)
    plan = board.plan(board.job(1, "w1", 6, wall_h=9), board.job(2, "e1", 2, wall_h=5))
    assert started(plan) == [1, 2]
    # Two units are free: wuhan may hold no more, ezhou's next needs five.
    limited, wide = board.job(3, "w2", 1, waited_h=90), board.job(4, "e1", 4)
    assert promised(board.plan(limited, wide)) == {"a": 4}


def test_a_city_at_its_limit_is_promised_a_pool_that_nobody_else_waits_for() -> None:
    limits = CityQuotaSet("wuhan", "a", 5, 1)
    board = Board(limits, OWNS_ALL, at_ms=200 * HOUR_MS)
    assert started(board.plan(board.job(1, "w1", 3, wall_h=9), board.job(2, "w1", 2, wall_h=5)))
    board.plan(board.job(3, "w1", 6, waited_h=3))
    plan = board.plan(AGAIN)
    assert [(one.uid, one.start_ms) for one in plan.reservations] == [(3, 209 * HOUR_MS)]
    # So one of its own that would outlast the promise waits, though it would fit now.
    assert started(board.plan(board.job(4, "w2", 1, wall_h=10))) == []
    assert started(board.plan(board.job(5, "w2", 1, wall_h=8))) == [5]


def test_those_at_their_limit_get_every_other_turn_of_the_starving() -> None:
    board = Board(CityQuotaSet("wuhan", "a", 5, 0), at_ms=300 * HOUR_MS)
    board.plan(board.job(1, "w1", 5, wall_h=9), board.job(2, "e1", 5), board.job(3, "e1", 5))
    limited = [board.job(uid, "w2", 3, waited_h=200 - uid) for uid in (10, 11)]
    blocked = [board.job(uid, "e1", 4, waited_h=150 - uid) for uid in (20, 21)]
    plan = board.plan(JobRemoved(3), *limited, *blocked, AGAIN)
    assert promised(plan) == {"a": 20}
    plan = board.plan(ended(2), after_ms=HOUR_MS)
    assert (started(plan), promised(plan)) == ([20], {"a": 10})
    plan = board.plan(ended(1), after_ms=HOUR_MS)
    assert (started(plan), promised(plan)) == ([10], {"a": 21})


def test_when_runs_are_late_the_promise_is_renewed_and_bars_only_what_it_must() -> None:
    board = Board(at_ms=0, policy=EASY)
    board.plan(board.job(1, "w1", 8, wall_h=1))
    assert promised(board.plan(board.job(2, "e1", 10))) == {"a": 2}
    # The run should have ended an hour ago. It is expected to take as long again.
    board.plan(after_ms=2 * HOUR_MS)
    plan = board.plan(board.job(3, "e1", 2, wall_h=0.5))
    assert started(plan) == [3]
    assert plan.reservations[0].start_ms == 3 * HOUR_MS


def test_a_center_that_went_away_keeps_no_promise() -> None:
    board = Board(PoolSet("b", "d", 10), OWNS_ALL, CityQuotaSet("ezhou", "b", 10))
    board.plan(board.job(1, "w1", 10), board.job(2, "w1", 10, flavors=("b",), wall_h=5))
    board.plan(board.job(3, "e1", 10, flavors=("a", "b")))
    assert promised(board.plan()) == {"a": 3}
    away, other = PoolSet("a", "c", 10, open=False), PoolSet("b", "d", 10)
    assert promised(board.plan(away, other)) == {"b": 3}
    assert started(board.plan(ended(2))) == [3]


def test_a_promised_job_that_is_cancelled_or_refused_frees_its_pool() -> None:
    board = Board(OWNS_ALL)
    board.plan(board.job(1, "w1", 8, wall_h=4))
    board.plan(board.job(2, "e1", 10))
    assert started(board.plan(board.job(3, "e1", 2, wall_h=9))) == []
    assert started(board.plan(JobRemoved(2))) == [3]
    reason = PendingReason(ReasonCode.POOL_FULL)
    plan = board.plan(StartRefused(3, reason, 9 * HOUR_MS), board.job(4, "e1", 2, wall_h=9))
    assert started(plan) == [4]


def test_a_job_that_no_quota_allows_costs_nobody_a_promise() -> None:
    board = Board(CityQuotaSet("wuhan", "a", 5, 0), EnterpriseQuotaSet("e1", "a", 3))
    board.plan(board.job(1, "e1", 3, wall_h=9))
    board.plan(board.job(2, "w1", 6), board.job(3, "e1", 4), board.job(4, "w1", 11))
    plan = board.plan(board.job(5, "w1", 5))
    assert (started(plan), promised(plan)) == ([5], {})
    explained = board.core.explain(2, board.now_ms)
    assert explained is not None
    assert explained.reason.code is ReasonCode.EXCEEDS_MAX
    assert (explained.reason.node, explained.reason.limit) == ("cities/wuhan", 5)
    # Quotas moved: what never could start can, or may hope to.
    moved = board.plan(
        CityQuotaSet("wuhan", "a", 30), EnterpriseQuotaSet("e1", "a"), PoolSet("a", "c", 20)
    )
    assert sorted(started(moved)) == [2, 3]
    assert promised(moved) == {"a": 4}


def test_counts_tell_who_waits_and_why() -> None:
    closed = (PoolSet("b", "d", 4, open=False), CityQuotaSet("ezhou", "b", 4))
    board = Board(CityQuotaSet("wuhan", "a", 5, 0), *closed)
    board.plan(board.job(1, "e1", 5, wall_h=9))
    waiting = [
        board.job(2, "w1", 6, waited_h=2),
        board.job(3, "e1", 6, waited_h=1),
        board.job(4, "e1", 6),
        board.job(5, "e1", 1, flavors=("b",), waited_h=3),
        board.job(6, "e1", 1, flavors=("c",)),
    ]
    board.plan(*waiting)
    counts = board.core.counts(board.now_ms)
    assert counts.jobs == {
        ("wuhan", "a"): 1, ("ezhou", "a"): 2, ("ezhou", "b"): 1, ("ezhou", "c"): 1,
    }  # fmt: skip
    assert counts.oldest_ms == {
        ("wuhan", "a"): -2 * HOUR_MS, ("ezhou", "a"): -HOUR_MS, ("ezhou", "b"): -3 * HOUR_MS,
        ("ezhou", "c"): 0,
    }  # fmt: skip
    assert counts.reasons == {
        ("wuhan", "a", ReasonCode.EXCEEDS_MAX): 1, ("ezhou", "a", ReasonCode.POOL_FULL): 2,
        ("ezhou", "b", ReasonCode.CENTER_DOWN): 1, ("ezhou", "c", ReasonCode.NO_FLAVOR): 1,
    }  # fmt: skip
    board.plan(JobRemoved(2), JobRemoved(3), JobRemoved(5))
    assert board.core.counts(board.now_ms).jobs == {("ezhou", "a"): 1, ("ezhou", "c"): 1}


def test_a_policy_in_submission_order_counts_too() -> None:
    board = Board(policy=EASY)
    board.plan(board.job(1, "w1", 10))
    board.plan(board.job(2, "w1", 3, waited_h=1), board.job(3, "w2", 3))
    counts = board.core.counts(0)
    assert (counts.jobs, counts.oldest_ms) == ({("wuhan", "a"): 2}, {("wuhan", "a"): -HOUR_MS})
