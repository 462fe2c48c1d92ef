"""Budgets in admission and settlement: held with the run at both levels, settled once with it."""

import pytest

from adapters.contract import FailureClass, Phase
from quota.budgets import Mode, Terms
from scheduler.domain.reasons import ReasonCode
from scheduler.placement.model import JobQueued, StartRefused
from scheduler.store import budget_holds
from scheduler.store.admission import RETRY_MS, RETRY_SOON_MS
from tests.simulation import world as worlds
from tests.simulation.world import CPU, FREE, job
from tests.unit.store.budget_hands import (
    HOLD,
    OCT_MS,
    admitted,
    allot,
    codes,
    free_enterprises,
    hands,
    row,
    set_terms,
    verify,
)

# --- admission ------------------------------------------------------------------------------------


def test_a_city_without_budgets_is_not_limited_and_keeps_no_books() -> None:
    it = hands()
    allot(it, 0, city="ezhou")
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, 10)
    assert it.db.rows("SELECT count(*) FROM budget_hold") == [(0,)]
    assert codes(it.admit(*it.world.submit("e1", [job()]))) == [ReasonCode.BUDGET_ENTERPRISE]
    verify(it)


def test_the_first_budget_of_a_city_switches_them_on_and_what_is_not_set_denies() -> None:
    it = hands()
    allot(it, 10_000)
    npu, cpu = it.world.submit("w1", [job(), job(CPU)])
    assert codes(it.admit(npu, cpu)) == [ReasonCode.BUDGET_ENTERPRISE] * 2
    allot(it, None, enterprise="w1")
    assert admitted(it.admit(npu)) == [npu]
    assert row(it) == (10_000, HOLD, 0, 0, 0)
    assert row(it, "enterprises/w1") == (None, HOLD, 0, 0, 0)
    verify(it)


def test_a_batch_holds_what_is_there_and_says_what_is_not() -> None:
    it = hands()
    allot(it, 2 * HOLD + 100)
    free_enterprises(it)
    uids = it.world.submit("w1", [job(), job(units=2), job()])
    result = it.admit(*uids)
    assert admitted(result) == [uids[0], uids[2]]
    [delta] = result.deltas
    assert isinstance(delta, StartRefused)
    reason = delta.reason
    assert (reason.code, reason.node) == (ReasonCode.BUDGET_CITY, "cities/wuhan")
    assert (reason.limit, reason.used, reason.requested) == (2 * HOLD + 100, HOLD, 2 * HOLD)
    assert (reason.short_by, reason.next_event_ms) == (HOLD - 100, OCT_MS)
    assert delta.retry_ms == it.clock.ms + RETRY_MS
    assert row(it) == (2 * HOLD + 100, 2 * HOLD, 0, 0, 0)
    verify(it)


def test_what_is_refused_is_tried_again_when_the_period_ends() -> None:
    it = hands(OCT_MS - 120_000)
    allot(it, 0)
    free_enterprises(it)
    [delta] = it.admit(*it.world.submit("w1", [job(wall_s=10)])).deltas
    assert isinstance(delta, StartRefused)
    assert delta.retry_ms == OCT_MS


def test_a_run_without_money_holds_no_unit_seconds() -> None:
    it = hands(rules=(), credit={"w2": 100})
    allot(it, HOLD)
    free_enterprises(it)
    poor = it.world.submit("w2", [job()])
    rich = it.world.submit("w1", [job()])
    result = it.admit(*poor, *rich)
    assert codes(result) == [ReasonCode.WALLET_SHORT, ReasonCode.BUDGET_CITY]
    _, delta = result.deltas
    assert isinstance(delta, StartRefused)
    assert delta.retry_ms == it.clock.ms + RETRY_SOON_MS, "what was put back is enough for it"
    assert row(it)[1] == 0
    assert admitted(it.admit(*rich)) == rich


def test_another_option_within_the_budget_is_tried() -> None:
    it = hands()
    allot(it, 0)
    allot(it, 10**6, flavor=CPU)
    free_enterprises(it)
    two = job()
    either = type(two)((*two.options, job(CPU).options[0]), two.wall_limit_s)
    [uid] = it.world.submit("w1", [either])
    [delta] = it.admit(uid).deltas
    assert isinstance(delta, JobQueued)
    assert [option.flavor for option in delta.options] == [CPU]


