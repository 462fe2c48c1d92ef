"""Who was stopped between a durable intent and its call asks again before it calls.

Another leader may have sent the run by then. The frozen process is one whose real seconds pass
between two of its steps.
"""

import math
from typing import Any

import pytest

from adapters.contract import Accepted, RunRequest
from adapters.errors import OutcomeUnknown
from scheduler.domain.reports import ReportKind
from scheduler.domain.states import RunState
from scheduler.store.leader import Fenced

TOO_LONG_S = 3.0  # more than half the settle window of the scripted center


async def test_a_process_stopped_after_its_intent_asks_again_and_is_fenced(bench: Any) -> None:
    run = bench.track()
    mark = bench.loop.mark_submitting

    async def stopped(center: str, keys: list[tuple[int, int]]) -> list[RunRequest]:
        requests: list[RunRequest] = await mark(center, keys)
        bench.stopped_s += TOO_LONG_S
        bench.loop.fail_mark = Fenced("another leads")
        return requests

    bench.loop.mark_submitting = stopped
    assert await bench.worker.send_once()
    with pytest.raises(Fenced):
        await bench.worker.send_once()
    assert bench.center.submitted == []
    assert bench.loop.marked == [run.run_id]


async def test_who_leads_still_sends_by_a_new_intent(bench: Any) -> None:
    run = bench.track()
    mark = bench.loop.mark_submitting
    stops = [TOO_LONG_S, TOO_LONG_S, 0.0]

    async def stopped(center: str, keys: list[tuple[int, int]]) -> list[RunRequest]:
        requests: list[RunRequest] = await mark(center, keys)
        bench.stopped_s += stops.pop(0)
        return requests

    bench.loop.mark_submitting = stopped
    while await bench.worker.send_once():
        pass
    assert bench.center.submitted == [run.run_id]
    assert bench.loop.marked == [run.run_id] * 3
    assert bench.loop.told() == [ReportKind.ACCEPTED]
    assert run.tries == 0


@pytest.mark.parametrize("answered", range(4))
async def test_a_process_stopped_between_two_calls_makes_no_more_of_them(
    bench: Any, answered: int
) -> None:
    """Of many in one step those are called for whose turn came before it was stopped."""
    for uid in range(1, 60):
        bench.track(uid)
    submit, calls = bench.center.submit, 0

    async def stops(request: RunRequest) -> Accepted:
        nonlocal calls
        calls += 1
        if calls == answered + 1:
            bench.stopped_s += TOO_LONG_S
            bench.loop.fail_mark = Fenced("another leads")
        accepted: Accepted = await submit(request)
        return accepted

    bench.center.submit = stops
    await bench.worker.send_once()
    assert len(bench.center.submitted) == answered + 1
    with pytest.raises(Fenced):
        await bench.worker.send_once()
    assert len(bench.center.submitted) == answered + 1


async def test_a_call_may_be_stopped_for_long_and_is_then_looked_up(bench: Any) -> None:
    run = bench.track()
    submit = bench.center.submit

    async def stops(request: RunRequest) -> Accepted:
        await submit(request)
        bench.stopped_s += TOO_LONG_S
        raise OutcomeUnknown("the connection was closed meanwhile")

    bench.center.submit = stops
    await bench.worker.send_once()
    await bench.worker.follow_once()
    assert bench.loop.told() == [ReportKind.SILENT, ReportKind.OBSERVED]
    assert bench.center.submitted == [run.run_id]


async def test_the_call_says_until_when_it_may_be_made(bench: Any) -> None:
    bench.track()
    seen: list[float] = []
    submit = bench.center.submit

    async def note(request: RunRequest) -> Accepted:
        seen.append(request.send_by_s)
        accepted: Accepted = await submit(request)
        return accepted

    bench.center.submit = note
    before_s = bench.clock.ms / 1000
    await bench.worker.send_once()
    assert math.isclose(seen[0] - before_s, 2.5), "half the settle window"
    bench.center.settle_s = 100.0
    bench.track(2)
    await bench.worker.send_once()
    assert math.isclose(seen[1] - before_s, 5.0), "at most what is set"
    bench.center.settle_s = 0.5
    bench.track(3)
    await bench.worker.send_once()
    assert math.isclose(seen[2] - before_s, 2.0), "long enough for a store that is slow"


async def test_a_run_looked_up_and_absent_is_sent_by_a_new_intent_too(bench: Any) -> None:
    run = bench.track(state=RunState.SUBMITTING)
    for _ in range(3):
        await bench.worker.follow_once()
        bench.wait(3.0)
    bench.stopped_s += TOO_LONG_S
    bench.loop.fail_mark = Fenced("another leads")
    with pytest.raises(Fenced):
        await bench.worker.send_once()
    assert bench.center.submitted == []
    assert run.in_flight


async def test_a_slow_center_is_not_marked_for_again_and_again(bench: Any) -> None:
    """Each call takes a second: of sixty a few are called for before their intents are old."""
    for uid in range(1, 61):
        bench.track(uid)
    submit = bench.center.submit

    async def slow(request: RunRequest) -> Accepted:
        bench.wait(1.0)
        accepted: Accepted = await submit(request)
        return accepted

    bench.center.submit = slow
    while await bench.worker.send_once():
        pass
    assert len(bench.center.submitted) == len(set(bench.center.submitted)) == 60
    assert len(bench.loop.marked) <= 4 * 60
