"""Simulations of a service that stops: no process and no file is left, whenever it does."""

import asyncio
import contextlib
import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.control.simulations import Simulations
from scheduler.placement.model import CORRIDOR
from scheduler.settings import SimulationSettings
from scheduler.store.database import Database
from scheduler.whatif.figures import Asker
from scheduler.whatif.scenarios import CityChange, Scenario
from tests.simulation.days import random_day
from tests.simulation.world import NPU, HandClock

MORE = Scenario("more", (CityChange("ezhou", NPU, 6),))


@pytest.fixture
def simulations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulations]:
    """Those of a service with a day of jobs, whose files go where the test looks."""
    day = random_day(4)
    day.go_on_to(None)
    path = tmp_path / "corridor.db"
    day.it.db._raw.execute(f"VACUUM INTO '{path}'")
    clock = HandClock(day.it.clock.ms + 1)
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    db = Database(f"sqlite:///{path}")
    yield Simulations(db, clock, CORRIDOR, SimulationSettings(), lambda: None)
    db.close()


def left(folder: Path) -> list[str]:
    """Files in a folder, and processes that work there."""
    found = [str(one) for one in folder.iterdir()]
    for one in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if str(folder).encode() in (one / "cmdline").read_bytes():
                found.append(one.name)
    return [one for one in found if one != str(os.getpid())]


def test_a_service_that_stops_while_the_history_begins_to_be_read(
    simulations: Simulations, tmp_path: Path
) -> None:
    async def ask() -> None:
        async with contextlib.aclosing(simulations.simulate(7, [MORE], Asker())) as told:
            async for _ in told:
                pass

    async def serve(turns: int, *, cancelled: bool) -> None:
        asking = asyncio.create_task(ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        if cancelled:  # its caller went, at the same moment
            asking.cancel()
            await asyncio.sleep(0)

    for turns in range(1, 9):
        for cancelled in (False, True):
            asyncio.run(serve(turns, cancelled=cancelled))
            assert left(tmp_path / "files") == [], (turns, cancelled)
    gc.collect()  # what is not closed would warn
