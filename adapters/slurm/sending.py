"""Hands runs to Slurm, each at most once, whatever answers are lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from weakref import WeakValueDictionary

from adapters.contract import Accepted, RunRequest
from adapters.errors import AdapterError, OutcomeUnknown, Rejected, Unavailable
from adapters.slurm import submission
from adapters.slurm.client import Reply, SlurmClient
from adapters.slurm.clock import CenterClock
from adapters.slurm.dialect import JobDescription
from adapters.slurm.failures import REASONS
from adapters.slurm.identity import mark
from adapters.slurm.lookup import Lookup
from adapters.slurm.records import PartitionState, SubmitAnswer
from adapters.slurm.resolving import Resolver
from adapters.slurm.settings import SlurmSettings
from adapters.slurm.states import HOPELESS, WAITING
from adapters.slurm.table import Table
from adapters.wire import NotSent

log = logging.getLogger(__name__)

#: Taken, but with the word that it cannot run as things are, or is held.
_CANNOT_RUN: Final = frozenset({2014, 2015, 2038, 2042})
_HELD: Final = frozenset({"JobHeldAdmin", "JobHeldUser"})
#: For so long it is remembered that a call for a run certainly never left us.
_UNSENT_S: Final = 300.0


class Sender:
    """Submits runs. ``now_s`` is monotonic, ``pause`` waits for seconds of it."""

    def __init__(
        self,
        settings: SlurmSettings,
        client: SlurmClient,
        table: Table,
        lookup: Lookup,
        resolver: Resolver,
        clock: CenterClock,
        now_s: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._settings, self._client, self._table = settings, client, table
        self._lookup, self._resolver, self._clock = lookup, resolver, clock
        self._now_s, self._pause = now_s, pause
        self._unsent: dict[str, float] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.partitions: Mapping[str, PartitionState] = {}

    async def submit(self, request: RunRequest) -> Accepted:
        """See ``CenterAdapter``; calls for one run wait for each other."""
        lock = self._locks.setdefault(request.run_id, asyncio.Lock())
        async with lock:
            known = self._table.runs.get(request.run_id)
            if known is not None:
                return known.accepted
            self._describe(request, 0)  # what can never run is not looked up either
            if not request.fresh and not self._was_unsent(request.run_id):
                taken = await self._taken_before(request)
                if taken is not None:
                    return taken
            stamp_ms = self._clock.now_s() * 1000
            job = self._describe(request, stamp_ms)
            body = (await self._client.dialect()).submission(job)
            reply = await self._send(request, body)
            return await self._judge(request, reply, stamp_ms)

    def _describe(self, request: RunRequest, stamp_ms: int) -> JobDescription:
        """The job to send. Should an earlier call arrive after all, the two never run at once."""
        comment = mark(request.run_id, stamp_ms)
        singleton = not request.fresh
        return submission.describe(request, self._settings, self.partitions, comment, singleton)

    async def _send(self, request: RunRequest, body: Mapping[str, object]) -> Reply:
        """Make the call; whatever is not certain about it makes the run one to be looked up."""
        self._unsent.pop(request.run_id, None)
        self._lookup.sent(request.run_id)
        try:
            return await self._client.submit(body, request.send_by_s)
        except AdapterError as error:
            if isinstance(error.__cause__, NotSent):
                self._unsent[request.run_id] = self._now_s()
            raise

    def _was_unsent(self, run_id: str) -> bool:
        """Whether nobody can have taken it: the last call for it, just now, never left us."""
        since_s = self._unsent.get(run_id)
        return since_s is not None and self._now_s() - since_s < _UNSENT_S

    async def _taken_before(self, request: RunRequest) -> Accepted | None:
        """The answer to an earlier call that was taken; None if certainly none was.

        Accounting learns of a job late, so that it is asked again after that time; ``Unavailable``
        if it got later meanwhile.
        """
        run = request.ref
        found = await self._resolver.resolve([run])
        if run.run_id not in found:
            wait_s = self._lookup.lag_s - self._lookup.absent_for_s(run.run_id)
            if wait_s > 0:
                await self._pause(wait_s)
                found = await self._resolver.resolve([run])
        entry = found.get(run.run_id)
        if entry is not None:
            log.info("%s: run %s is job %d", self._settings.center, run.run_id, entry.job_id)
            return entry.accepted
        if self._lookup.absent_for_s(run.run_id) < self._lookup.lag_s:
            raise Unavailable("accounting was away or is late: it may not know of all jobs yet")
        return None

    async def _judge(self, request: RunRequest, reply: Reply, stamp_ms: int) -> Accepted:
        """A job id means taken, whatever errors stand beside it."""
        try:
            answer = (await self._client.dialect()).submit_answer(reply.body)
        except ValueError as error:
            raise OutcomeUnknown(f"slurmrestd's answer cannot be read: {error}") from error
        if not answer.job_id:
            raise OutcomeUnknown("slurmrestd's answer names no job")
        if set(answer.codes) & _CANNOT_RUN:
            await self._refuse_hopeless(request, answer)
        known = self._table.runs.get(request.run_id)
        if known is not None and known.job_id == answer.job_id:
            return known.accepted  # it was seen before its answer arrived
        return self._table.taken(request.ref, answer.job_id, stamp_ms, self._now_s()).accepted

    async def _refuse_hopeless(self, request: RunRequest, answer: SubmitAnswer) -> None:
        """Take back what would wait for ever. Raises ``Rejected`` once it is certain not to run."""
        try:
            job = await self._client.job(answer.job_id)
            if job is None or job.name != request.name or job.state not in WAITING:
                return
            if job.reason not in HOPELESS and job.reason not in _HELD:
                return  # only not now
            await self._client.signal(answer.job_id)
            after = await self._client.job(answer.job_id)
        except AdapterError as error:  # it is taken, and looked at again with the others
            log.warning("%s: job %d: %s", self._settings.center, answer.job_id, error)
            return
        if after is None or (after.ended and not after.nodes):
            self._table.forget(request.run_id)
            codes = [code for code in answer.codes if code in REASONS]
            reason = REASONS[codes[0]] if codes else "CANNOT_BE_SATISFIED"
            raise Rejected(f"Slurm can never start it: {job.reason}; {answer.message}", reason)
