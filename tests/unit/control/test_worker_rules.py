"""A center's worker, rule by rule: nothing is sent blind, nor believed before it is stored."""

import asyncio
import itertools
from typing import Any

import pytest

from adapters.contract import Phase, Usage
from adapters.errors import OutcomeUnknown, Rejected, Throttled, Unauthorized, Unavailable
from scheduler.control.tracked import Outbox, Tracked
from scheduler.domain.reports import ReportKind
from scheduler.domain.states import RunState
from tests.simulation.world import HandClock
from tests.unit.control.conftest import SETTINGS

SILENT, ACCEPTED, OBSERVED = ReportKind.SILENT, ReportKind.ACCEPTED, ReportKind.OBSERVED


# --- sending --------------------------------------------------------------------------------------


async def test_the_intent_is_durable_before_the_call(bench: Any) -> None:
    run = bench.track()
    bench.loop.fail_mark = RuntimeError("the store is away")
    with pytest.raises(RuntimeError):
        await bench.worker.send_once()
    assert bench.center.submitted == []
    bench.loop.fail_mark = None
    assert await bench.worker.send_once()
    assert bench.center.submitted == [run.run_id]
    assert bench.loop.told() == [ACCEPTED]
    assert not await bench.worker.send_once()


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), ValueError("a defect of the adapter")])
async def test_a_lost_answer_is_looked_up_and_adopted_and_never_sent_again(
    bench: Any, error: Exception
) -> None:
    run = bench.track()
    bench.center.answers = [error]
    await bench.worker.send_once()
    assert bench.loop.told() == [SILENT]
    bench.center.has(run.run_id)
    for _ in range(3):
        bench.wait(100)
        await bench.worker.send_once()
        await bench.worker.follow_once()
    assert bench.loop.told() == [OBSERVED]
    assert bench.center.submitted == [run.run_id]


async def test_a_lost_call_is_sent_again_once_its_settle_window_has_passed(bench: Any) -> None:
    run = bench.track()
    bench.center.answers = [OutcomeUnknown("lost")]
    await bench.worker.send_once()
    await bench.worker.follow_once()
    bench.wait(4.9)
    await bench.worker.follow_once()
    assert not await bench.worker.send_once()
    bench.wait(0.1)
    await bench.worker.follow_once()
    assert await bench.worker.send_once()
    assert bench.center.submitted == [run.run_id, run.run_id]


async def test_an_answer_that_is_old_when_it_is_judged_says_nothing_of_the_time_since(
    bench: Any,
) -> None:
    bench.track()
    bench.center.answers = [OutcomeUnknown("lost")]
    await bench.worker.send_once()
    await bench.worker.follow_once()
    ended = bench.track(2, RunState.RUNNING)
    bench.center.has(ended.run_id, Phase.SUCCEEDED, 2)
    bench.center.usage_error = Throttled("busy", 10.0)  # keeps the look longer than the window
    before_ms = bench.clock.ms
    await bench.worker.follow_once()
    assert bench.clock.ms - before_ms >= 10_000
    assert not await bench.worker.send_once()


async def test_the_settle_window_begins_anew_when_the_center_has_it_after_all(bench: Any) -> None:
    run = bench.track(state=RunState.SUBMITTING)
    await bench.worker.follow_once()
    bench.wait(4)
    bench.center.has(run.run_id)
    await bench.worker.follow_once()
    bench.center.runs.clear()
    bench.wait(4)
    await bench.worker.follow_once()
    assert ReportKind.VANISHED not in bench.loop.told()
    bench.wait(6)
    await bench.worker.follow_once()
    assert bench.loop.told() == [ReportKind.VANISHED]
    assert not await bench.worker.send_once()


async def test_a_call_without_effect_is_made_again_after_growing_pauses(bench: Any) -> None:
    bench.track()
    bench.center.answers = [Unavailable("no")] * 4
    made_at = []
    for _ in range(80):
        if await bench.worker.send_once():
            made_at.append(bench.clock.ms)
        bench.wait(0.1)
    pauses = [round((b - a) / 1000, 1) for a, b in itertools.pairwise(made_at)]
    assert pauses == [1.0, 2.0, 4.0]
    assert bench.loop.told() == [ReportKind.NEVER_TAKEN]


