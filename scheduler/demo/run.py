"""The demonstration from its set-up to its verdict."""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from adapters.simulated.journal import read_events
from scheduler.client import AsyncClient
from scheduler.demo import checks, collecting, enrolling, report, scraping, tables
from scheduler.demo.checks import Check
from scheduler.demo.course import TAIL_FACTOR, Course
from scheduler.demo.display import Display, Progress
from scheduler.demo.drive import Driver
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
    set_up,
    trace_jobs,
)
from scheduler.demo.tally import Tally
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
        self._texts = Texts(options.language)
        self._console = Console(highlight=False)
        self._display = Display(self._texts)
        self._began_s = time.monotonic()

    async def run(self) -> int:
        """Set up, drive, check, report; 0 only if every check held.

        Raises ``CorridorError`` if it cannot be set up, the service dies, or jobs do not end.
        """
        options, say, texts = self._options, self._display.say, self._texts
        directory = options.directory or Path(tempfile.mkdtemp(prefix="corridor-demo-"))
        directory = directory.resolve()
        say(texts("title"))
        say(texts("setting_up", directory=directory))
        site = set_up(
            directory, ray=options.ray, seed_number=options.seed, serve_speed=options.serve_speed
        )
        try:
            chosen = first_days(trace_jobs(), options.days, options.jobs_max)
            workload = build(chosen, site.flavors, site.prices_ufen, seed=options.seed)
            self._say_workload(workload)
            return await self._with_service(site, workload)
        finally:
            if options.remove:
                shutil.rmtree(directory, ignore_errors=True)
                say(texts("removed", directory=directory))

    async def _with_service(self, site: Site, workload: Workload) -> int:
        options = self._options
        service = await ServiceProcess.start(
            site.config, site.log, start_ms=START_MS - _BEFORE_MS, speed=1.0
        )
        try:
            async with (
                AsyncClient(service.address, site.token) as client,
                AsyncClient(service.address, None) as enterprises,
            ):
                cities = await enrolling.cities(client)
                tokens = await enrolling.enroll(client, workload.enterprises, cities)
                self._say_up(service, len(tokens))
                names = {
                    code: self._texts.name(city.display_name_en, city.display_name_zh)
                    for code, city in cities.items()
                }
                await service.set_speed(options.speed)
                driver = Driver(
                    enterprises,
                    tokens,
                    workload.jobs,
                    start_ms=START_MS,
                    clock=lambda: service.clock,
                    seed=options.seed,
                )
                progress = Progress(len(workload.jobs), START_MS)
                course = Course(
                    service, client, driver, self._display, self._texts, Tally(), progress
                )
                await course.finish()
                all_held = await self._conclude(site, course, names)
            if options.serve:
                await service.set_speed(options.serve_speed)
                print_commands(self._console, self._texts, site, service, workload, tokens)
                with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C or SIGTERM
                    await service.until_dead()
                self._display.say(self._texts("stopping"))
        finally:
            await service.stop()
        return 0 if all_held else 1

    async def _conclude(self, site: Site, course: Course, names: Mapping[str, str]) -> bool:
        """Collect what API, store and centers say, show it, and hold each against the others."""
        console, texts = self._console, self._texts
        said = await collecting.collect(course.client)
        scrape = await asyncio.to_thread(scraping.fetch, course.service.metrics)
        site.metrics.write_text(scrape, encoding="utf-8")
        rows = await asyncio.to_thread(evidence.read_file, site.database_url)
        stayed = [
            stay
            for center in site.centers
            for stay in stays(center, read_events(site.journal(center)))
        ]
        held_units = checks.holdings(rows.runs, stayed)
        nominal = {key: limits.nominal for key, limits in said.limits.items()}
        uses = report.use_by_city(rows.runs, stayed, rows.transfers, held_units, nominal)
        console.print(tables.jobs_table(texts, report.jobs_by_city(said.ended, rows.runs), names))
        console.print(tables.use_table(texts, uses, names))
        self._print_events(course, scraping.read(scrape))
        driven = course.driver.driven
        found = [
            checks.no_run_doubled(stayed, rows.runs),
            _ledger(site, said, rows, stayed),
            checks.quota_kept(held_units, said.limits, said.capacities),
            _with(checks.none_lost(driven.acknowledged, said.seen), driven.differing),
            checks.nothing_went_wrong(site.log.read_text("utf-8", "replace").splitlines()),
        ]
        tables.print_checks(console, texts, found)
        self._print_places(site)
        return all(check.ok for check in found)

    # --- what is printed --------------------------------------------------------------------------

    def _say_workload(self, workload: Workload) -> None:
        options, texts, say = self._options, self._texts, self._display.say
        notes = workload.notes
        say(
            texts(
                "workload",
                jobs=len(workload.jobs),
                enterprises=len(workload.enterprises),
                cities=len({one.city for one in workload.enterprises}),
                days=workload.last_submit_ms / 86_400_000,
            )
        )
        say(texts("injected", seed=options.seed, lost=f"{sum(FAULTS.values()):.1%}", **notes))
        if notes["cut"]:
            say(texts("cut", count=notes["cut"]))
        say(texts("limits", flavor=LIMITED, borrowed=BORROWED_OF_NOMINAL, kept=KEPT_ONE_IN))
        say(texts("clock", speed=options.speed, waits=options.speed / 50, tail=TAIL_FACTOR))

    def _say_up(self, service: ServiceProcess, enterprises: int) -> None:
        self._display.say(
            self._texts(
                "up", address=service.address, metrics=service.metrics, enterprises=enterprises
            )
        )

    def _print_events(self, course: Course, scraped: scraping.Scraped) -> None:
        texts, tally, driven = self._texts, course.tally, course.driver.driven
        refused = ", ".join(f"{why} {count:,}" for why, count in sorted(scraped.refused.items()))
        failures = ", ".join(f"{why} {count:,}" for why, count in sorted(tally.failures.items()))
        self._console.print(
            texts(
                "events",
                failures=failures or texts("none"),
                retried=tally.kinds["REQUEUED"],
                unknown=tally.kinds["RUN_UNKNOWN"],
                calls=driven.calls,
                repeated=driven.repeated,
                cancelled=driven.cancelled,
                refused=refused or texts("none"),
            )
        )

        if driven.refused:
            why = next(iter(driven.refused.values()))
            self._console.print(texts("refused", count=len(driven.refused), why=why))

    def _print_places(self, site: Site) -> None:
        texts, console = self._texts, self._console
        console.print(f"[bold]{texts('where')}")
        for key, place in site.places():
            console.print(f"  {texts(key)}: {place}", soft_wrap=True)
        console.print(texts("took", seconds=time.monotonic() - self._began_s))


def _ledger(
    site: Site, said: collecting.Said, rows: evidence.Evidence, stayed: list[Stay]
) -> Check:
    """The check of the ledger, with what the service's own verification found beside it."""
    check = checks.ledger_holds(
        rows.transfers, rows.accounts, rows.open_holds, stayed, site.prices_ufen, said.charged
    )
    return _with(check, list(said.verified.problems))


def _with(check: Check, more: list[str]) -> Check:
    return replace(check, problems=(*check.problems, *more))
