"""Why a job waits: one example for each reason that the planner gives, with whose limit it is."""

import pytest

from scheduler.domain.reasons import RANK, PendingReason, ReasonCode, StartOutlook
from scheduler.placement.model import (
    EASY,
    FCFS,
    CityQuotaSet,
    EnterpriseQuotaSet,
    Explanation,
    JobRemoved,
    PolicySettings,
    PoolSet,
    RunStarted,
    StartRefused,
    StopSet,
    Unparked,
)
from tests.unit.placement.board import HOUR_MS, Board, ended, started

MINUTE_MS = 60_000


def why(board: Board, uid: int) -> PendingReason:
    """The reason of a job, which the counts tell too."""
    found = explained(board, uid)
    codes = {code for _, _, code in board.core.counts(board.now_ms).reasons}
    assert found.reason.code in codes
    return found.reason


def explained(board: Board, uid: int) -> Explanation:
    """What is said of a waiting job."""
    found = board.core.explain(uid, board.now_ms)
    assert found is not None
    return found


def numbers(reason: PendingReason) -> tuple[str, int | None, int | None, int | None, int | None]:
    """Whose limit, how high, how much is used, asked for and missing."""
    return reason.node, reason.limit, reason.used, reason.requested, reason.short_by


def no_start_is_said(reason: PendingReason) -> None:
    """Not even an earliest one: it does not start as things are."""
    band = reason.start_earliest_ms, reason.start_likely_ms, reason.start_latest_ms
    assert (band, reason.outlook) == ((None, None, None), StartOutlook.NONE)


def test_precedence_is_total() -> None:
    assert sorted(RANK.values()) == list(range(len(ReasonCode)))


def test_no_center_has_the_flavor() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 1, flavors=("x",)))
    assert why(board, 1).code is ReasonCode.NO_FLAVOR
    # A quota of a flavor that no center has makes it no center's flavor.
    board.plan(CityQuotaSet("ezhou", "x", 4))
    assert why(board, 1).code is ReasonCode.NO_FLAVOR


def test_a_city_without_a_quota_is_not_set_up() -> None:
    board = Board(PoolSet("b", "d", 4, open=False))
    board.plan(board.job(1, "e1", 1, flavors=("b",)))
    reason = why(board, 1)
    assert (reason.code, reason.node) == (ReasonCode.MISCONFIGURED, "cities/ezhou")


def test_the_center_is_down() -> None:
    board = Board(PoolSet("a", "c", 10, open=False))
    board.plan(board.job(1, "e1", 99))  # which is too large as well
    reason = why(board, 1)
    assert (reason.code, reason.node) == (ReasonCode.CENTER_DOWN, "centers/c")
    no_start_is_said(reason)


@pytest.mark.parametrize(
    ("member", "units", "node", "limit"),
    [
        ("e1", 11, "corridor", 10),
        ("w1", 9, "cities/wuhan", 8),
        ("w2", 4, "enterprises/w2", 3),
        ("e1", 7, "corridor", 6),
    ],
)
def test_it_can_never_fit(member: str, units: int, node: str, limit: int) -> None:
    lend = 1 if units == 7 else None
    board = Board(CityQuotaSet("wuhan", "a", 5, 3, lend), EnterpriseQuotaSet("w2", "a", 3))
    board.plan(board.job(1, member, units))
    reason = why(board, 1)
    assert reason.code is ReasonCode.EXCEEDS_MAX
    assert numbers(reason) == (node, limit, 0, units, units - limit)
    no_start_is_said(reason)


