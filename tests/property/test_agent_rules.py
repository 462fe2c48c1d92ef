"""What an agent does with commands, faults and time, one rule at a time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.agent import words
from adapters.agent.core import StaleEpoch
from adapters.contract import Accepted, Phase, RunRequest
from adapters.errors import AdapterError, OutcomeUnknown, Rejected, Unavailable
from tests.property.agent_world import SETTLE_S, Near, PlainCenter, name_of, ref_of, request


@pytest.fixture
async def near(tmp_path: Path) -> AsyncIterator[Near]:
    """An agent before a center, which has looked once."""
    near = Near(tmp_path / "agent.db", PlainCenter())
    await near.follower.look()
    yield near
    await near.journal.close()


class Slow(PlainCenter):
    """A center that answers a submission when told."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.called = asyncio.Event(), asyncio.Event()
        self.calls = 0

    async def submit(self, request: RunRequest) -> Accepted:
        self.calls += 1
        self.called.set()
        await self.go.wait()
        return await super().submit(request)


async def test_accepted_before_is_accepted_alike_without_a_call(near: Near) -> None:
    first = await near.agent.submit(request("j1.1"))
    near.center.away = True
    assert await near.agent.submit(request("j1.1")) == first
    assert near.center.made == {name_of("j1.1"): 1}


async def test_the_intent_is_on_the_disk_before_the_call(tmp_path: Path) -> None:
    center = Slow()
    near = Near(tmp_path / "agent.db", center)
    call = asyncio.create_task(near.agent.submit(request("j1.1")))
    await center.called.wait()
    await near.die()
    await asyncio.gather(call, return_exceptions=True)
    near.begin()
    assert near.journal.runs["j1.1"].observation is None
    await near.journal.close()


async def test_no_call_is_made_without_a_journal(near: Near) -> None:
    near.journal._connection.close()
    with pytest.raises(Unavailable, match="cannot be written"):
        await near.agent.submit(request("j1.1"))
    assert near.center.made == {}
    near.journal._connection = near.journal._open("plain")


async def test_a_second_call_for_a_run_waits_for_the_first(tmp_path: Path) -> None:
    center = Slow()
    near = Near(tmp_path / "agent.db", center)
    first = asyncio.create_task(near.agent.submit(request("j1.1")))
    second = asyncio.create_task(near.agent.submit(request("j1.1")))
    found = asyncio.create_task(near.agent.find([ref_of("j1.1")]))
    await center.called.wait()
    first.cancel()  # its session is gone; the call is not
    center.go.set()
    answer = await second
    assert (await found)["j1.1"].native_id == answer.native_id
    assert center.calls == 1
    await near.journal.close()


async def test_a_run_that_is_being_submitted_is_not_said_to_be_absent(tmp_path: Path) -> None:
    center = Slow()
    near = Near(tmp_path / "agent.db", center)
    near.agent._busy_s = 0.01
    call = asyncio.create_task(near.agent.submit(request("j1.1")))
    await center.called.wait()
    with pytest.raises(Unavailable, match="submissions of 1 of these runs are under way"):
        await near.agent.find([ref_of("j1.1"), ref_of("j2.1")])
    center.go.set()
    await call
    assert set(await near.agent.find([ref_of("j1.1"), ref_of("j2.1")])) == {"j1.1"}
    await near.journal.close()


async def test_what_does_not_end_in_time_stays_an_intent(tmp_path: Path) -> None:
    center = Slow()
    near = Near(tmp_path / "agent.db", center)
    calls = [asyncio.create_task(near.agent.submit(request(f"j{n}.1"))) for n in (1, 2)]
    await center.called.wait()
    await near.agent.finish(0.01)
    assert [
        isinstance(one, BaseException)
        for one in await asyncio.gather(*calls, return_exceptions=True)
    ] == [True, True]
    assert all(entry.observation is None for entry in near.journal.runs.values())
    center.go.set()
    call = asyncio.create_task(near.agent.submit(request("j3.1")))
    await asyncio.sleep(0)
    await near.agent.finish(20.0)
    assert (await call).native_id
    await near.journal.close()


async def test_a_lost_answer_is_found_by_name_and_adopted(near: Near) -> None:
    near.center.losses = ["answer"]
    with pytest.raises(OutcomeUnknown):
        await near.agent.submit(request("j1.1"))
    answer = await near.agent.submit(request("j1.1", fresh=False))
    assert near.center.made == {name_of("j1.1"): 1}
    assert near.journal.runs["j1.1"].ref.native_id == answer.native_id


async def test_a_lost_call_is_made_again_only_after_the_settle_window(near: Near) -> None:
    near.center.losses = ["call"]
    with pytest.raises(OutcomeUnknown):
        await near.agent.submit(request("j1.1"))
    with pytest.raises(OutcomeUnknown, match="may still take effect"):
        await near.agent.submit(request("j1.1", fresh=False))
    near.center.now_s += SETTLE_S
    await near.agent.submit(request("j1.1", fresh=False))
    assert near.center.made == {name_of("j1.1"): 1}


