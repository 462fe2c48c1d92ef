"""What every demonstration does with a service that is up: enroll, drive, follow, conclude."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console

from scheduler.client import AsyncClient
from scheduler.demo import enrolling
from scheduler.demo.concluding import Conclusion, print_places
from scheduler.demo.course import Course, Pace
from scheduler.demo.display import Display, Progress
from scheduler.demo.drive import Driver
from scheduler.demo.process import ServiceProcess
from scheduler.demo.tally import Tally
from scheduler.demo.texts import Texts
from scheduler.demo.workload import Workload


@dataclass(slots=True)
class Stage:
    """Where a demonstration shows itself, in one language."""

    texts: Texts
    console: Console = field(default_factory=lambda: Console(highlight=False))
    display: Display = field(init=False)
    _began_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.display = Display(self.texts)

    def say(self, key: str, **values: object) -> None:
        """Print a text that stays, beside the progress."""
        self.display.say(self.texts(key, **values))

    async def play(
        self,
        service: ServiceProcess,
        workload: Workload,
        conclusion: Conclusion,
        pace: Pace,
        seed: int,
    ) -> tuple[bool, Mapping[str, str]]:
        """From the first enterprise to the verdict; whether all held, and tokens by enterprise.

        Raises ``CorridorError`` if the service dies or jobs do not end.
        """
        async with (
            AsyncClient(service.address, conclusion.site.token) as client,
            AsyncClient(service.address, None) as enterprises,
        ):
            cities = await enrolling.cities(client)
            tokens = await enrolling.enroll(client, workload.enterprises, cities)
            self.say(
                "up", address=service.address, metrics=service.metrics, enterprises=len(tokens)
            )
            names = {
                code: self.texts.name(city.display_name_en, city.display_name_zh)
                for code, city in cities.items()
            }
            if pace.speed is not None:
                await service.set_speed(pace.speed)
            start_ms = service.clock.now_ms() if pace.start_ms is None else pace.start_ms
            driver = Driver(
                enterprises,
                tokens,
                workload.jobs,
                start_ms=start_ms,
                clock=lambda: service.clock,
                seed=seed,
            )
            progress = Progress(len(workload.jobs), start_ms)
            course = Course(
                service, client, driver, self.display, self.texts, Tally(), progress, pace
            )
            await course.finish()
            all_held = await conclusion.all_held(course, names)
            print_places(self.console, self.texts, conclusion.site)
            self.console.print(self.texts("took", seconds=time.monotonic() - self._began_s))
        return all_held, tokens
