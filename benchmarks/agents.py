"""How fast an agent tells a scheduler of its runs: over a real stream, from a process of its own.

Each report is on the agent's disk before it is told. The scheduler's side is the real servicer; it
is measured until its memory has all, and until the store has all.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any, Final, cast

import grpc
import uvloop
from corridor.v1 import adapter_service_pb2_grpc

from adapters.agent.remote import RemoteCenter
from benchmarks.agent_near import CENTER
from benchmarks.moving import Mover
from benchmarks.report import Figure
from benchmarks.serving import ROOT, Process
from benchmarks.site import new_site
from benchmarks.stored import Waiting, fill
from scheduler import logs
from scheduler.auth import tokens
from scheduler.auth.verifier import Verified, Verifier
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import run_id
from scheduler.domain.principal import Principal, Role
from scheduler.domain.reports import observed
from scheduler.rpc.adapter_servicer import AdapterServicer, Agents
from scheduler.rpc.interceptors import CallInterceptor
from scheduler.services.context import Context
from scheduler.store.database import Database

_RECONNECTS: Final = 5


def run(quick: bool) -> list[Figure]:
    """Tell of changes of all runs, into memory and into the store, and connect anew."""
    logs.set_up("auto", "error")
    count, rounds = (2_000, 2) if quick else (10_000, 5)
    with (
        new_site(units=65_536) as site,
        closing(Database(site.settings.database_url)) as db,
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        jobs = fill(db, count)
        mover = Mover(db)
        size = LoopSettings().admit_batch
        for first in range(0, count, size):
            mover.accept(jobs[first : first + size])
        return runner.run(_figures(jobs, mover, Path(folder), rounds))


async def _figures(
    jobs: Sequence[Waiting], mover: Mover, folder: Path, rounds: int
) -> list[Figure]:
    remote = RemoteCenter(CENTER)
    count = len(jobs)
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(_served(remote, folder))
        near = stack.enter_context(_near(address, jobs, folder))
        await _level(remote, lambda: remote.ready and len(remote.mirror.active) == count)
        looks: list[float] = []
        into_memory_s = 0.0
        for number in range(2, 2 + rounds):
            began_s = perf_counter()
            looks.append(await _change(near))
            await _level(remote, lambda number=number: _told(remote, number) == count)  # type: ignore[misc]
            into_memory_s += perf_counter() - began_s
        began_s = perf_counter()
        await _change(near)
        await _into_store(remote, mover, jobs, 2 + rounds)
        into_store_s = perf_counter() - began_s
        connects = sorted([await _reconnect(remote, count) for _ in range(_RECONNECTS)])
        cpu_s = near.cpu_s()
    return [
        Figure(
            "agent", f"reports of {count:,} runs into the scheduler's memory",
            rounds * count / into_memory_s, "reports/s", 2_000, at_most=False,
            peer="the agent's own looks, runs/s", peer_value=rounds * count / sum(looks),
        ),
        Figure(
            "agent", f"reports of {count:,} runs into the store", count / into_store_s,
            "reports/s", 2_000, at_most=False,
        ),
        Figure(
            "agent", f"a session anew with {count:,} runs, the slowest of {_RECONNECTS}",
            connects[-1], "s", 5.0, peer="median, s", peer_value=connects[_RECONNECTS // 2],
        ),
        Figure("agent", "CPU of the agent for all of it", cpu_s, "s"),
    ]  # fmt: skip


def _told(remote: RemoteCenter, sequence: int) -> int:
    """How many runs the scheduler's side has as of this change."""
    return sum(seen.sequence >= sequence for seen in remote.mirror.active.values())


async def _level(remote: RemoteCenter, holds: Callable[[], bool]) -> None:
    while not holds():
        await remote.wait_for_change(1.0)


async def _change(near: Process) -> float:
    """Have all runs change; returns the seconds of the agent's look."""
    assert near.popen.stdin is not None
    near.popen.stdin.write("change\n")
    near.popen.stdin.flush()
    said = await asyncio.to_thread(near.hear, "looked")
    return float(said["spent_s"])


async def _into_store(
    remote: RemoteCenter, mover: Mover, jobs: Sequence[Waiting], sequence: int
) -> None:
    """Store what is told as a center's worker does, until all runs are stored."""
    uids = {run_id(one.uid, 1): one.uid for one in jobs}
    size = LoopSettings().admit_batch
    while uids:
        page = await remote.list_active()
        news = [
            seen for seen in page.observations if seen.run_id in uids and seen.sequence >= sequence
        ]
        for first in range(0, len(news), size):
            part = news[first : first + size]
            reports = [observed(uids.pop(seen.run_id), 1, seen) for seen in part]
            await asyncio.to_thread(mover.report, "started", reports)
        if not news:
            await remote.wait_for_change(1.0)


async def _reconnect(remote: RemoteCenter, count: int) -> float:
    """Cut the session; returns the seconds until the next one has told of all runs."""
    session = remote.session
    assert session is not None
    began_s = perf_counter()
    remote.detach(session, "the benchmark cut it")
    await _level(remote, lambda: remote.ready and len(remote.mirror.active) == count)
    await _level(remote, lambda: remote.session is not session)
    return perf_counter() - began_s


@contextlib.asynccontextmanager
async def _served(remote: RemoteCenter, folder: Path) -> AsyncIterator[str]:
    """Serve the agents' service alone; yields its address."""
    secret = tokens.new_secret()
    (folder / "token").write_text(secret, "ascii")
    principal = Principal("agent", Role.AGENT, None, None, CENTER, "tok-benchmark", 1 << 60)

    async def lookup(digest: str) -> Verified | None:
        return Verified(principal, None) if digest == tokens.fingerprint(secret) else None

    def count(method: str, code: str, seconds: float) -> None:
        """Nobody counts."""

    server = grpc.aio.server(interceptors=(CallInterceptor(Verifier(lookup, lambda: 0), count),))
    # Tokens are looked up again only in sessions longer than these.
    servicer = AdapterServicer(cast(Context, _Everlasting()), Agents({CENTER: remote}, lambda: 1))
    adapter_service_pb2_grpc.add_AdapterServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await remote.close()
        await server.stop(0)


class _Everlasting:
    """A service whose tokens do not end."""

    def wall_ms(self) -> int:
        return 0

    @property
    def db(self) -> "_Everlasting":
        return self

    async def read(self, call: Any) -> bool:
        return False


@contextlib.contextmanager
def _near(address: str, jobs: Sequence[Waiting], folder: Path) -> Iterator[Process]:
    runs = folder / "runs.json"
    runs.write_text(json.dumps([run_id(one.uid, 1) for one in jobs]), "utf-8")
    order = {
        "address": address, "token": str(folder / "token"), "folder": str(folder),
        "runs": str(runs),
    }  # fmt: skip
    popen = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.agent_near", json.dumps(order)], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    near = Process(popen, perf_counter())
    try:
        yield near
    finally:
        near.end()
        if popen.stdin is not None:
            popen.stdin.close()
