"""A center in this process: store, machine, gateway and control, put together."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from tests.modelarts_center.control_calls import ControlCalls
from tests.modelarts_center.faults import Faults
from tests.modelarts_center.gateway import Gateway
from tests.modelarts_center.machine import Machine
from tests.modelarts_center.model import Job
from tests.modelarts_center.service import Service
from tests.modelarts_center.settings import CenterSettings
from tests.modelarts_center.store import Store
from tests.modelarts_center.wire import HttpServer


class Center:
    """One center that runs. ``skew_s`` moves its gateway's clock (Date, signatures, tokens)."""

    def __init__(self, settings: CenterSettings, now_s: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._now_s = now_s
        self.skew_s = 0.0
        self.faults = Faults()
        self._store = Store(settings.directory)
        self.machine = Machine(settings, self._store, lambda: int(now_s() * 1000))
        self.service = Service(settings, self.machine, self._store)
        self.gateway = Gateway(self.service, self.faults, self._shown_s)
        self._http = HttpServer(self.gateway.handle, self._shown_s)
        self._control = HttpServer(ControlCalls(self).handle, now_s)
        self._host = ""
        self._pump: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The endpoint, of ModelArts and of IAM."""
        return f"http://{self._host}:{self._http.port}"

    @property
    def control_url(self) -> str:
        """Where another process orders faults (``control.Control``)."""
        return f"http://{self._host}:{self._control.port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0, control_port: int = 0) -> None:
        """Take up stored jobs and listen; a port of 0 takes a free one."""
        self._host = host
        self.machine.load()
        self._pump = asyncio.create_task(self.machine.run())
        await self._http.start(host, port)
        await self._control.start(host, control_port)

    async def close(self, *, kill: bool = True) -> None:
        """Stop; without ``kill`` tasks go on, for the next process to adopt."""
        self.faults.clear()
        await self._control.close()
        await self._http.close()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        self.machine.close(kill=kill)
        self._store.close()

    def job(self, name: str) -> Job:
        """The newest job of a name, deleted or not; KeyError if there never was one."""
        jobs = [job for job in self.machine.all_jobs.values() if job.name == name]
        if not jobs:
            raise KeyError(name)
        return jobs[-1]

    async def until_phase(self, name: str, *phases: str, stretches: int = 0) -> Job:
        """Wait until a job of a name is in one of these phases and had so many stretches."""

        def there() -> Job | None:
            for job in self.machine.all_jobs.values():
                if job.name == name and job.phase in phases and len(job.records) >= stretches:
                    return job
            return None

        await self.machine.until(lambda: there() is not None)
        job = there()
        assert job is not None
        return job

    def all_jobs(self) -> list[Job]:
        """Every job that was ever made here, oldest first, deleted ones too."""
        return list(self.machine.all_jobs.values())

    def _shown_s(self) -> float:
        return self._now_s() + self.skew_s


@contextlib.asynccontextmanager
async def running(
    settings: CenterSettings, now_s: Callable[[], float] = time.time
) -> AsyncIterator[Center]:
    """A center on a free port of the loopback, gone with all its processes at the end."""
    center = Center(settings, now_s)
    try:
        await center.start()
        yield center
    finally:
        await center.close()
