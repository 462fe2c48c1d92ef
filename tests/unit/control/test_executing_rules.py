"""Plans and drains carried out over the real store and simulated centers, across leaders too."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.contract import RunRef
from adapters.errors import Unavailable
from adapters.simulated import SimulatedCenter
from scheduler.placement.model import Eviction, EvictionRefused, Plan
from scheduler.store import centers, emergency, job_commands
from scheduler.store.quotas_flavors import Reclaim
from scheduler.store.seed_files import SeedQuota
from tests.simulation import world as worlds
from tests.simulation.auditor import Auditor
from tests.simulation.centers import CallBook, MortalCenter
from tests.simulation.people import People
from tests.simulation.process import SETTINGS, Process
from tests.simulation.scene import Scene
from tests.simulation.world import CPU, FREE, NPU, OPERATOR, job

GRACE_MS = 60_000


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A corridor without programmes."""
    made = Scene(worlds.build(rules=()))
    yield made
    for process in made.processes:
        await process.end()


async def started(scene: Scene, process: Process, **terms: Any) -> int:
    """A job that runs for an hour if it is let."""
    spec = job(**{"units": 8, "wall_s": 7200, "runtime_s": "3600", "interruptible": True, **terms})
    [uid] = scene.world.submit("w1", [spec])
    await scene.round(process)
    assert scene.states(uid) == ["RUNNING"]
    return uid


async def evict(scene: Scene, process: Process, uid: int) -> int:
    """Plan to evict a run for a job of another city that waits; gives that job."""
    [whom] = scene.world.submit("e1", [job(units=8, runtime_s="100")])
    plan = Plan(scene.clock.ms, (), (), 0, False, None, (Eviction(uid, NPU, 8, whom, GRACE_MS),))
    await process.loop._executor.carry_out(plan)
    return whom


def told(scene: Scene, center: str = "ai") -> list[tuple[int | None, int | None]]:
    """When programs were told, and when they ended."""
    return [(r.notice_ms, r.end_ms) for r in scene.centers[center]._cluster.by_run_id.values()]


async def test_an_evicted_run_makes_room_for_whom_it_was_ended(scene: Scene) -> None:
    process = await scene.lead()
    uid = await started(scene, process)
    whom = await evict(scene, process, uid)
    notice_ms = scene.clock.ms
    await scene.round(process)
    scene.clock.ms += GRACE_MS - 1
    await scene.round(process)
    assert scene.states(uid, whom) == ["RUNNING", "QUEUED"]
    scene.clock.ms += 1
    await scene.round(process, 3)
    assert told(scene)[0] == (notice_ms, notice_ms + GRACE_MS)
    assert scene.db.rows(f"SELECT evictions, gross_fen FROM job WHERE uid = {uid}") == [(1, 0)]
    assert sorted(scene.states(uid, whom)) == ["QUEUED", "RUNNING"]  # who is first is the plan's


async def test_a_program_that_saves_in_time_is_not_waited_for(scene: Scene) -> None:
    process = await scene.lead()
    uid = await started(scene, process, checkpoint_s="5")
    await evict(scene, process, uid)
    await scene.round(process)
    scene.clock.ms += 6_000
    await scene.round(process)
    assert scene.db.rows("SELECT state, failure_class FROM run ORDER BY attempt LIMIT 1") == [
        ("PREEMPTED", "PREEMPTED")
    ]
    [(notice_ms, end_ms), *_] = told(scene)
    assert (notice_ms or 0) + 5_000 == end_ms


async def test_the_planner_hears_of_an_eviction_that_lost_its_guard(scene: Scene) -> None:
    process = await scene.lead()
    uid = await started(scene, process, interruptible=False)
    await evict(scene, process, uid)
    assert process.loop._volatile == [EvictionRefused(uid)]
    assert process.metrics.errors == 0


@pytest.mark.parametrize("after_notice", [False, True])
async def test_a_new_leader_goes_on_with_an_eviction(scene: Scene, after_notice: bool) -> None:
    process = await scene.lead()
    uid = await started(scene, process)
    await evict(scene, process, uid)
    if after_notice:
        await scene.round(process)
    after = await scene.lead()
    await scene.round(after)
    scene.clock.ms += GRACE_MS
    await scene.round(after, 2)
    assert scene.db.rows("SELECT state FROM run ORDER BY attempt LIMIT 1") == [("PREEMPTED",)]
    [(notice_ms, end_ms), *_] = told(scene)
    assert (end_ms or 0) - (notice_ms or 0) == GRACE_MS


