"""Inventories: a whole look at a center, made for whoever asked, and what it tells."""

import asyncio
from typing import Any

import pytest

from adapters.contract import Observation, Phase
from adapters.errors import Unavailable
from adapters.gate import Gate, GateSettings
from scheduler.domain.inventory import Inventoried, Inventory, Standing, compare
from scheduler.domain.states import RunState

WAITING, RUNNING, SUCCEEDED = Phase.WAITING, Phase.RUNNING, Phase.SUCCEEDED


def seen(**phases: Phase) -> dict[str, Observation]:
    """What a center says of runs."""
    return {run: Observation(run, f"n-{run}", phase, 1, 1) for run, phase in phases.items()}


def standings(found: Inventory) -> dict[str, str]:
    return {one.run_id: str(one.standing) for one in found.runs}


# --- the comparison -------------------------------------------------------------------------------


def test_each_way_to_think_differently_has_its_name() -> None:
    thought = {
        "agreed": RunState.RUNNING,
        "unsure": RunState.UNKNOWN,
        "sent": RunState.SUBMITTING,
        "over": RunState.RUNNING,
        "gone": RunState.ACCEPTED,
        "settling": RunState.SUCCEEDED,
    }
    found = compare(
        5, thought, ["waits"],
        seen(agreed=RUNNING, unsure=RUNNING, sent=WAITING, over=SUCCEEDED, dead=RUNNING,
             stray=WAITING, late=SUCCEEDED, new=WAITING),
        ["dead"], [*thought, "new"],
    )  # fmt: skip
    assert found.look_ms == 5
    assert (found.agreed, found.unsent) == (2, 1)
    assert standings(found) == {
        "sent": "ADOPTED", "unsure": "ADOPTED", "over": "ENDED", "dead": "ORPHAN",
        "stray": "STRAY", "gone": "MISSING",
    }  # fmt: skip
    assert found.runs[0] == Inventoried(
        "sent", "n-sent", Standing.ADOPTED, RunState.SUBMITTING, WAITING
    )
    assert found.runs[-1] == Inventoried("gone", "", Standing.MISSING, RunState.ACCEPTED, None)


def test_a_run_sent_during_the_look_is_no_stray() -> None:
    found = compare(5, {}, ["sent"], seen(sent=WAITING), [], [])
    assert (found.agreed, found.unsent, found.runs) == (1, 0, ())


# --- a look of the worker -------------------------------------------------------------------------


async def asked(bench: Any) -> "asyncio.Task[Inventory]":
    """Somebody waits for an inventory."""
    task = asyncio.create_task(bench.worker.take_inventory())
    await asyncio.sleep(0)
    return task


async def test_the_next_look_answers_whoever_asked(bench: Any) -> None:
    known = bench.track(1, RunState.RUNNING)
    lost = bench.track(2, RunState.UNKNOWN)
    for run in (known, lost):
        bench.center.has(run.run_id, RUNNING)
    bench.center.has("j0000000000009.1", RUNNING)
    bench.center.has("j0000000000008.1", RUNNING)
    bench.loop.dead = {"j0000000000008.1"}
    first, second = await asked(bench), await asked(bench)
    assert not first.done()
    await bench.worker.follow_once()
    found = await first
    assert found == await second
    assert found.agreed == 1
    assert standings(found) == {
        lost.run_id: "ADOPTED", "j0000000000008.1": "ORPHAN", "j0000000000009.1": "STRAY",
    }  # fmt: skip
    assert bench.center.cancelled == ["j0000000000008.1"]


async def test_an_inventory_tells_how_it_was_thought_before_the_look(bench: Any) -> None:
    run = bench.track(1, RunState.UNKNOWN)
    bench.center.has(run.run_id, RUNNING)
    task = await asked(bench)
    await bench.worker.follow_once()
    assert run.state is RunState.RUNNING
    [told] = (await task).runs
    assert (told.standing, told.ours, told.theirs) == (Standing.ADOPTED, RunState.UNKNOWN, RUNNING)


async def test_a_look_that_fails_fails_those_who_wait(bench: Any) -> None:
    task = await asked(bench)
    bench.center.error = Unavailable("no route")
    with pytest.raises(Unavailable):
        await bench.worker.follow_once()
    with pytest.raises(Unavailable, match="no route"):
        await task
    bench.center.error = None
    await bench.worker.follow_once()  # nobody waits any more


async def test_who_gave_up_waiting_bars_nobody(bench: Any) -> None:
    gone, stays = await asked(bench), await asked(bench)
    gone.cancel()
    await asyncio.sleep(0)
    await bench.worker.follow_once()
    assert (await stays).runs == ()


async def test_a_defect_in_a_look_reaches_those_who_wait(bench: Any) -> None:
    run = bench.track(1, RunState.ACCEPTED)
    bench.center.has(run.run_id, RUNNING)
    bench.loop.fail_report = RuntimeError("the store is away")
    task = await asked(bench)
    with pytest.raises(RuntimeError):
        await bench.worker.follow_once()
    with pytest.raises(RuntimeError, match="the store is away"):
        await task


# --- how it answers -------------------------------------------------------------------------------


async def test_the_last_error_is_kept_when_the_center_answers_again(bench: Any) -> None:
    bench.center.error = Unavailable("no route")
    with pytest.raises(Unavailable):
        await bench.worker.follow_once()
    failed_ms = bench.clock.ms
    bench.center.error = None
    bench.wait(10)
    await bench.worker.follow_once()
    status = bench.worker.status()
    assert (status.reachable, status.detail) == (True, "")
    assert (status.last_error, status.last_error_ms) == ("Unavailable: no route", failed_ms)
    assert status.gate is None


async def test_a_gate_tells_how_it_stands(bench: Any) -> None:
    now = [0.0]
    gate = Gate(bench.center, GateSettings(5.0, 1, 2, 10.0), lambda: now[0])
    assert gate.state().passes
    assert gate.state().calls_per_s == 5.0
    bench.center.error = Unavailable("no route")
    for _ in range(2):
        now[0] += 1
        with pytest.raises(Unavailable):
            await gate.list_active()
    now[0] += 4
    state = gate.state()
    assert (state.passes, state.unanswered_calls, state.next_call_s) == (False, 2, 6.0)
    now[0] += 10
    assert gate.state().next_call_s == 0.0
    gate.bucket.hold(now[0] + 3)
    assert gate.state().next_call_s == 3.0
