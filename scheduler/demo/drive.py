"""Drives the workload through the public API as its enterprises would, and watches what follows.

Each job is submitted when its time has come on the service's clock; what is due of one enterprise
at one moment goes into one call with a request id of its own. Some calls are repeated as if their
answer had been lost, which must change nothing.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from corridor.v1 import job_service_pb2 as pb

from scheduler.client import AsyncClient
from scheduler.demo.tally import Tally
from scheduler.demo.workload import DemoJob

#: Due jobs are looked for so often at most (real seconds).
_TICK_S: Final = 0.02
_CALLS_MAX: Final = 32
#: One call in so many is repeated with the same request id.
_REPEATED_ONE_IN: Final = 50


class Clock(Protocol):
    """The service's clock as seen from here."""

    def now_ms(self) -> int:
        """Scheduling time now."""
        ...

    def real_s(self, duration_ms: int) -> float:
        """Real seconds in which ``duration_ms`` of it passes."""
        ...


@dataclass(slots=True)
class Driven:
    """What was sent and answered so far.

    ``acknowledged`` maps job ids to (enterprise, number in the trace), ``refused`` numbers to the
    reason given.
    """

    acknowledged: dict[str, tuple[str, int]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    calls: int = 0
    repeated: int = 0
    differing: list[str] = field(default_factory=list)
    cancelled: int = 0


class Driver:
    """One drive; ``client`` has no token of its own: each call carries its enterprise's.

    ``clock`` gives the service's clock as it runs now.
    """

    def __init__(
        self,
        client: AsyncClient,
        tokens: Mapping[str, str],
        jobs: Sequence[DemoJob],
        *,
        start_ms: int,
        clock: Callable[[], Clock],
        seed: int,
    ) -> None:
        self._client, self._tokens, self._jobs = client, tokens, jobs
        self._start_ms, self._clock = start_ms, clock
        self._rng = random.Random(f"{seed}/calls")
        self._free = asyncio.Semaphore(_CALLS_MAX)
        self._cancels: list[tuple[int, str]] = []
        self.submitting = True
        self.driven = Driven()

    async def submit_all(self) -> None:
        """Submit every job at its time; returns when all are answered."""
        async with asyncio.TaskGroup() as calls:
            index = 0
            while index < len(self._jobs):
                now_ms = self._clock().now_ms() - self._start_ms
                due: dict[str, list[DemoJob]] = {}
                while index < len(self._jobs) and self._jobs[index].submit_ms <= now_ms:
                    job = self._jobs[index]
                    due.setdefault(job.enterprise, []).append(job)
                    index += 1
                for enterprise, jobs in due.items():
                    calls.create_task(self._bounded(self._submit(enterprise, jobs)))
                if index < len(self._jobs):
                    ahead_ms = self._jobs[index].submit_ms - now_ms
                    await asyncio.sleep(max(_TICK_S, self._clock().real_s(ahead_ms)))
        self.submitting = False

    async def _bounded(self, call: Coroutine[Any, Any, None]) -> None:
        async with self._free:
            await call

    async def _submit(self, enterprise: str, jobs: list[DemoJob]) -> None:
        request = pb.SubmitJobsRequest(request_id=f"demo-{jobs[0].number}")
        now_ms = self._clock().now_ms()
        for job in jobs:
            spec = request.jobs.add()
            spec.CopyFrom(job.spec)
            if job.deadline_after_ms is not None:
                spec.queue_deadline.FromMilliseconds(now_ms + job.deadline_after_ms)
        sign = self._sign(enterprise)
        answer = await self._client.jobs.SubmitJobs(request, metadata=sign)
        self.driven.calls += 1
        for job, result in zip(jobs, answer.results, strict=True):
            if not result.job_id:
                self.driven.refused[job.number] = result.error.message
                continue
            self.driven.acknowledged[result.job_id] = (enterprise, job.number)
            if job.cancel_after_ms is not None:
                at_ms = self._clock().now_ms() + job.cancel_after_ms
                heapq.heappush(self._cancels, (at_ms, result.job_id))
        if self._rng.randrange(_REPEATED_ONE_IN) == 0:
            again = await self._client.jobs.SubmitJobs(request, metadata=sign)
            self.driven.repeated += 1
            if not again.replayed or list(again.results) != list(answer.results):
                self.driven.differing.append(request.request_id)

    def _sign(self, enterprise: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._tokens[enterprise]}"),)

    async def cancel_some(self) -> None:
        """Cancel the jobs that their enterprises give up, each at its time."""
        while self.submitting or self._cancels:
            now_ms = self._clock().now_ms()
            due: dict[str, list[str]] = {}
            while self._cancels and self._cancels[0][0] <= now_ms:
                _, job_id = heapq.heappop(self._cancels)
                due.setdefault(self.driven.acknowledged[job_id][0], []).append(job_id)
            for enterprise, job_ids in due.items():
                await self._client.jobs.CancelJobs(
                    pb.CancelJobsRequest(
                        selection=pb.JobSelection(job_ids=job_ids), reason="not needed any more"
                    ),
                    metadata=self._sign(enterprise),
                )
                self.driven.cancelled += len(job_ids)
            await asyncio.sleep(_TICK_S)


async def follow(client: AsyncClient, tally: Tally, changed: asyncio.Event) -> None:
    """Watch all jobs from the first event on, for ever; sets ``changed`` when any come."""
    async for answer in client.watch(pb.WatchJobsRequest(from_start=True)):
        tally.take(answer.events)
        if answer.events:
            changed.set()