async def test_a_drained_center_is_emptied_and_not_filled_again(scene: Scene) -> None:
    process = await scene.lead()
    uid = await started(scene, process, interruptible=False)
    [other] = scene.world.submit("w1", [job(CPU, 4, wall_s=7200, runtime_s="3600")])
    await scene.round(process)
    state(scene, "ai", centers.DRAINING)
    await process.loop.housekeeping.once()
    await scene.round(process)
    scene.clock.ms += int(SETTINGS.drain_grace_s * 1000)
    await scene.round(process, 3)
    assert scene.states(uid, other) == ["QUEUED", "RUNNING"]
    state(scene, "ai", centers.OPEN)
    await scene.round(process, 2)
    assert scene.states(uid) == ["RUNNING"]


def state(scene: Scene, center: str, word: str) -> None:
    """An operator opens or closes a center."""
    scene.db.do(
        lambda c: centers.set_state(
            c, OPERATOR, center, word, reason="test", now_ms=scene.clock.ms, wall_ms=0
        )
    )


class DeafCenter(MortalCenter):
    """Never hears a notice."""

    async def notify(self, run: RunRef, grace_s: int) -> None:
        raise Unavailable("no")


async def test_nobody_is_ended_whom_the_center_could_not_tell(scene: Scene) -> None:
    process = await scene.lead(ai=DeafCenter(scene.centers["ai"], CallBook(scene.clock)))
    uid = await started(scene, process)
    await evict(scene, process, uid)
    for _ in range(5):
        await scene.round(process)
        scene.clock.ms += GRACE_MS
    assert scene.states(uid) == ["RUNNING"]
    assert told(scene) == [(None, None)]


class SlowCenter(MortalCenter):
    """Takes runs and shows them as waiting for ever."""

    def __init__(self, inner: SimulatedCenter, book: CallBook) -> None:
        super().__init__(inner, book)
        inner._cluster.lanes[FREE].free = 0


async def test_what_no_center_begins_is_taken_back_and_tried_again(scene: Scene) -> None:
    process = await scene.lead(sc=SlowCenter(scene.centers["sc"], CallBook(scene.clock)))
    [uid] = scene.world.submit("w1", [job(FREE, 1, runtime_s="100")])
    for number in range(1, 6):
        await scene.round(process)
        assert scene.states(uid) == ["ADMITTED"]
        scene.clock.ms += int(SETTINGS.start_timeout_s * 1000)
        await process.loop.housekeeping.once()
        await scene.round(process, 2)
        [(tries,)] = scene.db.rows(f"SELECT start_tries FROM job WHERE uid = {uid}")
        assert tries == number
        scene.clock.ms += 3_600_000  # longer than any pause
    assert scene.states(uid) == ["HELD"]
    assert scene.db.rows("SELECT sum(used_units) FROM city_quota") == [(0,)]


# --- with the planner's own plans -----------------------------------------------------------------


@pytest.fixture
async def lent() -> AsyncIterator[Scene]:
    """Ezhou owns all cards and gives back by eviction; Wuhan has none of its own."""
    nominal = {"ezhou": 8, "wuhan": 0, "xianning": 0}
    quotas = [SeedQuota(city, NPU, units, None, None) for city, units in nominal.items()]
    made = Scene(worlds.build(rules=(), quotas=quotas))
    people = People(made.world, Auditor(made.world, made.centers), random.Random(1))
    rule = Reclaim("evict", run_min_s=600, grace_s=60, rate_bps=10_000, rate_s=60)
    people.set_reclaim(NPU, rule)
    yield made
    for process in made.processes:
        await process.end()


