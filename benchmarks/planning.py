"""What a planning cycle costs, with up to a million waiting jobs, and what they weigh."""

import asyncio
import gc
import multiprocessing
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Final

from benchmarks import workload
from benchmarks.report import Figure
from scheduler.control.ray_link import RayPlanner
from scheduler.control.settings import LoopSettings
from scheduler.placement import tournament
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import CORRIDOR, Delta, Plan, RunEnded

#: Waiting jobs, and the target of a cycle in ms.
_TARGETS: Final = {10_000: 10.0, 100_000: 30.0, 1_000_000: 100.0}
_BYTES: Final = 350.0
_ALIKE: Final = 2.0
_ALIKE_MS: Final = 1.0
_ROUNDS: Final = 5
_NEW: Final = 100
_CHUNK: Final = 10_000
_SECOND_MS: Final = 1_000
_COMPILED: Final = "" if str(tournament.__file__).endswith(".py") else ", compiled"


def run(quick: bool) -> list[Figure]:
    """Cycles with every pool free, with nothing changed, and with 100 new jobs."""
    sizes = [size for size in _TARGETS if not (quick and size > 100_000)]
    figures: list[Figure] = []
    least: Cycles | None = None
    for size in sizes:
        found = Cycles(size)
        least = least or found
        figures += _figures(size, found, least)
    figures.append(_memory(sizes[-1]))
    figures.append(asyncio.run(_moved(sizes[-1])))
    return figures


class Cycles:
    """Times in ms of cycles over ``size`` waiting jobs; ``refills_ms`` are those of ``full_ms``."""

    def __init__(self, size: int) -> None:
        self._core = PlanningCore(CORRIDOR)
        self._now_ms, self._revision = workload.BEGIN_MS, 0
        self._spent_ms = self._cpu_ms = 0.0
        self._rounds_ms: list[float] = []
        self._starts: list[int] = []
        arrivals = workload.Arrivals()
        self._core.load(0, [*workload.rules(), *arrivals.take(size)], self._now_ms)
        gc.collect()
        gc.freeze()  # as ``corridor serve`` does
        try:
            self._cycle(())
            self.full_ms = self._median(self._renew)
            self.refills_ms = self._rounds_ms
            self.full_cpu_ms = self._cpu_ms
            while self._cycle(()).more:
                pass
            self.idle_ms = self._median(lambda: self._cycle(()))
            self.new_ms = self._median(lambda: self._cycle(arrivals.take(_NEW, self._now_ms)))
        finally:
            gc.unfreeze()

    def _cycle(self, deltas: Sequence[Delta]) -> Plan:
        self._now_ms += _SECOND_MS
        self._revision += 1
        began_s, cpu_s = perf_counter(), thread_time()
        plan = self._core.cycle(self._revision - 1, deltas, self._revision, self._now_ms)
        self._spent_ms, self._cpu_ms = (
            (perf_counter() - began_s) * 1000,
            (thread_time() - cpu_s) * 1000,
        )
        self._starts += [start.uid for start in plan.starts]
        return plan

    def _renew(self) -> None:
        """Every run ends, and all pools are filled anew."""
        ended, self._starts = self._starts, []
        self._cycle([RunEnded(uid, _SECOND_MS) for uid in ended])

    def _median(self, call: Callable[[], object]) -> float:
        self._rounds_ms = []
        for _ in range(_ROUNDS):
            call()
            self._rounds_ms.append(self._spent_ms)
        return median(self._rounds_ms)


def _figures(size: int, found: Cycles, least: Cycles) -> list[Figure]:
    """The figures of one size; the peer of the small cycles is the least size."""
    waiting = f"{size:,} waiting{_COMPILED}"
    beside = f"at {min(_TARGETS):,} waiting"
    figures = [
        Figure(
            "plan", f"every run ends, all pools are filled, {waiting}", found.full_ms, "ms",
            _TARGETS[size], peer="CPU ms", peer_value=found.full_cpu_ms,
        )
    ]  # fmt: skip
    for what, value, peer in (
        ("nothing changed", found.idle_ms, least.idle_ms),
        (f"{_NEW} new jobs", found.new_ms, least.new_ms),
    ):
        # Independent of the jobs that wait: no more than noise above the least.
        target = None if found is least else max(_ALIKE * peer, _ALIKE_MS)
        figures.append(
            Figure("plan", f"{what}, {waiting}", value, "ms", target, peer=beside, peer_value=peer)
        )
    return figures


# --- moving ---------------------------------------------------------------------------------------


async def _moved(size: int) -> Figure:
    """How long a planner on Ray takes to be told of so many jobs; Ray is up before that."""
    told = [*workload.rules(), *workload.Arrivals().take(size)]
    planner = await RayPlanner.open(LoopSettings())
    try:
        began_s = perf_counter()
        await planner.load(0, told, workload.BEGIN_MS)
        took_s = perf_counter() - began_s
    finally:
        await planner.close()
    return Figure("plan", f"{size:,} waiting jobs moved to Ray", took_s, "s", peer="jobs/s",
                  peer_value=size / took_s)  # fmt: skip


# --- memory ---------------------------------------------------------------------------------------


def _memory(size: int) -> Figure:
    """Bytes of a planner's process for each waiting job, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        taken = pool.apply(_bytes_taken, (size,))
    return Figure("plan", f"memory for one of {size:,} waiting jobs", taken / size, "B", _BYTES)


def _bytes_taken(size: int) -> int:
    """How much a process grows when its planner is told of so many jobs."""
    core, arrivals = PlanningCore(CORRIDOR), workload.Arrivals()
    core.load(0, [*workload.rules(), *arrivals.take(_CHUNK)], workload.BEGIN_MS)
    core.cycle(0, (), 1, workload.BEGIN_MS)
    gc.collect()
    before = resident_bytes()
    for revision in range(1, size // _CHUNK + 1):
        core.cycle(revision, arrivals.take(_CHUNK), revision + 1, workload.BEGIN_MS)
    gc.collect()
    return resident_bytes() - before


def resident_bytes() -> int:
    """Memory of this process that is resident and its own."""
    _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text("ascii").split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
