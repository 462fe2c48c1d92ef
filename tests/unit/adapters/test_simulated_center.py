"""How a simulated center queues, ends, fails and hides runs."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from adapters.contract import FailureClass, Observation, Phase, RunRequest
from adapters.errors import OutcomeUnknown, Rejected, Throttled, Unavailable
from adapters.simulated import SimulatedCenter
from adapters.simulated.fate import CHECKPOINT_LABEL
from adapters.simulated.journal import read_events
from tests.refs import ref, refs

Run = Callable[..., RunRequest]


class World(Protocol):
    """The fixture of conftest.py."""

    now_ms: int

    def open(self, units: int = 16, **settings: object) -> SimulatedCenter: ...

    def let_pass(self, seconds: float) -> None: ...


async def seen(center: SimulatedCenter, run_id: str) -> Observation:
    """The one observation of a run that must be known."""
    return (await center.find(refs(run_id)))[run_id]


async def phases(center: SimulatedCenter, *run_ids: str) -> list[Phase]:
    """The phases of runs that must be known."""
    found = await center.find(refs(*run_ids))
    return [found[run_id].phase for run_id in run_ids]


async def test_a_run_waits_runs_and_ends_at_exact_times(world: World, run: Run) -> None:
    center = world.open(start_delay_s=3)
    taken = await center.submit(run())
    assert (await seen(center, "j1.1")).phase is Phase.WAITING
    world.let_pass(60)  # nobody asked in between
    ended = await seen(center, "j1.1")
    assert ended.phase is Phase.SUCCEEDED
    assert ended.start_ms == taken.submit_ms + 3000
    assert ended.end_ms == taken.submit_ms + 13_000
    assert (ended.exit_code, ended.failure, ended.sequence) == (0, None, 3)


async def test_first_come_first_served_within_capacity(world: World, run: Run) -> None:
    center = world.open(units=16)
    await center.submit(run("j1", units=8, runtime_s=10))
    await center.submit(run("j2", units=8, nodes=2, runtime_s=10))
    await center.submit(run("j3", units=1, runtime_s=10))  # fits, but does not overtake j2
    assert await phases(center, "j1.1", "j2.1", "j3.1") == [
        Phase.RUNNING,
        Phase.WAITING,
        Phase.WAITING,
    ]
    world.let_pass(10)
    assert await phases(center, "j1.1", "j2.1", "j3.1") == [
        Phase.SUCCEEDED,
        Phase.RUNNING,
        Phase.WAITING,
    ]
    world.let_pass(1000)
    found = await center.find(refs("j1.1", "j2.1", "j3.1"))
    assert found["j2.1"].start_ms == found["j1.1"].end_ms
    assert found["j3.1"].start_ms == found["j2.1"].end_ms


async def test_the_wall_limit_cuts_a_run(world: World, run: Run) -> None:
    center = world.open()
    await center.submit(run(runtime_s=500, wall_limit_s=100))
    world.let_pass(99.999)
    assert await phases(center, "j1.1") == [Phase.RUNNING]
    world.let_pass(0.001)
    ended = await seen(center, "j1.1")
    assert (ended.phase, ended.failure) == (Phase.FAILED, FailureClass.TIME_LIMIT)


@pytest.mark.parametrize(
    ("outcome", "phase", "exit_code"),
    [
        ("USER_CODE", Phase.FAILED, 1),
        ("OUT_OF_MEMORY", Phase.FAILED, 137),
        ("NODE", Phase.FAILED, None),
        ("PREEMPTED", Phase.PREEMPTED, None),
    ],
)
async def test_a_label_sets_the_outcome(
    world: World, run: Run, outcome: str, phase: Phase, exit_code: int | None
) -> None:
    center = world.open()
    await center.submit(run(outcome=outcome))
    world.let_pass(10)
    ended = await seen(center, "j1.1")
    assert (ended.phase, ended.failure, ended.exit_code) == (phase, outcome, exit_code)


async def test_an_outcome_may_concern_one_attempt(world: World, run: Run) -> None:
    center = world.open()
    await center.submit(run(attempt=1, outcome="NODE@1"))
    await center.submit(run(attempt=2, outcome="NODE@1"))
    world.let_pass(10)
    assert await phases(center, "j1.1", "j1.2") == [Phase.FAILED, Phase.SUCCEEDED]


async def test_a_lost_run_leaves_no_trace(world: World, run: Run) -> None:
    center = world.open()
    await center.submit(run(outcome="LOST"))
    assert await phases(center, "j1.1") == [Phase.RUNNING]
    world.let_pass(10)
    assert await center.find(refs("j1.1")) == {}
    assert await center.usage(refs("j1.1")) == {}
    with pytest.raises(Rejected):
        await center.logs(ref("j1.1"), 0, 100)


async def test_refusals_say_why(world: World, run: Run) -> None:
    center = world.open(units=16, failure_rates={})
    for request, reason in [
        (run(units=9), "TOO_LARGE"),
        (run(nodes=3), "TOO_LARGE"),
        (run(units=0), "INVALID_REQUEST"),
        (run(outcome="BAD"), "INVALID_LABEL"),
        (run(runtime_s=-1), "INVALID_LABEL"),
        (run(outcome="REJECTED_BY_CENTER"), "SIMULATED_REJECTION"),
    ]:
        with pytest.raises(Rejected) as caught:
            await center.submit(request)
        assert caught.value.reason == reason
    assert (await center.list_active()).observations == ()


async def test_usage_is_of_the_stretch_on_the_nodes(world: World, run: Run) -> None:
    center = world.open(units=8, usage_delay_s=5)
    await center.submit(run("j1"))
    await center.submit(run("j2"))
    await center.cancel(ref("j2.1"))  # never started
    world.let_pass(10)
    assert await center.usage(refs("j1.1")) == {}
    world.let_pass(5)
    metered = await center.usage(refs("j1.1", "j2.1", "j9.1"))
    (segment,) = metered["j1.1"]
    assert (segment.end_ms - segment.start_ms, segment.units) == (10_000, 8)
    assert segment.source == "simulated"
    assert len(segment.raw_sha256) == len(hashlib.sha256().hexdigest())
    assert metered["j2.1"] == ()
    assert "j9.1" not in metered


async def test_a_running_run_is_cancelled_after_a_while(world: World, run: Run) -> None:
    center = world.open(units=8, cancel_delay_s=4)
    await center.submit(run("j1"))
    await center.submit(run("j2"))
    world.let_pass(1)
    await center.cancel(ref("j1.1"))
    world.let_pass(1)
    await center.cancel(ref("j1.1"))  # asked again: the first wish counts
    assert await phases(center, "j1.1", "j2.1") == [Phase.RUNNING, Phase.WAITING]
    world.let_pass(3)
    assert await phases(center, "j1.1", "j2.1") == [Phase.CANCELLED, Phase.RUNNING]
    (segment,) = (await center.usage(refs("j1.1")))["j1.1"]
    assert segment.end_ms - segment.start_ms == 5000


async def test_a_run_that_ends_before_its_cancellation_is_not_cancelled(
    world: World, run: Run
) -> None:
    center = world.open(cancel_delay_s=20)
    await center.submit(run(runtime_s=10))
    await center.cancel(ref("j1.1"))
    world.let_pass(30)
    assert await phases(center, "j1.1") == [Phase.SUCCEEDED]


async def test_runs_go_on_during_an_outage(world: World, run: Run) -> None:
    center = world.open(outages=[[5, 20]])
    await center.submit(run())
    world.let_pass(5)
    assert not (await center.health()).ok
    for call in (center.find(refs("j1.1")), center.list_active(), center.cancel(ref("j1.1"))):
        with pytest.raises(Unavailable):
            await call
    with pytest.raises(Unavailable):
        await center.submit(run("j2"))
    world.let_pass(15)
    assert (await center.health()).ok
    ended = await seen(center, "j1.1")
    assert (ended.phase, ended.end_ms) == (Phase.SUCCEEDED, world.now_ms - 10_000)
    assert await center.find(refs("j2.1")) == {}


async def test_what_is_held_and_what_waits_is_told(world: World, run: Run) -> None:
    center = world.open(units=16)
    await center.submit(run("j1", units=8, runtime_s=10))
    await center.submit(run("j2", units=8, nodes=2, runtime_s=10))
    (told,) = (await center.describe()).flavors
    assert (told.units, told.used_units, told.waiting_runs) == (16, 8, 1)
    world.let_pass(1000)
    (told,) = (await center.describe()).flavors
    assert (told.units, told.used_units, told.waiting_runs) == (16, 0, 0)


async def test_an_outage_can_be_switched(world: World) -> None:
    center = world.open()
    center.set_outage(True)
    with pytest.raises(Unavailable):
        await center.describe()
    center.set_outage(False)
    assert (await center.describe()).simulated


async def test_too_many_calls_are_throttled_until_time_passes(world: World) -> None:
    center = world.open(throttle_calls_per_s=2)
    await center.describe()
    await center.describe()
    with pytest.raises(Throttled) as caught:
        await center.describe()
    assert caught.value.retry_after_s == pytest.approx(0.5)
    world.let_pass(0.5)
    await center.describe()


async def test_a_lost_answer_was_taken_and_a_lost_call_was_not(world: World, run: Run) -> None:
    center = world.open()
    center.lose_next(taken=True)
    center.lose_next(taken=False)
    with pytest.raises(OutcomeUnknown):
        await center.submit(run("j1"))
    with pytest.raises(OutcomeUnknown):
        await center.submit(run("j2"))
    assert set(await center.find(refs("j1.1", "j2.1"))) == {"j1.1"}
    first = await center.submit(run("j1"))
    await center.submit(run("j2"))
    assert await center.submit(run("j1")) == first
    assert len((await center.list_active()).observations) == 2


async def test_many_active_runs_come_in_pages(world: World, run: Run) -> None:
    center = world.open(units=8)
    for job in range(2300):
        await center.submit(run(f"j{job}", units=8, runtime_s=1))
    first = await center.list_active()
    world.let_pass(5)  # the first five end in between
    second = await center.list_active(first.next_token)
    third = await center.list_active(second.next_token)
    assert [len(page.observations) for page in (first, second, third)] == [1000, 1000, 300]
    assert third.next_token == ""
    names = [one.run_id for page in (first, second, third) for one in page.observations]
    assert names == [f"j{job}.1" for job in range(2300)]


async def test_logs_grow_and_say_that_they_are_simulated(world: World, run: Run) -> None:
    center = world.open()
    await center.submit(run())
    early = await center.logs(ref("j1.1"), 0, 10_000)
    assert early.data.startswith(b"[simulated]")
    assert not early.end
    world.let_pass(10)
    late = await center.logs(ref("j1.1"), early.next_offset, 10_000)
    assert b"SUCCEEDED" in late.data
    assert late.end


async def test_a_submission_wakes_who_waits(world: World, run: Run) -> None:
    center = world.open()
    waiting = asyncio.ensure_future(center.wait_for_change(3600))
    await asyncio.sleep(0)
    await center.submit(run())
    assert await waiting
    assert await center.wait_for_change(3600)  # it starts


async def test_waiting_ends_without_news(world: World) -> None:
    assert not await world.open().wait_for_change(0)


async def test_waiting_sees_what_became_due(world: World, run: Run) -> None:
    center = world.open()
    await center.submit(run())
    await center.list_active()
    world.let_pass(10)
    assert await center.wait_for_change(3600)


async def outcomes(center: SimulatedCenter, requests: list[RunRequest]) -> dict[str, object]:
    """What becomes of the calls and the runs."""
    story: dict[str, object] = {}
    for request in requests:
        try:
            await center.submit(request)
        except (OutcomeUnknown, Unavailable, Rejected) as error:
            story[request.name] = type(error).__name__
    return story


async def test_draws_depend_on_seed_and_name_not_on_order(world: World, run: Run) -> None:
    settings = {
        "failure_rates": {"NODE": 0.3, "USER_CODE": 0.2, "REJECTED_BY_CENTER": 0.1},
        "runtime_spread": 0.5,
        "lost_answer_rate": 0.2,
        "lost_call_rate": 0.2,
        "unavailable_rate": 0.2,
    }
    requests = [run(f"j{i}", units=1, runtime_s=None) for i in range(60)]
    stories = []
    for seed, order in [(7, requests), (7, requests[::-1]), (8, requests)]:
        center = world.open(units=64, seed=seed, **settings)
        began_ms = world.now_ms
        calls = await outcomes(center, order)
        world.let_pass(1000)
        found = await center.find([one.ref for one in requests])
        ends = {
            key: (one.phase, one.failure, (one.end_ms or 0) - began_ms)
            for key, one in found.items()
        }
        stories.append((calls, ends))
    assert stories[0] == stories[1]
    assert stories[0] != stories[2]
    assert set(stories[0][0].values()) == {"OutcomeUnknown", "Unavailable", "Rejected"}


async def test_a_call_lost_once_is_not_lost_forever(world: World, run: Run) -> None:
    center = world.open(lost_call_rate=0.5, seed=1)
    for _ in range(64):
        try:
            await center.submit(run())
        except OutcomeUnknown:
            continue
        break
    assert set(await center.find(refs("j1.1"))) == {"j1.1"}


async def test_a_told_program_saves_its_work_and_exits(world: World, run: Run) -> None:
    center = world.open()
    await center.submit(with_checkpoint(run("j1", runtime_s=50), 4))
    world.let_pass(5)
    await center.notify(ref("j1.1"), 30)
    world.let_pass(2)
    await center.notify(ref("j1.1"), 30)  # told again: the first notice counts
    world.let_pass(20)
    ended = await seen(center, "j1.1")
    assert (ended.phase, ended.failure, ended.exit_code) == (
        Phase.FAILED,
        FailureClass.USER_CODE,
        75,
    )
    assert (ended.end_ms or 0) - (ended.start_ms or 0) == 9_000
    log = (await center.logs(ref("j1.1"), 0, 4096)).data.decode()
    assert "told: 30 s left" in log
    assert "checkpoint saved" in log


@pytest.mark.parametrize(("checkpoint_s", "runtime_s"), [(None, 50), (40, 50), (10, 8)])
async def test_a_notice_ends_nothing_that_does_not_save_in_time(
    world: World, run: Run, checkpoint_s: int | None, runtime_s: int
) -> None:
    center = world.open()
    request = run("j1", runtime_s=runtime_s)
    await center.submit(with_checkpoint(request, checkpoint_s) if checkpoint_s else request)
    world.let_pass(1)
    await center.notify(ref("j1.1"), 30)
    world.let_pass(60)
    assert (await seen(center, "j1.1")).phase is Phase.SUCCEEDED


async def test_a_waiting_run_is_told_nothing(world: World, run: Run) -> None:
    center = world.open(start_delay_s=5)
    await center.submit(with_checkpoint(run("j1", runtime_s=10), 1))
    await center.notify(ref("j1.1"), 30)
    world.let_pass(60)
    assert (await seen(center, "j1.1")).phase is Phase.SUCCEEDED


async def test_a_notice_outlives_the_process(world: World, run: Run, journal: Path) -> None:
    first = world.open(journal=str(journal))
    await first.submit(with_checkpoint(run("j1", runtime_s=50), 4))
    world.let_pass(1)
    await first.notify(ref("j1.1"), 30)
    second = world.open(journal=str(journal))
    world.let_pass(60)
    assert (await seen(second, "j1.1")).exit_code == 75
    assert [e["grace_s"] for e in read_events(journal) if e["event"] == "notice"] == [30]


def with_checkpoint(request: RunRequest, seconds: int) -> RunRequest:
    """A run whose program saves its work and exits so long after it was told."""
    return replace(request, labels={**request.labels, CHECKPOINT_LABEL: str(seconds)})
