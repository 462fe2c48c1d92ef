"""One random story: people, centers and the process do all they can, step by step, from one seed.

The real store, planner, loop and workers are moved by hand on a clock that only the story moves,
so a seed tells the same story every time. The process dies at commits and calls and is started
anew; a leader that was replaced goes on as if nothing had happened, and must write nothing.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.errors import AdapterError
from adapters.simulated import SimulatedCenter, accepted_names
from scheduler.control.planner import LocalPlanner
from scheduler.domain.ids import center_name, parse_run_id, run_id
from scheduler.domain.reports import Report
from scheduler.placement.model import Eviction
from scheduler.store import job_commands
from scheduler.store.leader import Fenced
from tests.simulation import world as worlds
from tests.simulation.auditor import Auditor
from tests.simulation.budget_keeper import BudgetKeeper
from tests.simulation.centers import CallBook, MortalCenter, open_center
from tests.simulation.forgetful import ForgetfulCenter, begun_names
from tests.simulation.inline_store import Crash
from tests.simulation.people import NEW_YEAR_MS, People
from tests.simulation.process import Process, RecordingLoop
from tests.simulation.world import CENTERS, HandClock


class Story:
    """Steps of one seed; ``log`` says what was done, for whoever has to find out why it failed."""

    def __init__(self, seed: int, folder: Path, *, mortal: bool = True) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.log: list[str] = []
        start_ms = worlds.NOW_MS if seed % 3 else NEW_YEAR_MS - 1_800_000
        self.world = worlds.build(start_ms)
        self.clock: HandClock = self.world.clock
        self.journals = {center: folder / f"{seed}-{center}.jsonl" for center in CENTERS}
        self.centers: dict[str, SimulatedCenter] = {
            center: open_center(
                center, self.clock, seed, self.journals[center], forgets=center == "sc"
            )
            for center in CENTERS
        }
        self.books = {center: CallBook(self.clock) for center in CENTERS}
        self.auditor = Auditor(self.world, self.centers)
        self.people = People(self.world, self.auditor, self.rng)
        self.budgets = BudgetKeeper(self.world, seed)
        self.process: Process | None = None
        self.stale: Process | None = None
        self.quiet = False
        self._death_rate = 0.004 if mortal else 0.0
        self._lives = 0
        self._heard: list[Report] = []

    def _dies(self, point: str) -> bool:
        dies = not self.quiet and self.rng.random() < self._death_rate
        if dies:
            self.log.append(f"dies {point}")
        return dies

    # --- the process ------------------------------------------------------------------------------

    async def start(self, *, died: bool = False) -> None:
        """Begin a life; one that did not die may go on beside it as a leader that was replaced."""
        before = self.process
        if before is not None and self.stale is None and not died and self.rng.random() < 0.6:
            self.stale = before
        elif before is not None:
            await before.end()
        self._lives += 1
        self.world.db.dies = self._dies
        adapters = {
            center: MortalCenter(
                one, self.books[center], self._dies, None if self.quiet else self.rng
            )
            for center, one in self.centers.items()
        }
        name = f"life {self._lives}"
        watch = self.auditor.planned
        self.process = Process(self.world, adapters, self.rng, name, self._heard, watch)
        try:
            await self.process.lead()
        except Crash:
            await self.start(died=True)

    async def run(self, steps: int) -> None:
        """Tell the story, checking after each step, then let all come to rest."""
        await self.start()
        for number in range(steps):
            await self.step(number)
            self.budgets.act()
            self.auditor.check()
            self.budgets.check()
            if number % 50 == 49:
                self.auditor.verify()
                self.budgets.verify()
        await self.rest()
        self._count_natives()

    async def step(self, number: int) -> None:
        """One random thing happens."""
        name = self.rng.choices([*_WEIGHTS], [*_WEIGHTS.values()])[0]
        self.log.append(f"{number} {self.clock.ms} {name}")
        who = self if hasattr(self, f"do_{name}") else self.people
        action: Callable[[], Any] = getattr(who, f"do_{name}")
        try:
            result = action()
            if asyncio.iscoroutine(result):
                await result
        except Crash:
            await self.start(died=True)
        except AdapterError as error:
            self.log.append(f"  {type(error).__name__}")
        self._check_process()

    def _check_process(self) -> None:
        assert self.process is not None
        assert self.process.metrics.errors == 0, "the loop met something it did not expect"
        assert not self.process.metrics.orphans, "a center has what the store never knew"
        for book in self.books.values():
            assert not book.wrong, book.wrong
        self._check_planner()

    def _check_planner(self) -> None:
        """Once it was told everything, the planner holds what the store holds."""
        loop = self.loop
        [(head,)] = self.world.db.rows("SELECT coalesce(max(seq), 0) FROM event")
        backend = loop.planner._backend
        if not isinstance(backend, LocalPlanner) or loop._revision != head or loop._volatile:
            return
        stored = {
            (city, flavor): units
            for city, flavor, units in self.world.db.rows(
                "SELECT city, flavor, used_units FROM city_quota WHERE used_units > 0"
            )
        }
        planned = {
            (city, flavor): units
            for flavor, pool in backend._core._root.pools.items()
            for city, units in pool.book.used.items()
            if units
        }
        assert planned == stored, "the planner has lost count"

    async def rest(self) -> None:
        """People and centers behave; everything must come to its end."""
        self.quiet = True
        if self.stale is not None:
            await self.stale.end()
        for one in self.centers.values():
            one.set_outage(False)
        self.people.make_peace()
        self.budgets.make_peace()
        await self.start()
        for book in self.books.values():
            book.reported.clear()
        await self._see_cancels_through()
        for number in range(400):
            await self._round()
            self.auditor.check()
            self.people.release_all()
            if number > 20:
                self.people.give_up()
            if not self.world.db.rows("SELECT 1 FROM job WHERE NOT settled LIMIT 1"):
                break
            self.clock.ms += self.rng.choice((2_000, 60_000, 700_000))
        self.auditor.check_end()
        self.budgets.check_end()
        assert self.process is not None
        await self.process.end()

    async def _see_cancels_through(self) -> None:
        """What is to be cancelled is asked for at its center, before it ends by itself."""
        running = self.world.db.rows("SELECT uid FROM job WHERE state IN ('ADMITTED', 'RUNNING')")
        self.people.command(job_commands.cancel, [uid for (uid,) in running[::2]])
        for _ in range(12):
            await self._round()
            self.auditor.check()
            self._check_process()
            self.clock.ms += 300
        wanted = dict(self.world.db.rows("SELECT uid, cancel_requested FROM job"))
        for center, one in self.centers.items():
            for run in one._cluster.active.values():
                uid = parse_run_id(run.run_id)[0]
                assert not wanted[uid] or run.run_id in self.books[center].cancelled, (
                    f"{run.run_id} runs on though its job is to be cancelled"
                )

    async def _round(self) -> None:
        assert self.process is not None
        loop = self.process.loop
        await loop.cycle()
        await loop.housekeeping.once()
        for center, worker in loop.workers.items():
            with contextlib.suppress(AdapterError):
                await self._ask(center)
            await worker.send_once()
            with contextlib.suppress(AdapterError):
                await worker.follow_once()

    def _count_natives(self) -> None:
        """One native run a run really began; what was taken again was forgotten before."""
        for center, one in self.centers.items():
            forgotten = one.forgotten if isinstance(one, ForgetfulCenter) else Counter[str]()
            taken = accepted_names(self.journals[center])
            twice = {name: n for name, n in taken.items() if n > 1 + forgotten[name]}
            assert not twice, f"{center} took twice: {twice}"
            begun = {name: n for name, n in begun_names(one).items() if n > 1}
            assert not begun, f"{center} began twice: {begun}"
            lost = {
                center_name(run_id(uid, attempt))
                for uid, attempt in self.world.db.rows(
                    f"SELECT job_uid, attempt FROM run WHERE center = '{center}'"
                    " AND failure_class = 'LOST'"
                )
            }
            assert not lost & forgotten.keys(), f"{center} forgot {lost}, which were not sent again"

    # --- what the process does --------------------------------------------------------------------

    @property
    def loop(self) -> RecordingLoop:
        """The leader."""
        assert self.process is not None
        return self.process.loop

    async def do_cycle(self) -> None:
        await self.loop.cycle()

    async def do_all(self) -> None:
        """Everything once, as the loop does when all is well."""
        await self._round()

    async def do_send(self) -> None:
        await self.loop.workers[self.rng.choice([*CENTERS])].send_once()

    async def do_follow(self) -> None:
        await self.loop.workers[self.rng.choice([*CENTERS])].follow_once()

    async def do_expire(self) -> None:
        await self.loop.housekeeping.once()

    async def do_restart(self) -> None:
        await self.start()

    async def do_stale(self) -> None:
        """The leader that was replaced does what it would do: nothing of it is written."""
        if self.stale is None:
            return
        old, before = self.stale.loop, self.world.db.changes()
        worker = old.workers[self.rng.choice([*CENTERS])]
        house = old.housekeeping.once
        step = self.rng.choice((old.cycle, house, worker.send_once, worker.follow_once))
        with contextlib.suppress(Fenced, AdapterError, Crash):
            async with asyncio.timeout(5):
                await step()
        assert self.world.db.changes() == before, "a leader that was replaced wrote"
        if self.rng.random() < 0.1:
            await self.stale.end()
            self.stale = None

    async def do_repeat(self) -> None:
        """Reports come again, long after what they told of."""
        if self._heard:
            again = self.rng.sample(self._heard, min(len(self._heard), 5))
            await self.loop.report(again)

    # --- time and centers -------------------------------------------------------------------------

    def do_wait(self) -> None:
        self.clock.ms += self.rng.choice((500, 2_500, 10_000, 60_000, 400_000))

    async def do_evict(self) -> None:
        """A plan evicts whom it likes for whom it likes: what may not be is refused."""
        rows = self.world.db.rows
        runs = rows("SELECT job_uid, flavor, units FROM run WHERE settled_ms IS NULL")
        jobs = [uid for (uid,) in rows("SELECT uid FROM job WHERE state = 'QUEUED'")]
        if not runs or not jobs:
            return
        some = self.rng.sample(runs, min(len(runs), self.rng.randint(1, 3)))
        grace_ms = self.rng.choice((0, 10_000, 60_000))
        plan = tuple(
            Eviction(uid, flavor, units, self.rng.choice(jobs), grace_ms)
            for uid, flavor, units in some
        )
        await self.loop._executor._evict(plan)  # past those who judge what the planner plans

    async def do_capacity(self) -> None:
        """A center says that it has fewer units, or all of them again."""
        center = self.rng.choice([*CENTERS])
        flavor, (units, _) = self.rng.choice([*CENTERS[center].items()])
        self.books[center].reported[flavor] = self.rng.choice((units, units, units // 2, 1))
        await self._ask(center)

    async def _ask(self, center: str) -> None:
        """A center says how much it has: less than is held is no admission's doing."""
        changed = True  # who dies on the way may have stored it
        try:
            changed = bool(await self.loop.capacity.ask(center))
        finally:
            if changed:
                self.auditor.limits_changed()

    def do_outage(self) -> None:
        center = self.rng.choice([*CENTERS])
        self.centers[center].set_outage(self.rng.random() < 0.4)

    def do_forget(self) -> None:
        """A center is killed and has forgotten what it just took."""
        for one in self.centers.values():
            if isinstance(one, ForgetfulCenter):
                self.log.append(f"  forgets {one.forget()}")

    async def do_acknowledge(self) -> None:
        await self.loop.acknowledger.tell(self.rng.choice([*CENTERS]))

    def do_lose(self) -> None:
        self.centers[self.rng.choice([*CENTERS])].lose_next(self.rng.random() < 0.5)


_WEIGHTS: Mapping[str, int] = {
    "cycle": 14, "send": 14, "follow": 18, "all": 14, "wait": 20, "submit": 12, "cancel": 4,
    "hold": 1, "release": 2, "hold_and_release": 2, "deadline": 1, "quota": 2, "cap": 1, "money": 2,
    "lower": 1, "period": 1, "rule": 1, "move": 1, "outage": 1, "lose": 2, "cordon": 1,
    "restart": 2, "stale": 3, "expire": 1, "repeat": 3, "reclaim": 2, "evict": 4, "stop": 2,
    "emergency": 1, "capacity": 1, "guarantee": 2, "forget": 3, "acknowledge": 1,
}  # fmt: skip