@pytest.mark.parametrize("node", ["cities/ezhou", "enterprises/e1"])
@pytest.mark.parametrize("state", ["HOLD", "DRAIN"])
def test_of_who_is_stopped_no_start_is_said_though_there_is_room(node: str, state: str) -> None:
    board = Board()
    board.plan(StopSet(node, state), board.job(1, "e1", 1))
    wished = board.job(2, "e1", 2)._replace(not_before_ms=HOUR_MS, wished=True)
    board.plan(wished)
    for uid in (1, 2):  # a wish to start later does not hide it
        found = explained(board, uid)
        assert (found.reason.code, found.reason.node) == (ReasonCode.QUEUE_HELD, node)
        no_start_is_said(found.reason)
        for one in found.options:
            no_start_is_said(one)
    key = ("ezhou", "a", ReasonCode.QUEUE_HELD)
    assert board.core.counts(board.now_ms).reasons == {key: 2}
    asked = board.core.estimate(board.job(3, "e1", 1), board.now_ms).reason
    assert asked.code is ReasonCode.QUEUE_HELD
    no_start_is_said(asked)
    board.plan(StopSet(node, "OPEN"), board.job(4, "e1", 9))
    assert explained(board, 2).reason.code is ReasonCode.NOT_BEFORE
    assert explained(board, 4).reason.outlook is StartOutlook.FORESEEN


REFUSALS = [
    ReasonCode.DEACTIVATED,
    ReasonCode.MISCONFIGURED,
    ReasonCode.BUDGET_ENTERPRISE,
    ReasonCode.BUDGET_CITY,
    ReasonCode.SUBSIDY_SHORT,
    ReasonCode.WALLET_SHORT,
    ReasonCode.SELF_PAY_ABOVE_MAX,
    ReasonCode.NEXT_PERIOD_NOT_OPEN,
]


@pytest.mark.parametrize("code", REFUSALS)
def test_what_admission_refuses_keeps_its_reason_until_it_starts(code: ReasonCode) -> None:
    board = Board()
    assert started(board.plan(board.job(1, "e1", 2), board.job(2, "e1", 2))) == [1, 2]
    refusal = PendingReason(code, "enterprises/e1", "a", limit=7, used=7, requested=3, short_by=3)
    retry_ms = board.now_ms + 10 * MINUTE_MS
    again = [StartRefused(uid, refusal, retry_ms) for uid in (1, 2)]
    board.plan(*again, board.job(3, "e1", 2))
    for uid in (1, 2, 3):  # the third is of their class, and would be refused too
        assert why(board, uid).code is code
        assert numbers(why(board, uid)) == ("enterprises/e1", 7, 7, 3, 3)
        no_start_is_said(why(board, uid))  # that it is tried again does not mean that it starts
    # Tried again: until admission has spoken they wait for what they waited for.
    assert sorted(started(board.plan(Unparked("ezhou")))) == [1, 2, 3]
    for uid in (1, 2, 3):
        assert explained(board, uid).reason.code is code
        no_start_is_said(explained(board, uid).reason)
    # Once one has really started, the others of its class have no refusal to fear.
    board.plan(RunStarted(1, board.now_ms))
    assert explained(board, 3).reason.code is ReasonCode.NOT_EVALUATED


def test_what_waits_for_money_is_in_nobodys_way_in_forecasts() -> None:
    board = Board()
    board.plan(board.job(1, "w1", 10, wall_h=2))
    board.plan(board.job(2, "e1", 10, wall_h=5), board.job(3, "e1", 10, wall_h=5))
    assert started(board.plan(ended(1))) == [2]
    short = PendingReason(ReasonCode.BUDGET_CITY, "cities/ezhou", "a")
    board.plan(StartRefused(2, short, board.now_ms + MINUTE_MS), board.job(4, "w1", 9, wall_h=1))
    board.plan(board.job(5, "w2", 9), board.job(6, "w2", 9))
    latest = {uid: explained(board, uid).reason.start_latest_ms for uid in (2, 3, 5, 6)}
    assert latest == {2: None, 3: None, 5: HOUR_MS, 6: 2 * HOUR_MS}


