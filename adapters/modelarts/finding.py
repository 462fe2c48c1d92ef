"""Runs among the center's jobs: found by id or exact name, one job a run, ended ones kept.

A native id is the quick way, never the proof: a job counts only if it has the run's name. Of
several jobs with one name the run is the one that its scheduler knows, else the oldest; the others
are stopped as soon as it is certain which one that is.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from adapters.contract import Observation, Phase, RunRef, Usage
from adapters.modelarts.capabilities import Capabilities, Feature
from adapters.modelarts.client import ModelArtsClient
from adapters.modelarts.errors import Call, CallFailed, ErrorClass
from adapters.modelarts.job import BadJob, Job, read_job
from adapters.modelarts.names import native_name, run_id_of
from adapters.modelarts.phases import is_final, judge, needs_events, sequence
from adapters.modelarts.searching import Searcher
from adapters.modelarts.settings import ModelArtsSettings
from adapters.modelarts.usage import metered

log = logging.getLogger(__name__)

T = TypeVar("T")
#: So few runs are asked for one by one, more by their names.
FEW: Final = 4
_KEPT_MAX: Final = 50_000
_ASKED_MAX: Final = 3  # times for events, which only explain an end


@dataclass(frozen=True, slots=True)
class Ended:
    """What is told of an ended run; ``usage`` is None while the center has not stated it."""

    seen: Observation
    usage: tuple[Usage, ...] | None
    task: str


class Finder:
    """Finds the jobs of runs and tells what they are. ``counts`` are of what was odd."""

    def __init__(
        self,
        settings: ModelArtsSettings,
        client: ModelArtsClient,
        searcher: Searcher,
        capabilities: Capabilities,
        counts: Counter[str],
    ) -> None:
        self._settings, self._client = settings, client
        self._searcher, self._capabilities = searcher, capabilities
        self._counts = counts
        self._known: OrderedDict[str, str] = OrderedDict()
        self._ended: OrderedDict[str, Ended] = OrderedDict()
        self._untold: Counter[str] = Counter()

    # --- what is known ----------------------------------------------------------------------------

    def learn(self, run_id: str, native_id: str) -> None:
        """Hear which job a run is."""
        if native_id:
            keep(self._known, run_id, native_id)

    def native_id(self, run_id: str) -> str:
        """The job of a run, empty if it is not known."""
        return self._known.get(run_id, "")

    def ended(self, ref: RunRef) -> Ended | None:
        """What was told of a run that has ended."""
        kept = self._ended.get(ref.run_id)
        if kept is None or ref.native_id not in ("", kept.seen.native_id):
            return None
        return kept

    def forget(self, run_ids: Iterable[str]) -> None:
        """Let go of runs."""
        for run_id in run_ids:
            self._known.pop(run_id, None)
            self._ended.pop(run_id, None)

    # --- finding ----------------------------------------------------------------------------------

    async def find(self, refs: Sequence[RunRef]) -> dict[str, Job]:
        """Return the job of each run that has one, by run id. Raises ``CallFailed``.

        A run is left out only after both its id and its name were not found.
        """
        for ref in refs:
            self.learn(ref.run_id, ref.native_id)
        found: dict[str, Job] = {}
        if len(refs) <= FEW:
            found = await self._shown(refs)
        by_name = await self._named([ref for ref in refs if ref.run_id not in found])
        ended = [ref for ref in refs if ref.run_id in by_name and is_final(by_name[ref.run_id])]
        for run_id, job in by_name.items():
            self.learn(run_id, job.native_id)
        missed = [ref for ref in refs if ref.run_id not in by_name and ref.run_id not in found]
        # A page may leave out what a job's own record holds: an end is read there.
        shown = await self._shown([*ended, *missed] if len(refs) > FEW else ended)
        return {**found, **by_name, **shown}

    async def _shown(self, refs: Sequence[RunRef]) -> dict[str, Job]:
        wanted = [(ref, self.native_id(ref.run_id)) for ref in refs]
        with_id = [(ref, native_id) for ref, native_id in wanted if native_id]
        jobs = await together(self.show(native_id) for _, native_id in with_id)
        return {
            ref.run_id: job
            for (ref, _), job in zip(with_id, jobs, strict=True)
            if job is not None and self._is_of(ref, job)
        }

    async def show(self, native_id: str) -> Job | None:
        """One job by id; None if the center has no such job."""
        try:
            return read_job(await self._client.show(native_id))
        except BadJob as error:
            raise CallFailed(ErrorClass.RETRYABLE, f"training-jobs: {error}") from None
        except CallFailed as failed:
            if failed.kind is not ErrorClass.NOT_FOUND:
                raise
            return None

    async def is_there(self, run_id: str, native_id: str) -> bool:
        """Whether a job is one of a run's name. Raises ``CallFailed``."""
        job = await self.show(native_id)
        return job is not None and run_id_of(job.name) == run_id

    def _is_of(self, ref: RunRef, job: Job) -> bool:
        if job.name == native_name(ref.name):
            return True
        self._counts["foreign_ids"] += 1
        log.error("run %s: job %s has the name %r", ref.run_id, job.native_id, job.name)
        return False

    async def _named(self, refs: Sequence[RunRef]) -> dict[str, Job]:
        names = {native_name(ref.name): ref for ref in refs}
        jobs: dict[str, dict[str, Job]] = {}
        for raw in await self._searcher.by_names(list(names)):
            job = self.read(raw)
            if job is not None and job.name in names:  # searches have been known to be generous
                jobs.setdefault(names[job.name].run_id, {})[job.native_id] = job
        return {run_id: await self._chosen(run_id, same) for run_id, same in jobs.items()}

    async def _chosen(self, run_id: str, same: Mapping[str, Job]) -> Job:
        """The one job that a run is; others of its name are stopped."""
        oldest = min(same.values(), key=lambda job: (job.create_ms, job.native_id))
        chosen = same.get(self.native_id(run_id), oldest)
        for job in same.values():
            if job is not chosen and not is_final(job):
                await self.stop_duplicate(run_id, job.native_id)
        return chosen

    def read(self, raw: object) -> Job | None:
        """A job of a page; None for one that cannot be read, which its own record may tell."""
        try:
            return read_job(raw)
        except BadJob:
            self._counts["unreadable_jobs"] += 1
            return None

    # --- stopping ---------------------------------------------------------------------------------

    async def stop(self, native_id: str) -> bool:
        """Ask for a job's end; False if there is no such job. Raises ``CallFailed``.

        A refusal is accepted only of a job that is seen to have ended.
        """
        try:
            await self._client.stop(native_id)
        except CallFailed as failed:
            if failed.kind is ErrorClass.CONFLICT:  # already as wanted
                return True
            if failed.kind is ErrorClass.NOT_FOUND:
                return False
            if failed.kind is not ErrorClass.PERMANENT:
                raise
            job = await self.show(native_id)
            if job is not None and not is_final(job):
                raise CallFailed(ErrorClass.NOT_SENT, str(failed), call=Call.CHANGE) from None
        return True

    async def stop_duplicate(self, run_id: str, native_id: str) -> None:
        """Stop a second job of a run's name; what fails is asked again when it is next seen."""
        self._counts["duplicates"] += 1
        log.error("run %s: second job %s is stopped", run_id, native_id)
        try:
            await self.stop(native_id)
        except CallFailed as failed:
            self._counts["failed_stops"] += 1
            log.warning("run %s: second job %s: %s", run_id, native_id, failed)

    async def stop_all(self, ref: RunRef) -> None:
        """Stop every job of a run's name that has not ended. Raises ``CallFailed``."""
        for raw in await self._searcher.by_names([native_name(ref.name)]):
            job = self.read(raw)
            if job is not None and job.name == native_name(ref.name) and not is_final(job):
                await self.stop(job.native_id)

    # --- telling ----------------------------------------------------------------------------------

    def observe(self, job: Job, position: int | None = None) -> Observation:
        """What an active job is to its scheduler."""
        verdict = judge(job)
        if not verdict.known:
            self._counts["unknown_phases"] += 1
            log.warning("job %s: unknown phase %.40r", job.native_id, job.phase)
        return Observation(
            run_id=run_id_of(job.name) or "",
            native_id=job.native_id,
            phase=verdict.phase,
            sequence=sequence(job),
            submit_ms=job.submit_ms,
            start_ms=job.begin_ms or None,
            message=verdict.message,
            queue_position=position if verdict.phase is Phase.WAITING else None,
        )

    async def conclude(self, run_id: str, job: Job) -> Ended:
        """Tell a run's end and its use, and keep both. Raises ``CallFailed``."""
        before = self._ended.get(run_id)
        if before is not None and before.seen.native_id != job.native_id:
            before = None
        if before is not None and before.usage is not None:
            return before
        seen = before.seen if before is not None else await self._ending(run_id, job)
        use = metered(job, run_id, self._units(job))
        if use is not None and use.apart_ms:
            self._counts["use_stated_differently"] += 1
            log.warning("run %s: its use is stated %d ms apart", run_id, use.apart_ms)
        ended = Ended(
            seen, None if use is None else use.segments, job.tasks[0] if job.tasks else ""
        )
        keep(self._ended, run_id, ended)
        return ended

    async def _ending(self, run_id: str, job: Job) -> Observation:
        events = await self._events(job) if needs_events(job) else ()
        verdict = judge(job, events)
        return Observation(
            run_id=run_id,
            native_id=job.native_id,
            phase=verdict.phase,
            sequence=sequence(job),
            submit_ms=job.submit_ms,
            start_ms=job.begin_ms or None,
            end_ms=job.finish_ms or None,
            failure=verdict.failure,
            exit_code=verdict.exit_code,
            message=verdict.message,
        )

    async def _events(self, job: Job) -> tuple[str, ...]:
        """What the center says of a job, newest first; nothing if it cannot say after all."""
        try:
            answer = await self._capabilities.ask(
                Feature.EVENTS, lambda: self._client.events(job.native_id)
            )
        except CallFailed:
            self._untold[job.native_id] += 1
            if self._untold[job.native_id] < _ASKED_MAX:
                raise
            answer = None
        del self._untold[job.native_id]
        events = answer.get("events") if answer is not None else None
        if not isinstance(events, list):
            return ()
        messages = [one.get("message") for one in events if isinstance(one, Mapping)]
        return tuple(one for one in messages if isinstance(one, str) and one)

    def _units(self, job: Job) -> int:
        """Cards that a job holds on all its nodes."""
        ours = max(
            (pool.cards_of(job.flavor_id) for pool in self._settings.pools.values()), default=0
        )
        return (ours or job.cards) * job.nodes


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Make calls at once; the first failure ends the others and is raised."""
    tasks = [asyncio.ensure_future(one) for one in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def keep(kept: OrderedDict[str, T], key: str, value: T, most: int = _KEPT_MAX) -> None:
    """Keep the newest, so that what nobody acknowledges does not fill the memory."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
