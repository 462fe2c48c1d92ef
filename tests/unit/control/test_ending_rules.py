"""A center's worker ends what is not wanted: told first, given its grace, asked for until it is."""

from typing import Any

import pytest

from adapters.contract import Phase
from adapters.errors import Throttled, Unavailable
from scheduler.control.tracked import Tracked
from scheduler.domain.evicting import EvictCause
from scheduler.domain.reports import ReportKind
from scheduler.domain.states import RunState

GRACE_MS = 60_000


def running(bench: Any, uid: int = 1) -> Tracked:
    """A run that the center runs and that is known to do so."""
    run: Tracked = bench.track(uid, RunState.RUNNING, taken=True)
    bench.center.has(run.run_id, Phase.RUNNING, 2)
    return run


async def look(bench: Any) -> list[ReportKind]:
    """Look once; gives what was reported."""
    await bench.worker.follow_once()
    return list(bench.loop.told())


async def test_a_program_is_told_and_ended_after_its_grace(bench: Any) -> None:
    run = running(bench)
    await look(bench)
    bench.worker.end(run.run_id, EvictCause.RECLAIM, GRACE_MS)
    assert await look(bench) == [ReportKind.NOTICED]
    assert bench.center.told == [(run.run_id, 60)]
    bench.wait(59.9)
    await look(bench)
    assert bench.center.cancelled == []
    bench.wait(0.1)
    await look(bench)
    assert bench.center.cancelled == [run.run_id]
    assert bench.center.told == [(run.run_id, 60)]


@pytest.mark.parametrize("error", [Unavailable("no"), Throttled("slowly", 1.0)])
async def test_who_could_not_be_told_is_not_ended(bench: Any, error: Exception) -> None:
    run = running(bench)
    await look(bench)
    bench.center.notify_error = error
    bench.worker.end(run.run_id, EvictCause.DRAIN, GRACE_MS)
    for _ in range(5):
        assert ReportKind.NOTICED not in await look(bench)
        bench.wait(100)
    assert bench.center.cancelled == []
    bench.center.notify_error = None
    assert await look(bench) == [ReportKind.NOTICED]
    await look(bench)
    assert bench.center.cancelled == []  # the grace begins with the notice


async def test_a_notice_that_could_not_be_stored_is_given_again(bench: Any) -> None:
    run = running(bench)
    await look(bench)
    bench.worker.end(run.run_id, EvictCause.RECLAIM, GRACE_MS)
    bench.loop.fail_report = RuntimeError("the store is away")
    with pytest.raises(RuntimeError):
        await bench.worker.follow_once()
    bench.wait(100)
    bench.loop.fail_report = None
    assert await look(bench) == [ReportKind.NOTICED]
    assert bench.center.cancelled == []
    assert len(bench.center.told) == 2


async def test_a_new_worker_goes_on_with_the_deadline_that_is_stored(bench: Any) -> None:
    run = Tracked(1, 1, RunState.RUNNING, 2, bench.clock.ms, taken=True)
    run.order, run.grace_ms = EvictCause.RECLAIM, GRACE_MS
    run.deadline_ms = bench.clock.ms + 30_000
    bench.worker.track([run])
    bench.center.has(run.run_id, Phase.RUNNING, 2)
    await look(bench)
    bench.wait(30)
    await look(bench)
    assert (bench.center.told, bench.center.cancelled) == ([], [run.run_id])


async def test_what_waits_at_its_center_has_nothing_to_save(bench: Any) -> None:
    run = bench.track(1, RunState.ACCEPTED, taken=True)
    bench.center.has(run.run_id)
    bench.worker.end(run.run_id, EvictCause.DRAIN, GRACE_MS)
    await look(bench)
    assert (bench.center.told, bench.center.cancelled) == ([], [run.run_id])


async def test_a_run_that_was_late_and_begins_goes_on(bench: Any) -> None:
    run = bench.track(1, RunState.ACCEPTED, taken=True)
    bench.center.has(run.run_id, Phase.RUNNING, 2)
    bench.worker.end(run.run_id, EvictCause.START_TIMEOUT, 0)
    for _ in range(3):
        await look(bench)
        bench.wait(100)
    assert (bench.center.told, bench.center.cancelled) == ([], [])


async def test_a_wish_to_cancel_waits_for_no_grace(bench: Any) -> None:
    run = running(bench)
    await look(bench)
    bench.worker.end(run.run_id, EvictCause.RECLAIM, GRACE_MS)
    await look(bench)
    bench.worker.cancel(1)
    await look(bench)
    assert bench.center.cancelled == [run.run_id]


async def test_an_end_that_does_not_come_is_asked_for_again(bench: Any) -> None:
    run = running(bench)
    await look(bench)
    bench.worker.end(run.run_id, EvictCause.RECLAIM, 0)
    for _ in range(4):  # told, then ended, then too early, then again
        await look(bench)
        bench.wait(15)
    assert bench.center.cancelled == [run.run_id, run.run_id]


async def test_what_is_to_end_is_not_sent_though_the_center_is_busy(bench: Any) -> None:
    run = bench.track()
    bench.center.answers = [Throttled("slowly", 1_000.0)]
    await bench.worker.send_once()
    bench.worker.end(run.run_id, EvictCause.DRAIN, GRACE_MS)
    bench.loop.unsendable.add(run.run_id)
    assert await bench.worker.send_once()
    assert bench.loop.marked == [run.run_id, run.run_id]  # the store ends it unsent
    assert bench.center.submitted == [run.run_id]


async def test_an_order_for_a_run_of_another_center_is_no_error(bench: Any) -> None:
    bench.worker.end("j0000000000001.1", EvictCause.DRAIN, GRACE_MS)
    await look(bench)
    assert bench.center.cancelled == []
