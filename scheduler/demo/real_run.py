"""The demonstration with real centers: real time, small real programs, records of the centers."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.demo import checks, real_centers, real_records, real_workload
from scheduler.demo.checks import Check
from scheduler.demo.collecting import Said
from scheduler.demo.concluding import Conclusion
from scheduler.demo.course import Pace
from scheduler.demo.journals import Stay
from scheduler.demo.process import ServiceProcess
from scheduler.demo.real_centers import NoRealCenters, RealCenters
from scheduler.demo.serving import print_commands
from scheduler.demo.setup import (
    BORROWED_OF_NOMINAL,
    KEPT_ONE_IN,
    LIMITED,
    Site,
    make_room,
    records_of,
    set_up,
)
from scheduler.demo.stage import Stage
from scheduler.demo.texts import Texts
from scheduler.demo.workload import Workload
from scheduler.openers import wall_ms
from scheduler.store import evidence


@dataclass(frozen=True, slots=True)
class RealOptions:
    """What to run; at most ``jobs_max`` jobs."""

    directory: Path | None
    jobs_max: int | None
    seed: int
    ray: str
    serve: bool
    language: str
    remove: bool


class RealDemonstration:
    """One demonstration; ``run`` returns the exit status."""

    def __init__(self, options: RealOptions) -> None:
        self._options = options
        self._stage = Stage(Texts(options.language))

    async def run(self) -> int:
        """Start the centers, set up, drive, check, report; 0 only if every check held.

        Raises ``CorridorError`` if something cannot be started, the service dies, or jobs hang.
        """
        options, say = self._options, self._stage.say
        lacking = real_centers.missing(real_centers.ROOT, os.geteuid())
        if lacking:
            raise NoRealCenters(lacking)
        directory = make_room(options.directory or Path(tempfile.mkdtemp(prefix="corridor-demo-")))
        say("title_real")
        say("centers_start")
        try:
            async with real_centers.running(records_of(directory)) as centers:
                return await self._with_centers(directory, centers)
        finally:
            if options.remove:
                shutil.rmtree(directory, ignore_errors=True)
                say("removed", directory=directory)

    async def _with_centers(self, directory: Path, centers: RealCenters) -> int:
        options, stage = self._options, self._stage
        stage.say("setting_up", directory=directory)
        site = set_up(
            directory, ray=options.ray, start_ms=wall_ms(), speed=1, change=centers.configure
        )
        workload = real_workload.build(
            site.prices_ufen,
            seed=options.seed,
            jobs=min(options.jobs_max or real_workload.JOBS, real_workload.JOBS),
        )
        stage.say("workload_real", jobs=len(workload.jobs), enterprises=len(workload.enterprises))
        stage.say("limits", flavor=LIMITED, borrowed=BORROWED_OF_NOMINAL, kept=KEPT_ONE_IN)
        service = await ServiceProcess.start(site.config, site.log, start_ms=None, speed=1.0)
        try:
            conclusion = self._conclusion(site, centers, workload)
            held, tokens = await stage.play(service, workload, conclusion, Pace(), options.seed)
            stage.console.print(stage.texts("was_real"))
            if options.serve:
                print_commands(
                    stage.console, stage.texts, site, service, workload, tokens, real=True
                )
                with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C or SIGTERM
                    await service.until_dead()
                stage.say("stopping")
        finally:
            await service.stop()
        return 0 if held else 1

    def _conclusion(self, site: Site, centers: RealCenters, workload: Workload) -> Conclusion:
        def stayed(runs: Sequence[evidence.RunRow]) -> list[Stay]:
            cities = {(run.uid, run.attempt): run.city for run in runs}
            return real_records.in_cities(centers.stays(site.records), cities)

        def more(said: Said) -> list[Check]:
            wanted = {str(job.number): job.outcome for job in workload.jobs}
            return [checks.ended_as_meant(wanted, said.seen)]

        stage = self._stage
        return Conclusion(stage.console, stage.texts, site, stayed, more, "by_center_real", 2)