async def test_lent_units_come_back_to_whom_they_belong(lent: Scene) -> None:
    process = await lent.lead()
    uid = await started(lent, process)
    [whom] = lent.world.submit("e1", [job(units=8, runtime_s="100")])
    await lent.round(process, 2)
    assert lent.db.rows("SELECT evict_cause FROM run") == [(None,)]  # it has not run for so long
    lent.clock.ms += 600_000
    await lent.round(process)
    assert lent.db.rows("SELECT evict_cause, evict_for FROM run") == [("RECLAIM", whom)]
    lent.clock.ms += 60_000
    await lent.round(process, 3)
    assert lent.states(uid, whom) == ["QUEUED", "RUNNING"]
    lent.clock.ms += 100_000
    await lent.round(process, 3)
    assert lent.states(uid, whom) == ["RUNNING", "SUCCEEDED"]
    assert lent.db.rows(f"SELECT evictions, gross_fen FROM job WHERE uid = {uid}") == [(1, 0)]


async def test_who_may_not_be_interrupted_keeps_what_is_lent(lent: Scene) -> None:
    process = await lent.lead()
    uid = await started(lent, process, interruptible=False)
    [whom] = lent.world.submit("e1", [job(units=8, runtime_s="100")])
    for _ in range(3):
        lent.clock.ms += 600_000
        await lent.round(process)
    assert lent.states(uid, whom) == ["RUNNING", "QUEUED"]


async def test_a_job_gives_way_twice_and_then_keeps_what_it_has(lent: Scene) -> None:
    process = await lent.lead()
    uid = await started(lent, process)
    for number in (1, 2):
        [whom] = lent.world.submit("e1", [job(units=8, runtime_s="100")])
        lent.clock.ms += 600_000
        await lent.round(process, 2)
        lent.clock.ms += 60_000
        await lent.round(process, 3)
        assert lent.states(uid, whom) == ["QUEUED", "RUNNING"]
        lent.clock.ms += 100_000
        await lent.round(process, 3)
        assert lent.states(uid, whom) == ["RUNNING", "SUCCEEDED"]
        assert lent.db.rows(f"SELECT evictions FROM job WHERE uid = {uid}") == [(number,)]
    [whom] = lent.world.submit("e1", [job(units=8, runtime_s="100")])
    for _ in range(3):
        lent.clock.ms += 600_000
        await lent.round(process)
    assert lent.states(uid, whom) == ["RUNNING", "QUEUED"]


async def test_a_new_leader_plans_no_second_eviction_for_one_that_is_under_way(
    lent: Scene,
) -> None:
    process = await lent.lead()
    first = await started(lent, process, units=4)
    second = await started(lent, process, units=4)
    [whom] = lent.world.submit("e1", [job(units=4, runtime_s="100")])
    lent.clock.ms += 600_000
    await lent.round(process, 2)
    after = await lent.lead()
    for _ in range(5):
        await lent.round(after)
        lent.clock.ms += 1_000
    assert lent.db.rows("SELECT count(*) FROM run WHERE evict_cause IS NOT NULL") == [(1,)]
    lent.clock.ms += 60_000
    await lent.round(after, 3)
    assert lent.states(whom) == ["RUNNING"]
    assert sorted(lent.states(first, second)) == ["QUEUED", "RUNNING"]


async def test_an_emergency_goes_before_what_waited_longer(lent: Scene) -> None:
    process = await lent.lead()
    uid = await started(lent, process, interruptible=False)
    early, late = lent.world.submit("e1", [job(units=8), job(units=8)])
    lent.clock.ms += 1_000
    await lent.round(process)
    order = job_commands.Order(OPERATOR, "a flood", lent.clock.ms, 0)
    lent.db.do(lambda c: emergency.grant(c, late, True, order))
    lent.clock.ms += 3_600_000
    await lent.round(process, 3)
    assert lent.states(uid, early, late) == ["SUCCEEDED", "QUEUED", "RUNNING"]


async def test_a_new_leader_takes_nothing_back_before_it_heard_the_center(scene: Scene) -> None:
    process = await scene.lead()
    [uid] = scene.world.submit("w1", [job(runtime_s="7000", wall_s=7200)])
    await process.loop.cycle()
    await process.loop.workers["ai"].send_once()  # taken, and begun since, while nobody looked
    scene.clock.ms += int(SETTINGS.start_timeout_s * 1000)
    after = await scene.lead()
    await after.loop.housekeeping.once()
    assert "EVICTION_ORDERED" not in [k for (k,) in scene.db.rows("SELECT kind FROM event")]
    await scene.round(after)
    await after.loop.housekeeping.once()
    assert scene.states(uid) == ["RUNNING"]
    assert scene.db.rows("SELECT evict_cause FROM run") == [(None,)]