def test_what_binds_whatever_money_there_is_is_said_before_it() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 2))
    short = PendingReason(ReasonCode.BUDGET_CITY, "cities/ezhou", "a")
    board.plan(StartRefused(1, short, board.now_ms + MINUTE_MS), board.job(2, "e1", 2))
    for delta, code in (
        (StopSet("cities/ezhou", "HOLD"), ReasonCode.QUEUE_HELD),
        (StopSet("cities/ezhou", "OPEN"), ReasonCode.BUDGET_CITY),
        (PoolSet("a", "c", 10, open=False), ReasonCode.CENTER_DOWN),
        (PoolSet("a", "c", 1), ReasonCode.EXCEEDS_MAX),
        (PoolSet("a", "c", 10), ReasonCode.BUDGET_CITY),
    ):
        board.plan(delta)
        assert {why(board, uid).code for uid in (1, 2)} == {code}
        assert set(board.core.sample(board.now_ms, estimate=False).reasons.values()) == {code.value}


def test_a_refused_job_that_is_tried_anew_is_never_told_that_nobody_looked() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 2))
    short = PendingReason(ReasonCode.WALLET_SHORT, "enterprises/e1", "a")
    for _ in range(3):
        assert explained(board, 1).reason.code in (ReasonCode.NOT_EVALUATED, short.code)
        board.plan(StartRefused(1, short, board.now_ms + 1_000))
        assert explained(board, 1).reason.code is ReasonCode.WALLET_SHORT
        assert started(board.plan(after_ms=1_000)) == [1]
        assert explained(board, 1).reason.code is ReasonCode.WALLET_SHORT


def test_the_enterprise_is_at_its_cap() -> None:
    board = Board(EnterpriseQuotaSet("e1", "a", 3))
    board.plan(board.job(1, "e1", 2, wall_h=2, waited_h=90), board.job(2, "e1", 2))
    reason = why(board, 2)
    assert reason.code is ReasonCode.CAP_ENTERPRISE
    assert numbers(reason) == ("enterprises/e1", 3, 2, 2, 1)
    assert reason.next_event_ms == reason.start_earliest_ms == 2 * HOUR_MS


def test_the_city_is_at_its_quota_and_borrow_limit() -> None:
    board = Board(CityQuotaSet("ezhou", "a", 2, 1))
    board.plan(board.job(1, "e1", 2), board.job(2, "e1", 2))
    reason = why(board, 2)
    assert reason.code is ReasonCode.BORROW_LIMIT
    assert numbers(reason) == ("cities/ezhou", 3, 2, 2, 1)


def test_what_is_free_is_guaranteed_to_others() -> None:
    board = Board(CityQuotaSet("wuhan", "a", 5, None, 1))
    board.plan(board.job(1, "e1", 5))
    board.plan(board.job(2, "e1", 2))
    reason = why(board, 2)
    assert reason.code is ReasonCode.CORRIDOR_FULL
    assert numbers(reason) == ("corridor", 10, 9, 2, 1)


def test_the_pool_is_full() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 5), board.job(2, "w1", 5))
    board.plan(board.job(3, "e1", 3))
    reason = why(board, 3)
    assert reason.code is ReasonCode.POOL_FULL
    assert numbers(reason) == ("centers/c", 10, 10, 3, 3)


def test_lent_units_are_on_their_way_back() -> None:
    board = Board()
    board.plan(board.job(1, "w1", 9, wall_h=3))
    board.plan(board.job(2, "e1", 3))
    reason = why(board, 2)
    assert (reason.code, reason.short_by) == (ReasonCode.WAITING_RECLAIM, 2)
    assert reason.start_latest_ms == 3 * HOUR_MS


def test_a_failed_attempt_is_followed_by_a_pause_and_a_wish_is_none() -> None:
    board = Board()
    later_ms = HOUR_MS
    pause = board.job(1, "e1", 1)._replace(not_before_ms=later_ms)
    wish = board.job(2, "e1", 2)._replace(not_before_ms=later_ms, wished=True)
    board.plan(pause, wish, Unparked("ezhou"))
    assert why(board, 1).code is ReasonCode.RETRY_BACKOFF
    reason = why(board, 2)
    assert (reason.code, reason.next_event_ms) == (ReasonCode.NOT_BEFORE, later_ms)
    assert reason.start_earliest_ms == reason.start_likely_ms == later_ms


