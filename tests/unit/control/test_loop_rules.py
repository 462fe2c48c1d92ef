"""The control loop over the real store, step by step: whom it hears, whom it lets nobody bar."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.contract import Accepted, RunRequest
from adapters.simulated import SimulatedCenter
from scheduler.control.inbox import Inbox
from scheduler.domain.ids import parse_run_id
from scheduler.domain.reasons import ReasonCode
from scheduler.domain.reports import Report, silent
from scheduler.placement.model import Unparked
from scheduler.store.database import StoreFailure
from scheduler.store.leader import Fenced
from tests.simulation import world as worlds
from tests.simulation.centers import CallBook, MortalCenter
from tests.simulation.scene import Scene
from tests.simulation.world import CPU, NPU, job


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A corridor without programmes, where w2 has no credit."""
    made = Scene(worlds.build(rules=(), credit={"w2": 0}))
    yield made
    for process in made.processes:
        await process.end()


async def test_a_job_goes_from_submission_to_settlement(scene: Scene) -> None:
    process = await scene.lead()
    uids = scene.world.submit("w1", [job(runtime_s="100"), job(CPU, 16, nodes=2, runtime_s="50")])
    await scene.round(process)
    assert scene.states(*uids) == ["RUNNING", "RUNNING"]
    scene.clock.ms += 101_000
    await scene.round(process)
    assert scene.states(*uids) == ["SUCCEEDED", "SUCCEEDED"]
    assert scene.db.rows("SELECT gross_fen FROM job ORDER BY uid") == [(22,), (4,)]
    assert all(not worker.tracked for worker in process.loop.workers.values())


# --- cancelling -----------------------------------------------------------------------------------


async def test_a_cancel_is_heard_though_the_planner_went_past_it_by_a_snapshot(
    scene: Scene,
) -> None:
    process = await scene.lead()
    uids = scene.world.submit("w1", [job()])
    await scene.round(process)
    scene.cancel(*uids)
    await process.loop.load()
    await scene.round(process, 2)
    assert scene.states(*uids) == ["CANCELLED"]


async def test_a_new_leader_sees_through_what_was_to_be_cancelled(scene: Scene) -> None:
    process = await scene.lead()
    uids = scene.world.submit("w1", [job()])
    await scene.round(process)
    scene.cancel(*uids)
    after = await scene.lead()
    await scene.round(after, 2)
    assert scene.states(*uids) == ["CANCELLED"]


async def test_one_cancelled_before_it_was_sent_never_reaches_its_center(scene: Scene) -> None:
    process = await scene.lead()
    uids = scene.world.submit("w1", [job()])
    await process.loop.cycle()
    scene.cancel(*uids)
    await scene.round(process)
    assert scene.states(*uids) == ["CANCELLED"]
    assert scene.natives() == []
    assert scene.db.rows("SELECT posted_fen, state FROM hold") == [(0, "VOIDED")]


# --- leaders --------------------------------------------------------------------------------------


async def test_a_replaced_leader_notices_though_it_has_nothing_to_do(scene: Scene) -> None:
    old = await scene.lead()
    await scene.lead()
    with pytest.raises(Fenced):
        await old.loop.housekeeping.expire()


async def test_a_replaced_leader_says_so_by_its_first_write(scene: Scene) -> None:
    old = await scene.lead()
    scene.world.submit("w1", [job()])
    await old.loop.cycle()
    await scene.lead()
    with pytest.raises(Fenced):
        await old.loop.workers["ai"].send_once()
    assert old.loop.fenced.is_set()


