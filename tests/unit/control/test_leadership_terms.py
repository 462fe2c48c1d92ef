"""Terms of leadership, over a lease that the test moves by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from scheduler.control.beating import Beat, BeatTimes
from scheduler.control.candidate import Standing
from scheduler.control.leadership import Leadership, OtherLeads
from scheduler.domain.leases import Lease
from scheduler.leading import KnownLead
from scheduler.store.lease_line import LineLost

TIMES = BeatTimes(lasts_s=0.6, renew_s=0.01, look_s=0.01, stall_s=30.0)
OTHER = Lease(7, "b", "replica-b", "b:1", 1, 0, 1_000_000)
TIMEOUT_S = 30


@dataclass
class HandLine:
    """A line to a database in which another leads, or nobody, as the test says."""

    other: Lease | None = None
    mine: int = 0
    away: bool = False
    number_lost: bool = False
    said: list[str] = field(default_factory=list)

    def _ask(self) -> None:
        if self.away:
            raise LineLost("the test cut it")

    def look(self) -> tuple[Lease | None, int]:
        self._ask()
        return self.other, 0

    def take(self, judged: Lease | None) -> int | None:
        self._ask()
        self.mine = 1 + max(self.mine, judged.epoch if judged else 0)
        self.said.append(f"take {self.mine}")
        return self.mine

    def renew(self, epoch: int) -> bool:
        self._ask()
        return self.other is None and epoch == self.mine

    def release(self, epoch: int) -> None:
        self._ask()
        self.said.append(f"release {epoch}")

    def join(self) -> int:
        self.number_lost = False
        return 9

    def seen(self, number: int) -> bool:
        return not self.number_lost

    def leave(self) -> None:
        self.said.append("leave")

    def close(self) -> None:
        self.said.append("close")


class HandLoop:
    """As much of a loop as a term is."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.fenced, self.stopped = epoch, asyncio.Event(), False

    async def stop(self) -> None:
        self.stopped = True


class Told:
    """Notes of who leads."""

    def __init__(self) -> None:
        self.taken, self.led_by = 0, [(False, 0)]

    def leader(self, leads: bool, epoch: int) -> None:
        self.led_by.append((leads, epoch))

    def lease(self, age_s: float) -> None:
        assert age_s >= 0

    def took_over(self) -> None:
        self.taken += 1


class Scene:
    """One replica and its line."""

    def __init__(self, *, alone: bool = False) -> None:
        self.line, self.told = HandLine(), Told()
        self.opened: list[HandLoop] = []
        self.failures: list[Exception] = []
        self.reached: list[bool] = []
        self.leadership = Leadership(
            self.line, 0, self._open, self.told, times=TIMES, alone=alone
        )  # fmt: skip
        self.leadership.on_reach = self._reach

    async def _open(self, epoch: int) -> Any:
        if self.failures:
            raise self.failures.pop()
        self.opened.append(HandLoop(epoch))
        return self.opened[-1]

    async def _reach(self, reached: bool) -> None:
        self.reached.append(reached)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not holds():  # noqa: ASYNC110 - a thread tells, and of nothing else
                await asyncio.sleep(0.005)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    one = Scene()
    yield one
    await one.leadership.stop()


async def test_a_lead_whose_lease_has_run_out_is_nobodys(scene: Scene) -> None:
    scene.line.other = OTHER
    await scene.leadership.start()
    scene.leadership._beat.willing = False
    known = KnownLead(scene.leadership, "me")
    assert (known.leads(), known.leader()) == (False, "b:1")
    scene.leadership._heard(Standing(0, OTHER, TIMES.lasts_s + 0.1))
    assert known.leader() == ""
    scene.leadership._heard(Standing(0, OTHER, TIMES.lasts_s))
    assert known.leader() == "b:1", "it was renewed late, and nobody took it"


async def test_who_finds_no_leader_leads_before_the_start_is_over(scene: Scene) -> None:
    await scene.leadership.start()
    assert scene.leadership.epoch == 1
    assert scene.told.taken == 1


async def test_who_is_replaced_closes_its_term_and_follows_and_leads_again(scene: Scene) -> None:
    await scene.leadership.start()
    scene.line.other = OTHER
    await scene.until(lambda: scene.opened[0].stopped and scene.leadership.lease == OTHER)
    assert scene.leadership.epoch is None
    await scene.until(lambda: scene.told.led_by[-1] == (False, OTHER.epoch))
    scene.line.other = None
    await scene.until(lambda: scene.leadership.present is not None)
    present: Any = scene.leadership.present
    assert present is scene.opened[1]


async def test_a_fenced_write_ends_the_term_though_the_lease_says_nothing(scene: Scene) -> None:
    await scene.leadership.start()
    scene.opened[0].fenced.set()
    assert scene.leadership.epoch is None
    await scene.until(lambda: len(scene.opened) == 2)
    assert scene.opened[0].stopped
    assert "release 1" in scene.line.said


async def test_who_hears_nothing_of_the_database_gives_the_lead_up_by_itself(scene: Scene) -> None:
    await scene.leadership.start()
    scene.line.away = True
    await scene.until(lambda: scene.opened[0].stopped)
    assert scene.leadership.epoch is None
    await scene.until(lambda: scene.reached == [False])
    scene.line.away = False
    await scene.until(lambda: scene.reached == [False, True])
    await scene.until(lambda: len(scene.opened) == 2)


async def test_who_cannot_open_a_term_lets_others(scene: Scene) -> None:
    scene.line.other = OTHER
    await scene.leadership.start()
    scene.failures.append(RuntimeError("a center's token is gone"))
    scene.line.other = None
    await scene.until(lambda: "release 1" in scene.line.said)
    assert scene.leadership.present is None
    assert scene.opened == []


async def test_at_the_end_others_need_not_wait() -> None:
    scene = Scene()
    await scene.leadership.start()
    await scene.leadership.stop()
    assert scene.opened[0].stopped
    assert scene.line.said == ["take 1", "release 1", "leave", "close"]


async def test_who_cannot_follow_does_not_start_beside_a_leader() -> None:
    scene = Scene(alone=True)
    scene.line.other = OTHER
    with pytest.raises(OtherLeads, match="replica-b leads on this database"):
        await scene.leadership.start()
    await scene.leadership.stop()


async def test_who_cannot_follow_ends_when_it_is_replaced() -> None:
    scene = Scene(alone=True)
    await scene.leadership.start()
    scene.opened[0].fenced.set()
    async with asyncio.timeout(TIMEOUT_S):
        await scene.leadership.ended.wait()
    assert len(scene.opened) == 1
    await scene.leadership.stop()


def test_nothing_is_renewed_for_an_event_loop_that_stands_still() -> None:
    line, now = HandLine(), [100.0]
    beat = Beat(line, 0, TIMES, lambda: now[0], lambda standing: None, lambda number: None)
    assert beat.step() == Standing(1, None, 0.0)
    now[0] += TIMES.stall_s + 1
    line.mine = 2  # another would be found to lead, were it asked
    assert beat.step() is None
    assert beat.candidate.epoch == 1
    beat.turned_s = now[0]
    assert beat.step() == Standing(0, None, 0.0)


def test_a_replica_whose_number_is_anothers_takes_a_new_one() -> None:
    line, now = HandLine(other=OTHER), [100.0]
    numbers: list[int] = []
    beat = Beat(line, 3, TIMES, lambda: now[0], lambda standing: None, numbers.append)
    line.number_lost = True
    now[0] += 60
    beat.step()
    assert numbers == [9]
