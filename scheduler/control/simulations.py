"""Simulations of the service: the history read and the scenarios played beside it.

A process of its own reads the history; then each scenario is a task on Ray, or, while Ray is away,
a process. All of them are nicer than the service and end with the call that asked.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

from adapters.programs import until_done
from scheduler.clock import Clock
from scheduler.control import frames
from scheduler.control.planner import PlannerAway
from scheduler.control.simulation_reader import SUMMARY_FILE, Reading, Summary, read_into
from scheduler.placement.model import PolicySettings
from scheduler.settings import SimulationSettings
from scheduler.store.database import Database
from scheduler.whatif.answers import (
    Answer,
    Busy,
    Phase,
    Progress,
    SimulationFailed,
    TooManyJobs,
    Where,
)
from scheduler.whatif.figures import Asker, Figures
from scheduler.whatif.playing import Task, pack, unpack_figures
from scheduler.whatif.processes import OnProgress, ScenarioFailed, play_all, run_module
from scheduler.whatif.scenarios import HISTORY, TODAY, BadScenario, Scenario

log = structlog.get_logger()

_READER: Final = "scheduler.control.simulation_reader"
#: Progress is told at most so often, in real seconds.
_TELL_S: Final = 0.25
_PARTS: Final = 1_000


class RayPlayer(Protocol):
    """Plays packed tasks on Ray; raises ``PlannerAway``."""

    async def play(
        self, folder: str, tasks: Sequence[bytes], on_progress: OnProgress
    ) -> list[bytes]:
        """Return the packed figures, in the order of the tasks."""
        ...


class Simulations:
    """Implements ``services.context.Simulator``; ``ray`` says where Ray is at the moment."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        policy: PolicySettings,
        settings: SimulationSettings,
        ray: Callable[[], RayPlayer | None],
    ) -> None:
        self._db, self._clock, self._policy, self._settings = db, clock, policy, settings
        self._ray = ray
        self._running = 0

    async def simulate(
        self, days: int, scenarios: Sequence[Scenario], asker: Asker
    ) -> AsyncGenerator[Progress | Answer]:
        """Yield progress, then the answer.

        Raises ``Busy``, ``TooManyJobs``, ``BadScenario`` (its field from ``scenarios`` on) and
        ``SimulationFailed``.
        """
        if self._running >= self._settings.at_once:
            raise Busy
        self._running += 1
        folder = Path(tempfile.mkdtemp(prefix="corridor-simulation-"))
        try:
            yield Progress(Phase.READING)
            summary = await self._read(folder, days, scenarios, asker)
            shown = (Scenario(HISTORY), Scenario(TODAY), *scenarios)
            tasks = [Task(scenario, asker) for scenario in shown]
            async with contextlib.aclosing(self._follow(folder, tasks, summary)) as told:
                async for one in told:
                    yield one
        finally:
            self._running -= 1
            shutil.rmtree(folder, ignore_errors=True)

    # --- reading ----------------------------------------------------------------------------------

    async def _read(
        self, folder: Path, days: int, scenarios: Sequence[Scenario], asker: Asker
    ) -> Summary:
        url = self._db.engine.url
        reading = Reading(
            url.render_as_string(hide_password=False), self._clock.now_ms(), days, self._policy,
            self._settings.jobs_max, tuple(scenarios), asker.city,
        )  # fmt: skip
        if url.database in (None, "", ":memory:"):  # nobody else can read it
            summary = await self._db.read(lambda c: read_into(folder, c, reading))
        else:
            await _run_reader(folder, reading)
            summary = frames.unpack((folder / SUMMARY_FILE).read_bytes())
        if summary.too_many:
            raise TooManyJobs(summary.too_many, self._settings.jobs_max)
        if summary.wrong[0]:
            raise BadScenario(*summary.wrong)
        return summary

    # --- playing ----------------------------------------------------------------------------------

    async def _follow(
        self, folder: Path, tasks: Sequence[Task], summary: Summary
    ) -> AsyncGenerator[Progress | Answer]:
        ended = [0] * len(tasks)
        total = summary.total * (len(tasks) - 1)  # what really happened is not played
        own = tasks[0].asker.city is not None

        def on_progress(number: int, jobs: int) -> None:
            ended[number] = jobs

        playing = asyncio.create_task(self._play(folder, tasks, on_progress), name="simulation")
        try:
            said = -1
            while not playing.done():
                if sum(ended) != said:
                    said = sum(ended)
                    yield _progress(said, total, own)
                await asyncio.wait({playing}, timeout=_TELL_S)
            figures, where, why = await playing
        finally:
            playing.cancel()
            await until_done(playing)
        yield Answer(
            summary.from_ms, summary.to_ms, summary.jobs, summary.estimated, where, why,
            tuple(figures), dict(summary.left_out),
        )  # fmt: skip

    async def _play(
        self, folder: Path, tasks: Sequence[Task], on_progress: OnProgress
    ) -> tuple[list[Figures], Where, str]:
        ray, why = self._ray(), "Ray is not up"
        if ray is not None:
            try:
                packed = await ray.play(str(folder), [pack(task) for task in tasks], on_progress)
                return [unpack_figures(one) for one in packed], Where.RAY, ""
            except PlannerAway as error:
                why = str(error)
                log.warning("simulation_without_ray", error=why)
        try:
            return await play_all(folder, tasks, on_progress), Where.PROCESSES, why
        except ScenarioFailed as error:
            raise SimulationFailed(str(error)) from error


def _progress(ended: int, total: int, own: bool) -> Progress:
    """How far it is; a city is told only the part, for the number of jobs is of all cities."""
    if own:
        return Progress(Phase.PLAYING, ended * _PARTS // max(1, total), _PARTS)
    return Progress(Phase.PLAYING, ended, total)


async def _run_reader(folder: Path, reading: Reading) -> None:
    code, _, words = await run_module(_READER, str(folder), given=frames.pack(reading))
    if code:
        said = words.rpartition("\n")[2]
        raise SimulationFailed(said or f"the reader ended with {code}")
