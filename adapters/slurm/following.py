"""Follows runs by level at a bounded rate of calls, however many there are.

Three looks together know of every change, none of them lists the whole site:

- accounting tells which jobs of our accounts began or ended since the last look (``look_s``): two
  small answers, whatever runs; those are then asked for at the controller, which alone knows exit
  codes, and only for a while;
- the controller is asked for single jobs, ``polls_per_s`` at most and five times as many while
  there are few runs, the longest unseen first: with few that is the quicker way, with many it finds
  what accounting did not tell;
- an inventory of our active jobs in accounting, at the start and every ``inventory_s``, finds jobs
  with our mark that nobody follows.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from adapters.contract import Phase
from adapters.errors import Unavailable
from adapters.slurm import records
from adapters.slurm.client import SlurmClient
from adapters.slurm.clock import CenterClock
from adapters.slurm.identity import Identity, closed_unbegun, run_of
from adapters.slurm.lookup import LAG_S, Lookup
from adapters.slurm.records import Diagnosis, Json, NativeJob
from adapters.slurm.resolving import Resolver
from adapters.slurm.settings import SlurmSettings
from adapters.slurm.table import Entry, Table

log = logging.getLogger(__name__)

_STARTED: Final = {"state": "PENDING", "nodes_min": "1"}  # began within the window, see Slurm's SQL
_ENDED: Final = {"state": ",".join(sorted(records.ENDED - {"REVOKED"}))}
_ACTIVE: Final = {"state": "PENDING,RUNNING,SUSPENDED"}
#: What is told late is told within this of its time.
_OVERLAP_S: Final = 30
_HURRIED_MAX: Final = 200
_BURST_S: Final = 5.0
#: So few runs are looked at so many times as often: who has many short ones waits for their ends.
_FEW_RUNS: Final = 500
_FEW_TIMES: Final = 5
#: A look that told of so many changes is followed by the next in a part of the time.
_MUCH_NEWS: Final = 30
_SOON: Final = 0.25
#: Runs accepted or begun so shortly before a controller was started again may be forgotten.
_FORGETFUL_S: Final = 120.0
#: Runs that nobody heard of for so long: the center is away, whatever it still answers.
_STALE_S: Final = 120.0


class Following:
    """Keeps a table of runs up to date, one ``step`` at a time. ``now_s`` is monotonic."""

    def __init__(
        self,
        settings: SlurmSettings,
        client: SlurmClient,
        table: Table,
        lookup: Lookup,
        resolver: Resolver,
        clock: CenterClock,
        identity: Identity,
        now_s: Callable[[], float],
    ) -> None:
        self._settings, self._client, self._table = settings, client, table
        self._lookup, self._resolver = lookup, resolver
        self._clock, self._identity = clock, identity
        self._now_s = now_s
        self._accounts: frozenset[str] = frozenset()
        self._stepped_s = now_s()
        self._look_s = 0.0
        self._looked_until_s = 0  # of the center's clock: what happened before was told
        self._heard_s = now_s()
        self._inventory_s = 0.0
        self._began_s: int | None = None
        self._ends: dict[str, tuple[NativeJob, Json]] = {}
        self._alone = asyncio.Lock()

    async def step(self) -> None:
        """Do what is due. Raises the ``AdapterError`` of a center that does not answer."""
        async with self._alone:
            now_s = self._now_s()
            passed_s = min(now_s - self._stepped_s, _BURST_S)
            said = await self._lookup.diagnosis()
            self._notice_restart(said)
            self._stepped_s = now_s
            if now_s >= self._look_s and (self._table.active or now_s >= self._inventory_s):
                await self._ask_accounting(now_s >= self._inventory_s)
            times = _FEW_TIMES if len(self._table.active) < _FEW_RUNS else 1
            budget = max(1, round(passed_s * self._settings.polls_per_s * times))
            await self._poll(self._table.due(0.0, _HURRIED_MAX))
            await self._poll(self._table.due(self._now_s(), budget))
            self._check_stale()

    def _notice_restart(self, said: Diagnosis) -> None:
        """A controller that was killed may have forgotten what it took last: look at that first."""
        before, self._began_s = self._began_s, said.since_s
        if before is None or before == said.since_s:
            return
        log.info("controller of %s counts anew: looking at young runs", self._settings.center)
        since_s = self._now_s() - _FORGETFUL_S - max(0, said.at_s - said.since_s)
        for run_id, entry in self._table.active.items():
            if entry.since_s >= since_s:
                self._table.hurry(run_id)

    # --- accounting -------------------------------------------------------------------------------

    async def _ask_accounting(self, inventory: bool) -> None:
        """Look, or take the inventory. Only the first must succeed: then the controller is enough.

        Raises ``Unavailable`` at the first.
        """
        self._look_s = self._now_s() + self._settings.look_s
        try:
            if inventory:
                await self._take_inventory()
                self._inventory_s = self._now_s() + self._settings.inventory_s
            elif await self._look() >= _MUCH_NEWS:
                self._look_s = self._now_s() + self._settings.look_s * _SOON
            self._lookup.heard()
        except Unavailable as error:
            self._lookup.trouble()
            if not self._accounts:
                self._look_s = 0.0
                raise
            log.warning("accounting of %s: %s", self._settings.center, error)

    async def _look(self) -> int:
        """Hurry what began or ended since the last look, so many; keep what is said of ends."""
        at_s = self._clock.now_s()
        window = {
            "account": ",".join(sorted(self._accounts)),
            "start_time": f"uts{self._looked_until_s - _OVERLAP_S}",
            "end_time": f"uts{at_s + 60}",
        }
        began = await self._client.history({**window, **_STARTED})
        ended = await self._client.history({**window, **_ENDED})
        self._looked_until_s, self._heard_s = at_s, self._now_s()
        await self._resolver.meet(self._unknown(began))
        await self._resolver.keep_single([job for job, _ in self._ours(began)])
        news = 0
        for job, _ in self._ours(began):
            entry = self._table.active.get(run_of(job.name))
            if entry is not None and entry.observation.phase is Phase.WAITING:
                self._table.hurry(entry.run.run_id)
                news += 1
        for job, raw in self._ours(ended):
            entry = self._table.active.get(run_of(job.name))
            if entry is not None and job.job_id == entry.job_id:
                self._ends[entry.run.run_id] = (job, raw)
                self._table.hurry(entry.run.run_id)
                news += 1
        return news

    async def _take_inventory(self) -> None:
        """Find our active jobs that are not in the table; ask the controller before believing."""
        accounts = await self._client.accounts()
        if not accounts:
            raise Unavailable(f"Slurm's user {self._settings.user!r} may book on no account")
        at_s = self._clock.now_s()
        window = {"start_time": f"uts{at_s - 1}", "end_time": f"uts{at_s + 60}"}
        found = await self._client.history(
            {"account": ",".join(sorted(accounts)), **window, **_ACTIVE}
        )
        self._looked_until_s = self._looked_until_s or at_s
        self._accounts, self._heard_s = accounts, self._now_s()
        await self._resolver.meet(self._unknown(found))
        await self._resolver.keep_single([job for job, _ in self._ours(found)])

    def _unknown(self, found: Iterable[tuple[NativeJob, Json]]) -> list[NativeJob]:
        """Jobs with our mark that are in no table, and have not ended."""
        ours = (job for job, _ in self._ours(found) if not job.ended)
        return [job for job in ours if run_of(job.name) not in self._table.runs]

    def _ours(self, found: Iterable[tuple[NativeJob, Json]]) -> Iterable[tuple[NativeJob, Json]]:
        ours = (one for one in found if run_of(one[0].name) and self._identity.owns(one[0]))
        return (one for one in ours if not closed_unbegun(one[0]))

    # --- the controller ---------------------------------------------------------------------------

    async def _poll(self, entries: Sequence[Entry]) -> None:
        """Look at single runs; those that the controller does not have are resolved by name."""
        if not entries:
            return
        try:
            gone = await self._resolver.look_all(entries)
            gone_ids = {entry.run.run_id for entry in gone}
            here = [entry for entry in entries if entry.run.run_id not in gone_ids]
            doubtful = [entry for entry in here if self._is_doubtful(entry)]
            if doubtful:  # first: of those that are gone it may be that nothing can be said yet
                await self._resolver.hold_against_accounting(doubtful)
            left = [entry for entry in gone if not self._ended_in_accounting(entry)]
            if left:
                await self._resolver.resolve([entry.run for entry in left], asked=True)
        except Unavailable as error:  # of these alone; they are looked at again
            log.warning("runs of %s: %s", self._settings.center, error)
        finally:
            self._table.again(entries, self._now_s())
        for entry in entries:
            if entry.final:
                told = self._ends.pop(entry.run.run_id, None)
                if told is not None:
                    self._resolver.meter(entry, told)

    def _is_doubtful(self, entry: Entry) -> bool:
        """Whether the controller may not know of the end of a job that it says goes on.

        Either accounting told of one, or the controller began after the job and has it from a file:
        then accounting is asked, at once and when it has been told all.
        """
        if entry.final:
            return False
        told = self._ends.pop(entry.run.run_id, None)
        if told is not None and told[0].job_id == entry.job_id:
            return True
        began_s = self._began_s or 0
        if entry.run.submit_ms // 1000 > began_s + 1:
            return False
        settled_s = began_s + math.ceil(LAG_S)
        return entry.checked_s < began_s or entry.checked_s < settled_s <= self._clock.now_s()

    def _ended_in_accounting(self, entry: Entry) -> bool:
        """The controller keeps a record for a while only; accounting has told of its end."""
        told = self._ends.get(entry.run.run_id)
        if told is None or told[0].job_id != entry.job_id or not told[0].ended:
            return False
        self._table.saw(entry.run, told[0], entry.restarts, self._now_s())
        return True

    def _check_stale(self) -> None:
        """Without accounting, single looks must be enough."""
        now_s = self._now_s()
        if now_s - self._heard_s < _STALE_S or not self._table.active:
            return
        oldest_s = self._table.oldest_s()
        if oldest_s is not None and now_s - max(oldest_s, self._heard_s) > _STALE_S:
            raise Unavailable(
                "accounting does not answer, and there are too many runs to ask for one by one"
            )
