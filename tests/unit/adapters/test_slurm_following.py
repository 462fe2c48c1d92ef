"""Runs are followed by level, at a bounded rate of calls, however many there are."""

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.contract import FailureClass, Phase, RunRef
from adapters.errors import Rejected, Unavailable
from adapters.slurm.center import SlurmCenter
from tests.unit.adapters.slurm_fake import (
    START_S,
    FakeSlurm,
    make_center,
    make_request,
    make_settings,
)


@pytest.fixture
def fake() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def center(fake: FakeSlurm, tmp_path: Path) -> SlurmCenter:
    logs = {"directory": str(tmp_path)}
    return make_center(fake, make_settings(tmp_path, polls_per_s=5, logs=logs))


async def active(center: SlurmCenter) -> dict[str, Phase]:
    found: dict[str, Phase] = {}
    token = ""
    while True:
        page = await center.list_active(token)
        assert not found.keys() & {one.run_id for one in page.observations}
        found |= {one.run_id: one.phase for one in page.observations}
        token = page.next_token
        if not token:
            return found


async def test_many_runs_cost_few_calls_and_no_change_is_late(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    count = 1_200
    for number in range(count):
        fake.run(fake.add(f"corridor-j{number}.1"))
    await fake.pause(10.0)
    assert len(await active(center)) == count  # an inventory, as after a start
    for job in fake.jobs[: count // 2]:
        job.start_s -= 5_000  # long ago
    began_s, before = fake.now_s, sum(fake.calls.values())
    ended = fake.jobs[count // 2]
    fake.end(ended, "FAILED", 768)
    for _ in range(30):
        await fake.pause(2.0)
        listed = await active(center)
    assert len(listed) == count - 1
    seen = (await center.find([make_request(count // 2).ref]))[f"j{count // 2}.1"]
    assert (seen.phase, seen.exit_code) == (Phase.FAILED, 3)
    calls_per_s = (sum(fake.calls.values()) - before) / (fake.now_s - began_s)
    assert calls_per_s <= 5 + 2, "polls, and two small answers of accounting at each look"


async def test_ends_and_starts_are_heard_of_within_a_look(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    for number in range(400):
        await center.submit(make_request(number))
    await fake.pause(60.0)
    await active(center)
    fake.run(fake.jobs[399])
    fake.run(fake.jobs[398])
    await fake.pause(3.0)
    found = await active(center)
    assert found["j399.1"] is found["j398.1"] is Phase.RUNNING
    fake.end(fake.jobs[399])
    fake.jobs[398].purged = True
    fake.end(fake.jobs[398], "TIMEOUT")
    await fake.pause(3.0)
    found = await active(center)
    assert {"j399.1", "j398.1"}.isdisjoint(found)
    runs = [make_request(number).ref for number in (398, 399)]
    ends = await center.find(runs)
    assert ends["j399.1"].exit_code == 0
    assert ends["j398.1"].failure is FailureClass.TIME_LIMIT
    before = fake.calls["slurmdb/v0.0.38/jobs"]
    assert (await center.usage(runs)).keys() == {"j398.1", "j399.1"}
    assert fake.calls["slurmdb/v0.0.38/jobs"] == before, "the look had told of their use"
    await center.acknowledge(["j398.1", "j399.1", "j1.1", "unknown"])
    assert "j399.1" not in center.table.runs
    assert "j1.1" in center.table.runs


async def test_runs_with_our_mark_that_nobody_knows_are_listed(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    fake.add("corridor-j5.1")
    fake.add("corridor-j6.1", user="somebody")
    fake.add("other")
    gone = fake.add("corridor-j7.1")
    await fake.pause(10.0)
    fake.forget(gone)
    assert await active(center) == {"j5.1": Phase.WAITING}


@pytest.mark.parametrize("kept", [True, False], ids=["end is known", "end was let go of"])
async def test_a_job_that_goes_on_after_its_end_was_told_is_ended_or_listed(
    fake: FakeSlurm, center: SlurmCenter, kept: bool
) -> None:
    """A controller that is killed forgets a cancellation too."""
    run = make_request()
    await center.submit(run)
    await active(center)
    await center.cancel(run.ref)
    await fake.pause(5.0)
    assert not await active(center)
    if not kept:
        await center.acknowledge([run.run_id])
    await fake.pause(5.0)
    fake.jobs[0].state, fake.jobs[0].end_s = "RUNNING", 0
    fake.run(fake.jobs[0])
    await center.submit(make_request(2))
    await fake.pause(5.0)
    listed = await active(center)
    assert (run.run_id in listed) is not kept
    assert fake.jobs[0].state == ("CANCELLED" if kept else "RUNNING")


@pytest.mark.parametrize("state", ["RUNNING", "PENDING"])
@pytest.mark.parametrize("served", ["by the same adapter", "by another"])
async def test_a_controller_that_forgot_an_end_is_not_believed(
    fake: FakeSlurm, center: SlurmCenter, tmp_path: Path, state: str, served: str
) -> None:
    """It was killed, and its file says what was before; accounting was told of the end."""
    run = make_request()
    accepted = await center.submit(run)
    job = fake.jobs[0]
    fake.run(job)
    await fake.pause(20.0)
    assert await active(center) == {run.run_id: Phase.RUNNING}
    fake.end(job)
    fake.rise(job, state)
    if served == "by another":
        center = make_center(fake, make_settings(tmp_path))
    known = replace(run.ref, native_id=accepted.native_id, submit_ms=accepted.submit_ms)
    await center.find([known])
    await fake.pause(10.0)
    assert await active(center) == {}
    seen = (await center.find([known]))[run.run_id]
    assert (seen.phase, seen.end_ms) == (Phase.SUCCEEDED, (START_S + 20) * 1000)
    [use] = (await center.usage([known]))[run.run_id]
    assert use.end_ms - use.start_ms == 20_000
    assert fake.signaled == [], "Slurm would say to the next who asks that it was cancelled"
    await center.acknowledge([run.run_id])
    assert fake.signaled == [job.job_id], "nobody waits for it any more"


async def test_an_end_is_believed_although_nothing_can_be_said_of_others(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    """Slurm would lose the first run at last, and say so of it from then on."""
    risen, gone = make_request(1), make_request(2)
    accepted = await center.submit(risen)
    await center.submit(gone)
    fake.run(fake.jobs[0])
    await fake.pause(20.0)
    await active(center)
    fake.end(fake.jobs[0])
    fake.forget(fake.jobs[1])
    fake.jobs[1].told_s = 1e10
    fake.rise(fake.jobs[0], "RUNNING")
    fake.accounting_queue = 200
    await fake.pause(10.0)
    await active(center)
    with pytest.raises(Unavailable):
        await center.find([gone.ref])
    known = replace(risen.ref, native_id=accepted.native_id)
    assert (await center.find([known]))[risen.run_id].phase is Phase.SUCCEEDED


async def ended_without_start(
    fake: FakeSlurm, center: SlurmCenter, start_told_s: float, state: str = "COMPLETED"
) -> RunRef:
    """A run of 20 s of whose end accounting hears before its start."""
    run = make_request()
    accepted = await center.submit(run)
    job = fake.jobs[0]
    fake.run(job)
    job.start_told_s = fake.now_s + start_told_s
    await fake.pause(20.0)
    fake.end(job, state)
    await fake.pause(2.0)
    known = replace(run.ref, native_id=accepted.native_id, submit_ms=accepted.submit_ms)
    phase = (await center.find([known]))[run.run_id].phase
    assert phase is (Phase.SUCCEEDED if state == "COMPLETED" else Phase.CANCELLED)
    return known


@pytest.mark.parametrize("state", ["COMPLETED", "CANCELLED"])
async def test_an_end_that_overtook_its_start_is_not_metered_yet(
    fake: FakeSlurm, center: SlurmCenter, state: str
) -> None:
    known = await ended_without_start(fake, center, 25.0, state)
    assert known.run_id not in await center.usage([known])
    await fake.pause(4.0)
    [use] = (await center.usage([known]))[known.run_id]
    assert use.end_ms - use.start_ms == 20_000


async def test_what_was_cancelled_before_it_began_used_nothing_at_once(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    run = make_request()
    accepted = await center.submit(run)
    await fake.pause(10.0)
    known = replace(run.ref, native_id=accepted.native_id, submit_ms=accepted.submit_ms)
    await center.cancel(known)
    fake.jobs[0].start_s = fake.jobs[0].end_s  # as the controller says it
    fake.jobs[0].start_told_s = 1e10
    await fake.pause(2.0)
    assert (await center.find([known]))[run.run_id].phase is Phase.CANCELLED
    assert (await center.usage([known]))[known.run_id] == ()


async def test_a_start_that_accounting_lost_is_not_waited_for_without_end(
    fake: FakeSlurm, center: SlurmCenter, caplog: pytest.LogCaptureFixture
) -> None:
    known = await ended_without_start(fake, center, 1e10)
    assert known.run_id not in await center.usage([known])
    fake.accounting_up = False
    await fake.pause(20.0)
    with pytest.raises(Unavailable):
        await center.usage([known])
    fake.accounting_up = True
    assert known.run_id not in await center.usage([known]), "it was away: it may be told now"
    await fake.pause(20.0)
    assert (await center.usage([known]))[known.run_id] == ()
    assert "an end and no start of job 1" in caplog.text


async def test_a_start_may_be_told_by_what_waits(fake: FakeSlurm, center: SlurmCenter) -> None:
    known = await ended_without_start(fake, center, 60.0)
    await fake.pause(30.0)
    fake.accounting_queue = 1
    await active(center)
    assert known.run_id not in await center.usage([known])
    await fake.pause(30.0)
    [use] = (await center.usage([known]))[known.run_id]
    assert use.end_ms - use.start_ms == 20_000


async def test_a_record_that_accounting_lost_is_not_waited_for_without_end(
    fake: FakeSlurm, center: SlurmCenter, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_request()
    accepted = await center.submit(run)
    job = fake.jobs[0]
    job.told_s = 1e10
    fake.run(job)
    await fake.pause(20.0)
    fake.end(job)
    await fake.pause(2.0)
    known = replace(run.ref, native_id=accepted.native_id, submit_ms=accepted.submit_ms)
    assert (await center.find([known]))[run.run_id].phase is Phase.SUCCEEDED
    assert known.run_id not in await center.usage([known])
    fake.accounting_queue = 1
    await fake.pause(20.0)
    assert known.run_id not in await center.usage([known]), "it may be told by what waits"
    fake.accounting_queue = 0
    assert (await center.usage([known]))[known.run_id] == ()
    assert "no record of job 1" in caplog.text


async def test_a_job_that_was_put_back_is_no_forgotten_end(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    run = make_request()
    await center.submit(run)
    job = fake.jobs[0]
    fake.run(job)
    await fake.pause(20.0)
    await active(center)
    fake.end(job, "NODE_FAIL")
    fake.rise(job, "PENDING")
    job.restarts = 1
    await fake.pause(10.0)
    assert run.run_id in await active(center)
    assert fake.signaled == []


async def test_after_a_controllers_restart_young_runs_are_looked_at_first(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    for number in range(300):
        await center.submit(make_request(number))
    await active(center)
    await fake.pause(1.0)
    young = fake.jobs[-1]
    young.told_s = 1e18
    fake.forget(young)
    await fake.pause(1.0)
    await active(center)
    assert "j299.1" not in await active(center)


async def test_a_silent_controller_is_told_of(fake: FakeSlurm, center: SlurmCenter) -> None:
    await center.submit(make_request())
    await active(center)
    fake.controller_up = False
    with pytest.raises(Unavailable):
        await center.list_active()
    assert not (await center.health()).ok
    fake.controller_up = True
    assert await active(center)
    assert (await center.health()).ok


async def test_without_accounting_few_runs_are_followed_and_many_are_not(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    for count, slow in ((20, False), (500, True)):
        fake = FakeSlurm()
        center = make_center(fake, make_settings(tmp_path, polls_per_s=1))
        for number in range(count):
            await center.submit(make_request(number))
        await active(center)
        fake.accounting_up = False
        told = False
        for _ in range(200):
            await fake.pause(2.0)
            try:
                await active(center)
            except Unavailable:
                told = True
        assert told is slow


async def test_a_run_that_never_starts_is_given_up(fake: FakeSlurm, center: SlurmCenter) -> None:
    await center.submit(make_request())
    fake.jobs[0].reason = "DependencyNeverSatisfied"
    for _ in range(10):
        await fake.pause(5.0)
        listed = await active(center)
    assert not listed
    seen = (await center.find([make_request().ref]))["j1.1"]
    assert (seen.phase, seen.failure) == (Phase.FAILED, FailureClass.REJECTED_BY_CENTER)
    assert "DependencyNeverSatisfied" in seen.message


async def test_a_notice_goes_to_a_running_run_once(fake: FakeSlurm, center: SlurmCenter) -> None:
    run = make_request()
    await center.submit(run)
    await center.notify(run.ref, 60)  # it waits: nobody is told
    assert fake.jobs[0].state == "PENDING"
    await center.cancel(run.ref)
    assert fake.jobs[0].state == "CANCELLED"
    await fake.pause(2.0)
    await active(center)
    await center.cancel(run.ref)
    await center.cancel(make_request(9).ref)


async def test_logs_are_read_where_the_directory_is_mounted(
    fake: FakeSlurm, center: SlurmCenter, tmp_path: Path
) -> None:
    run = make_request()
    await center.submit(run)
    assert (await center.logs(run.ref, 0, 10)).data == b""
    (tmp_path / "corridor-1.out").write_bytes(b"0123456789")
    fake.run(fake.jobs[0])
    piece = await center.logs(run.ref, 2, 4)
    assert (piece.data, piece.next_offset, piece.end) == (b"2345", 6, False)
    fake.end(fake.jobs[0])
    await fake.pause(2.0)
    assert not (await center.logs(run.ref, 2, 4)).end
    assert (await center.logs(run.ref, 6, 4)).end
    assert (await center.logs(run.ref, 6, 100)).end
    await fake.pause(10.0)
    with pytest.raises(Rejected, match="knows no run"):
        await center.logs(make_request(9).ref, 0, 1)
    plain = make_center(fake, make_settings(tmp_path))
    with pytest.raises(Rejected, match="no directory"):
        await plain.logs(run.ref, 0, 1)


async def test_a_center_describes_what_it_has_now(fake: FakeSlurm, center: SlurmCenter) -> None:
    said = await center.describe()
    assert (said.kind, said.simulated) == ("slurm", False)
    assert said.api_version.startswith("v0.0.38")
    [flavor] = said.flavors
    assert (flavor.units, flavor.units_per_node, flavor.used_units) == (64, 64, 16)


async def test_it_tells_what_a_check_finds(fake: FakeSlurm, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, accounts={"wuhan": "wuhan", "ezhou": "other"})
    found = await make_center(fake, settings).check()
    errors = [one for one in found if one.level == "ERROR"]
    assert [one.what for one in errors] == ["city ezhou: account 'other' is not open to corridor"]
    assert all(one.to_do for one in found if one.level in ("ERROR", "WARNING"))
    fake.controller_up = False
    down = await make_center(fake, settings).check()
    assert any(one.level == "ERROR" for one in down)
