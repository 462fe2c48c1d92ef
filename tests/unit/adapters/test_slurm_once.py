"""A run is one native job, whatever answers, acknowledgements or records Slurm loses."""

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.contract import FailureClass, Phase, RunRef
from adapters.errors import OutcomeUnknown, Rejected, Unavailable
from adapters.slurm.center import SlurmCenter
from tests.unit.adapters.slurm_fake import (
    FakeSlurm,
    Job,
    make_center,
    make_request,
    make_settings,
)

AGAIN = make_request(fresh=False)


@pytest.fixture
def fake() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def center(fake: FakeSlurm, tmp_path: Path) -> SlurmCenter:
    return make_center(fake, make_settings(tmp_path))


def known(request_job: Job, run_id: str = "j1.1") -> RunRef:
    """The run as a scheduler knows it that kept the answer."""
    name = f"corridor-{run_id}"
    return RunRef(run_id, name, str(request_job.job_id), request_job.submit_s * 1000)


async def test_a_fresh_run_is_sent_at_once_and_once(fake: FakeSlurm, center: SlurmCenter) -> None:
    first = await center.submit(make_request())
    assert await center.submit(make_request()) == first
    assert await center.submit(AGAIN) == first
    assert len(fake.jobs) == 1
    assert fake.calls["slurmdb/v0.0.38/jobs"] == 0
    assert "dependency" not in fake.bodies[0]["job"]


