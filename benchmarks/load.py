"""The load: a client in a process of its own, so that what it costs is not the service's.

``python -m benchmarks.load ORDER`` takes an order as JSON and says what it measured as JSON:
``submit`` (callers, jobs a call, seconds), ``latency`` (jobs, one after another), ``drive``
(seconds, jobs open at once, jobs a call) and ``check`` (how all jobs ended, and the ledger).
"""

import asyncio
import itertools
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any, Final

import uvloop
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from corridor.v1 import subsidy_service_pb2 as subsidies_pb

from benchmarks import workload
from scheduler.client import AsyncClient

_SHAPES: Final = tuple(itertools.product((1, 2, 4, 8), (600, 3_600, 14_400)))
_RUNTIME: Final = "corridor.simulated/runtime-s"
_LATE_S: Final = 120.0
_MEMBERS: Final = [name for name, _ in workload.members()]


def spec(number: int, runtime_s: float | None = None) -> job_pb2.JobSpec:
    """A job such as people submit: some 300 bytes."""
    units, wall_s = _SHAPES[number % len(_SHAPES)]
    one = job_pb2.JobSpec(
        display_name=f"train-{number}",
        image="registry.example/team/train:2.4",
        command=["python", "train.py", "--config", "configs/base.yaml"],
        environment={"EPOCHS": "30", "SEED": str(number % 1_000)},
        labels={"team": "vision", "stage": "benchmark"},
    )
    one.options.add(flavor=workload.flavor(number % workload.POOLS), units_per_node=units, nodes=1)
    one.wall_limit.seconds = wall_s
    one.inputs.add(uri="obs://data/set-1", size_bytes=1 << 30)
    one.outputs.add(uri="obs://data/models")
    if runtime_s is not None:
        one.labels[_RUNTIME] = str(runtime_s)
    return one