async def test_who_is_not_let_in_does_not_hammer_and_gives_no_run_back(bench: Any) -> None:
    runs = [bench.track(uid) for uid in range(1, 200)]
    bench.center.answers = [Unauthorized("no")] * 1_000
    for _ in range(600):  # ten minutes
        await bench.worker.send_once()
        bench.wait(1.0)
    assert len(bench.center.submitted) <= 10 * SETTINGS.send_concurrency
    assert bench.loop.told() == [], "runs wait until we are let in"
    bench.center.answers.clear()
    for _ in range(120):
        await bench.worker.send_once()
        bench.wait(1.0)
    assert bench.loop.told() == [ACCEPTED] * len(runs)


async def test_a_busy_center_is_waited_for_however_often_it_asks(bench: Any) -> None:
    bench.track()
    bench.center.answers = [Throttled("slowly", 7.0)] * 20
    for _ in range(20):
        assert await bench.worker.send_once()
        bench.wait(6.9)
        assert not await bench.worker.send_once()
        bench.wait(0.1)
    await bench.worker.send_once()
    assert bench.loop.told() == [ACCEPTED]
    assert bench.loop.reachable == [], "a center that throttles is well"


async def test_a_busy_center_is_sent_no_more_than_it_takes(bench: Any) -> None:
    """Three of forty are taken at a time: the rest is not marked and called for again and again."""
    for uid in range(1, 41):
        bench.track(uid)
    taken = 0
    for _ in range(60):
        bench.center.answers = [None] * 3 + [Throttled("slowly", 1.0)] * 40
        await bench.worker.send_once()
        taken += bench.loop.told().count(ACCEPTED)
        bench.wait(1.0)
    assert taken == 40
    assert len(bench.center.submitted) <= 2 * 40
    assert len(bench.loop.marked) <= 3 * 40
    bench.center.answers.clear()
    for uid in range(50, 90):
        bench.track(uid)
    rounds = 0
    while await bench.worker.send_once():
        rounds += 1
    assert rounds <= 6, "a center that has time again is sent more and more"


async def test_a_refusal_is_final(bench: Any) -> None:
    bench.track()
    bench.center.answers = [Rejected("too large", "TOO_LARGE")]
    await bench.worker.send_once()
    [report] = bench.loop.reports
    assert (report.kind, report.reason) == (ReportKind.REFUSED, "TOO_LARGE")


async def test_what_could_not_be_stored_is_looked_up_and_not_sent_again(bench: Any) -> None:
    run = bench.track()
    bench.loop.fail_report = RuntimeError("the store is away")
    with pytest.raises(RuntimeError):
        await bench.worker.send_once()
    bench.loop.fail_report = None
    bench.wait(100)
    assert not await bench.worker.send_once()
    await bench.worker.follow_once()
    assert bench.loop.told() == [OBSERVED]
    assert bench.center.submitted == [run.run_id]


async def test_a_run_that_the_store_holds_back_is_not_sent(bench: Any) -> None:
    run = bench.track()
    bench.loop.unsendable = {run.run_id}
    await bench.worker.send_once()
    assert bench.center.submitted == []
    bench.wait(100)
    await bench.worker.follow_once()
    bench.wait(100)
    await bench.worker.follow_once()
    assert not await bench.worker.send_once()
    assert bench.loop.told() == [ReportKind.VANISHED], "it was at the center, and is no more"


# --- following ------------------------------------------------------------------------------------


async def test_only_news_are_reported(bench: Any) -> None:
    run = bench.track()
    await bench.worker.send_once()
    bench.loop.told()
    await bench.worker.follow_once()
    assert bench.loop.told() == [], "that it waits was said by its acceptance"
    bench.center.has(run.run_id, Phase.RUNNING, 2)
    for _ in range(3):
        await bench.worker.follow_once()
    assert bench.loop.told() == [OBSERVED]


