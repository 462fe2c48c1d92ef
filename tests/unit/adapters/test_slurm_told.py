"""What accounting lacks is believed once it was told all; what nobody told it is no end."""

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.errors import OutcomeUnknown, Unavailable
from adapters.slurm.center import SlurmCenter
from tests.unit.adapters.slurm_fake import FakeSlurm, make_center, make_request, make_settings

AGAIN = make_request(fresh=False)


@pytest.fixture
def fake() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def center(fake: FakeSlurm, tmp_path: Path) -> SlurmCenter:
    return make_center(fake, make_settings(tmp_path))


async def test_accounting_is_well_since_it_answers_not_since_it_last_did_not(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    assert not await center.find([AGAIN.ref])
    fake.accounting_up = False
    with pytest.raises(Unavailable):
        await center.find([AGAIN.ref])
    await fake.pause(20.0)
    fake.accounting_up = True
    with pytest.raises(Unavailable, match="only"):
        await center.find([AGAIN.ref])
    await fake.pause(10.0)
    assert not await center.find([AGAIN.ref])


async def test_nothing_is_absent_that_waiting_messages_may_tell_of(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    """Answers of accounting say nothing of what its controller cannot tell it yet."""
    fake.lose_answers = 1
    with pytest.raises(OutcomeUnknown):
        await center.submit(make_request())
    fake.jobs[0].told_s = fake.now_s + 60.0
    fake.accounting_queue = 1
    for _ in range(5):
        await fake.pause(10.0)
        with pytest.raises(Unavailable, match="1 messages wait"):
            await center.submit(AGAIN)
    await fake.pause(20.0)
    fake.accounting_queue = 0
    await center.submit(AGAIN)
    assert len(fake.jobs) == 1


async def test_a_controller_that_always_has_messages_is_believed_at_last(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    fake.accounting_queue = 1
    assert not await center.find([AGAIN.ref])
    await fake.pause(500.0)
    with pytest.raises(Unavailable, match="messages wait"):
        await center.find([AGAIN.ref])
    await fake.pause(101.0)
    assert not await center.find([AGAIN.ref])


@pytest.mark.parametrize("following", [True, False], ids=["followed", "asked for"])
async def test_what_never_began_has_not_ended_well_though_an_operator_closed_it(
    fake: FakeSlurm, center: SlurmCenter, following: bool
) -> None:
    """``sacctmgr show runawayjobs`` lets accounting say COMPLETED of a job that was forgotten."""
    await center.submit(make_request())
    await fake.pause(8.0)
    if following:
        await center.list_active()
    job = fake.jobs[0]
    fake.forget(job)
    job.closed = True
    await fake.pause(10.0)
    if following:
        await center.list_active()
    assert not await center.find([AGAIN.ref])
    await center.submit(AGAIN)
    assert len(fake.named(AGAIN.name)) == 2


async def test_of_a_run_that_neither_has_the_use_is_nothing_also_after_a_restart(
    fake: FakeSlurm, center: SlurmCenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The end was told and stored; then a controller was killed before accounting heard of it."""
    run = make_request()
    accepted = await center.submit(run)
    known = replace(run.ref, native_id=accepted.native_id, submit_ms=accepted.submit_ms)
    fake.jobs.clear()
    later = make_center(fake, make_settings(tmp_path))
    fake.accounting_up = False
    with pytest.raises(Unavailable):
        await later.usage([known])
    fake.accounting_up = True
    with pytest.raises(Unavailable, match="only"):
        await later.usage([known])
    await fake.pause(10.0)
    fake.accounting_queue = 1
    with pytest.raises(Unavailable, match="wait at the controller"):
        await later.usage([known])
    fake.accounting_queue = 0
    assert await later.usage([known]) == {run.run_id: ()}
    assert f"no record of job {accepted.native_id}" in caplog.text


async def test_of_a_run_that_slurm_never_took_no_use_is_stated(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    await fake.pause(60.0)
    assert await center.usage([AGAIN.ref]) == {}
