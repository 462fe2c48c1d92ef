"""The keeper of reasons: what it writes, how much of it, and what it learns of estimates."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from scheduler.control.reason_keeper import CHANGES_MAX, ReasonKeeper
from scheduler.control.settings import LoopSettings
from scheduler.domain.reasons import ReasonCode
from scheduler.errors import TemporarilyAway
from scheduler.placement.core import Sampled
from scheduler.placement.sampling import Judged
from scheduler.store import reasons
from scheduler.store.leader import Fenced
from tests.simulation import world as worlds
from tests.simulation.scene import Scene
from tests.simulation.world import NPU, job

DAY_MS = 86_400_000


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A corridor without programmes, where w2 has no credit."""
    made = Scene(worlds.build(rules=(), credit={"w2": 0}))
    yield made
    for process in made.processes:
        await process.end()


class Planner:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.judged: list[Judged] = []
        self.asked: list[bool] = []
        self.away = False

    async def sample(self, estimate: bool) -> Sampled:
        if self.away:
            raise TemporarilyAway("away")
        self.asked.append(estimate)
        return Sampled(dict(self.reasons), self.judged)


class Noted:
    """Metrics of which only one is looked at."""

    def __init__(self) -> None:
        self.judged_starts: list[Judged] = []
        self.gone: list[tuple[str, dict[str, int]]] = []

    def let_go(self, kind: str, rows: dict[str, int], seconds: float) -> None:
        assert seconds >= 0
        self.gone.append((kind, rows))

    def judged(self, starts: list[Judged]) -> None:
        self.judged_starts += starts


async def keeper(scene: Scene, planner: Planner, **settings: Any) -> tuple[ReasonKeeper, Noted]:
    """A keeper beside a leading loop."""
    loop = (await scene.lead()).loop
    noted = Noted()
    made = ReasonKeeper(
        scene.db, scene.clock, LoopSettings(ray="off", **settings), planner, loop, noted,  # type: ignore[arg-type]
    )  # fmt: skip
    return made, noted


def rows(scene: Scene) -> int:
    """Spells that are stored."""
    return int(scene.db.rows("SELECT count(*) FROM reason_spell")[0][0])


async def test_a_thousand_jobs_that_wait_for_one_reason_are_one_row(scene: Scene) -> None:
    process = await scene.lead()
    poor = scene.world.submit("w2", [job(NPU, 1) for _ in range(200)])
    scene.world.submit("w1", [job(NPU, 8), job(NPU, 7)])
    for _ in range(12):  # a few events of the feed at a time
        await process.loop.cycle()
    await process.loop.reasons.once()
    codes = scene.db.rows("SELECT code FROM reason_spell ORDER BY 1")
    assert codes == [(ReasonCode.POOL_FULL.value,), (ReasonCode.WALLET_SHORT.value,)]
    scene.clock.ms += 5_000
    await process.loop.reasons.once()
    assert rows(scene) == 2
    course = scene.db.do(lambda c: reasons.course_of(c, poor[150]))
    assert course is not None
    assert [code for code, *_ in course.sampled[1]] == [ReasonCode.WALLET_SHORT]


async def test_the_write_load_is_bounded_whatever_changes(scene: Scene) -> None:
    planner = Planner()
    made, _ = await keeper(scene, planner)
    planner.reasons = {f"s{number}": "POOL_FULL" for number in range(CHANGES_MAX * 2 + 7)}
    for expected in (CHANGES_MAX, 2 * CHANGES_MAX, 2 * CHANGES_MAX + 7, 2 * CHANGES_MAX + 7):
        await made.once()
        assert rows(scene) == expected


async def test_another_leader_goes_on_where_one_ended(scene: Scene) -> None:
    planner = Planner()
    planner.reasons = {"a": "POOL_FULL"}
    made, _ = await keeper(scene, planner)
    await made.once()
    after, _ = await keeper(scene, planner)
    planner.reasons = {"b": "POOL_FULL"}
    await after.once()
    assert scene.db.rows("SELECT subject FROM reason_spell WHERE to_ms IS NULL") == [("b",)]
    planner.reasons = {"c": "POOL_FULL"}
    with pytest.raises(Fenced):  # the first one's loop leads no more
        await made.once()


async def test_estimates_are_made_now_and_then_and_old_spells_forgotten(scene: Scene) -> None:
    planner = Planner()
    planner.judged = [Judged("wuhan", NPU, 5_000, 9_000)]
    made, noted = await keeper(scene, planner, reasons_keep_d=1.0)
    planner.reasons = {"a": "POOL_FULL"}
    await made.once()
    planner.reasons = {}
    await made.once()
    scene.clock.ms += 2 * DAY_MS
    for _ in range(5):
        await made.once()
    assert planner.asked == [True, False, False, False, False, False, True]
    assert rows(scene) == 0
    assert noted.judged_starts == [Judged("wuhan", NPU, 5_000, 9_000)] * 7


async def test_while_the_planner_is_away_nothing_is_written(scene: Scene) -> None:
    planner = Planner()
    planner.away = True
    made, _ = await keeper(scene, planner)
    with pytest.raises(TemporarilyAway):
        await made.once()
    planner.away = False
    await made.once()
    assert planner.asked == [True]
