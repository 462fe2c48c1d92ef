"""How jobs end at a ModelArts center, what of them is billed, and how many of them are followed."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.checking import Level, Topic
from adapters.contract import FailureClass, LogChunk, Phase, RunRequest
from adapters.errors import Rejected, Unavailable
from tests.centers.modelarts_bench import FLAVOR, Bench, bench, make_request, native, raises

pytestmark = pytest.mark.centers


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as one:
        yield one


def whole_node(command: str = "sleep 3600", **more: Any) -> RunRequest:
    return make_request(command, units_per_node=8, **more)


async def started(made: Bench, request: RunRequest) -> RunRequest:
    await made.adapter.submit(request)
    await made.until(request, "Running")
    return request


@pytest.mark.parametrize(
    ("command", "more", "failure", "exit_code"),
    [
        ("exit 7", {}, FailureClass.USER_CODE, 7),
        ("exit 137", {}, FailureClass.OUT_OF_MEMORY, 137),
        ("true", {"image": "corridor/x:missing"}, FailureClass.IMAGE, None),
    ],
)
async def test_a_failure_has_its_class(
    made: Bench, command: str, more: Mapping[str, Any], failure: FailureClass, exit_code: int | None
) -> None:
    request = make_request(command, **more)
    await made.adapter.submit(request)
    await made.until(request, "Failed")
    seen = await made.seen(request.ref)
    assert (seen.phase, seen.failure, seen.exit_code) == (Phase.FAILED, failure, exit_code)
    assert seen.message
    never_began = failure is FailureClass.IMAGE
    assert (await made.used(request.ref) == ()) is never_began
    assert (seen.start_ms is None) is never_began


async def test_our_own_deadline_ends_a_run(made: Bench) -> None:
    request = await started(made, whole_node(wall_limit_s=1))
    while made.adapter.counts["overdue"] == 0:
        await made.active()
    await made.until(request, "Terminated")
    seen = await made.seen(request.ref)
    assert (seen.phase, seen.failure) == (Phase.FAILED, FailureClass.TIME_LIMIT)
    assert made.calls("stop") == 1
    assert sum(one.end_ms - one.start_ms for one in await made.used(request.ref)) > 0


async def test_the_centers_own_guard_ends_a_run_while_we_are_away(tmp_path: Path) -> None:
    async with bench(tmp_path, {"hour_s": 0.5}) as made:
        request = await started(made, whole_node())
        await made.until(request, "Terminated")
        seen = await made.seen(request.ref)
        assert (seen.phase, seen.failure) == (Phase.FAILED, FailureClass.TIME_LIMIT)


async def test_a_preempted_run_is_told_as_such(made: Bench) -> None:
    request = await started(made, whole_node())
    made.ma.machine.preempt(made.ma.job(native(request)))
    await made.until(request, "Terminated")
    seen = await made.seen(request.ref)
    assert (seen.phase, seen.failure) == (Phase.PREEMPTED, FailureClass.PREEMPTED)
    assert {one.failure for one in await made.used(request.ref)} == {FailureClass.PREEMPTED}


async def test_a_run_that_its_center_preempts_and_starts_again_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path, {"preempted_job": "queued"}) as made:
        request = await started(made, whole_node("sleep 0.1; test -e ../again || sleep 3600"))
        before = await made.seen(request.ref)
        (
            made.ma.machine.log_file(made.ma.job(native(request)), "worker-0").parent / "again"
        ).touch()
        made.ma.machine.preempt(made.ma.job(native(request)))
        await made.until(request, "Completed")
        seen = await made.seen(request.ref)
        assert (seen.phase, seen.start_ms) == (Phase.SUCCEEDED, before.start_ms)
        first, second = await made.used(request.ref)
        assert (first.failure, second.failure) == (FailureClass.PREEMPTED, None)
        assert first.end_ms <= second.start_ms
        assert (first.segment, second.segment) == (1, 2)


@pytest.mark.parametrize("retries", [0, 1])
async def test_a_fault_of_a_node(tmp_path: Path, retries: int) -> None:
    """Started again by its center it is one run in two stretches; else it failed with its node."""
    async with bench(tmp_path, job_retries=retries) as made:
        request = await started(made, whole_node("sleep 0.1; test -e ../again || sleep 3600"))
        job = made.ma.job(native(request))
        (made.ma.machine.log_file(job, "worker-0").parent / "again").touch()
        made.ma.machine.set_node(job.pool, job.records[0].nodes[0], broken=True)
        await made.until(request, "Failed" if not retries else "Completed")
        seen = await made.seen(request.ref)
        segments = await made.used(request.ref)
        assert segments[0].failure is FailureClass.NODE
        if retries:
            assert (seen.phase, len(segments)) == (Phase.SUCCEEDED, 2)
            assert segments[1].failure is None
        else:
            assert (seen.phase, seen.failure) == (Phase.FAILED, FailureClass.NODE)
        assert (await made.adapter.describe()).flavors[0].units == 24  # three nodes work


async def test_an_abnormal_run_is_kept_until_it_is_seen_again(made: Bench) -> None:
    request = await started(made, whole_node())
    job = made.ma.job(native(request))
    made.ma.machine.lose(job)
    for seen in (await made.seen(request.ref), (await made.active())[request.run_id]):
        assert (seen.phase, seen.failure) == (Phase.RUNNING, None)
        assert seen.message == "the center calls it abnormal (Lost)"
    assert not await made.adapter.usage([request.ref])
    made.ma.machine.recover(job)
    assert (await made.seen(request.ref)).message == ""
    made.ma.machine.lose(job)
    await made.adapter.cancel(request.ref)
    await made.until(request, "Terminated")
    assert (await made.seen(request.ref)).phase is Phase.CANCELLED


async def test_a_run_cancelled_in_the_queue_used_nothing(made: Bench) -> None:
    blockers = [await started(made, whole_node()) for _ in range(4)]
    waiting = whole_node()
    await made.adapter.submit(waiting)
    await made.active()
    seen = (await made.active())[waiting.run_id]
    assert (seen.phase, seen.queue_position) == (Phase.WAITING, 1)
    flavor = (await made.adapter.describe()).flavors[0]
    assert (flavor.units, flavor.used_units, flavor.waiting_runs) == (32, 32, 1)
    await made.adapter.cancel(waiting.ref)
    await made.until(waiting, "Terminated")
    assert (await made.seen(waiting.ref)).phase is Phase.CANCELLED
    assert await made.used(waiting.ref) == ()
    for one in blockers:
        assert (await made.seen(one.ref)).phase is Phase.RUNNING


@pytest.mark.parametrize("mode", ["record", "page"])
async def test_many_runs_are_followed_however_offsets_are_counted(
    tmp_path: Path, mode: str
) -> None:
    async with bench(tmp_path, {"offset_mode": mode}) as made:
        requests = [whole_node() for _ in range(120)]
        for one in requests:
            await made.adapter.submit(replace(one, fresh=True))
        await made.until(requests[3], "Running")
        seen = await made.active()
        assert set(seen) == {one.run_id for one in requests}
        assert sum(one.phase is Phase.RUNNING for one in seen.values()) == 4
        assert made.calls("search") == 3 + 2  # pages, and once the two that tell how to count
        found = await made.adapter.find([one.ref for one in requests])
        assert {one.native_id for one in found.values()} == {one.native_id for one in seen.values()}
        assert made.calls("search") == 5 + 3  # forty names a call
        assert made.calls("show") == 0
        places = [one.queue_position for one in (await made.active()).values()]
        assert sorted(one for one in places if one is not None) == list(range(1, 117))


async def test_runs_that_left_the_sweep_are_shown_once(made: Bench) -> None:
    request = make_request("echo done")
    await made.adapter.submit(request)
    await made.until(request, "Completed")
    await made.active()
    shows = made.calls("show")
    for _ in range(3):
        await made.seen(request.ref)
        await made.used(request.ref)
    assert made.calls("show") == shows + 1
    await made.adapter.acknowledge([request.run_id])
    await made.used(request.ref)
    assert made.calls("show") > shows + 1  # let go of, it is asked for anew


@pytest.mark.parametrize("absent", [frozenset[str](), frozenset({"log-lines"})])
async def test_a_long_log_is_read_from_its_beginning_or_its_last_part(
    tmp_path: Path, absent: frozenset[str]
) -> None:
    async with bench(tmp_path, {"absent": absent}) as made:
        request = make_request("for i in 1 2 3 4 5 6; do head -c 999999 /dev/zero | tr '\\0' $i"
                               " | fold -w 4999; done")  # fmt: skip
        await made.adapter.submit(request)
        job = await made.until(request, "Completed")
        whole = made.ma.machine.log_file(job, "worker-0").read_bytes()
        assert len(whole) > 6_000_000
        pieces: list[LogChunk] = []
        while not pieces or not pieces[-1].end:
            offset = pieces[-1].next_offset if pieces else 0
            pieces.append(await made.adapter.logs(request.ref, offset, 1 << 20))
        assert b"".join(one.data for one in pieces) == whole[pieces[0].offset :]
        if absent:
            assert pieces[0].offset == len(whole) - 5 * (1 << 20)
        else:
            assert pieces[0].offset == 0


async def test_strangers_are_left_alone_and_counted(made: Bench) -> None:
    body = {
        "kind": "job",
        "metadata": {"name": "somebody-elses", "workspace_id": "0"},
        "algorithm": {"command": "sleep 3600", "engine": {"image_url": "a/b:1"}},
        "spec": {"resource": {"flavor_id": "modelarts.pool.visual.xlarge", "node_count": 1}},
    }
    await made.adapter.client.create(body)
    assert await made.active() == {}
    assert made.adapter.counts["strangers"] == 1
    assert made.calls("stop") == 0


async def test_an_older_center_that_lacks_calls_is_used_without_them(tmp_path: Path) -> None:
    absent = frozenset({"names", "workloads", "log-lines", "quotas", "stages", "tags"})
    async with bench(tmp_path, {"absent": absent, "available_shape": "object"}) as made:
        flavor = (await made.adapter.describe()).flavors[0]
        assert (flavor.units, flavor.used_units, flavor.waiting_runs) == (32, None, None)
        assert "absent: training-job-names, workloads" in (await made.adapter.health()).detail
        request = make_request("echo done")
        await made.adapter.submit(request)
        await made.until(request, "Completed")
        assert (await made.seen(request.ref)).phase is Phase.SUCCEEDED
        with raises(Rejected):
            await made.adapter.logs(make_request("true").ref, 0, 10)


async def told(made: Bench) -> set[tuple[Level, Topic, str]]:
    return {(one.level, one.topic, one.what) for one in await made.adapter.check()}


async def test_a_check_tells_what_the_first_day_asks_for(made: Bench) -> None:
    assert await told(made) == {
        (Level.NOTE, Topic.API, "with fewer than three jobs it cannot be told how offset counts"),
        (Level.OK, Topic.FLAVOR, f"{FLAVOR}: pool runs, 4 nodes work"),
        (Level.OK, Topic.LIMIT, "0 of our user's 500 jobs"),
        (Level.OK, Topic.CLOCK, "our clock and the center's agree"),
        (Level.NOTE, Topic.CAPABILITY, "programs are ended without notice: no call reaches one"),
    }
    for _ in range(3):
        await made.adapter.submit(make_request("sleep 3600"))
    made.skew_ms = 600_000
    found = await told(made)
    assert (Level.OK, Topic.API, "offset of a search counts by record") in found
    assert (Level.OK, Topic.LIMIT, "3 of our user's 500 jobs") in found
    assert any(level is Level.WARNING and topic is Topic.CLOCK for level, topic, _ in found)
    assert len(made.ma.all_jobs()) == 3


async def test_a_check_tells_what_is_wrong(tmp_path: Path) -> None:
    absent = frozenset({"names", "quotas"})
    async with bench(tmp_path, {"absent": absent}) as made:
        pool = {"pool_id": "no-such-pool", "units": 8, "units_per_node": 8,
                "flavor_ids": {8: "no-such-flavor"}}  # fmt: skip
        made.open(pools={FLAVOR: pool})
        found = await told(made)
        for level, topic, words in (
            (Level.ERROR, Topic.FLAVOR, "no-such-pool"),
            (Level.WARNING, Topic.FLAVOR, "no-such-flavor"),
            (Level.NOTE, Topic.CAPABILITY, "it has no training-job-names"),
        ):
            assert any(one[:2] == (level, topic) and words in one[2] for one in found)


async def test_staleness_grows_while_sweeps_fail(made: Bench) -> None:
    await made.active()
    made.skew_ms += 20_000  # twenty seconds later
    made.fault("search", "drop", times=0)
    with raises(Unavailable):
        await made.active()
    assert made.adapter.stale_s >= 20
    made.ma.faults.clear()
    await made.active()
    assert made.adapter.stale_s < 20
