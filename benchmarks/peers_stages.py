"""The steps of the comparison: what each side does, round after round, by turns.

Between turns both sides come to rest, as far as they do, so that what one puts off is not done
while the other is measured; what the other takes all the same is measured as well.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Final, TypeVar

from benchmarks.load import percentile
from benchmarks.peers_corridor import Corridor
from benchmarks.peers_log import Log
from benchmarks.peers_processes import rest
from benchmarks.peers_slurm import DEEP, Slurm
from benchmarks.planning import Cycles

T = TypeVar("T")
_REST_S: Final = 6.0
_IDLE_S: Final = 5.0
_POLL_S: Final = 0.1
_BATCH: Final = 1_000
_BATCH_CALLERS: Final = 2
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each is done in a round, and how many rounds there are."""

    rounds: int
    serial: int  # calls, one after another
    eight: int  # calls of eight callers together
    command: int  # calls of sbatch, one after another; and of eight together five times as many
    cli: int  # calls of our command, of which each takes much longer
    array: int  # elements
    depths: tuple[int, int]  # jobs that wait
    batches: int  # rounds in which the second depth is reached
    lists: int  # of all jobs, by each door and depth
    starts: int
    front: int  # jobs driven through Slurm
    front_rounds: int
    planned_s: float  # how long a backfill cycle is waited for
    cycled: tuple[int, ...]  # depths at which planning is looked at
    budget_s: float  # once so long was measured, each step has one round

    def at_most(self, rounds: int) -> "Sizes":
        """The same with no more rounds of anything than so many."""
        least = partial(min, rounds)
        return replace(
            self, rounds=least(self.rounds), lists=least(self.lists),
            front_rounds=least(self.front_rounds), batches=least(self.batches),
        )  # fmt: skip


FULL: Final = Sizes(
    rounds=5, serial=300, eight=1_000, command=40, cli=2, array=10_000, depths=(10_000, 50_000),
    batches=5, lists=3, starts=10, front=300, front_rounds=3, planned_s=90.0,
    cycled=(10_000, 50_000), budget_s=1_200.0,
)  # fmt: skip
QUICK: Final = Sizes(
    rounds=2, serial=50, eight=100, command=5, cli=1, array=500, depths=(600, 1_500),
    batches=2, lists=1, starts=2, front=30, front_rounds=1, planned_s=40.0, cycled=(600,),
    budget_s=600.0,
)  # fmt: skip

#: What a side does in a round.
Turn = tuple[str, Callable[[], Awaitable[None]]]


