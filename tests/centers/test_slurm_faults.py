"""What a real Slurm does to runs, and what our adapter makes of it: one test for each fault."""

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.contract import ACTIVE_PHASES, FailureClass, Observation, Phase, RunRequest, Usage
from adapters.errors import AdapterError, Throttled, Unauthorized, Unavailable
from adapters.slurm import SlurmCenter
from tests.centers.slurm_subject import CARD, CPU, make_center, make_request, until
from tests.testbed.fault_proxy import FaultProxy
from tests.testbed.slurm_testbed import CONTROLLER, DATABASE, NODES, REST, SlurmTestbed

pytestmark = pytest.mark.centers
Open = Callable[..., SlurmCenter]

#: A flavor whose runs give way to those of the other partition on the same nodes.
LOW = "wuhan-sc/spare"


def is_running(seen: Observation) -> bool:
    return seen.phase is Phase.RUNNING


def has_ended(seen: Observation) -> bool:
    return seen.phase not in ACTIVE_PHASES


@pytest_asyncio.fixture
async def opened(slurm_testbed: SlurmTestbed) -> AsyncIterator[Open]:
    """Opens adapters that are closed at the end."""
    all_opened: list[SlurmCenter] = []

    def open_one(**changes: Any) -> SlurmCenter:
        center = make_center(slurm_testbed, **changes)
        all_opened.append(center)
        return center

    yield open_one
    for center in all_opened:
        await center.close()


async def metered(center: SlurmCenter, request: RunRequest) -> tuple[Usage, ...]:
    for _ in range(100):
        use = (await center.usage([request.ref])).get(request.run_id)
        if use is not None:
            return use
        await asyncio.sleep(0.5)
    raise AssertionError(f"use of {request.run_id} is not known")


def raw_submit(testbed: SlurmTestbed, request: RunRequest) -> int:
    """A native job under a run's name that did not come from an adapter."""
    job = {
        "name": request.name,
        "partition": "cpu",
        "account": "wuhan",
        "environment": {"PATH": "/usr/bin:/bin"},
        "current_working_directory": str(testbed.work_dir),
        "cpus_per_task": 1,
        "memory_per_node": 64,
    }
    body = json.dumps({"job": job, "script": "#!/bin/sh\nsleep 600\n"}).encode()
    headers = {**testbed.headers(), "Content-Type": "application/json"}
    call = urllib.request.Request(f"{testbed.url}/slurm/v0.0.38/job/submit", body, headers)
    with urllib.request.urlopen(call, timeout=30) as answer:
        return int(json.load(answer)["job_id"])


def wait_for_saved_state(testbed: SlurmTestbed) -> None:
    """Have the controller write its state: else it would forget cancellations of tests before."""
    file, began_s = testbed.folder / "state" / "job_state", time.time()
    testbed.run("scontrol", "reconfigure")
    for _ in range(100):
        if file.exists() and file.stat().st_mtime >= began_s:
            return
        time.sleep(0.1)
    raise AssertionError(f"{file} was not written anew")


def set_limit(testbed: SlurmTestbed, jobs_max: int) -> int:
    """Start the controller anew with so many jobs at most; gives how many they were."""
    conf = testbed.folder / "etc" / "slurm.conf"
    text = conf.read_text()
    before = re.search(r"^MaxJobCount=(\d+)$", text, re.MULTILINE)
    assert before is not None
    conf.write_text(text.replace(before.group(0), f"MaxJobCount={jobs_max}"))
    testbed.kill(CONTROLLER, 15)
    testbed.start(CONTROLLER)
    return int(before.group(1))


# --- how runs end ---------------------------------------------------------------------------------


