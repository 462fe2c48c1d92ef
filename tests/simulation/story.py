"""One random story: people, centers and the process do all they can, step by step, from one seed.

The real store, planner, loop and workers are moved by hand on a clock that only the story moves,
so a seed tells the same story every time. The process dies at commits and calls and is started
anew; a leader that was replaced goes on as if nothing had happened, and must write nothing.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.errors import AdapterError
from adapters.simulated import SimulatedCenter, accepted_names
from quota.subsidy import Rule
from scheduler.control.loop import ControlLoop
from scheduler.control.planner import LocalPlanner
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import parse_run_id
from scheduler.domain.reports import Report
from scheduler.errors import CorridorError
from scheduler.placement.core import WaitingCounts
from scheduler.store import centers as store_centers
from scheduler.store import funds, job_commands, quotas
from scheduler.store.admission import Admitted
from scheduler.store.database import Database
from scheduler.store.ingest import Ingested
from scheduler.store.leader import Fenced
from scheduler.store.quotas import Change, CityLimits
from tests.simulation import world as worlds
from tests.simulation.auditor import Auditor
from tests.simulation.centers import CallBook, MortalCenter, open_center
from tests.simulation.inline_store import Crash
from tests.simulation.world import CENTERS, CITIES, ENTERPRISES, OPERATOR, HandClock, World

SETTINGS = LoopSettings(
    ray="off", admit_batch=7, send_batch=5, send_concurrency=3, send_tries_max=4, retry_s=5.0,
    unknown_after_s=90.0, cancel_again_s=40.0, feed_batch=25,
)  # fmt: skip
NEW_YEAR_MS = 1_798_732_800_000  # 2027-01-01 in Shanghai


class Silence:
    """Metrics that nobody reads; counts what must not happen."""

    def __init__(self) -> None:
        self.errors = 0
        self.orphans: list[str] = []

    def leader(self, leads: bool, epoch: int) -> None: ...
    def backend(self, name: str) -> None: ...
    def cycle(self, backend: str, seconds: float, looked_at: int, starts: int) -> None: ...
    def admitted(self, result: Admitted) -> None: ...
    def ingested(self, result: Ingested) -> None: ...
    def center(self, center: str, reachable: bool) -> None: ...

    def orphan(self, center: str) -> None:
        self.orphans.append(center)

    def loop_error(self) -> None:
        self.errors += 1

    async def measure(
        self, db: Database, now_ms: int, counts: WaitingCounts | None, active: Mapping[str, Any]
    ) -> None: ...


class RecordingLoop(ControlLoop):
    """The real loop, of which the reports are kept, to come again later."""

    heard: list[Report]

    async def report(self, reports: list[Report]) -> None:
        self.heard += reports
        await super().report(reports)


class Process:
    """One life of the service: a loop that leads, moved by hand."""

    def __init__(
        self,
        world: World,
        adapters: Mapping[str, MortalCenter],
        rng: random.Random,
        name: str,
        heard: list[Report],
    ) -> None:
        self.metrics = Silence()
        self.loop = RecordingLoop(
            db=world.db, clock=world.clock, adapters=adapters, metrics=self.metrics,
            settings=SETTINGS, decode_spec=worlds.decode, holder=name, rng=rng,
            pause=world.clock.pause,
        )  # fmt: skip
        self.loop.heard = heard
        self._ingesting: asyncio.Task[None] | None = None

    async def lead(self) -> None:
        """Take over, and make reports durable from now on."""
        await self.loop.lead()
        self._ingesting = asyncio.create_task(self.loop.ingest_forever())

    async def end(self) -> None:
        """Be gone without a word."""
        if self._ingesting is not None:
            self._ingesting.cancel()
            await asyncio.gather(self._ingesting, return_exceptions=True)
        await self.loop.planner.close()


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
            center: open_center(center, self.clock, seed, self.journals[center])
            for center in CENTERS
        }
        self.books = {center: CallBook(self.clock) for center in CENTERS}
        self.auditor = Auditor(self.world, self.centers)
        self.process: Process | None = None
        self.stale: Process | None = None
        self.quiet = False
        self._death_rate = 0.004 if mortal else 0.0
        self._lives = 0
        self._heard: list[Report] = []
        self._requests: dict[str, tuple[str, list[Any], list[int]]] = {}

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
        self.process = Process(self.world, adapters, self.rng, name, self._heard)
        try:
            await self.process.lead()
        except Crash:
            await self.start(died=True)

    async def run(self, steps: int) -> None:
        """Tell the story, checking after each step, then let all come to rest."""
        await self.start()
        for number in range(steps):
            await self.step(number)
            self.auditor.check()
            if number % 50 == 49:
                self.auditor.verify()
        await self.rest()
        self._count_natives()

    async def step(self, number: int) -> None:
        """One random thing happens."""
        name = self.rng.choices([*_WEIGHTS], [*_WEIGHTS.values()])[0]
        self.log.append(f"{number} {self.clock.ms} {name}")
        action: Callable[[], Any] = getattr(self, f"do_{name}")
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
        self._make_peace()
        await self.start()
        await self._see_cancels_through()
        for number in range(400):
            await self._round()
            self.auditor.check()
            if number > 20:
                self._give_up()
            if not self.world.db.rows("SELECT 1 FROM job WHERE NOT settled LIMIT 1"):
                break
            self.clock.ms += self.rng.choice((2_000, 60_000, 700_000))
        self.auditor.check_end()
        assert self.process is not None
        await self.process.end()

    async def _see_cancels_through(self) -> None:
        """What is to be cancelled is asked for at its center, before it ends by itself."""
        running = self.world.db.rows("SELECT uid FROM job WHERE state IN ('ADMITTED', 'RUNNING')")
        self._command(job_commands.cancel, [uid for (uid,) in running[::2]])
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

    def _make_peace(self) -> None:
        rows = self.world.db.rows
        for center in CENTERS:
            self.centers[center].set_outage(False)
            self._set_center(center, "OPEN")
        for city, flavor in rows("SELECT city, flavor FROM city_quota"):
            self._set_quota(city, flavor, 0, None, None)  # all may borrow all
        for enterprise, flavor in rows(
            "SELECT enterprise, flavor FROM enterprise_quota WHERE cap_units IS NOT NULL"
        ):
            self._set_cap(enterprise, flavor, None)
        held = [uid for (uid,) in rows("SELECT uid FROM job WHERE state = 'HELD'")]
        self._command(job_commands.release, held)
        self.world.db.do(lambda c: c.exec_driver_sql("UPDATE enterprise SET blocked = FALSE"))
        self.auditor.limits_changed()

    def _give_up(self) -> None:
        """Cancel what nobody may ever be able to pay for: it would wait for ever."""
        waiting = self.world.db.rows(
            "SELECT uid FROM job WHERE state = 'QUEUED' AND (subsidy = 'REQUIRED'"
            " OR self_pay_max_fen IS NOT NULL OR enterprise IN ('w2', 'e2', 'x2'))"
        )
        self._command(job_commands.cancel, [uid for (uid,) in waiting])

    async def _round(self) -> None:
        assert self.process is not None
        loop = self.process.loop
        await loop.cycle()
        await loop.expire_once()
        for worker in loop.workers.values():
            await worker.send_once()
            with contextlib.suppress(AdapterError):
                await worker.follow_once()

    def _count_natives(self) -> None:
        for center, journal in self.journals.items():
            twice = {name: n for name, n in accepted_names(journal).items() if n > 1}
            assert not twice, f"{center} took twice: {twice}"

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
        await self.loop.expire_once()

    async def do_restart(self) -> None:
        await self.start()

    async def do_stale(self) -> None:
        """The leader that was replaced does what it would do: nothing of it is written."""
        if self.stale is None:
            return
        old, before = self.stale.loop, self.world.db.changes()
        worker = old.workers[self.rng.choice([*CENTERS])]
        step = self.rng.choice((old.cycle, old.expire_once, worker.send_once, worker.follow_once))
        with contextlib.suppress(Fenced, AdapterError, Crash):
            await asyncio.wait_for(step(), 5)
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

    def do_outage(self) -> None:
        center = self.rng.choice([*CENTERS])
        self.centers[center].set_outage(self.rng.random() < 0.4)

    def do_lose(self) -> None:
        self.centers[self.rng.choice([*CENTERS])].lose_next(self.rng.random() < 0.5)

    def do_cordon(self) -> None:
        self._set_center(self.rng.choice([*CENTERS]), self.rng.choice(("OPEN", "OPEN", "CORDONED")))

    def _set_center(self, center: str, state: str) -> None:
        self.world.db.do(
            lambda c: store_centers.set_state(
                c, OPERATOR, center, state, reason="test", now_ms=self.clock.ms, wall_ms=0
            )
        )

    # --- people -----------------------------------------------------------------------------------

    def do_submit(self) -> None:
        """Submit some jobs, or the same again under the same key."""
        if self._requests and self.rng.random() < 0.2:
            key = self.rng.choice([*self._requests])
            enterprise, specs, uids = self._requests[key]
            assert self.world.submit(enterprise, specs, request_id=key) == uids
            return
        enterprise = self.rng.choice([*ENTERPRISES])
        specs = [worlds.random_job(self.rng) for _ in range(self.rng.randint(1, 6))]
        key = f"r-{len(self._requests)}"
        uids = self.world.submit(enterprise, specs, request_id=key)
        self._requests[key] = (enterprise, specs, uids)
        self.auditor.acknowledged.update(uids)

    def _some(self) -> list[int]:
        uids = sorted(self.auditor.acknowledged)
        return self.rng.sample(uids, min(len(uids), self.rng.randint(1, 3)))

    def _command(self, command: Callable[..., Any], uids: list[int]) -> None:
        if uids:
            order = job_commands.Order(OPERATOR, "test", self.clock.ms, 0)
            self.world.db.do(lambda c: command(c, uids, order))

    def do_cancel(self) -> None:
        self._command(job_commands.cancel, self._some())

    def do_hold(self) -> None:
        self._command(job_commands.hold, self._some())

    def do_release(self) -> None:
        self._command(job_commands.release, self._some())

    def do_hold_and_release(self) -> None:
        """Between a plan and its admission nothing seems to have happened."""
        some = self._some()
        self._command(job_commands.hold, some)
        self._command(job_commands.release, some)

    def do_deadline(self) -> None:
        """A job gets a queue deadline soon, as if it had been submitted with it."""
        listed = ", ".join(map(str, self._some())) or "0"
        soon_ms = self.clock.ms + 30_000
        self.world.db.do(
            lambda c: c.exec_driver_sql(
                f"UPDATE job SET deadline_ms = {soon_ms} WHERE uid IN ({listed})"
            )
        )

    def do_quota(self) -> None:
        city, flavor = self.rng.choice(
            [(c, f) for c in CITIES for one in CENTERS.values() for f in one]
        )
        nominal = self.rng.randint(0, rows_capacity(self.world.db.rows, flavor) // 3)
        borrow = self.rng.choice((None, None, 0, 3))
        lend = self.rng.choice((None, None, 0, nominal))
        self._set_quota(city, flavor, nominal, borrow, lend)

    def _set_quota(
        self, city: str, flavor: str, nominal: int, borrow: int | None, lend: int | None
    ) -> None:
        etag = self.world.db.rows(
            f"SELECT version FROM city_quota WHERE city = '{city}' AND flavor = '{flavor}'"
        )[0][0]
        limits = CityLimits(nominal, borrow, None if lend is None else min(lend, nominal))
        with contextlib.suppress(CorridorError):
            self.world.db.do(
                lambda c: quotas.update_city_quota(c, city, flavor, limits, self._change(etag))
            )
        self.auditor.limits_changed()

    def do_cap(self) -> None:
        flavor = self.rng.choice([f for one in CENTERS.values() for f in one])
        self._set_cap(self.rng.choice([*ENTERPRISES]), flavor, self.rng.choice((None, 0, 2, 8, 40)))

    def _set_cap(self, enterprise: str, flavor: str, cap: int | None) -> None:
        found = self.world.db.rows(
            "SELECT version FROM enterprise_quota"
            f" WHERE enterprise = '{enterprise}' AND flavor = '{flavor}'"
        )
        etag = found[0][0] if found and found[0][0] else ""
        self.world.db.do(
            lambda c: quotas.update_enterprise_quota(c, enterprise, flavor, cap, self._change(etag))
        )
        self.auditor.limits_changed()

    def _change(self, etag: object) -> Change:
        return Change(OPERATOR, str(etag), "test", self.clock.ms, 0)

    def do_money(self) -> None:
        """A city pays into its fund; now and then the same request comes twice."""
        if self.clock.ms >= NEW_YEAR_MS:
            return
        rule = self.rng.choice([rule for rule, _ in worlds.RULES])
        key = f"m-{self.rng.randrange(1_000)}"
        amount = self.rng.randint(1, 5_000)
        for _ in range(self.rng.choice((1, 2))):
            with contextlib.suppress(CorridorError):
                worlds.pay_into(self.world, rule.programme, amount, key)

    def do_period(self) -> None:
        """The next year's funds are opened, some late, some never."""
        rule = self.rng.choice([rule for rule, _ in worlds.RULES])
        there = self.world.db.rows(
            f"SELECT 1 FROM fund_period WHERE programme = '{rule.programme}' AND period = '2027'"
        )
        if not there:
            self.world.db.do(lambda c: funds.open_period(c, rule.programme, "2027"))

    def do_rule(self) -> None:
        """A programme's rule changes: another rate and cap."""
        rule, _ = self.rng.choice(worlds.RULES)
        version = (
            1
            + self.world.db.rows(
                f"SELECT max(version) FROM rule_version WHERE programme = '{rule.programme}'"
            )[0][0]
        )
        new = Rule(
            rule.programme, version, rule.city, self.rng.choice((1000, 4000, 9000)),
            rule.priority, rule.exclusive_group, rule.base,
            year_cap_fen=self.rng.choice((None, 0, 1_000, 50_000)), ceiling_bp=rule.ceiling_bp,
        )  # fmt: skip
        self.world.db.do(
            lambda c: funds.create_programme(
                c, city=rule.city, name="", document_ref="", sample=True, rule=new,
                now_ms=self.clock.ms,
            )
        )  # fmt: skip

    def do_move(self) -> None:
        """An enterprise moves to another city, or is blocked, or free again."""
        code, city = self.rng.choice([*ENTERPRISES]), self.rng.choice(CITIES)
        blocked = "TRUE" if self.rng.random() < 0.1 else "FALSE"
        self.world.db.do(
            lambda c: c.exec_driver_sql(
                f"UPDATE enterprise SET city = '{city}', blocked = {blocked} WHERE code = '{code}'"
            )
        )


def rows_capacity(rows: Callable[[str], list[tuple[Any, ...]]], flavor: str) -> int:
    """What a center grants of a flavor."""
    return int(rows(f"SELECT capacity_units FROM flavor WHERE code = '{flavor}'")[0][0])


_WEIGHTS: Mapping[str, int] = {
    "cycle": 14, "send": 14, "follow": 18, "all": 14, "wait": 20, "submit": 12, "cancel": 4,
    "hold": 1, "release": 2, "hold_and_release": 2, "deadline": 1, "quota": 2, "cap": 1, "money": 2,
    "period": 1, "rule": 1, "move": 1, "outage": 1, "lose": 2, "cordon": 1, "restart": 2,
    "stale": 3, "expire": 1, "repeat": 3,
}  # fmt: skip