async def test_what_could_not_be_stored_is_reported_again(bench: Any) -> None:
    run = bench.track(state=RunState.ACCEPTED, taken=True)
    bench.center.has(run.run_id, Phase.RUNNING, 2)
    bench.loop.fail_report = RuntimeError("the store is away")
    with pytest.raises(RuntimeError):
        await bench.worker.follow_once()
    bench.loop.fail_report = None
    await bench.worker.follow_once()
    assert bench.loop.told() == [OBSERVED]


async def test_an_end_is_reported_with_its_use_or_before_it_is_known(bench: Any) -> None:
    run = bench.track(state=RunState.RUNNING, taken=True)
    bench.center.has(run.run_id, Phase.SUCCEEDED, 3)
    bench.center.usage_error = Unavailable("the meter is away")
    await bench.worker.follow_once()
    assert [report.usage for report in bench.loop.reports] == [None]
    bench.loop.told()
    bench.center.usage_error = None
    await bench.worker.follow_once()
    assert bench.loop.told() == []
    use = Usage(run.run_id, "n", 1, 0, 0, 1, 2, 1, "", "")
    bench.center.metered[run.run_id] = (use,)
    await bench.worker.follow_once()
    assert [report.usage for report in bench.loop.reports] == [(use,)]


async def test_a_run_that_its_center_has_no_more_is_gone_and_not_sent_again(bench: Any) -> None:
    """Also one that this process never saw: another one stored that it was taken."""
    bench.track(state=RunState.RUNNING, taken=True)
    for _ in range(3):
        bench.wait(3)
        await bench.worker.follow_once()
        assert not await bench.worker.send_once()
    assert bench.loop.told() == [ReportKind.VANISHED]


async def test_a_run_that_was_taken_is_not_sent_again_after_silence(bench: Any) -> None:
    run = bench.track(state=RunState.RUNNING, taken=True)
    bench.center.error = Unavailable("away")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await bench.worker.follow_once()
        bench.wait(60)
    assert run.state is RunState.UNKNOWN
    bench.center.error = None
    for _ in range(2):
        await bench.worker.follow_once()
        assert not await bench.worker.send_once()
        bench.wait(6)
    assert bench.loop.told() == [SILENT, ReportKind.VANISHED]
    assert bench.center.submitted == []


async def test_a_long_silence_makes_runs_unknown_once_and_not_before_its_time(bench: Any) -> None:
    run = bench.track(state=RunState.RUNNING, taken=True)
    ended = bench.track(2, state=RunState.SUCCEEDED, taken=True)
    bench.center.error = Unavailable("away")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await bench.worker.follow_once()
        assert bench.loop.told() == []
        bench.wait(33)
    assert bench.loop.reachable == [False]
    bench.wait(2)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await bench.worker.follow_once()
    assert bench.loop.told() == [SILENT]
    assert (run.state, ended.state) == (RunState.UNKNOWN, RunState.SUCCEEDED)
    bench.center.error = None
    bench.center.has(run.run_id, Phase.RUNNING, 1)
    await bench.worker.follow_once()
    assert bench.loop.told() == [OBSERVED]
    assert bench.loop.reachable == [False, True]


async def test_silence_that_could_not_be_stored_is_told_again(bench: Any) -> None:
    bench.track(state=RunState.RUNNING, taken=True)
    bench.center.error = Unavailable("away")
    with pytest.raises(Unavailable):
        await bench.worker.follow_once()
    bench.wait(101)
    bench.loop.fail_report = RuntimeError("the store is away")
    with pytest.raises(RuntimeError):
        await bench.worker.follow_once()
    bench.loop.fail_report = None
    with pytest.raises(Unavailable):
        await bench.worker.follow_once()
    assert bench.loop.told() == [SILENT]


async def test_a_busy_center_is_followed_patiently_and_is_not_away(bench: Any) -> None:
    run = bench.track(state=RunState.ACCEPTED, taken=True)
    bench.center.has(run.run_id, Phase.RUNNING, 2)
    bench.center.error, bench.center.throttled = Throttled("slowly", 2.0), 3
    before_ms = bench.clock.ms
    await bench.worker.follow_once()
    assert bench.clock.ms - before_ms >= 6_000
    assert bench.loop.told() == [OBSERVED]
    assert bench.loop.reachable == []


