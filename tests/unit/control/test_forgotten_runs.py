"""A center that may forget what it took: found out by looking, told, and sent again."""

from typing import Any

import pytest

from adapters.contract import Phase
from scheduler.control.tracked import taken_over
from scheduler.domain.reports import ReportKind
from scheduler.domain.states import RunState
from scheduler.store.runs import OpenRun

FORGOTTEN, VANISHED, OBSERVED = ReportKind.FORGOTTEN, ReportKind.VANISHED, ReportKind.OBSERVED


async def look(bench: Any, times: int = 1, every_s: float = 3.0) -> list[ReportKind]:
    """Look some times; gives what was reported."""
    for _ in range(times):
        await bench.worker.follow_once()
        bench.wait(every_s)
    return list(bench.loop.told())


async def test_what_was_taken_and_forgotten_is_told_and_sent_again(bench: Any) -> None:
    bench.center.provisional_s = 6.0
    run = bench.track()
    await bench.worker.send_once()
    bench.loop.told()
    bench.center.runs.clear()  # its controller was killed
    assert await look(bench, 2) == []
    await bench.worker.follow_once()
    [report] = bench.loop.reports
    assert (report.kind, report.native_id, report.submit_ms) == (FORGOTTEN, "n", 1)
    assert (run.taken, run.native_id, run.state) == (False, "", RunState.UNKNOWN)
    assert await bench.worker.send_once()
    assert bench.center.submitted == [run.run_id] * 2
    assert run.state is RunState.ACCEPTED


async def test_at_a_center_that_never_forgets_it_is_lost(bench: Any) -> None:
    bench.track(state=RunState.ACCEPTED, taken=True)
    assert await look(bench, 3) == [VANISHED]
    assert not await bench.worker.send_once()


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.SUCCEEDED])
async def test_what_was_seen_to_run_is_lost_wherever_it_was(bench: Any, phase: Phase) -> None:
    bench.center.provisional_s = 6.0
    run = bench.track()
    await bench.worker.send_once()
    bench.center.has(run.run_id, Phase.RUNNING, 2)
    await look(bench)
    bench.center.has(run.run_id, Phase.WAITING, 3)  # queued again inside the center
    await look(bench)
    bench.center.runs.clear()
    assert await look(bench, 3) == [VANISHED]
    assert not await bench.worker.send_once()


async def test_a_new_leader_knows_what_was_seen_to_run(bench: Any) -> None:
    bench.center.provisional_s = 6.0
    for uid, begun in ((1, True), (2, False)):
        stored = OpenRun(
            uid, 1, "ai", RunState.UNKNOWN, 1, True, False, native_id="7", submit_ms=5, begun=begun
        )
        bench.worker.track([taken_over(stored, bench.clock.ms)])
    await look(bench, 2)
    await bench.worker.follow_once()
    told = {(one.uid, one.kind, one.native_id) for one in bench.loop.reports}
    assert told == {(1, VANISHED, ""), (2, FORGOTTEN, "7")}


async def test_it_is_not_sent_again_before_the_store_knows(bench: Any) -> None:
    bench.center.provisional_s = 6.0
    run = bench.track(state=RunState.ACCEPTED, taken=True)
    await look(bench, 2)
    bench.loop.fail_report = RuntimeError("the store is away")
    with pytest.raises(RuntimeError):
        await bench.worker.follow_once()
    assert not await bench.worker.send_once()
    assert run.taken
    bench.loop.fail_report = None
    assert await look(bench) == [FORGOTTEN]
    assert await bench.worker.send_once()


async def test_what_turns_up_within_the_window_was_not_forgotten(bench: Any) -> None:
    bench.center.provisional_s = 6.0
    run = bench.track(state=RunState.ACCEPTED, taken=True)
    await look(bench, 2, 2.0)
    bench.center.has(run.run_id)
    await look(bench, 1, 2.0)
    bench.center.runs.clear()
    assert FORGOTTEN not in await look(bench, 2, 2.0)
