"""The course of the workload: sent, followed and shown until every job has ended and is settled."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Final

import grpc
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.client import AsyncClient
from scheduler.demo import scraping
from scheduler.demo.display import Display, Progress
from scheduler.demo.drive import Driver, follow
from scheduler.demo.process import ServiceProcess
from scheduler.demo.tally import Tally
from scheduler.demo.texts import Texts
from scheduler.errors import CorridorError

#: After the last arrival, once nothing waits for placement, the clock runs so many times as fast
#: again; also if what waits did not start for so long (for want of money that long runs hold).
TAIL_FACTOR: Final = 40
_STUCK_S: Final = 5.0
#: Nothing happened for so long, in real seconds and in scheduling time: something hangs.
_PATIENCE_S: Final = 60.0
_PATIENCE_MS: Final = 3 * 86_400_000
#: The same for real centers, where a second is one.
_REAL_PATIENCE_S: Final = 120.0
_SHOW_S: Final = 0.2
_SCRAPE_S: Final = 1.0
_HANGING_SHOWN: Final = 10


class Hangs(CorridorError):
    """Jobs that do not end; the message says which, and why as far as the service knows."""

    reason = "HANGS"


@dataclass(frozen=True, slots=True)
class Pace:
    """How time goes: ``speed`` None is real time, ``start_ms`` None begins at once."""

    speed: float | None = None
    start_ms: int | None = None


@dataclass(slots=True)
class Course:
    """One course; ``client`` has an operator's token."""

    service: ServiceProcess
    client: AsyncClient
    driver: Driver
    display: Display
    texts: Texts
    tally: Tally
    progress: Progress
    pace: Pace
    _hurried: bool = False
    _starts: int = 0
    _started_s: float = 0.0

    async def finish(self) -> None:
        """Return once all jobs have ended and are settled.

        Raises ``Hangs``, ``ServiceDied``, and what a call raised that was not to fail.
        """
        changed = asyncio.Event()
        sending = asyncio.create_task(self._send())
        tasks = {
            sending,
            asyncio.create_task(follow(self.client, self.tally, changed)),
            asyncio.create_task(self._scrape()),
            asyncio.create_task(self.service.until_dead()),
        }
        try:
            with self.display:
                await self._until_done(sending, set(tasks), changed)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self.driver.submit_all())
            both.create_task(self.driver.cancel_some())

    async def _until_done(
        self,
        sending: "asyncio.Task[None]",
        going: "set[asyncio.Task[None]]",
        changed: asyncio.Event,
    ) -> None:
        moved_s = time.monotonic()
        while not (sending.done() and self._all_ended()):
            done, going = await asyncio.wait(
                going, timeout=_SHOW_S, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()  # raises what ended it; only the sending ends by itself
            if changed.is_set():
                changed.clear()
                moved_s = time.monotonic()
            quiet_s = time.monotonic() - moved_s
            if quiet_s > self._patience_s():
                raise await self._hanging(quiet_s)
            await self._hurry()
            self._show()

    def _patience_s(self) -> float:
        if self.pace.speed is None:
            return _REAL_PATIENCE_S
        return max(_PATIENCE_S, self.service.clock.real_s(_PATIENCE_MS))

    def _all_ended(self) -> bool:
        acknowledged = len(self.driver.driven.acknowledged)
        return self.tally.ended >= acknowledged and not self.tally.unsettled

    async def _hurry(self) -> None:
        """Turn the clock up when only runs are left, whose use the centers meter anyhow."""
        if self.pace.speed is None or self._hurried or self.driver.submitting:
            return
        now_s, starts = time.monotonic(), self.tally.kinds["ADMITTED"]
        if starts != self._starts:
            self._starts, self._started_s = starts, now_s
        is_quiet = not self.tally.waiting and self._all_known()
        if is_quiet or now_s - self._started_s > _STUCK_S:
            self._hurried = True
            await self.service.set_speed(self.service.clock.speed * TAIL_FACTOR)
            self.display.say(
                self.texts(
                    "faster",
                    waiting=self.tally.waiting,
                    speed=self.service.clock.speed,
                    active=self.tally.active,
                )
            )

    def _all_known(self) -> bool:
        return len(self.tally.states) >= len(self.driver.driven.acknowledged)

    def _show(self) -> None:
        progress, tally = self.progress, self.tally
        progress.now_ms, progress.speed = self.service.clock.now_ms(), self.service.clock.speed
        progress.submitted = len(self.driver.driven.acknowledged)
        progress.waiting, progress.active = tally.waiting, tally.active
        progress.ended = tally.ended
        self.display.show(progress)

    async def _scrape(self) -> None:
        """Scrape the service's metrics as Prometheus would, for ever."""
        while True:
            with contextlib.suppress(OSError):
                text = await asyncio.to_thread(scraping.fetch, self.service.metrics)
                self.progress.scraped = scraping.read(text)
            await asyncio.sleep(_SCRAPE_S)

    async def _hanging(self, quiet_s: float) -> Hangs:
        """Say which jobs do not end, and why."""
        jobs = self.tally.unfinished()
        lines = [self.texts("hangs", count=len(jobs), seconds=quiet_s)]
        for job in jobs[:_HANGING_SHOWN]:
            state = job_pb2.JobState.Name(self.tally.states[job])
            try:
                answer = await self.client.jobs.ExplainJob(pb.ExplainJobRequest(job_id=job))
                why = job_pb2.ReasonCode.Name(answer.reason.code)
            except grpc.RpcError as error:
                why = str(error.code())
            lines.append(f"  {job} {state} {why}")
        if self.progress.scraped.loop_errors:
            errors = self.progress.scraped.loop_errors
            lines.append(self.texts("loop_errors", count=errors, log=self.service.log))
        return Hangs("\n".join(lines))
