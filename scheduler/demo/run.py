"""The demonstration from its set-up to its verdict."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adapters.simulated.journal import read_events
from scheduler.demo.concluding import Conclusion
from scheduler.demo.course import TAIL_FACTOR, Pace
from scheduler.demo.journals import Stay, stays
from scheduler.demo.process import ServiceProcess
from scheduler.demo.serving import print_commands
from scheduler.demo.setup import (
    BORROWED_OF_NOMINAL,
    FAULTS,
    KEPT_ONE_IN,
    LIMITED,
    START_MS,
    Site,
    make_room,
    misbehave,
    set_up,
    trace_jobs,
)
from scheduler.demo.stage import Stage
from scheduler.demo.texts import Texts
from scheduler.demo.workload import Workload, build, first_days
from scheduler.store import evidence

#: The service starts at the wall clock's pace so long before the workload; enough to set it up.
_BEFORE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Options:
    """What to run; ``speed`` and ``serve_speed`` are multiples of real time."""

    directory: Path | None
    speed: float
    days: float
    jobs_max: int | None
    seed: int
    ray: str
    serve: bool
    serve_speed: float
    language: str
    remove: bool


class Demonstration:
    """One demonstration; ``run`` returns the exit status."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._stage = Stage(Texts(options.language))

    async def run(self) -> int:
        """Set up, drive, check, report; 0 only if every check held.

        Raises ``CorridorError`` if it cannot be set up, the service dies, or jobs do not end.
        """
        options, say = self._options, self._stage.say
        directory = make_room(options.directory or Path(tempfile.mkdtemp(prefix="corridor-demo-")))
        say("title")
        say("setting_up", directory=directory)
        site = set_up(
            directory,
            ray=options.ray,
            start_ms=START_MS,
            speed=options.serve_speed,
            change=partial(misbehave, seed_number=options.seed),
        )
        try:
            chosen = first_days(trace_jobs(), options.days, options.jobs_max)
            workload = build(chosen, site.flavors, site.prices_ufen, seed=options.seed)
            self._say_workload(workload)
            return await self._with_service(site, workload)
        finally:
            if options.remove:
                shutil.rmtree(directory, ignore_errors=True)
                say("removed", directory=directory)

    async def _with_service(self, site: Site, workload: Workload) -> int:
        options, stage = self._options, self._stage
        service = await ServiceProcess.start(
            site.config, site.log, start_ms=START_MS - _BEFORE_MS, speed=1.0
        )
        try:
            all_held, tokens = await stage.play(
                service,
                workload,
                self._conclusion(site),
                Pace(options.speed, START_MS),
                options.seed,
            )
            if options.serve:
                await service.set_speed(options.serve_speed)
                print_commands(stage.console, stage.texts, site, service, workload, tokens)
                with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C or SIGTERM
                    await service.until_dead()
                stage.say("stopping")
        finally:
            await service.stop()
        return 0 if all_held else 1

    def _conclusion(self, site: Site) -> Conclusion:
        def stayed(runs: Sequence[evidence.RunRow]) -> list[Stay]:
            return [
                stay
                for center in site.centers
                for stay in stays(center, read_events(site.journal(center)))
            ]

        return Conclusion(self._stage.console, self._stage.texts, site, stayed)

    # --- what is printed --------------------------------------------------------------------------

    def _say_workload(self, workload: Workload) -> None:
        options, say = self._options, self._stage.say
        notes = workload.notes
        say(
            "workload",
            jobs=len(workload.jobs),
            enterprises=len(workload.enterprises),
            cities=len({one.city for one in workload.enterprises}),
            days=workload.last_submit_ms / 86_400_000,
        )
        say("injected", seed=options.seed, lost=f"{sum(FAULTS.values()):.1%}", **notes)
        if notes["cut"]:
            say("cut", count=notes["cut"])
        say("limits", flavor=LIMITED, borrowed=BORROWED_OF_NOMINAL, kept=KEPT_ONE_IN)
        say("clock", speed=options.speed, waits=options.speed / 50, tail=TAIL_FACTOR)
