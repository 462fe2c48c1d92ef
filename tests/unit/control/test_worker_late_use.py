"""Use of runs whose end is stored, and of which their center shows nothing any more."""

from typing import Any

import pytest

from adapters.contract import Usage
from adapters.errors import Unavailable
from scheduler.domain.reports import ReportKind
from scheduler.domain.states import RunState

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.PREEMPTED)


@pytest.mark.parametrize("state", ENDED)
async def test_use_is_asked_for_that_is_missing_though_the_run_is_gone(
    bench: Any, state: RunState
) -> None:
    run = bench.track(state=state, taken=True)
    use = Usage(run.run_id, "n", 1, 0, 0, 1, 2, 1, "", "")
    for metered in ((), (use,)):
        bench.center.metered.clear()
        await bench.worker.follow_once()
        assert bench.loop.reports == []
        bench.center.metered[run.run_id] = metered
        await bench.worker.follow_once()
        [report] = bench.loop.reports
        assert (report.kind, report.observation) == (ReportKind.OBSERVED, None)
        assert report.usage == metered
        bench.loop.told()


async def test_a_run_that_goes_on_is_not_metered_when_its_center_does_not_show_it(
    bench: Any,
) -> None:
    run = bench.track(state=RunState.RUNNING, taken=True)
    bench.center.metered[run.run_id] = ()
    await bench.worker.follow_once()
    assert bench.loop.reports == []


async def test_a_meter_that_is_away_keeps_no_look_from_its_end(bench: Any) -> None:
    run = bench.track(state=RunState.SUCCEEDED, taken=True)
    bench.center.usage_error = Unavailable("the meter is away")
    bench.center.metered[run.run_id] = ()
    await bench.worker.follow_once()
    bench.center.usage_error = None
    await bench.worker.follow_once()
    assert [report.usage for report in bench.loop.reports] == [()]
