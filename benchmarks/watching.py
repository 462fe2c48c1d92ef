"""A hundred watchers of all jobs while jobs come: how much they are told, and how late.

They are in a process of their own, ``python -m benchmarks.watching ORDER``, beside the load.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from time import perf_counter, process_time, time
from typing import Any, Final

import uvloop
from corridor.v1 import job_service_pb2 as pb

from benchmarks.load import percentile
from benchmarks.report import Figure
from benchmarks.serving import ROOT, Served, load, serve
from benchmarks.site import new_site
from scheduler.client import AsyncClient

_WATCHERS: Final = 100
_CHANNELS: Final = 10
_JOBS: Final = 500
_PER_S: Final = 100_000.0
_ADDED_MS: Final = 200.0
_LATE_S: Final = 60.0


def run(quick: bool) -> list[Figure]:
    """Submit as fast as one caller does, and have all watchers follow; pools are full."""
    with new_site(units=8, planner__ray="off") as site, serve(site) as served:
        heard, sent = _followed(served, 2.0 if quick else 8.0)
    return [
        Figure(
            "watch", f"deliveries to {_WATCHERS} watchers", heard["per_s"], "/s", _PER_S,
            at_most=False, peer="jobs submitted a second meanwhile", peer_value=sent["jobs_per_s"],
        ),
        Figure(
            "watch", "from an event's time to a watcher, p50", heard["p50_ms"], "ms", _ADDED_MS,
            peer="p99", peer_value=heard["p99_ms"],
        ),
        Figure(
            "watch", "events that a watcher missed", heard["missed"], "", 0,
            peer="CPU s of the watchers", peer_value=heard["cpu_s"],
        ),
    ]  # fmt: skip


def _followed(served: Served, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    order = {"address": served.address, "token": served.token}
    watchers = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.watching", json.dumps(order)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watchers.stdout is not None
    watchers.stdout.readline()
    sent = load(served, "submit", callers=1, jobs=_JOBS, seconds=seconds)
    told, _ = watchers.communicate(f"{sent['jobs_sent']}\n")
    if watchers.returncode:
        raise RuntimeError("the watchers failed")
    heard: dict[str, Any] = json.loads(told)
    return heard, sent


class _Heard:
    """What all watchers heard, and how late one of them did."""

    def __init__(self) -> None:
        self.counts = [0] * _WATCHERS
        self.submitted = 0  # as the first of them was told
        self.late_ms: list[float] = []
        self.began_s = self.ended_s = 0.0
        self.open = 0
        self.changed = asyncio.Event()

    async def until(self, come: Callable[[], bool]) -> None:
        """Wait until something has come; not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATE_S):
                while not come():
                    self.changed.clear()
                    await self.changed.wait()

    def missed(self, jobs: int) -> int:
        """How many events some did not hear that others did, or nobody."""
        most = max(self.counts)
        return jobs - self.submitted + sum(most - count for count in self.counts)

    async def follow(self, client: AsyncClient, number: int) -> None:
        """Be a watcher."""
        opened = False
        async for answer in client.watch(pb.WatchJobsRequest()):
            if not opened:
                opened, self.open = True, self.open + 1
                self.changed.set()
            if not answer.events:
                continue
            self.ended_s = perf_counter()
            self.began_s = self.began_s or self.ended_s
            self.counts[number] += len(answer.events)
            if not number:
                self.submitted += sum(one.kind == "SUBMITTED" for one in answer.events)
                now_ms = time() * 1000
                first, last = answer.events[0], answer.events[-1]
                self.late_ms += [now_ms - one.time.ToMilliseconds() for one in (first, last)]
            self.changed.set()


async def _watch(order: dict[str, str]) -> dict[str, float]:
    heard, cpu_s = _Heard(), process_time()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(order["address"], order["token"]))
            for _ in range(_CHANNELS)
        ]
        tasks = [
            asyncio.create_task(heard.follow(clients[number % _CHANNELS], number))
            for number in range(_WATCHERS)
        ]
        await heard.until(lambda: heard.open == _WATCHERS)
        print("ready", flush=True)
        most = int(await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline))
        await heard.until(lambda: heard.missed(most) == 0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "per_s": sum(heard.counts) / (heard.ended_s - heard.began_s),
        "p50_ms": percentile(heard.late_ms, 0.5),
        "p99_ms": percentile(heard.late_ms, 0.99),
        "missed": heard.missed(most),
        "cpu_s": process_time() - cpu_s,
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_watch(json.loads(sys.argv[1])))))
