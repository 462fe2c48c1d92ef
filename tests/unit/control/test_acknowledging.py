"""Centers hear what is over and settled: all of it, in batches, again after a failure."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.errors import Unavailable
from scheduler.control.acknowledging import Acknowledger
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import run_id
from scheduler.store import leader
from tests.simulation.hands import Hands
from tests.unit.control.conftest import ScriptedCenter
from tests.unit.store.ingest_hands import running, without_programmes

SETTINGS = replace(LoopSettings(), acknowledge_batch=2)


class Leader:
    """The loop around it."""

    def __init__(self, it: Hands) -> None:
        self._it, self.epoch = it, it.epoch
        self.writes = 0

    async def write(self, call: Any) -> Any:
        self.writes += 1
        return self._it.db.do(call)


class Hearing(ScriptedCenter):
    """A center that may not hear."""

    deaf: Exception | None = None

    async def acknowledge(self, run_ids: Any) -> None:
        if self.deaf is not None:
            raise self.deaf
        await super().acknowledge(run_ids)


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return without_programmes()


async def teller(it: Hands, **centers: Hearing) -> Acknowledger:
    """What tells these centers, by a leader that begins."""
    made = Acknowledger(centers, it.db, SETTINGS, Leader(it), lambda: 1.0)
    await made.begin()
    return made


def settled(it: Hands, count: int) -> list[str]:
    """So many jobs that ran to their end; their runs."""
    uids = [running(it) for _ in range(count)]
    for uid in uids:
        it.end(uid, 10)
    return [run_id(uid, 1) for uid in uids]


async def test_what_is_settled_is_told_once_and_what_is_not_is_not(it: Hands) -> None:
    ai, sc = Hearing(), Hearing()
    told = await teller(it, ai=ai, sc=sc)
    unmetered = running(it)
    it.end(unmetered, 5, metered=False)
    runs = settled(it, 5)
    for center in ("ai", "sc", "ai"):
        await told.tell(center)
    assert (ai.acknowledged, sc.acknowledged) == (runs, [])


async def test_what_was_not_heard_is_told_again_also_by_the_next_leader(it: Hands) -> None:
    ai = Hearing()
    told = await teller(it, ai=ai)
    runs = settled(it, 3)
    ai.deaf = Unavailable("away")
    with pytest.raises(Unavailable):
        await told.tell("ai")
    ai.deaf = None
    it.epoch = it.db.do(lambda c: leader.take_over(c, "next", 0))
    told = await teller(it, ai=ai)
    await told.tell("ai")
    assert ai.acknowledged == runs
    told = await teller(it, ai=ai)
    await told.tell("ai")
    assert ai.acknowledged == runs, "it is kept up to where the center knows"


async def test_a_center_that_is_new_is_told_nothing_of_before(it: Hands) -> None:
    settled(it, 2)
    ai = Hearing()
    told = await teller(it, ai=ai)
    await told.tell("ai")
    assert ai.acknowledged == []


async def test_who_leads_no_more_keeps_nothing(it: Hands) -> None:
    ai = Hearing()
    told = await teller(it, ai=ai)
    settled(it, 1)
    before = it.db.rows("SELECT upto_seq FROM acknowledgement")
    it.db.do(lambda c: leader.take_over(c, "next", 0))
    with pytest.raises(leader.Fenced):
        await told.tell("ai")
    assert it.db.rows("SELECT upto_seq FROM acknowledgement") == before


async def test_nothing_new_writes_nothing(it: Hands) -> None:
    ai = Hearing()
    loop = Leader(it)
    told = Acknowledger({"ai": ai}, it.db, SETTINGS, loop, lambda: 1.0)
    await told.begin()
    settled(it, 1)
    await told.tell("ai")
    before = loop.writes
    for _ in range(3):
        await told.tell("ai")
    assert loop.writes == before