def percentile(values: Sequence[float], part: float) -> float:
    """The value that ``part`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def submit(
    client: AsyncClient, *, callers: int, jobs: int, seconds: float
) -> dict[str, float]:
    """Submit for so long, each caller one call after the other. Latencies in ms."""
    numbers = itertools.count()
    calls = [
        pb.SubmitJobsRequest(jobs=[spec(next(numbers)) for _ in range(jobs)])
        for _ in range(callers)
    ]
    await asyncio.gather(*(call(client, one, next(numbers)) for one in calls))
    took_ms: list[float] = []
    began_s, cpu_s = perf_counter(), process_time()
    until_s = began_s + seconds

    async def caller(request: pb.SubmitJobsRequest) -> None:
        while perf_counter() < until_s:
            sent_s = perf_counter()
            await call(client, request, next(numbers))
            took_ms.append((perf_counter() - sent_s) * 1000)

    await asyncio.gather(*(caller(one) for one in calls))
    spent_s = perf_counter() - began_s
    return {
        "jobs": len(took_ms) * jobs,
        "jobs_sent": (len(took_ms) + callers) * jobs,
        "jobs_per_s": len(took_ms) * jobs / spent_s,
        "p50_ms": percentile(took_ms, 0.5),
        "p99_ms": percentile(took_ms, 0.99),
        "client_cpu_s": process_time() - cpu_s,
    }


async def call(client: AsyncClient, request: pb.SubmitJobsRequest, number: int) -> list[str]:
    """Submit jobs as new ones, for one of the enterprises; returns their ids. Raises
    ``RuntimeError`` if one is refused.
    """
    request.request_id = str(uuid.uuid4())
    request.enterprise = _MEMBERS[number % len(_MEMBERS)]
    answer = await client.jobs.SubmitJobs(request)
    ids = [result.job_id for result in answer.results]
    if not all(ids):
        refused = next(result for result in answer.results if not result.job_id)
        raise RuntimeError(f"a job was refused: {refused.error.message}")
    return ids


@dataclass
class Watch:
    """Jobs as a watch of all events shows them."""

    client: AsyncClient
    seen: dict[str, dict[str, float]] = field(default_factory=dict)
    said: dict[str, dict[str, int]] = field(default_factory=dict)
    settled: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _watched: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, keep: bool) -> None:
        """Follow for ever; ``keep`` notes when each event was seen and is said to have been."""
        async for answer in self.client.watch(pb.WatchJobsRequest()):
            self._watched.set()
            now_s = perf_counter()
            for event in answer.events:
                if keep:
                    self.seen.setdefault(event.job_id, {})[event.kind] = now_s
                    told_ms = event.time.ToMilliseconds()
                    self.said.setdefault(event.job_id, {})[event.kind] = told_ms
                if event.kind == "SETTLED":
                    self.settled += 1
            self.changed.set()

    async def begun(self) -> None:
        """Wait until the watch has its place in the feed."""
        await self._watched.wait()

    async def until(self, job: str, kind: str) -> float:
        """Wait until an event of a job is seen; gives when."""
        while kind not in self.seen.get(job, {}):
            self.changed.clear()
            async with asyncio.timeout(_LATE_S):
                await self.changed.wait()
        return self.seen[job][kind]


async def latency(client: AsyncClient, *, jobs: int, pause_s: float) -> dict[str, float]:
    """Submit jobs one after another to idle centers, and see each accepted there. In ms."""
    watch = Watch(client)
    following = asyncio.create_task(watch.follow(keep=True))
    await watch.begun()
    seen_ms: list[float] = []
    said_ms: list[float] = []
    for number in range(jobs):
        began_s = perf_counter()
        (job,) = await call(client, pb.SubmitJobsRequest(jobs=[spec(number, 0.01)]), number)
        seen_ms.append((await watch.until(job, "RUN_ACCEPTED") - began_s) * 1000)
        times = watch.said[job]
        said_ms.append(float(times["RUN_ACCEPTED"] - times["SUBMITTED"]))
        await watch.until(job, "SETTLED")
        await asyncio.sleep(pause_s)
    following.cancel()
    return {
        "seen_p50_ms": percentile(seen_ms, 0.5),
        "seen_p99_ms": percentile(seen_ms, 0.99),
        "said_p50_ms": percentile(said_ms, 0.5),
        "said_p99_ms": percentile(said_ms, 0.99),
    }


async def drive(
    client: AsyncClient, *, seconds: float, open_max: int, jobs: int, runtime_s: float
) -> dict[str, float]:
    """Keep at most so many jobs open for so long; then wait until the last is settled.

    The rate is of jobs settled within the time, after a tenth of it to warm up.
    """
    watch = Watch(client)
    following = asyncio.create_task(watch.follow(keep=False))
    await watch.begun()
    numbers, sent = itertools.count(), 0
    began_s, cpu_s = perf_counter(), process_time()
    warm_s, until_s = began_s + seconds / 10, began_s + seconds
    warm: tuple[float, int] | None = None
    requests = [
        pb.SubmitJobsRequest(jobs=[spec(next(numbers), runtime_s) for _ in range(jobs)])
        for _ in range(20)
    ]
    while (now_s := perf_counter()) < until_s:
        if warm is None and now_s >= warm_s:
            warm = (now_s, watch.settled)
        if sent + jobs - watch.settled > open_max:
            watch.changed.clear()
            async with asyncio.timeout(_LATE_S):
                await watch.changed.wait()
            continue
        number = next(numbers)
        await call(client, requests[number % len(requests)], number)
        sent += jobs
    assert warm is not None, "the time is longer than its tenth"
    ended_s, settled = perf_counter(), watch.settled
    while watch.settled < sent:
        watch.changed.clear()
        async with asyncio.timeout(_LATE_S):
            await watch.changed.wait()
    following.cancel()
    return {
        "jobs": sent,
        "jobs_per_s": (settled - warm[1]) / (ended_s - warm[0]),
        "drained_s": perf_counter() - ended_s,
        "client_cpu_s": process_time() - cpu_s,
    }


async def check(client: AsyncClient) -> dict[str, float]:
    """How many jobs ended well, how many did not, and what is wrong with the ledger."""
    good = bad = 0
    token = ""
    while True:
        page = await client.jobs.ListJobs(pb.ListJobsRequest(page_size=1_000, page_token=token))
        for job in page.jobs:
            if job.state == job_pb2.JOB_STATE_SUCCEEDED and job.settled:
                good += 1
            else:
                bad += 1
        token = page.next_page_token
        if not token:
            break
    verified = await client.subsidies.VerifyLedger(
        subsidies_pb.VerifyLedgerRequest(), timeout=_LATE_S
    )
    return {"good": good, "bad": bad, "ledger_problems": len(verified.problems)}


KINDS: Final[Mapping[str, Any]] = {
    "submit": submit, "latency": latency, "drive": drive, "check": check
}  # fmt: skip


async def _main(order: dict[str, Any]) -> dict[str, float]:
    kind = KINDS[order.pop("kind")]
    async with AsyncClient(order.pop("address"), order.pop("token"), timeout_s=_LATE_S) as client:
        answer: dict[str, float] = await kind(client, **order)
        return answer


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_main(json.loads(sys.argv[1])))))