class SlowCenter(MortalCenter):
    """Keeps one submission until it is let through."""

    def __init__(self, inner: SimulatedCenter, clock: worlds.HandClock) -> None:
        super().__init__(inner, CallBook(clock))
        self.called, self.go = asyncio.Event(), asyncio.Event()

    async def submit(self, request: RunRequest) -> Accepted:
        self.called.set()
        await self.go.wait()
        return await super().submit(request)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_call_of_a_replaced_leader_that_lands_late_doubles_nothing(
    scene: Scene, cancelled: bool
) -> None:
    """The new leader looked, waited, and sent the run itself, or ended it unsent."""
    slow = SlowCenter(scene.centers["ai"], scene.clock)
    old = await scene.lead(ai=slow)
    [uid] = scene.world.submit("w1", [job(runtime_s="500")])
    await old.loop.cycle()
    late = asyncio.create_task(old.loop.workers["ai"].send_once())
    await slow.called.wait()
    after = await scene.lead()
    if cancelled:
        scene.cancel(uid)
    for _ in range(3):
        await scene.round(after)
        scene.clock.ms += 2_000
    expected = "CANCELLED" if cancelled else "RUNNING"
    assert scene.states(uid) == [expected]
    slow.go.set()
    with pytest.raises(Fenced):
        await late
    await scene.round(after, 2)
    assert scene.states(uid) == [expected]
    assert [parse_run_id(run) for run in scene.natives()] == [(uid, 1)]
    active = scene.centers["ai"]._cluster.active
    assert len(active) == (0 if cancelled else 1), "what is proven dead is cancelled"


# --- one who cannot, and one that makes no sense, bar nobody --------------------------------------


async def test_who_cannot_pay_bars_nobody(scene: Scene) -> None:
    """Three hundred jobs that cannot be paid stand before one that can, for eight cards."""
    process = await scene.lead()
    poor = scene.world.submit("w2", [job(wall_s=7200) for _ in range(300)])
    scene.clock.ms += 1_000
    [rich] = scene.world.submit("w1", [job(units=8)])
    while await process.loop.cycle():  # until the planner has heard of all
        pass
    for _ in range(2):
        await process.loop.cycle()
    assert scene.states(rich) == ["ADMITTED"]
    reasons = [await process.loop.planner.explain(uid) for uid in (poor[0], poor[-1])]
    assert [found.reason.code for found in reasons if found] == [ReasonCode.WALLET_SHORT] * 2


async def test_money_that_comes_lets_the_parked_start(scene: Scene) -> None:
    process = await scene.lead()
    poor = scene.world.submit("w2", [job() for _ in range(12)])
    for _ in range(3):
        await process.loop.cycle()
    assert set(scene.states(*poor)) == {"QUEUED"}
    scene.db.do(
        lambda c: c.exec_driver_sql(
            "UPDATE account SET credit_limit_fen = 100000 WHERE account_id = 'wallet:w2'"
        )
    )
    process.loop._money_back.into(["wuhan"])
    for _ in range(2):
        await process.loop.cycle()
    assert scene.states(*poor).count("ADMITTED") == 8, "as many as there are cards"


async def test_other_terms_of_payment_are_another_matter(scene: Scene) -> None:
    process = await scene.lead()
    strict = scene.world.submit("w1", [job(self_pay_max_fen=0) for _ in range(20)])
    [other] = scene.world.submit("w1", [job()])
    for _ in range(3):
        await process.loop.cycle()
    assert set(scene.states(*strict)) == {"QUEUED"}
    assert scene.states(other) == ["ADMITTED"]


async def test_money_that_comes_twice_within_a_second_is_told_later_and_not_lost(
    scene: Scene,
) -> None:
    loop = (await scene.lead()).loop
    loop._money_back.into(["ezhou"])
    assert loop._money_back.due() == [Unparked("ezhou")]
    loop._money_back.into(["ezhou"])
    scene.clock.ms += 999
    assert loop._money_back.due() == []
    scene.clock.ms += 1
    assert loop._money_back.due() == [Unparked("ezhou")]
    assert loop._money_back.due() == []


async def test_a_start_that_cannot_be_admitted_bars_no_other(scene: Scene) -> None:
    process = await scene.lead()
    broken = scene.world.submit("w1", [job(NPU), job(NPU)])
    sound = scene.world.submit("w1", [job(CPU), job(CPU)])
    scene.db.do(lambda c: c.exec_driver_sql("DELETE FROM account WHERE account_id = 'payable:ai'"))
    await process.loop.cycle()
    assert scene.states(*broken, *sound) == ["QUEUED"] * 2 + ["ADMITTED"] * 2
    assert process.metrics.errors == 2
    await process.loop.cycle()
    assert process.metrics.errors == 2, "it is not tried at once again"