class Comparison:
    """Both sides, and the log of what they did."""

    def __init__(self, slurm: Slurm, corridor: Corridor, log: Log, sizes: Sizes) -> None:
        self.slurm, self.corridor, self.log, self.sizes = slurm, corridor, log, sizes
        self._until_s = perf_counter() + sizes.budget_s

    async def by_turns(self, rounds: int, *turns: Turn, whole: bool = False) -> None:
        """Let each have its turn in every round, in the other order in every second one; in all
        rounds if ``whole``, though it takes long.
        """
        for number in range(rounds):
            if number and perf_counter() > self._until_s and not whole:
                say("it takes long: no further rounds of this")
                return
            for side, work in turns if number % 2 == 0 else turns[::-1]:
                await self.rest()
                other = self.corridor if side == "slurm" else self.slurm
                began_s, cpu_s = perf_counter(), other.cpu_s()
                await work()
                share = (other.cpu_s() - cpu_s) / (perf_counter() - began_s)
                self.log.add("machine", "other", "value", share * 100)

    async def rest(self) -> None:
        """Wait until neither side has anything left to do, at most some seconds."""
        await rest(lambda: [*self.slurm.pids(), *self.corridor.pids()], _REST_S)

    # --- starts ---------------------------------------------------------------------------------

    async def starts(self) -> None:
        """How soon a job starts on nodes that have nothing to do."""
        taken_ms = await self.corridor.starts(self.sizes.starts * 3)
        self.log.add("start", "start", "simulated", *taken_ms)

    # --- submissions ----------------------------------------------------------------------------

    async def submissions(self) -> None:
        """One by one and eight at once, by every door, behind nodes that are all taken."""
        sizes, add = self.sizes, self.log.add
        size = str(sizes.array)

        async def by_rest() -> None:
            add("submit", "serial", "rest", await _rate(self.slurm.submit(sizes.serial, 1)))
            add("submit", "eight", "rest", await _rate(self.slurm.submit(sizes.eight, _AT_ONCE)))
            array = [self.slurm.message(0, array=f"0-{sizes.array - 1}", name="array")]
            [taken_ms] = await self.slurm.submit(1, 1, array)
            add("submit", f"array@{size}", "rest", taken_ms)
            self.slurm.command("scancel", "-n", "array")

        async def by_sbatch() -> None:
            sbatch, many = self.slurm.sbatch, sizes.command * 5
            add("submit", "serial", "command", await _rate(_apart(sbatch, sizes.command)))
            add("submit", "eight", "command", await _rate(_apart(sbatch, many, _AT_ONCE)))
            elements = f"--array=0-{sizes.array - 1}"
            [taken_ms] = await _apart(sbatch, 1, 1, elements, "-J", "array")
            add("submit", f"array@{size}", "command", taken_ms)
            self.slurm.command("scancel", "-n", "array")

        async def by_api() -> None:
            submit = self.corridor.submit
            add("submit", "serial", "api", await _rate(submit(sizes.serial, 1)))
            add("submit", "eight", "api", await _rate(submit(sizes.eight, _AT_ONCE)))
            add("submit", f"array@{size}", "api", await self.corridor.submit_array(sizes.array))

        async def by_command() -> None:
            made = _apart(self.corridor.command_submit, sizes.cli)
            add("submit", "serial", "cli", await _rate(made))

        await self.by_turns(
            sizes.rounds, ("slurm", by_rest), ("corridor", by_api), ("slurm", by_sbatch),
            ("corridor", by_command),
        )  # fmt: skip

    # --- at a depth -----------------------------------------------------------------------------

    async def fill(self, depth: int) -> None:
        """Submit until so many wait on both sides."""
        await self.slurm.submit(max(0, depth - self._queued()), _AT_ONCE)
        missing = max(0, depth - (await self.corridor.all())[1])
        await self.corridor.submit(missing, _BATCH_CALLERS, min(_BATCH, max(1, missing)))

    def _queued(self) -> int:
        return self.slurm.squeue()[1]

    async def fill_by_turns(self, depth: int) -> None:
        """Reach a depth by as many jobs in a round as it takes, which all differ: in batches where
        there are batches, else over eight connections.
        """
        rounds = self.sizes.batches
        there = min(self._queued(), (await self.corridor.all())[1])
        share = -(-(depth - there) // rounds // _BATCH) * _BATCH if depth > _BATCH * 2 else _BATCH
        add = self.log.add

        async def by_rest() -> None:
            add("submit", "many", "rest", await _rate(self.slurm.submit(share, _AT_ONCE)))

        async def by_api() -> None:
            calls = self.corridor.submit(share, _BATCH_CALLERS, _BATCH)
            add("submit", "many", "api", await _rate(calls, share))

        await self.by_turns(rounds, ("slurm", by_rest), ("corridor", by_api), whole=True)

    async def latencies(self, depth: int, rounds: int) -> None:
        """How long a submission takes while so many wait."""
        sizes = self.sizes

        def add(door: str, taken_ms: Sequence[float]) -> None:
            self.log.add("latency", f"p50@{depth}", door, percentile(taken_ms, 0.5))
            self.log.add("latency", f"p99@{depth}", door, percentile(taken_ms, 0.99))

        async def by_rest() -> None:
            add("rest", await self.slurm.submit(sizes.serial, 1))

        async def by_sbatch() -> None:
            add("command", await _apart(self.slurm.sbatch, sizes.command))

        async def by_api() -> None:
            before = self.corridor.cycles()
            add("api", await self.corridor.submit(sizes.serial, 1))
            if depth:
                mean_ms = self.corridor.cycle_ms(before)
                self.log.add("cycle", f"mean@{depth}", "cycle", *mean_ms)

        async def by_command() -> None:
            taken_ms = await _apart(self.corridor.command_submit, sizes.cli)
            self.log.add("latency", f"p50@{depth}", "cli", percentile(taken_ms, 0.5))

        await self.by_turns(
            rounds, ("slurm", by_rest), ("corridor", by_api), ("slurm", by_sbatch),
            ("corridor", by_command),
        )  # fmt: skip

    async def lists(self, depth: int) -> None:
        """Look at one job, at the newest and at all. Slurm's doors know no pages: all, or one."""
        add, size = self.log.add, f"@{depth}"

        async def by_rest() -> None:
            add("list", f"one{size}", "rest", *await self.slurm.get(self.slurm.occupying, 10))
            try:
                taken_s, _ = await _apart(self.slurm.rest_list)
            except TimeoutError:
                say("slurmrestd takes too long to list all: no figure")
                self.slurm.restart_rest()
                return
            add("list", f"all{size}", "rest", taken_s)
            add("list", f"page{size}", "rest", taken_s * 1000)

        async def by_squeue() -> None:
            taken_s, _ = await _apart(self.slurm.squeue)
            add("list", f"all{size}", "command", taken_s)
            add("list", f"page{size}", "command", taken_s * 1000)

        async def by_api() -> None:
            add("list", f"one{size}", "api", *await self.corridor.get(10))
            add("list", f"page{size}", "api", *await self.corridor.page(10))
            add("list", f"all{size}", "api", (await self.corridor.all())[0])

        async def by_command() -> None:
            add("list", f"page{size}", "cli", await _apart(self.corridor.command_page))
            add("list", f"all{size}", "cli", await _apart(self.corridor.command_all))

        await self.by_turns(
            self.sizes.lists, ("slurm", by_squeue), ("corridor", by_api),
            ("corridor", by_command), ("slurm", by_rest),
        )  # fmt: skip

    async def cycles(self, depth: int) -> None:
        """What a planning cycle costs: as Slurm is tuned, looking at all, and our planner alone."""
        add, row = self.log.add, f"mean@{depth}"
        diag = await self._backfilled()
        add("cycle", row, "main", diag["Main"].get("Mean cycle", diag["Main"]["Last cycle"]) / 1000)
        add("cycle", row, "backfill", diag["Backfilling"]["Last cycle"] / 1000)
        self.slurm.set_scheduling(DEEP)
        try:
            self.slurm.reset_diag()
            diag = await self._backfilled()
        except TimeoutError:
            pass  # it takes longer than is waited: the table has no figure
        else:
            add("cycle", row, "backfill_all", diag["Backfilling"]["Last cycle"] / 1000)
            add("cycle", row, "depth_all", diag["Backfilling"]["Last depth cycle"])
        finally:
            self.slurm.set_scheduling()
        await self.rest()
        add("cycle", row, "refill", *(await asyncio.to_thread(Cycles, depth)).refills_ms)

    async def _backfilled(self) -> dict[str, dict[str, int]]:
        """Wait until backfill has gone through a cycle since its figures were reset."""
        async with asyncio.timeout(self.sizes.planned_s):
            while True:
                found = self.slurm.diag()
                if found["Backfilling"]["Total cycles"]:
                    return found
                # A cycle looks at the queue only if it changed.
                await self.slurm.submit(1, 1)
                await asyncio.sleep(_POLL_S * 5)

    async def idle(self, depth: int) -> None:
        """What both take while nothing comes and nothing ends."""
        await self.rest()
        slurm_s, corridor_s = self.slurm.cpu_s(), self.corridor.cpu_s()
        began_s = perf_counter()
        await asyncio.sleep(_IDLE_S)
        spent_s = (perf_counter() - began_s) / 100
        for side, cpu_s in (
            ("slurm", self.slurm.cpu_s() - slurm_s),
            ("corridor", self.corridor.cpu_s() - corridor_s),
        ):
            self.log.add("machine", f"idle_{side}@{depth}", "value", cpu_s / spent_s)

    def memory(self, door: str) -> None:
        """What both hold."""
        for name, taken_mb in {**self.slurm.memory(), **self.corridor.memory()}.items():
            self.log.add("memory", name, door, taken_mb)


async def compare(one: Comparison) -> None:
    """All steps but those with Corridor before Slurm."""
    first, second = one.sizes.depths
    one.memory("empty")
    await one.starts()
    one.slurm.occupy()
    await one.corridor.occupy()
    say("submissions")
    await one.latencies(0, one.sizes.rounds)
    await one.submissions()
    await one.fill(first)
    for depth in (first, second):
        if depth == second:
            say(f"up to {second:,} pending")
            await one.fill_by_turns(second)
        say(f"{depth:,} pending: latencies")
        one.slurm.reset_diag()
        await one.latencies(depth, one.sizes.rounds)
        if depth == second:
            await one.idle(depth)
            one.memory("full")
        if depth in one.sizes.cycled:
            say(f"{depth:,} pending: cycles")
            await one.cycles(depth)
        say(f"{depth:,} pending: lists")
        await one.lists(depth)
        if depth == second:
            listed_mb = one.slurm.memory()["slurmrestd"]
            one.log.add("memory", "slurmrestd_listed", "full", listed_mb)
        one.slurm.restart_rest()


def say(what: str) -> None:
    """Tell how far it is."""
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {what}", flush=True)


async def _rate(calls: Awaitable[Sequence[float]], jobs: int = 0) -> float:
    """Jobs a second; one a call where no number is given."""
    began_s = perf_counter()
    made = await calls
    return (jobs or len(made)) / (perf_counter() - began_s)


async def _apart(call: Callable[..., T], *arguments: object) -> T:
    """Let it run in a thread, so that the client's connections live on meanwhile."""
    return await asyncio.to_thread(call, *arguments)