def test_it_would_delay_a_promised_job() -> None:
    board = Board(policy=EASY)
    board.plan(board.job(1, "w1", 8), board.job(2, "w1", 10), board.job(3, "e1", 1, wall_h=2))
    reason = why(board, 3)
    assert (reason.code, reason.node) == (ReasonCode.WAITING_RESERVATION, "centers/c")
    assert reason.outlook is StartOutlook.FORESEEN
    promised = why(board, 2)
    assert (promised.start_latest_ms, promised.outlook) == (HOUR_MS, StartOutlook.PROMISED)


def test_others_stand_before_it_where_nobody_passes() -> None:
    board = Board(policy=FCFS)
    board.plan(board.job(1, "w1", 8), board.job(2, "w1", 10), board.job(3, "e1", 1))
    reason = why(board, 3)
    assert (reason.code, reason.node) == (ReasonCode.BEHIND_HEAD, "cities/ezhou")


def test_what_the_next_plan_starts_is_about_to_be_looked_at() -> None:
    board = Board(policy=PolicySettings(starts_max=1))
    plan = board.plan(board.job(1, "e1", 1), board.job(2, "e1", 1))
    assert (started(plan), plan.more) == ([1], True)
    reason = why(board, 2)
    assert reason.code is ReasonCode.NOT_EVALUATED
    assert reason.start_earliest_ms == reason.start_latest_ms == board.now_ms


def test_the_option_nearest_to_a_start_speaks_for_the_job() -> None:
    quotas = (CityQuotaSet("ezhou", "b", 9), CityQuotaSet("ezhou", "c", 9, 0))
    board = Board(PoolSet("b", "d", 9, open=False), PoolSet("c", "d", 9), *quotas)
    board.plan(board.job(1, "w1", 10, wall_h=5), board.job(2, "e1", 9, flavors=("c",)))
    job = board.job(3, "e1", 6, flavors=("b", "c", "a"), wall_h=1)
    board.plan(job)
    found = explained(board, 3)
    codes = [one.code for one in found.options]
    assert codes == [ReasonCode.CENTER_DOWN, ReasonCode.BORROW_LIMIT, ReasonCode.POOL_FULL]
    assert (found.reason.code, found.reason.flavor) == (ReasonCode.POOL_FULL, "a")
    starts = [one.start_earliest_ms for one in found.options]
    assert starts == [None, HOUR_MS, 5 * HOUR_MS]
    # It starts where it can first, though that is not the option that speaks for it.
    assert found.reason.start_likely_ms == HOUR_MS
    assert found.reason.start_earliest_ms == HOUR_MS
    assert board.core.counts(board.now_ms).reasons == {("ezhou", "b", ReasonCode.POOL_FULL): 1}


def test_the_oldest_is_told_by_reason() -> None:
    board = Board(at_ms=9 * HOUR_MS)
    board.plan(board.job(1, "e1", 10))
    board.plan(board.job(2, "w1", 3, waited_h=2), board.job(3, "w2", 3))
    board.plan(board.job(4, "e1", 11, waited_h=5))
    found = board.core.counts(board.now_ms).reasons_oldest_ms
    assert found == {
        ("wuhan", "a", ReasonCode.WAITING_RECLAIM): 7 * HOUR_MS,
        ("ezhou", "a", ReasonCode.EXCEEDS_MAX): 4 * HOUR_MS,
    }


def test_a_job_that_left_is_not_explained() -> None:
    board = Board()
    board.plan(board.job(1, "e1", 10), board.job(2, "w1", 10))
    board.plan(JobRemoved(2), ended(1))
    assert board.core.explain(2, board.now_ms) is None
    assert board.core.explain(1, board.now_ms) is None
