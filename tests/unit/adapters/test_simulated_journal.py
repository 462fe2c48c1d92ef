"""A simulated center outlives the process that asks it."""

# ruff: noqa: ASYNC240 - a few small local files, nothing else runs meanwhile

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from adapters.contract import Phase, RunRequest
from adapters.errors import OutcomeUnknown, Unavailable
from adapters.simulated import SimulatedCenter, accepted_names
from tests.refs import ref, refs

Run = Callable[..., RunRequest]


class World(Protocol):
    """The fixture of conftest.py."""

    now_ms: int

    def open(self, units: int = 16, **settings: object) -> SimulatedCenter: ...

    def let_pass(self, seconds: float) -> None: ...


async def test_runs_go_on_while_the_process_is_dead(world: World, run: Run, journal: Path) -> None:
    center = world.open(units=8, journal=str(journal))
    first = await center.submit(run("j1"))
    await center.submit(run("j2"))
    await center.submit(run("j3"))
    await center.cancel(ref("j3.1"))
    world.let_pass(4)
    before = await center.find(refs("j1.1", "j2.1", "j3.1"))
    del center  # abruptly: nothing is closed
    again = world.open(units=8, journal=str(journal))
    assert await again.find(refs("j1.1", "j2.1", "j3.1")) == before
    assert await again.submit(run("j1")) == first
    world.let_pass(100)
    found = await again.find(refs("j1.1", "j2.1"))
    assert found["j1.1"].end_ms == first.submit_ms + 10_000
    assert found["j2.1"].start_ms == found["j1.1"].end_ms
    assert (await again.submit(run("j4"))).native_id == "sim-000004"
    assert set(accepted_names(journal).values()) == {1}


async def test_a_story_is_the_same_with_and_without_a_restart(
    world: World, run: Run, tmp_path: Path
) -> None:
    stories = []
    for restarts in (False, True):
        journal = tmp_path / f"{restarts}.jsonl"
        began_ms = world.now_ms
        settings: dict[str, object] = {"cancel_delay_s": 3, "runtime_spread": 0.9}
        center = world.open(units=16, journal=str(journal), **settings)
        for job in range(40):
            await center.submit(run(f"j{job}", units=1 + job % 8, runtime_s=None))
            if job % 7 == 6:
                await center.cancel(ref(f"j{job - 3}.1"))
            if restarts:
                center = world.open(units=16, journal=str(journal), **settings)
            world.let_pass(5)
        world.let_pass(10_000)
        found = await center.find([ref(f"j{job}.1") for job in range(40)])
        stories.append(
            {
                key: (one.phase, one.sequence, (one.start_ms or 0) - began_ms)
                for key, one in found.items()
                if one.start_ms is not None
            }
        )
    assert stories[0] == stories[1]
    assert len(stories[0]) > 30


async def test_a_lost_answer_is_in_the_journal(world: World, run: Run, journal: Path) -> None:
    center = world.open(journal=str(journal))
    center.lose_next(taken=True)
    with pytest.raises(OutcomeUnknown):
        await center.submit(run())
    again = world.open(journal=str(journal))
    assert "j1.1" in await again.find(refs("j1.1"))
    await again.submit(run())
    assert accepted_names(journal) == {"corridor-j1.1": 1}


async def test_a_torn_last_line_is_ignored_and_cut_off(
    world: World, run: Run, journal: Path
) -> None:
    center = world.open(journal=str(journal))
    await center.submit(run("j1"))
    await center.submit(run("j2"))
    journal.write_bytes(journal.read_bytes()[:-20])
    again = world.open(journal=str(journal))
    assert set(await again.find(refs("j1.1", "j2.1"))) == {"j1.1"}
    await again.submit(run("j2"))
    for line in journal.read_text().splitlines():
        json.loads(line)
    assert accepted_names(journal) == {"corridor-j1.1": 1, "corridor-j2.1": 1}


async def test_a_cancellation_outlives_the_process(world: World, run: Run, journal: Path) -> None:
    center = world.open(journal=str(journal), cancel_delay_s=2)
    await center.submit(run())
    await center.list_active()
    await center.cancel(ref("j1.1"))
    again = world.open(journal=str(journal), cancel_delay_s=2)
    world.let_pass(2)
    seen = (await again.find(refs("j1.1")))["j1.1"]
    assert (seen.phase, seen.end_ms) == (Phase.CANCELLED, world.now_ms)


async def test_outages_count_from_the_first_opening(world: World, journal: Path) -> None:
    world.open(journal=str(journal), outages=[[0, 10]])
    world.let_pass(10)
    assert (await world.open(journal=str(journal), outages=[[0, 10]]).health()).ok


async def test_a_clock_set_back_stands_still(world: World, run: Run, journal: Path) -> None:
    center = world.open(journal=str(journal))
    await center.submit(run("j1"))
    world.now_ms -= 50_000
    again = world.open(journal=str(journal))
    assert (await again.submit(run("j2"))).submit_ms == world.now_ms + 50_000


def test_a_damaged_journal_is_not_guessed_at(world: World, journal: Path) -> None:
    journal.write_text('{"event":"open","center":"wuhan-ai","at_ms":1}\nnonsense\n')
    with pytest.raises(ValueError, match=r"wuhan-ai\.jsonl:2"):
        world.open(journal=str(journal))


def test_the_journal_of_another_center_is_refused(world: World, journal: Path) -> None:
    journal.write_text('{"event":"open","center":"wuhan-sc","at_ms":1}\n')
    with pytest.raises(ValueError, match="wuhan-sc"):
        world.open(journal=str(journal))


async def test_what_cannot_be_written_did_not_happen(world: World, run: Run, journal: Path) -> None:
    center = world.open(journal=str(journal))
    assert center._journal is not None
    center._journal.close()
    journal.unlink()
    journal.mkdir()
    with pytest.raises(Unavailable, match="journal"):
        await center.submit(run())
    journal.rmdir()
    assert await center.find(refs("j1.1")) == {}
    await center.submit(run())
    assert accepted_names(journal) == {"corridor-j1.1": 1}