def test_a_hold_over_the_end_needs_the_next_period_and_is_split() -> None:
    it = hands(OCT_MS - 400_000)
    allot(it, 10_000)
    free_enterprises(it)
    uids = it.world.submit("w1", [job()])
    [delta] = it.admit(*uids).deltas
    assert isinstance(delta, StartRefused)
    assert delta.reason.code is ReasonCode.NEXT_PERIOD_NOT_OPEN
    assert (delta.reason.requested, delta.retry_ms) == (260, OCT_MS)
    allot(it, 10_000, period="2026-10")
    assert admitted(it.admit(*uids)) == uids
    parts = it.db.rows("SELECT part, period, unit_seconds FROM budget_hold ORDER BY part")
    assert parts == [(0, "2026-09", 400), (1, "2026-10", 260)]
    it.send(*uids)
    it.report(it.seen(uids[0], Phase.RUNNING, 1, start_ms=it.clock.ms))
    it.end(uids[0], 450)
    assert (row(it), row(it, period="2026-10")) == ((10_000, 0, 400, 0, 0), (10_000, 0, 50, 0, 0))
    verify(it)


def test_a_run_below_zero_is_marked_as_background() -> None:
    it = hands()
    allot(it, HOLD)
    free_enterprises(it, mode=Mode.OVERBURN, overburn_bps=10_000)
    uids = it.world.submit("w1", [job(), job(), job()])
    assert admitted(it.admit(*uids)) == uids[:2]
    marks = it.db.rows("SELECT job_uid, background FROM budget_hold ORDER BY job_uid")
    assert marks == [(uids[0], 0), (uids[1], 1)]
    details = it.db.rows("SELECT detail FROM event WHERE kind = 'ADMITTED' ORDER BY seq")
    assert ["background" in detail for (detail,) in details] == [False, True]


def test_budgets_that_are_switched_off_bind_nobody_but_settle_what_is_open() -> None:
    it = hands()
    allot(it, HOLD)
    free_enterprises(it)
    first, second = it.world.submit("w1", [job(), job()])
    it.run(first)
    set_terms(it, Terms(enabled=False, enterprises_free=True))
    assert admitted(it.admit(second)) == [second]
    it.end(first, 60)
    assert row(it) == (HOLD, 0, 60, 0, 0)
    verify(it)


# --- settlement -----------------------------------------------------------------------------------


def test_the_end_of_a_run_counts_its_use_and_lets_others_go_on() -> None:
    it = hands()
    allot(it, 10_000, flavor=FREE)  # no money comes back here
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job(FREE, units=2)])
    it.run(uid)
    it.clock.ms += 300_000
    ended = it.seen(
        uid, Phase.SUCCEEDED, 2, start_ms=worlds.NOW_MS, end_ms=it.clock.ms,
        usage=[it.usage(uid, worlds.NOW_MS, it.clock.ms, units=2)],
    )  # fmt: skip
    assert it.report(ended).cities == {"wuhan"}
    assert row(it) == (10_000, 0, 600, 0, 0)
    assert row(it, "enterprises/w1") == (None, 0, 600, 0, 0)
    it.report(ended)
    it.db.do(lambda c: budget_holds.settle(c, {(uid, 1): []}, it.clock.ms))
    assert row(it) == (10_000, 0, 600, 0, 0), "once"
    verify(it)


@pytest.mark.parametrize(
    ("failure", "counts"),
    [
        (FailureClass.NODE, False),
        (FailureClass.CENTER, False),
        (FailureClass.PREEMPTED, False),
        (FailureClass.USER_CODE, True),
        (FailureClass.TIME_LIMIT, True),
    ],
)
def test_what_is_not_billed_is_not_counted(failure: FailureClass, counts: bool) -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, 100, Phase.FAILED, failure)
    assert row(it) == (10_000, 0, 100 if counts else 0, 0, 0)
    verify(it)


def test_each_attempt_holds_and_settles_for_itself() -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job(retry_on=frozenset({FailureClass.USER_CODE}))])
    it.run(uid)
    it.end(uid, 100, Phase.FAILED, FailureClass.USER_CODE)
    it.run(uid)
    assert row(it) == (10_000, HOLD, 100, 0, 0)
    it.end(uid, 200)
    assert row(it) == (10_000, 0, 300, 0, 0)
    verify(it)


def test_a_run_cancelled_before_it_was_sent_used_nothing() -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.db.do(lambda c: c.exec_driver_sql("UPDATE job SET cancel_requested = TRUE"))
    it.send(uid)
    assert row(it) == (10_000, 0, 0, 0, 0)
    verify(it)


def test_what_a_center_ran_beyond_the_hold_is_the_corridors() -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, 1_000)
    assert row(it) == (10_000, 0, HOLD, 0, 0)
    assert row(it, "corridor") == (0, 0, 1_000 - HOLD, 0, 0)
    verify(it)