async def test_a_lost_answer_is_looked_up_although_accounting_lags(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    fake.lose_answers = 1
    with pytest.raises(OutcomeUnknown):
        await center.submit(make_request())
    answer = await center.submit(AGAIN)  # before accounting knows
    assert len(fake.jobs) == 1
    assert answer.native_id == str(fake.jobs[0].job_id)


async def test_what_was_never_taken_is_sent_after_accounting_had_its_time(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    began_s = fake.now_s
    await center.submit(AGAIN)
    assert fake.now_s - began_s >= 6.0
    assert len(fake.jobs) == 1
    assert fake.bodies[0]["job"]["dependency"] == "singleton", "two never run at once"


async def test_one_long_known_to_be_absent_is_sent_without_a_pause(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    assert not await center.find([AGAIN.ref])
    await fake.pause(20.0)
    began_s = fake.now_s
    await center.submit(AGAIN)
    assert fake.now_s == began_s


async def test_trouble_takes_back_nothing_that_was_known_to_be_absent(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    assert not await center.find([AGAIN.ref])
    await fake.pause(20.0)
    assert not await center.find([AGAIN.ref])
    fake.accounting_up = False
    with pytest.raises(Unavailable):
        await center.find([AGAIN.ref])
    fake.accounting_up = True
    began_s = fake.now_s
    await center.submit(AGAIN)
    assert fake.now_s == began_s
    assert len(fake.jobs) == 1


async def test_what_was_sent_long_ago_is_absent_at_the_first_look(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    """Accounting has been well since before that time, and would have been told."""
    await center.describe()
    await fake.pause(20.0)
    began_s = fake.now_s
    await center.submit(AGAIN)
    assert fake.now_s == began_s


async def test_what_was_sent_just_now_is_not_known_to_be_absent(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    await center.describe()
    await fake.pause(20.0)
    fake.lose_answers = 1
    with pytest.raises(OutcomeUnknown):
        await center.submit(make_request())
    await center.submit(AGAIN)
    assert len(fake.jobs) == 1


async def test_a_call_that_never_left_needs_no_look_up(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    await center.health()
    await center.describe()
    fake.drop_calls = 1
    with pytest.raises(Unavailable):
        await center.submit(make_request())
    began_s = fake.now_s
    await center.submit(AGAIN)
    assert fake.now_s == began_s
    assert len(fake.jobs) == 1


async def test_after_a_lost_answer_even_a_refused_call_is_looked_up(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    fake.lose_answers = 1
    with pytest.raises(OutcomeUnknown):
        await center.submit(make_request())
    fake.drop_calls = 1
    with pytest.raises(Unavailable):
        await center.submit(AGAIN)
    await fake.pause(10.0)
    await center.submit(AGAIN)
    assert len(fake.jobs) == 1


async def test_another_adapter_adopts_what_the_one_before_sent(
    fake: FakeSlurm, center: SlurmCenter, tmp_path: Path
) -> None:
    first = await center.submit(make_request())
    await fake.pause(6.0)
    other = make_center(fake, make_settings(tmp_path))
    assert await other.submit(AGAIN) == first
    fake.run(fake.jobs[0])
    fake.end(fake.jobs[0])
    fake.jobs[0].purged = True
    last = make_center(fake, make_settings(tmp_path))
    assert await last.submit(AGAIN) == first
    assert len(fake.jobs) == 1


async def test_nothing_is_absent_while_one_of_both_is_silent(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    await center.describe()
    fake.accounting_up = False
    with pytest.raises(Unavailable):
        await center.find([AGAIN.ref])
    fake.accounting_up = True
    with pytest.raises(Unavailable, match="only"):
        await center.find([AGAIN.ref])
    await fake.pause(10.0)
    assert not await center.find([AGAIN.ref])
    fake.controller_up = False
    with pytest.raises(Unavailable):
        await center.find([AGAIN.ref])
    fake.controller_up, fake.accounting_queue = True, 5_000
    with pytest.raises(Unavailable, match="lags"):
        await center.find([make_request(2).ref])


async def test_an_outage_of_accounting_begins_the_wait_anew(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    assert not await center.find([AGAIN.ref])
    await fake.pause(20.0)
    fake.accounting_up = False
    with pytest.raises(Unavailable):
        await center.submit(AGAIN)
    fake.accounting_up = True
    with pytest.raises(Unavailable):
        await center.submit(AGAIN)
    assert not fake.jobs


@pytest.mark.parametrize("before", [True, False], ids=["before our start", "since our start"])
async def test_a_burst_of_submissions_makes_accounting_late(
    fake: FakeSlurm, center: SlurmCenter, before: bool
) -> None:
    """It is told of a thousand jobs each five seconds."""
    if before:
        fake.pending = 10_000
    await center.describe()
    fake.lose_answers = 1
    with pytest.raises(OutcomeUnknown):
        await center.submit(make_request())
    if not before:
        fake.submitted = 10_000
    fake.jobs[0].told_s = fake.now_s + 50.0
    await center.submit(AGAIN)
    assert len(fake.jobs) == 1
    assert center.settle_s > 50.0


async def test_a_controller_that_stood_still_told_accounting_nothing(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    """It took a run and stood still before it told: that run is in neither's records yet."""
    assert not await center.find([AGAIN.ref])
    fake.lose_answers = 1
    with pytest.raises(OutcomeUnknown):
        await center.submit(make_request())
    fake.jobs[0].told_s = fake.now_s + 45.0
    fake.diagnosis_s = 40.0
    with pytest.raises(Unavailable):
        await center.find([AGAIN.ref])
    fake.diagnosis_s = 0.0
    with pytest.raises(Unavailable, match="only"):
        await center.find([AGAIN.ref])
    await fake.pause(10.0)
    assert AGAIN.run_id in await center.find([AGAIN.ref])
    await center.submit(AGAIN)
    assert len(fake.jobs) == 1


async def test_a_forgotten_acknowledgement_is_absent_and_sent_again(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    await center.submit(make_request())
    job = fake.jobs[0]
    fake.forget(job)
    await fake.pause(10.0)
    await center.list_active()
    for _ in range(4):  # accounting has a record of it that never ends
        await fake.pause(5.0)
        found = await center.find([known(job)])
    assert not found
    assert not (await center.list_active()).observations
    answer = await center.submit(AGAIN)
    alive = [one for one in fake.jobs if not one.forgotten]
    assert [str(one.job_id) for one in alive] == [answer.native_id]


async def test_no_job_is_ended_for_the_sake_of_a_forgotten_one(
    fake: FakeSlurm, center: SlurmCenter, tmp_path: Path
) -> None:
    """It was sent again, and the answer to that was lost too."""
    forgotten = fake.add("corridor-j1.1")
    fake.add("other")
    await fake.pause(10.0)
    forgotten.forgotten = True
    sent_again = fake.add("corridor-j1.1")
    await fake.pause(10.0)
    found = await center.find([AGAIN.ref])
    assert found["j1.1"].native_id == str(sent_again.job_id)
    assert sent_again.state == "PENDING"
    known_forgotten = await make_center(fake, make_settings(tmp_path)).find([known(forgotten)])
    assert known_forgotten["j1.1"].native_id == str(forgotten.job_id), "its end may be on its way"
    assert sent_again.state == "PENDING"


async def test_a_job_under_a_reused_id_is_another(fake: FakeSlurm, center: SlurmCenter) -> None:
    await center.submit(make_request(1))
    lost = fake.jobs[0]
    fake.forget(lost)
    lost.told_s = 1e18  # nobody ever told accounting
    await center.submit(make_request(2))
    assert fake.jobs[1].job_id == lost.job_id
    await fake.pause(2.0)
    found = await center.find([known(lost), known(fake.jobs[1], "j2.1")])
    assert found.keys() == {"j2.1"}
    await center.cancel(known(lost))
    assert fake.jobs[1].state == "PENDING", "another's job was cancelled"


async def test_a_job_forgotten_after_it_began_failed_by_the_centers_fault(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    await center.submit(make_request())
    job = fake.jobs[0]
    fake.run(job)
    await fake.pause(10.0)
    assert (await center.find([known(job)]))["j1.1"].phase is Phase.RUNNING
    fake.forget(job)
    for _ in range(4):
        await fake.pause(5.0)
        found = await center.find([known(job)])
    assert found["j1.1"].phase is Phase.FAILED
    assert found["j1.1"].failure is FailureClass.CENTER
    assert (await center.usage([known(job)]))["j1.1"] == (), "nobody knows when it ended"


async def test_an_end_on_its_way_to_accounting_is_waited_for(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    await center.submit(make_request())
    job = fake.jobs[0]
    fake.run(job)
    await fake.pause(10.0)
    job.purged = True  # it ended, and only accounting will tell
    fake.accounting_queue = 3
    for _ in range(10):
        await fake.pause(10.0)
        assert (await center.find([known(job)]))["j1.1"].phase is Phase.RUNNING
    fake.end(job, "FAILED")
    fake.accounting_queue = 0
    await fake.pause(2.0)
    seen = (await center.find([known(job)]))["j1.1"]
    assert (seen.phase, seen.failure) == (Phase.FAILED, FailureClass.USER_CODE)


async def test_others_may_use_our_names(fake: FakeSlurm, center: SlurmCenter) -> None:
    fake.add("corridor-j1.1", user="somebody")
    await fake.pause(10.0)
    assert not await center.find([AGAIN.ref])
    await center.submit(AGAIN)
    assert len(fake.jobs) == 2
    assert not [one for one in (await center.list_active()).observations if one.native_id == "1"]


@pytest.mark.parametrize("told", [True, False])
async def test_of_two_native_jobs_one_stays(
    fake: FakeSlurm, center: SlurmCenter, told: bool
) -> None:
    first = fake.add("corridor-j1.1")
    second = fake.add("corridor-j1.1")
    await fake.pause(10.0)
    run = known(second) if told else AGAIN.ref
    kept, ended = (second, first) if told else (first, second)
    assert (await center.find([run]))["j1.1"].native_id == str(kept.job_id)
    await center.list_active()
    assert (kept.state, ended.state) == ("PENDING", "CANCELLED")
    assert center.resolver.duplicates == 1


async def test_a_job_id_means_taken_whatever_stands_beside_it(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    fake.submit_errors = [{"error_code": 2101, "error": "partition down"}]
    answer = await center.submit(make_request())
    assert answer.native_id == "1"


async def test_what_waits_for_ever_is_taken_back_and_refused(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    fake.submit_errors = [{"error_code": 2015, "error": "not available"}]
    with pytest.raises(Rejected) as caught:
        await center.submit(make_request())
    assert caught.value.reason == "CANNOT_BE_SATISFIED"
    assert fake.jobs[0].state == "CANCELLED"
    assert not (await center.list_active()).observations


async def test_a_refusal_leaves_no_run(fake: FakeSlurm, center: SlurmCenter) -> None:
    """Slurm keeps a failed record of what it refused, without nodes."""
    trace = fake.add("corridor-j1.1")
    trace.state, trace.start_s, trace.end_s = "FAILED", 0, trace.submit_s
    await fake.pause(10.0)
    assert not await center.find([AGAIN.ref])
    await center.submit(AGAIN)
    assert len(fake.jobs) == 2


async def test_nothing_is_sent_after_the_right_to_send_has_ended(
    fake: FakeSlurm, center: SlurmCenter
) -> None:
    with pytest.raises(Unavailable, match="too late"):
        await center.submit(make_request(send_by_s=0.0))
    assert not fake.jobs


async def test_a_run_put_back_is_the_same_run(fake: FakeSlurm, center: SlurmCenter) -> None:
    taken = await center.submit(make_request())
    job = fake.jobs[0]
    fake.run(job)
    await fake.pause(5.0)
    first = (await center.find([known(job)]))["j1.1"]
    await fake.pause(1_000.0)
    job.state, job.restarts, job.submit_s = "PENDING", 1, int(fake.now_s)
    run = replace(AGAIN.ref, native_id=taken.native_id, submit_ms=taken.submit_ms)
    second = (await center.find([run]))["j1.1"]
    assert (second.phase, second.submit_ms) == (Phase.WAITING, taken.submit_ms)
    assert second.sequence > first.sequence