async def test_a_report_that_cannot_be_stored_bars_no_other(scene: Scene) -> None:
    process = await scene.lead()
    uids = scene.world.submit("w1", [job(runtime_s="10") for _ in range(5)])
    await scene.round(process)
    scene.db.do(lambda c: c.exec_driver_sql(f"DELETE FROM hold_leg WHERE job_uid = {uids[2]}"))
    scene.db.do(lambda c: c.exec_driver_sql(f"DELETE FROM hold WHERE job_uid = {uids[2]}"))
    scene.clock.ms += 11_000
    await scene.round(process)
    assert scene.states(*uids).count("SUCCEEDED") == 4
    assert scene.states(uids[2]) == ["RUNNING"]
    assert process.metrics.errors == 1


async def test_a_store_that_is_away_is_told_to_those_who_report() -> None:
    attempts = 0

    async def away(reports: Any) -> None:
        nonlocal attempts
        attempts += 1
        raise StoreFailure("statement", {}, OSError("disk full"))

    inbox = Inbox(away, lambda: None, 100)
    serving = asyncio.create_task(inbox.serve_forever())
    with pytest.raises(StoreFailure):
        await inbox.report([silent(1, 1, "?"), silent(2, 1, "?")])
    with pytest.raises(StoreFailure):
        await serving
    assert attempts == 1, "what failed for the store's sake is not tried one by one"


async def test_nobody_reports_to_a_leader_that_was_replaced() -> None:
    async def fenced(reports: Any) -> None:
        raise Fenced("another leads")

    inbox = Inbox(fenced, lambda: None, 1)
    serving = asyncio.create_task(inbox.serve_forever())
    waiting = [asyncio.create_task(inbox.report([silent(uid, 1, "?")])) for uid in (1, 2)]
    for task in (*waiting, serving):
        with pytest.raises(Fenced):
            await task
    with pytest.raises(Fenced):
        await inbox.report([silent(3, 1, "?")])


async def test_reports_are_written_in_their_order() -> None:
    written: list[int] = []

    async def write(reports: Any) -> None:
        if len(reports) > 1:
            raise ValueError("one by one, please")
        if reports[0].uid == 3:
            raise ValueError("never")
        written.append(reports[0].uid)

    failures: list[None] = []
    inbox = Inbox(write, lambda: failures.append(None), 100)
    serving = asyncio.create_task(inbox.serve_forever())
    reports: list[Report] = [silent(uid, 1, "?") for uid in range(1, 8)]
    await inbox.report(reports)
    serving.cancel()
    assert written == [1, 2, 4, 5, 6, 7]
    assert len(failures) == 1


# --- by itself ------------------------------------------------------------------------------------


class HungCenter(MortalCenter):
    """Never answers a look."""

    async def list_active(self, page_token: str = "") -> Any:
        await asyncio.Event().wait()


class QuickCenter(MortalCenter):
    """Says when it was sent a run; waits for changes as it should."""

    def __init__(self, inner: SimulatedCenter, clock: worlds.HandClock) -> None:
        super().__init__(inner, CallBook(clock))
        self.sent = asyncio.Event()

    async def submit(self, request: RunRequest) -> Accepted:
        answer = await super().submit(request)
        self.sent.set()
        return answer

    async def wait_for_change(self, timeout_s: float) -> bool:
        await asyncio.sleep(timeout_s)
        return False


async def test_one_centers_trouble_does_not_slow_another(scene: Scene) -> None:
    quick = QuickCenter(scene.centers["sc"], scene.clock)
    process = scene.process(ai=HungCenter(scene.centers["ai"], CallBook(scene.clock)), sc=quick)
    await process.loop.start()
    uids = scene.world.submit("w1", [job(NPU), job(CPU)])
    async with asyncio.timeout(30):
        await quick.sent.wait()
    assert "ADMITTED" in scene.states(*uids)
    await process.loop.stop()