async def test_a_requeued_run_is_one_run_of_two_segments(
    slurm_testbed: SlurmTestbed, opened: Open
) -> None:
    center = opened(requeue=True)
    request = make_request("sleep 8")
    taken = await center.submit(request)
    first = await until(center, request, is_running)
    await asyncio.to_thread(slurm_testbed.requeue, int(taken.native_id))
    again = await until(center, request, lambda seen: is_running(seen) and seen != first)
    assert again.native_id == taken.native_id
    assert again.sequence > first.sequence
    assert (again.start_ms or 0) > (first.start_ms or 0)
    ended = await until(center, request, has_ended)
    assert ended.phase is Phase.SUCCEEDED
    use = await metered(center, request)
    rows = await asyncio.to_thread(slurm_testbed.sacct, [request.name])
    assert [(one.end_ms - one.start_ms) // 1000 for one in use] == [one.elapsed_s for one in rows]
    assert [one.failure for one in use] == [FailureClass.CENTER, None]
    assert {one.submit_ms for one in use} == {taken.submit_ms}


async def test_ends_have_their_class_and_are_metered_as_sacct_says(
    slurm_testbed: SlurmTestbed, opened: Open
) -> None:
    """All at once, for the limit of time alone takes Slurm more than a minute."""
    settings = slurm_testbed.center()["settings"]
    partitions = dict(settings["partitions"])
    partitions[LOW] = {**partitions[CPU], "partition": "low"}
    center = opened(partitions=partitions)
    nowhere = opened(work_dir="/nowhere/at/all", output="/nowhere/%j.out")
    stories = {
        "code": (center, make_request("exit 3"), Phase.FAILED, FailureClass.USER_CODE, 3),
        "signal": (center, make_request("kill -6 $$"), Phase.FAILED, FailureClass.USER_CODE, 134),
        "time": (
            center,
            make_request("sleep 600", wall_limit_s=60),
            Phase.FAILED,
            FailureClass.TIME_LIMIT,
            None,
        ),
        "node": (
            center,
            make_request("sleep 600", flavor=CARD),
            Phase.FAILED,
            FailureClass.NODE,
            None,
        ),
        "preempted": (
            center,
            make_request("sleep 600", flavor=LOW, units_per_node=64),
            Phase.PREEMPTED,
            FailureClass.PREEMPTED,
            None,
        ),
        "launch": (nowhere, make_request("true"), Phase.FAILED, FailureClass.CENTER, None),
    }
    await asyncio.gather(*(one.submit(request) for one, request, *_ in stories.values()))
    for name in ("node", "preempted", "time"):
        await until(center, stories[name][1], is_running)
    await asyncio.to_thread(slurm_testbed.kill, "slurmd-gpu1")
    await center.submit(make_request("sleep 600", units_per_node=64))  # needs the spare node

    async def follow(name: str) -> None:
        one, request, phase, failure, code = stories[name]
        seen = await until(one, request, has_ended)
        assert (seen.phase, seen.failure) == (phase, failure), (name, seen)
        if code is not None:
            assert seen.exit_code == code, (name, seen)
        [use] = await metered(one, request)
        [row] = await asyncio.to_thread(slurm_testbed.sacct, [request.name])
        assert (use.end_ms - use.start_ms) // 1000 == row.elapsed_s, name
        assert use.start_ms == (row.start_s or 0) * 1000, name
        assert use.units == (row.cards if request.flavor == CARD else row.cpus), name
        cut_off = failure in (FailureClass.NODE, FailureClass.PREEMPTED, FailureClass.CENTER)
        assert use.failure == (failure if cut_off else None), name

    await asyncio.gather(*map(follow, stories))


async def test_of_two_native_jobs_of_a_name_the_known_one_stays(
    slurm_testbed: SlurmTestbed, opened: Open
) -> None:
    center = opened()
    request = make_request("sleep 600")
    taken = await center.submit(request)
    second = await asyncio.to_thread(raw_submit, slurm_testbed, request)
    for _ in range(100):
        await center.list_active()
        if center.resolver.duplicates:
            break
        await asyncio.sleep(0.3)
    assert center.resolver.duplicates == 1
    assert second != int(taken.native_id)
    for _ in range(100):
        queue = await asyncio.to_thread(slurm_testbed.queue)
        if queue[request.name] == [int(taken.native_id)]:
            break
        await asyncio.sleep(0.2)
    else:
        raise AssertionError(queue[request.name])
    found = await opened().find([request.ref])  # one who knows the name alone
    assert found[request.run_id].native_id == taken.native_id


# --- what dies ------------------------------------------------------------------------------------


async def test_a_controller_that_is_away_loses_nothing(
    slurm_testbed: SlurmTestbed, opened: Open
) -> None:
    center = opened(answer_s=10.0)
    kept = make_request("sleep 600")
    await center.submit(kept)
    await until(center, kept, is_running)
    await asyncio.sleep(0)
    await asyncio.to_thread(slurm_testbed.kill, CONTROLLER, 15)
    late = make_request("sleep 600")
    calls = (
        center.submit(late),
        center.list_active(),
        center.find([make_request("true").ref]),
        center.cancel(make_request("true").ref),
    )
    for error in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(error, Unavailable), error
    assert not (await center.health()).ok
    await asyncio.to_thread(slurm_testbed.start, CONTROLLER)
    seen = (await center.find([kept.ref]))[kept.run_id]
    assert seen.phase is Phase.RUNNING
    assert (await center.health()).ok
    await center.submit(replace(late, fresh=False))
    assert len(slurm_testbed.queue()[late.name]) == 1


async def test_without_the_database_nothing_is_said_to_be_absent(
    slurm_testbed: SlurmTestbed, opened: Open
) -> None:
    center = opened()
    here, nowhere = make_request("sleep 600"), make_request("sleep 600")
    await center.submit(here)
    await center.list_active()
    await asyncio.to_thread(slurm_testbed.kill, DATABASE, 15)
    await center.submit(make_request("sleep 600"))  # nothing needs to be looked up
    assert here.run_id in await center.find([here.ref])
    assert (await center.list_active()).observations
    with pytest.raises(Unavailable):
        await center.find([nowhere.ref])
    with pytest.raises(Unavailable):
        await center.submit(replace(nowhere, fresh=False))
    await asyncio.to_thread(slurm_testbed.start, DATABASE)
    with pytest.raises(Unavailable, match="only"):
        await center.find([nowhere.ref])  # jobs of the meantime may not have been told yet
    for _ in range(60):
        try:
            assert not await center.find([nowhere.ref])
            break
        except Unavailable:
            await asyncio.sleep(0.5)
    else:
        raise AssertionError("never sure again")


async def test_a_killed_controller_forgets_runs_which_are_then_sent_again(
    slurm_testbed: SlurmTestbed, opened: Open
) -> None:
    """It also gives their ids out again: no run is ever taken for another."""
    await asyncio.to_thread(wait_for_saved_state, slurm_testbed)
    for node in NODES:
        slurm_testbed.drain(node)
    center = opened()
    requests = [make_request("sleep 600") for _ in range(12)]
    taken = {one.run_id: await center.submit(one) for one in requests}
    await asyncio.to_thread(slurm_testbed.kill, CONTROLLER)
    await asyncio.to_thread(slurm_testbed.start, CONTROLLER)
    others = [make_request("sleep 600") for _ in range(12)]
    for other in others:
        await center.submit(other)
    refs = {one.run_id: replace(one.ref, native_id=taken[one.run_id].native_id) for one in requests}
    refs = {key: replace(ref, submit_ms=taken[key].submit_ms) for key, ref in refs.items()}
    reused = {one.native_id for one in taken.values()} & {
        str(number) for numbers in slurm_testbed.queue().values() for number in numbers
    }
    assert reused, "this Slurm gave no id out again"

    async def look() -> set[str]:
        await center.list_active()
        return set(await center.find(list(refs.values())))

    found = await look()
    for _ in range(60):
        if not found or center.table.active.keys() <= {one.run_id for one in others} | found:
            break
        await asyncio.sleep(0.5)
        found = await look()
    forgotten = [one for one in requests if one.run_id not in await look()]
    assert forgotten
    again = await asyncio.gather(*(center.submit(replace(one, fresh=False)) for one in forgotten))
    assert len({one.native_id for one in again}) == len(forgotten)
    queue = await asyncio.to_thread(slurm_testbed.queue)
    assert {name: len(ids) for name, ids in queue.items() if name.startswith("corridor-j")} == {
        one.name: 1 for one in (*requests, *others)
    }


async def test_a_killed_slurmrestd_keeps_nothing_from_working_afterwards(
    slurm_testbed: SlurmTestbed, opened: Open
) -> None:
    center = opened()
    request = make_request("sleep 600")
    await center.submit(request)
    await asyncio.to_thread(slurm_testbed.kill, REST)
    with pytest.raises(Unavailable):
        await center.list_active()
    late = make_request("sleep 600")
    with pytest.raises(Unavailable):
        await center.submit(late)
    await asyncio.to_thread(slurm_testbed.start, REST)
    assert request.run_id in await center.find([request.ref])
    await center.submit(replace(late, fresh=False))  # it certainly never left us: at once


# --- what is refused ------------------------------------------------------------------------------


async def test_a_full_slurm_throttles_and_refuses_nobody(
    slurm_testbed: SlurmTestbed, opened: Open
) -> None:
    """MaxJobCount counts finished jobs too, for as long as the controller keeps them."""
    center = opened()
    await center.submit(make_request("sleep 600"))
    before = set_limit(slurm_testbed, 1)
    try:
        request = make_request("true")
        with pytest.raises(Throttled) as caught:
            await center.submit(request)
        assert caught.value.retry_after_s > 0
    finally:
        set_limit(slurm_testbed, before)
    assert request.name not in slurm_testbed.queue()


async def test_what_can_never_run_is_taken_back(slurm_testbed: SlurmTestbed, opened: Open) -> None:
    """Slurm takes a job above its partition's limit, and keeps it for ever."""
    slurm_testbed.run("scontrol", "update", "PartitionName=cpu", "MaxTime=30")
    try:
        center = opened()
        request = make_request("true", wall_limit_s=3600)
        await center.health()
        with pytest.raises(AdapterError) as known:
            await center.submit(request)  # the limit is known before it is sent
        center._sender.partitions = {}
        with pytest.raises(AdapterError) as taken:
            await center.submit(request)
    finally:
        slurm_testbed.run("scontrol", "update", "PartitionName=cpu", "MaxTime=7-00:00:00")
    assert getattr(known.value, "reason", "") == "WALL_LIMIT"
    assert getattr(taken.value, "reason", "") == "CANNOT_BE_SATISFIED"
    assert request.name not in slurm_testbed.queue()


async def test_an_ended_token_is_never_sent(slurm_testbed: SlurmTestbed, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(slurm_testbed.token(life_s=-10))
    async with FaultProxy(slurm_testbed.url) as proxy:
        center = make_center(slurm_testbed, proxy.url, token={"file": str(token)})
        with pytest.raises(Unauthorized, match="ended"):
            await center.submit(make_request("true"))
        assert not proxy.counts["requests"]
        token.write_text(slurm_testbed.token(life_s=600))
        assert await center.submit(make_request("true"))
        await center.close()
