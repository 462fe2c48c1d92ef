"""Says how a run stands, by its native id or by its name, and keeps it single.

Of a run that accounting holds to be active and the controller does not know, nothing is concluded
before both had time to agree: then it was forgotten, as a controller that is killed forgets what it
took last. Of several native jobs of one name, one is the run and the others are ended.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from adapters.contract import Phase, RunRef
from adapters.errors import AdapterError
from adapters.slurm import accounting
from adapters.slurm.client import SlurmClient
from adapters.slurm.clock import CenterClock
from adapters.slurm.identity import Identity, Stretches, end_forgotten, run_of
from adapters.slurm.lookup import QUEUED_S, Found, Lookup
from adapters.slurm.records import Json, NativeJob
from adapters.slurm.settings import SlurmSettings
from adapters.slurm.states import Outcome, hopeless
from adapters.slurm.table import Entry, Table

log = logging.getLogger(__name__)

#: For so long a run waits for a reason that never goes away before it is given up.
_HOPELESS_S: Final = 30.0


class Resolver:
    """Looks runs up; ``duplicates`` counts native jobs that were ended as another is the run."""

    def __init__(
        self,
        settings: SlurmSettings,
        client: SlurmClient,
        table: Table,
        lookup: Lookup,
        clock: CenterClock,
        identity: Identity,
        now_s: Callable[[], float],
    ) -> None:
        self._settings, self._client, self._table = settings, client, table
        self._lookup, self._clock, self._identity = lookup, clock, identity
        self._now_s = now_s
        self._ghosts: dict[tuple[str, int], float] = {}
        self._polls = asyncio.Semaphore(max(1, settings.connections_max // 2))
        self.duplicates = 0

    async def look(self, run: RunRef, job_id: int) -> Entry | None:
        """How the controller says that a run stands; None if it has no such job under that id."""
        async with self._polls:
            job = await self._client.job(job_id)
        if job is None or not self._identity.is_run(job, run):
            return None
        entry = self._table.saw(run, job, 0, self._now_s())
        self._ghosts.pop((run.run_id, job_id), None)
        self._lookup.present(run.run_id)
        await self._give_up(entry, job)
        return entry

    async def look_all(self, entries: Sequence[Entry]) -> list[Entry]:
        """Look at several runs; gives those that the controller does not have.

        Raises the first ``AdapterError`` once all were looked at.
        """
        looks = await self._looks((entry.run, entry.job_id) for entry in entries)
        return [entry for entry, seen in zip(entries, looks, strict=True) if seen is None]

    async def meet(self, jobs: Sequence[NativeJob]) -> None:
        """Take jobs with our mark into the table that the controller confirms."""
        await self._looks((RunRef(run_of(job.name), job.name), job.job_id) for job in jobs)

    async def keep_single(self, jobs: Sequence[NativeJob]) -> None:
        """End those of these jobs whose run is another job, or was told to have ended.

        A controller that is killed may forget an end as well, and go on with what was cancelled.
        """
        for job in jobs:
            entry = self._table.runs.get(run_of(job.name))
            if entry is None or job.ended:
                continue
            if entry.job_id == job.job_id:
                if entry.final:
                    await self._found_risen(entry)
            elif entry.final or await self.look(entry.run, entry.job_id) is not None:
                await self._end_duplicate(entry, job.job_id)

    async def resolve(self, runs: Sequence[RunRef], asked: bool = False) -> dict[str, Entry]:
        """How runs stand, by run id; those that are nowhere are left out, and known to be so.

        ``asked`` says that the controller was just asked for their native ids. Raises
        ``Unavailable`` if not both, the controller and accounting, can say.
        """
        found: dict[str, Entry] = {}
        missing = list(runs)
        if not asked:
            known = [(run, self._native_id(run)) for run in runs]
            numbered = [(run, job_id) for run, job_id in known if job_id]
            looks = await self._looks(numbered)
            found = {seen.run.run_id: seen for seen in looks if seen is not None}
            missing = [run for run in runs if run.run_id not in found]
        if not missing:
            return found
        by_run = await self._lookup.find(missing)
        absent = []
        for run in missing:
            here = by_run.get(run.run_id)
            entry = await self._of_accounting(here) if here is not None else None
            if entry is not None:
                found[run.run_id] = entry
                self._lookup.present(run.run_id)
            else:
                absent.append(run)
        if absent:
            await self._lookup.absent(absent)
            for run in absent:
                self._table.forget(run.run_id)
        return found

    async def hold_against_accounting(self, entries: Sequence[Entry]) -> None:
        """Believe accounting of jobs that have ended there and go on at the controller.

        What accounting was told has happened. The controller is asked after it: so a job that goes
        on there was taken up from a file that is older than its end, and would be shown as running
        until its node is asked, or begin again.
        """
        at_s = self._clock.now_s()
        found = await self._lookup.find([entry.run for entry in entries])
        for entry in entries:
            here = found.get(entry.run.run_id)
            mine = [one for one in here.jobs if one.last.job_id == entry.job_id] if here else []
            for stretches in mine:
                if stretches.last.ended and not entry.final:
                    await self._assess(entry.run, stretches)
            entry.checked_s = at_s

    def meter(self, entry: Entry, told: tuple[NativeJob, Json]) -> None:
        """Keep what accounting told of the only stretch of a run that has ended."""
        if entry.restarts == 0 and entry.usage is None and self._told_all(entry, [told]):
            entry.usage = accounting.metered(
                entry.run, entry.run.submit_ms, Stretches([told]), self._settings.partitions
            )

    async def meter_all(self, entries: Sequence[Entry]) -> None:
        """Ask accounting for the use of runs that have ended, as far as it knows it."""
        if not entries:
            return
        found = await self._lookup.find([entry.run for entry in entries])
        untold = []
        for entry in entries:
            here = found.get(entry.run.run_id)
            mine = [one for one in here.jobs if one.last.job_id == entry.job_id] if here else []
            if not mine:
                untold.append(entry)
            elif self._told_all(entry, mine[0].records):
                entry.usage = accounting.metered(
                    entry.run, entry.run.submit_ms, mine[0], self._settings.partitions
                )
        if untold and (await self._lookup.diagnosis()).accounting_queue == 0:
            self._give_up_untold(untold)

    # --- inside -----------------------------------------------------------------------------------

    def _told_all(self, entry: Entry, records: Sequence[tuple[NativeJob, Json]]) -> bool:
        """Whether accounting was told all of a job that has ended, or had the time to be.

        A slurmdbd that is killed may lose a start for good: then nothing is billed, as sacct says.
        """
        if not accounting.all_ended(records):
            return False
        seen = entry.observation
        ran = seen.start_ms is not None and seen.end_ms is not None and seen.start_ms < seen.end_ms
        if not accounting.start_unknown(records, ran):
            return True
        if self._may_be_told(records[-1][0].end_s or 0):
            return False
        self._warn_untold(entry, "an end and no start")
        return True

    def _give_up_untold(self, entries: Sequence[Entry]) -> None:
        """Meter as nothing what accounting has no record of and had the time to be told.

        The controller told the end; a slurmdbd that is killed may lose a record that it took.
        """
        for entry in entries:
            end_ms = entry.observation.end_ms
            if end_ms is not None and not self._may_be_told(end_ms // 1000):
                self._warn_untold(entry, "no record")
                entry.usage = ()

    def _may_be_told(self, ended_s: int) -> bool:
        """Whether accounting may be told yet of a job that ended then, by the center's clock."""
        passed_s = self._clock.now_s() - ended_s
        if self._lookup.queued and passed_s < QUEUED_S:
            return True
        return min(self._lookup.well_for_s, passed_s) < self._lookup.lag_s

    def _warn_untold(self, entry: Entry, what: str) -> None:
        log.warning(
            "%s: accounting has %s of job %d, run %s: its use is 0 s",
            self._settings.center,
            what,
            entry.job_id,
            entry.run.run_id,
        )

    async def _looks(self, jobs: Iterable[tuple[RunRef, int]]) -> list[Entry | None]:
        """Look at all of them, and only then raise the first error."""
        looks = await asyncio.gather(
            *(self.look(run, job_id) for run, job_id in jobs), return_exceptions=True
        )
        seen: list[Entry | None] = []
        for one in looks:
            if isinstance(one, BaseException):
                raise one
            seen.append(one)
        return seen

    def _native_id(self, run: RunRef) -> int:
        entry = self._table.runs.get(run.run_id)
        if entry is not None:
            return entry.job_id
        return int(run.native_id) if run.native_id.isascii() and run.native_id.isdigit() else 0

    async def _of_accounting(self, found: Found) -> Entry | None:
        """The native job of several that is the run; None if none of them is one any more.

        What the controller does not know is the run only if nothing else can be, or if the
        scheduler knows it so; no other job is ended for its sake.
        """
        run = found.run
        ghosts = []
        for place, stretches in enumerate(found.jobs):
            entry = await self._assess(run, stretches)
            if entry is not None:
                for other in found.jobs[place + 1 :]:
                    if not other.last.ended:
                        await self._end_duplicate(entry, other.last.job_id)
                return entry
            ghosts.append(stretches)
            if str(stretches.last.job_id) == run.native_id:
                ghost = await self._ghost(run, stretches)
                if ghost is not None:
                    return ghost
        for stretches in ghosts:
            ghost = await self._ghost(run, stretches)
            if ghost is not None:
                return ghost
        return None

    async def _assess(self, run: RunRef, stretches: Stretches) -> Entry | None:
        """How a job stands, by the controller or by its end; None if neither knows it."""
        last = stretches.last
        job = await self._client.job(last.job_id)
        restarts = len(stretches.records) - 1
        risen = job is not None and end_forgotten(job, last) and job.name == run.name
        if job is not None and self._is_job(job, run, stretches) and not risen:
            entry = self._table.saw(run, job, restarts, self._now_s())
            self._ghosts.pop((run.run_id, job.job_id), None)
            await self._give_up(entry, job)
        elif last.ended:
            entry = self._table.saw(run, last, restarts, self._now_s())
        else:
            return None
        if entry.final and entry.usage is None and self._told_all(entry, stretches.records):
            entry.usage = accounting.metered(
                entry.run, entry.run.submit_ms, stretches, self._settings.partitions
            )
        if risen:
            await self._found_risen(entry)
        return entry

    def _is_job(self, job: NativeJob, run: RunRef, stretches: Stretches) -> bool:
        """Whether the controller's record is that of accounting, not of a later job of its id."""
        if job.name != run.name or not self._identity.owns(job):
            return False
        return bool(job.restarts) or job.submit_s <= stretches.last.submit_s + 1

    async def _ghost(self, run: RunRef, stretches: Stretches) -> Entry | None:
        """Active for accounting, unknown to the controller.

        At first it is shown as accounting has it: an end may be on its way. Then it was forgotten:
        one that had begun has failed by the center's fault, one that had not is no run at all.
        """
        said = await self._lookup.diagnosis()
        now_s = self._now_s()
        key = run.run_id, stretches.last.job_id
        since_s = max(self._ghosts.setdefault(key, now_s), self._lookup.trouble_s)
        queued = said.accounting_queue > 0 and now_s - since_s < QUEUED_S
        if now_s - since_s < self._lookup.lag_s or queued:
            return self._table.saw(run, stretches.last, len(stretches.records) - 1, self._now_s())
        if not stretches.ran:
            return None
        entry = self._table.saw(run, stretches.last, len(stretches.records) - 1, now_s)
        if not entry.final:
            message = "Slurm's controller lost the job after it had begun"
            self._table.lost(entry, said.at_s * 1000, message)
        entry.usage = accounting.metered(
            entry.run, entry.run.submit_ms, stretches, self._settings.partitions, lost=True
        )
        return entry

    async def _end_duplicate(self, entry: Entry, job_id: int) -> None:
        """End a second native job of a run; it is never billed, and told of."""
        job = await self._client.job(job_id) if job_id != entry.job_id else None
        if job is None or job.ended or not self._identity.owns(job) or job.name != entry.run.name:
            return
        self.duplicates += 1
        log.warning(
            "%s: run %s is job %d; job %d of the same name is ended",
            self._settings.center,
            entry.run.run_id,
            entry.job_id,
            job_id,
        )
        await self._client.signal(job_id)

    async def _found_risen(self, entry: Entry) -> None:
        """Have a job ended that goes on after its end, but not before that end is stored.

        Slurm says CANCELLED of it then, and whoever asks next would be told that.
        """
        entry.risen = True
        if entry.observation.phase is Phase.CANCELLED:
            await self.end_risen(entry)

    async def end_risen(self, entry: Entry) -> None:
        """End a job that goes on after its end was told; nobody waits for it any more."""
        job = await self._client.job(entry.job_id)
        if job is None or job.ended or not self._identity.is_run(job, entry.run):
            return
        log.warning(
            "%s: run %s had ended, and its job %d goes on: it is ended again",
            self._settings.center,
            entry.run.run_id,
            entry.job_id,
        )
        await self._client.signal(entry.job_id)

    async def _give_up(self, entry: Entry, job: NativeJob) -> None:
        """End a job that waits for what never comes; its end will say why."""
        failure = hopeless(job)
        if failure is None or entry.final or entry.verdict is not None:
            return
        if self._now_s() - entry.since_s < _HOPELESS_S:
            return
        message = f"Slurm would never start it: {job.reason}"
        entry.verdict = Outcome(Phase.FAILED, failure, None, message)
        try:
            await self._client.signal(entry.job_id)
        except AdapterError:
            entry.verdict = None  # it is tried again at the next look
            raise
        self._table.hurry(entry.run.run_id)
