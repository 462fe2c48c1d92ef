"""A run's way to the center, at most once: the name is the fence, and no answer is guessed.

The center creates a job only if its name is free. A lost answer is therefore never followed by
another creation before the name was looked up; what a creation that was refused means is found out
by the name too, since the platform documents no code for a name that is taken.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from adapters.contract import Accepted, RunRef, RunRequest
from adapters.errors import OutcomeUnknown, Rejected
from adapters.modelarts.capabilities import Capabilities, Feature
from adapters.modelarts.client import CenterClock, ModelArtsClient
from adapters.modelarts.errors import CallFailed, ErrorClass
from adapters.modelarts.finding import Finder, keep
from adapters.modelarts.job import BadJob, Job, read_job
from adapters.modelarts.jobs import create_body, differs
from adapters.modelarts.names import native_name
from adapters.modelarts.settings import ModelArtsSettings

log = logging.getLogger(__name__)

NAME_TAKEN: Final = "NAME_TAKEN"
_KEPT_MAX: Final = 10_000
#: After these a creation certainly left nothing behind.
_NOTHING_DONE: Final = frozenset(
    {ErrorClass.NOT_SENT, ErrorClass.THROTTLED, ErrorClass.AUTH, ErrorClass.QUOTA}
)


class Dispatcher:
    """Creates jobs."""

    def __init__(
        self,
        settings: ModelArtsSettings,
        client: ModelArtsClient,
        finder: Finder,
        capabilities: Capabilities,
        counts: Counter[str],
    ) -> None:
        self._settings, self._client, self._finder = settings, client, finder
        self._capabilities, self._counts = capabilities, counts
        self._clock: CenterClock = client.clock
        #: Runs that may have been created.
        self._maybe: OrderedDict[str, None] = OrderedDict()
        #: Since when the names of runs have been held to be taken by nobody who can be seen.
        self._doubts: OrderedDict[str, int] = OrderedDict()

    async def submit(self, request: RunRequest) -> Accepted:
        """See ``CenterAdapter.submit``. Raises ``CallFailed`` too."""
        body = create_body(request, self._settings)
        heard_of = request.run_id in self._maybe or self._finder.native_id(request.run_id)
        first = request.fresh and not heard_of
        if not first:
            job = await self._look_up(request)
            if job is not None:
                return self._adopted(request, job, body)
        keep(self._maybe, request.run_id, None, _KEPT_MAX)
        try:
            answer = await self._client.create(body, request.send_by_s)
        except CallFailed as failed:
            if first and failed.kind in _NOTHING_DONE:
                del self._maybe[request.run_id]
            if failed.kind not in (ErrorClass.PERMANENT, ErrorClass.CONFLICT):
                raise
            return await self._refused(request, body, failed, first)
        return self._accepted(request, _created(answer, native_name(request.name)))

    async def _look_up(self, request: RunRequest) -> Job | None:
        return (await self._finder.find([RunRef(request.run_id, request.name)])).get(request.run_id)

    async def _refused(
        self, request: RunRequest, body: Mapping[str, Any], failed: CallFailed, first: bool
    ) -> Accepted:
        """A creation was refused for good: for what it asks, or because it was done before.

        That it was the ``first`` one counts only where the center cannot tell of names.
        """
        try:
            job = await self._look_up(request)
            taken = await self._capabilities.ask(
                Feature.NAMES,
                lambda: self._client.is_name_taken(
                    native_name(request.name), self._settings.workspace_id
                ),
            )
        except CallFailed as again:
            raise OutcomeUnknown(f"{failed}; the name cannot be looked up: {again}") from None
        if job is not None:
            return self._adopted(request, job, body)
        is_free = first if taken is None else not taken
        if is_free and failed.kind is ErrorClass.PERMANENT:
            self._forget(request.run_id)
            raise failed.to_adapter_error()
        return self._doubted(request, failed)

    def _doubted(self, request: RunRequest, failed: CallFailed) -> Accepted:
        """The name is taken, it seems, by a job that cannot be seen: soon, or never."""
        now_ms = self._clock.now_ms()
        since_ms = self._doubts.get(request.run_id, now_ms)
        keep(self._doubts, request.run_id, since_ms, _KEPT_MAX)
        if now_ms - since_ms < self._settings.settle_s * 1000:
            raise OutcomeUnknown(f"{failed}; no job of that name is seen yet")
        self._forget(request.run_id)
        self._counts["names_taken"] += 1
        raise Rejected(f"{failed}; no job of that name is seen", NAME_TAKEN)

    def _adopted(self, request: RunRequest, job: Job, body: Mapping[str, Any]) -> Accepted:
        """A job with our name is our run, if it says so or is what we would have created.

        One that says so may differ: settings change, and so does how we write a command.
        """
        difference = differs(job, body)
        if difference and job.run_id == request.run_id:
            self._counts["adopted_changed"] += 1
            log.warning("job %s of run %s has %s", job.native_id, request.run_id, difference)
        elif difference:
            self._counts["names_taken"] += 1
            log.error("name of run %s taken by %s: %s", request.run_id, job.native_id, difference)
            raise Rejected(f"another job has the name: {difference}", NAME_TAKEN)
        log.info("run %s is job %s: adopted", request.run_id, job.native_id)
        self._counts["adopted"] += 1
        return self._accepted(request, job)

    def _accepted(self, request: RunRequest, job: Job) -> Accepted:
        self._forget(request.run_id)
        self._finder.learn(request.run_id, job.native_id)
        return Accepted(request.run_id, job.native_id, job.submit_ms)

    def _forget(self, run_id: str) -> None:
        self._maybe.pop(run_id, None)
        self._doubts.pop(run_id, None)


def _created(answer: object, name: str) -> Job:
    """The job of a creation's answer. Raises ``OutcomeUnknown`` if it does not tell which it is."""
    try:
        job = read_job(answer)
    except BadJob as error:
        raise OutcomeUnknown(f"training-jobs: created {error}") from None
    if job.name != name or not job.create_ms:
        raise OutcomeUnknown("training-jobs: created, but the answer does not tell which job")
    return job
