"""A ModelArts center as an adapter: what callers see of its training jobs."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from adapters.checking import Finding
from adapters.contract import (
    Accepted,
    CenterDescription,
    Health,
    LogChunk,
    Observation,
    Page,
    Phase,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import Rejected
from adapters.modelarts import pools
from adapters.modelarts.auth import Auth, KeyAuth, TokenAuth
from adapters.modelarts.capabilities import Capabilities, Feature
from adapters.modelarts.client import CenterClock, ModelArtsClient
from adapters.modelarts.errors import CallFailed, ErrorClass
from adapters.modelarts.examining import examine
from adapters.modelarts.finding import Finder, together
from adapters.modelarts.job import Job
from adapters.modelarts.logs import LogReader
from adapters.modelarts.names import run_id_of
from adapters.modelarts.phases import ACTIVE, is_final
from adapters.modelarts.searching import Searcher, phases_filter
from adapters.modelarts.sending import Dispatcher
from adapters.modelarts.settings import KeySettings, ModelArtsSettings
from adapters.wire import HttpWire

KIND: Final = "modelarts"
API_VERSION: Final = "v2"
_FIRST_TASK: Final = "worker-0"
_STOP_AGAIN_MS: Final = 30_000
_PROBED_NAME: Final = "corridor-probe"


class ModelArtsCenter:
    """One project of one ModelArts; a ``CenterAdapter``.

    ``counts`` says what odd things were met since it was opened: duplicates, adopted,
    adopted_changed, names_taken, unknown_phases, unreadable_jobs, foreign_ids, overdue,
    use_stated_differently, failed_pages, failed_queues, failed_stops; and strangers, the active
    jobs of the last sweep that are not ours.
    """

    def __init__(
        self, settings: ModelArtsSettings, client: ModelArtsClient, now_ms: Callable[[], int]
    ) -> None:
        self.settings, self.client = settings, client
        self.counts: Counter[str] = Counter()
        self._now_ms = now_ms
        self._capabilities = Capabilities()
        self._searcher = Searcher(client, settings.workspace_id, settings.offset_mode)
        self._finder = Finder(settings, client, self._searcher, self._capabilities, self.counts)
        self._dispatcher = Dispatcher(
            settings, client, self._finder, self._capabilities, self.counts
        )
        self._logs = LogReader(client, self._capabilities)
        self._probed = False
        self._swept_ms = now_ms()
        self._listed: set[str] = set()  # run ids of the sweep under way
        self._waiting = False  # whether anything waited in the last sweep
        self._positions: dict[str, int] = {}
        self._queue_s = -settings.queue_s
        self._stopped_ms: dict[str, int] = {}  # overdue jobs, when they were asked to end

    # --- the contract -----------------------------------------------------------------------------

    @property
    def duplicates(self) -> int:
        """Jobs that were stopped since it was opened, as another one of the name is the run."""
        return self.counts["duplicates"]

    @property
    def settle_s(self) -> float:
        """As set: how long a search may not show a job is documented nowhere."""
        return self.settings.settle_s

    @property
    def provisional_s(self) -> float:
        """A job that was created stays."""
        return 0.0

    @property
    def stale_s(self) -> float:
        """Seconds since a sweep went well to its end."""
        return (self._now_ms() - self._swept_ms) / 1000

    async def describe(self) -> CenterDescription:
        """Each flavor with the nodes that work, the cards held and the jobs that wait."""
        with _translated():
            await self._probe()
            wanted = list(self.settings.pools.values())
            states = await together(
                pools.look(self.client, self._capabilities, one) for one in wanted
            )
        flavors = (pools.capacity(one, state) for one, state in zip(wanted, states, strict=True))
        return CenterDescription(self.settings.center, KIND, API_VERSION, False, tuple(flavors))

    async def submit(self, request: RunRequest) -> Accepted:
        """Create the run's job, or find the one that was created before."""
        with _translated():
            return await self._dispatcher.submit(request)

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        """Observations by id or exact name."""
        told = {ref.run_id: self._finder.ended(ref) for ref in runs}
        seen = {run_id: ended.seen for run_id, ended in told.items() if ended is not None}
        open_refs = [ref for ref in runs if ref.run_id not in seen]
        if not open_refs:
            return seen
        with _translated():
            jobs = await self._finder.find(open_refs)
            for run_id, job in jobs.items():
                if is_final(job):
                    seen[run_id] = (await self._finder.conclude(run_id, job)).seen
                else:
                    seen[run_id] = self._observed(job)
        return seen

    async def list_active(self, page_token: str = "") -> Page:
        """One page of the center's active jobs that are runs; a token is the page's number."""
        number = int(page_token or 0)
        if number == 0:
            self._listed = set()
            self.counts["strangers"] = 0
            await self._refresh_queue()
        try:
            with _translated():
                found = await self._searcher.page([phases_filter(ACTIVE)], number)
                jobs = [job for raw in found.items if (job := self._finder.read(raw)) is not None]
                mine = [job for job in jobs if await self._is_listed(job)]
        except Exception:
            self.counts["failed_pages"] += 1
            raise
        seen = tuple(self._observed(job) for job in mine)
        await self._stop_overdue(mine)
        waits = any(one.phase is Phase.WAITING for one in seen)
        self._waiting = waits or (number > 0 and self._waiting)
        if found.more:
            return Page(seen, str(number + 1))
        self._swept_ms = self._now_ms()
        return Page(seen)

    async def cancel(self, run: RunRef) -> None:
        """Stop the run's job; all of its name if it is not known which one that is."""
        self._finder.learn(run.run_id, run.native_id)
        if self._finder.ended(run) is not None:
            return
        with _translated():
            native_id = self._finder.native_id(run.run_id)
            if not native_id or not await self._finder.stop(native_id):
                await self._finder.stop_all(run)

    async def notify(self, run: RunRef, grace_s: int) -> None:
        """Nobody is told: ModelArts has no call that reaches the program of a job."""

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """What the center states of ended runs, once it does."""
        used: dict[str, tuple[Usage, ...]] = {}
        asked = []
        for ref in runs:
            ended = self._finder.ended(ref)
            if ended is None or ended.usage is None:
                asked.append(ref)
            else:
                used[ref.run_id] = ended.usage
        if not asked:
            return used
        with _translated():
            for run_id, job in (await self._finder.find(asked)).items():
                if is_final(job):
                    usage = (await self._finder.conclude(run_id, job)).usage
                    if usage is not None:
                        used[run_id] = usage
        return used

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        """Let go of what was kept of these runs."""
        self._finder.forget(run_ids)

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        """The log of the run's first task. Raises ``Rejected`` for a run unknown here."""
        ended = self._finder.ended(run)
        with _translated():
            if ended is not None:
                native_id, task = ended.seen.native_id, ended.task
            else:
                job = (await self._finder.find([run])).get(run.run_id)
                if job is None:
                    raise Rejected(
                        f"{self.settings.center} knows no run {run.run_id!r}", "UNKNOWN_RUN"
                    )
                native_id, task = job.native_id, job.tasks[0] if job.tasks else ""
                if is_final(job):
                    ended = await self._finder.conclude(run.run_id, job)
            try:
                return await self._logs.read(
                    native_id, task or _FIRST_TASK, offset, limit, ended is not None
                )
            except CallFailed as failed:
                if failed.kind is not ErrorClass.NOT_FOUND:
                    raise
                return LogChunk(b"", offset, offset, ended is not None)  # it never wrote one

    async def health(self) -> Health:
        """Whether a search is answered, and what was found out about this installation."""
        try:
            await self._probe()
            await self._searcher.page([phases_filter(ACTIVE)], 0)
        except CallFailed as failed:
            return Health(False, f"{failed.kind.value}: {failed}")
        return Health(True, self._detail())

    async def check(self) -> Sequence[Finding]:
        """Look at what the contract does not ask for; see ``adapters.checking``."""
        with _translated():
            await self._probe()
            return await examine(self.settings, self.client, self._searcher, self._capabilities)

    async def wait_for_change(self, timeout_s: float) -> bool:
        """Wait for the whole time: this center gives no hints, and each look at it is calls."""
        await asyncio.sleep(timeout_s)
        return False

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()

    # --- inside -----------------------------------------------------------------------------------

    def _observed(self, job: Job) -> Observation:
        return self._finder.observe(job, self._positions.get(job.native_id))

    async def _is_listed(self, job: Job) -> bool:
        """Whether a job of a sweep is to be shown: an active run, once."""
        run_id = run_id_of(job.name)
        if run_id is None:
            self.counts["strangers"] += 1
            return False
        known = self._finder.native_id(run_id)
        if is_final(job) or (run_id in self._listed and known in ("", job.native_id)):
            return False
        if known and known != job.native_id:
            if await self._finder.is_there(run_id, known):
                await self._finder.stop_duplicate(run_id, job.native_id)
                return False
            self._finder.learn(run_id, job.native_id)
        self._listed.add(run_id)
        return True

    async def _stop_overdue(self, jobs: Sequence[Job]) -> None:
        """End what has run for longer than its wall limit; what fails is asked at the next look."""
        now_ms = self.client.clock.now_ms()
        for job in jobs:
            if not job.wall_limit_s or not job.begin_ms or job.phase == "Terminating":
                continue
            asked_ms = self._stopped_ms.get(job.native_id, 0)
            over = job.ran_ms(now_ms) > job.wall_limit_s * 1000
            if not over or now_ms - asked_ms < _STOP_AGAIN_MS:
                continue
            self.counts["overdue"] += 1
            try:
                await self._finder.stop(job.native_id)
            except CallFailed:
                self.counts["failed_stops"] += 1
            else:
                self._stopped_ms[job.native_id] = now_ms
        if len(self._stopped_ms) > len(jobs):
            oldest_ms = now_ms - _STOP_AGAIN_MS
            self._stopped_ms = {k: ms for k, ms in self._stopped_ms.items() if ms > oldest_ms}

    async def _refresh_queue(self) -> None:
        """Places in the queues, now and then; without them a sweep is as good."""
        now_s = time.monotonic()
        if not self._waiting or now_s - self._queue_s < self.settings.queue_s:
            return
        self._queue_s = now_s
        positions: dict[str, int] = {}
        try:
            for pool in self.settings.pools.values():
                if pool.pool_id:
                    state = await pools.queue(self.client, self._capabilities, pool)
                    positions.update(state.positions)
        except CallFailed:
            self.counts["failed_queues"] += 1
        else:
            self._positions = positions

    async def _probe(self) -> None:
        """Find out once what this installation lacks. Raises ``CallFailed``."""
        if self._probed:
            return
        client, workspace = self.client, self.settings.workspace_id
        await self._capabilities.probe(
            Feature.NAMES, lambda: client.is_name_taken(_PROBED_NAME, workspace)
        )
        for pool in self.settings.pools.values():
            if pool.pool_id:
                pool_id = pool.pool_id
                await self._capabilities.probe(Feature.POOLS, lambda p=pool_id: client.pool(p))  # type: ignore[misc]
                await self._capabilities.probe(
                    Feature.WORKLOADS,
                    lambda p=pool_id: client.workloads(p, 0, 1),  # type: ignore[misc]
                )
        self._probed = True

    def _detail(self) -> str:
        parts = [f"API {API_VERSION}", f"offset counts: {self._searcher.offset_mode}"]
        skew_ms = self.client.clock.skew_ms
        if skew_ms:
            parts.append(f"our clock is {-skew_ms / 1000:+.0f} s off, corrected")
        if self._capabilities.absent:
            parts.append(f"absent: {', '.join(self._capabilities.absent)}")
        parts += [f"{what}: {count}" for what, count in sorted(self.counts.items()) if count]
        return "; ".join(parts)


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what went wrong with a call as the contract names it."""
    try:
        yield
    except CallFailed as failed:
        raise failed.to_adapter_error() from None


def open_center(
    center: str,
    settings: Mapping[str, object],
    now_ms: Callable[[], int],
    real_s: Callable[[int], float],
) -> ModelArtsCenter:
    """Open a center of kind ``modelarts``; it is not called yet. Raises ``ValueError``."""
    parsed = ModelArtsSettings.parse(center, settings)
    wire = HttpWire(parsed.endpoint, parsed.ca_file, parsed.connect_s)
    client = ModelArtsClient(
        wire,
        _auth(parsed, now_ms),
        CenterClock(now_ms),
        parsed.project_id,
        read_s=parsed.read_s,
        create_s=parsed.create_s,
        calls_per_s=parsed.calls_per_s,
    )
    return ModelArtsCenter(parsed, client, now_ms)


def _auth(settings: ModelArtsSettings, now_ms: Callable[[], int]) -> Auth:
    auth = settings.auth
    if isinstance(auth, KeySettings):
        return KeyAuth(auth.access_key, auth.secret_key)
    wire = HttpWire(auth.endpoint, settings.ca_file, settings.connect_s)
    return TokenAuth(wire, auth.scope, auth.password, now_ms, settings.read_s)