# --- cancelling -----------------------------------------------------------------------------------


async def test_a_cancel_is_asked_for_once_and_again_after_a_while(bench: Any) -> None:
    run = bench.track(state=RunState.RUNNING, taken=True)
    bench.center.has(run.run_id, Phase.RUNNING, 2)
    assert bench.worker.cancel(1)
    for _ in range(3):
        await bench.worker.follow_once()
        bench.wait(9)
    assert bench.center.cancelled == [run.run_id]
    bench.wait(10)
    await bench.worker.follow_once()
    assert bench.center.cancelled == [run.run_id, run.run_id]


async def test_a_cancel_that_fails_is_asked_for_at_the_next_look_and_stops_nothing(
    bench: Any,
) -> None:
    run = bench.track(state=RunState.ACCEPTED, taken=True)
    bench.center.has(run.run_id, Phase.RUNNING, 2)
    bench.worker.cancel(1)
    bench.center.cancel_error = OutcomeUnknown("lost")
    await bench.worker.follow_once()
    assert bench.loop.told() == [OBSERVED]
    bench.center.cancel_error = None
    await bench.worker.follow_once()
    assert bench.center.cancelled == [run.run_id]


async def test_a_cancel_reaches_a_run_whose_answer_was_lost(bench: Any) -> None:
    run = bench.track()
    bench.center.answers, bench.center.takes = [OutcomeUnknown("lost")], True
    bench.worker.cancel(1)
    run.cancel = False  # the wish comes while the call is under way
    await bench.worker.send_once()
    bench.worker.cancel(1)
    await bench.worker.follow_once()
    assert bench.center.cancelled == [run.run_id]


async def test_a_run_cancelled_after_its_intent_was_stored_is_not_sent(bench: Any) -> None:
    run = bench.track()
    run.cancel = True
    await bench.worker.send_once()
    assert bench.center.submitted == []
    bench.loop.unsendable = {run.run_id}
    await bench.worker.send_once()
    assert bench.loop.marked == [run.run_id, run.run_id], "the store ends it unsent"


async def test_a_cancelled_run_does_not_sit_out_its_pause(bench: Any) -> None:
    run = bench.track()
    bench.center.answers = [Throttled("slowly", 1000.0)]
    await bench.worker.send_once()
    assert not await bench.worker.send_once()
    bench.worker.cancel(1)
    assert await bench.worker.send_once()
    assert bench.center.submitted == [run.run_id]


def test_a_job_of_another_center_is_not_ours_to_cancel(bench: Any) -> None:
    assert not bench.worker.cancel(1)


# --- orphans --------------------------------------------------------------------------------------


async def test_what_is_proven_dead_is_cancelled_and_what_nobody_knows_is_raised_once(
    bench: Any,
) -> None:
    dead, unknown, odd = Tracked(7, 1, RunState.LOST, 0, 0).run_id, "j0000000000008.1", "x"
    bench.loop.dead = {dead}
    for run in (dead, unknown, odd):
        bench.center.has(run)
    for _ in range(3):
        await bench.worker.follow_once()
    assert bench.center.cancelled == [dead] * 3
    assert bench.orphans == [unknown, odd]
    bench.center.runs.clear()
    await bench.worker.follow_once()
    bench.center.has(unknown)
    await bench.worker.follow_once()
    assert bench.orphans == [unknown, odd, unknown], "it is news when it comes back"


# --- the outbox -----------------------------------------------------------------------------------


async def test_the_outbox_wakes_for_new_runs_and_for_those_whose_pause_is_over() -> None:
    clock = HandClock()
    outbox = Outbox(clock)
    waiting = asyncio.create_task(outbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    runs = [Tracked(uid, 1, RunState.PENDING, 0, 0) for uid in (1, 2)]
    outbox.put(runs)
    await waiting
    assert outbox.take(1) == runs[:1]
    assert outbox.take(5) == runs[1:]
    outbox.put_later(runs[0], 3.0)
    assert (outbox.take(5), len(outbox)) == ([], 1)
    clock.ms += 3_000
    await outbox.wait()
    assert outbox.take(5) == runs[:1]
    assert all(run.in_flight for run in runs)