async def test_a_center_that_cannot_be_asked_leaves_an_intent_unknown(near: Near) -> None:
    near.center.losses = ["answer"]
    with pytest.raises(OutcomeUnknown):
        await near.agent.submit(request("j1.1"))
    near.center.away = True
    near.center.now_s += 2 * SETTLE_S
    with pytest.raises(OutcomeUnknown, match="cannot be asked"):
        await near.agent.submit(request("j1.1", fresh=False))


async def test_an_intent_without_effect_is_dropped_after_the_settle_window(near: Near) -> None:
    near.center.losses = ["call"]
    with pytest.raises(OutcomeUnknown):
        await near.agent.submit(request("j1.1"))
    await near.follower.follow_once()
    near.center.now_s += SETTLE_S - 1
    await near.follower.follow_once()
    assert "j1.1" in near.journal.runs
    near.center.now_s += 1
    await near.follower.follow_once()
    assert near.journal.runs == {}


@pytest.mark.parametrize("error", [Rejected("never", "TOO_LARGE"), Unavailable("later")])
async def test_a_refused_call_leaves_no_intent(near: Near, error: AdapterError) -> None:
    class Refusing(PlainCenter):
        async def submit(self, request: RunRequest) -> Accepted:
            raise error

    near.agent.adapter = Refusing()
    with pytest.raises(type(error)):
        await near.agent.submit(request("j1.1"))
    assert near.journal.runs == {}


async def test_a_run_that_its_center_lost_is_gone_after_the_settle_window(near: Near) -> None:
    answer = await near.agent.submit(request("j1.1"))
    del near.center.jobs[name_of("j1.1")]
    await near.follower.follow_once()
    assert near.journal.runs["j1.1"].active
    near.center.now_s += SETTLE_S
    await near.follower.follow_once()
    assert near.journal.runs["j1.1"].gone
    assert await near.agent.find([ref_of("j1.1")]) == {}
    again = await near.agent.submit(request("j1.1", fresh=False))
    assert again.native_id != answer.native_id, "what was forgotten is sent again"
    assert near.journal.runs["j1.1"].active


async def test_a_run_seen_again_within_the_window_begins_a_new_one(near: Near) -> None:
    await near.agent.submit(request("j1.1"))
    job = near.center.jobs.pop(name_of("j1.1"))
    await near.follower.follow_once()
    near.center.jobs[name_of("j1.1")] = job
    near.center.now_s += SETTLE_S
    await near.follower.follow_once()
    del near.center.jobs[name_of("j1.1")]
    await near.follower.follow_once()
    assert near.journal.runs["j1.1"].active


async def test_what_the_journal_does_not_know_is_adopted(near: Near) -> None:
    await near.center.submit(request("j7.1"))
    await near.follower.follow_once()
    assert near.journal.runs["j7.1"].ref.name == name_of("j7.1")
    assert near.journal.runs["j7.1"].active


async def test_an_end_is_kept_with_its_use_until_the_scheduler_has_both(near: Near) -> None:
    await near.agent.submit(request("j1.1"))
    job = near.center.jobs[name_of("j1.1")]
    near.center.start(job)
    near.center.end(job, Phase.SUCCEEDED)
    await near.follower.follow_once()
    assert near.journal.runs["j1.1"].unmetered
    job.metered = True
    await near.follower.follow_once()
    assert near.journal.runs["j1.1"].usage == job.used()
    await near.agent.reconcile(words.Reconciled(("j1.1",)))
    assert near.journal.runs == {}
    assert near.center.acknowledged == {"j1.1"}


async def test_what_runs_is_not_forgotten_though_the_scheduler_be_done_with_it(near: Near) -> None:
    await near.agent.submit(request("j1.1"))
    await near.agent.reconcile(words.Reconciled(("j1.1",)))
    assert near.journal.runs["j1.1"].active
    assert near.center.acknowledged == set()


async def test_what_the_scheduler_misses_is_looked_for(near: Near) -> None:
    await near.center.submit(request("j1.1"))
    near.center.end(near.center.jobs[name_of("j1.1")], Phase.SUCCEEDED)
    await near.agent.reconcile(words.Reconciled((), (ref_of("j1.1"), ref_of("j2.1"))))
    assert set(near.journal.runs) == {"j1.1"}


async def test_a_leader_that_is_over_is_not_obeyed(near: Near) -> None:
    await near.agent.obey(4)
    near.agent.check(4)
    with pytest.raises(StaleEpoch, match="epoch 3 is over"):
        await near.agent.obey(3)
    await near.die()
    near.begin()
    with pytest.raises(StaleEpoch):
        near.agent.check(3)


async def test_a_look_at_a_center_that_is_away_changes_nothing(near: Near) -> None:
    await near.agent.submit(request("j1.1"))
    near.center.away = True
    near.center.now_s += 10 * SETTLE_S
    for _ in range(2):
        with pytest.raises(Unavailable):
            await near.follower.follow_once()
    standing = near.agent.standing()
    assert str(standing.error) == "the center is away"
    assert standing.swept_age_s == 10 * SETTLE_S
    assert near.journal.runs["j1.1"].active


async def test_a_center_that_is_back_is_told_so(near: Near) -> None:
    near.center.away = True
    with pytest.raises(Unavailable):
        await near.follower.follow_once()
    near.center.away = False
    await near.follower.follow_once()
    standing = near.agent.standing()
    assert (standing.error, standing.swept_age_s) == (None, 0.0)
