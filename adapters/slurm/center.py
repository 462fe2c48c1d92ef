"""A center behind Slurm as an adapter."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from adapters.checking import Finding
from adapters.contract import (
    ACTIVE_PHASES,
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
from adapters.errors import AdapterError, Rejected, Unavailable
from adapters.slurm import logs
from adapters.slurm.capacity import capacity
from adapters.slurm.client import SlurmClient
from adapters.slurm.clock import CenterClock
from adapters.slurm.examining import examine
from adapters.slurm.following import Following
from adapters.slurm.identity import Identity
from adapters.slurm.lookup import Lookup
from adapters.slurm.resolving import Resolver
from adapters.slurm.sending import Sender
from adapters.slurm.settings import SlurmSettings
from adapters.slurm.table import Entry, Table
from adapters.slurm.tokens import TokenSource
from adapters.wire import HttpWire, Wire

log = logging.getLogger(__name__)

KIND: Final = "slurm"
PAGE_RUNS_MAX: Final = 1000
_LOOK_PAUSE_S: Final = 1.0
#: Nodes of a large site are megabytes: they are not asked for more often.
_DESCRIBE_S: Final = 5.0
_HEARD_S: Final = 1.0


class SlurmCenter:
    """A ``CenterAdapter``. Nothing runs in the background: what is due is done by ``list_active``.

    ``now_ms`` and ``real_s`` are of scheduling time, which must be real time here. ``wire`` carries
    the calls, ``monotonic_s`` measures time and ``pause`` waits for it; tests replace them.
    """

    def __init__(
        self,
        settings: SlurmSettings,
        now_ms: Callable[[], int],
        real_s: Callable[[int], float],
        wire: Wire | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if real_s(1000) != 1.0:
            raise ValueError(f"{settings.center}: a real center needs clock speed 1")
        self.settings, self._now_s = settings, monotonic_s
        wire = wire or HttpWire(
            settings.endpoint, settings.ca_file, settings.connect_s, settings.connections_max
        )
        identity = Identity(settings.user, settings.cluster)
        self._tokens = TokenSource(settings.token, lambda: now_ms() / 1000)
        self.client = SlurmClient(settings, wire, self._tokens)
        self.table, self.clock = Table(), CenterClock(lambda: now_ms() / 1000)
        client, table, clock = self.client, self.table, self.clock
        self._lookup = Lookup(client, clock, identity, settings.accounting_days, monotonic_s)
        self.resolver = Resolver(
            settings, client, table, self._lookup, clock, identity, monotonic_s
        )
        self._sender = Sender(
            settings, client, table, self._lookup, self.resolver, clock, monotonic_s, pause
        )
        self._following = Following(
            settings, client, table, self._lookup, self.resolver, clock, identity, monotonic_s
        )
        self._connecting = asyncio.Lock()
        self._connected = asyncio.Event()
        self._pages: tuple[Observation, ...] = ()
        self._described: tuple[float, CenterDescription] | None = None

    # --- the contract -----------------------------------------------------------------------------

    @property
    def duplicates(self) -> int:
        """Native jobs that were ended since it was opened, as another of the name is the run."""
        return self.resolver.duplicates

    @property
    def settle_s(self) -> float:
        """Real seconds; covers how late accounting learns of a job, now."""
        return max(self.settings.settle_s, self._lookup.lag_s)

    @property
    def provisional_s(self) -> float:
        """A controller that is killed forgets what it took in the last 6 s or so."""
        return self.settings.provisional_s

    async def describe(self) -> CenterDescription:
        """What partitions and nodes offer now; nodes that are down or drained do not count."""
        await self._connect()
        if self._described is not None and self._now_s() - self._described[0] < _DESCRIBE_S:
            return self._described[1]
        partitions = await self.client.partitions()
        nodes = await self.client.nodes()
        said = await self._lookup.diagnosis()
        self._sender.partitions = {one.name: one for one in partitions}
        try:
            flavors = tuple(
                capacity(flavor, partitions, nodes, said.pending)
                for flavor in self.settings.partitions.values()
            )
        except ValueError as error:
            raise Unavailable(f"partitions cannot be read: {error}") from error
        version = (await self.client.dialect()).version
        api = f"{version} (Slurm {self.client.release})" if self.client.release else version
        description = CenterDescription(self.settings.center, KIND, api, False, flavors)
        self._described = (self._now_s(), description)
        return description

    async def submit(self, request: RunRequest) -> Accepted:
        """Submit a run, once."""
        await self._connect()
        return await self._sender.submit(request)

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        """How runs stand: by native id at the controller, else by name in accounting."""
        await self._connect()
        entries = {run.run_id: self._recent(run) for run in runs}
        unsure = [run for run in runs if entries[run.run_id] is None]
        resolved = await self.resolver.resolve(unsure)
        known = {key: entry for key, entry in entries.items() if entry is not None} | resolved
        return {key: entry.observation for key, entry in known.items()}

    async def list_active(self, page_token: str = "") -> Page:
        """All active runs with our mark, as of the last look at each; does what is due first."""
        if not page_token:
            await self._connect()
            await self._following.step()
            self._pages = tuple(entry.observation for entry in self.table.active.values())
        start = int(page_token or 0)
        page = self._pages[start : start + PAGE_RUNS_MAX]
        after = start + len(page)
        return Page(page, str(after) if after < len(self._pages) else "")

    async def cancel(self, run: RunRef) -> None:
        """End a run's native job, if there is one and it is that run's."""
        entry = await self._present(run)
        if entry is not None and not entry.final:
            await self.client.signal(entry.job_id)
            self.table.hurry(run.run_id)

    async def notify(self, run: RunRef, grace_s: int) -> None:
        """Send the signal of the settings to all processes of a running job, the first time."""
        entry = await self._present(run)
        if entry is None or entry.notified or entry.observation.phase is not Phase.RUNNING:
            return
        entry.notified = not await self.client.signal(entry.job_id, self.settings.notice_signal)
        self.table.hurry(run.run_id)

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """Metered stretches of ended runs, as accounting has them."""
        await self._connect()
        entries = {run.run_id: self.table.runs.get(run.run_id) for run in runs}
        unmetered = [run for run in runs if not _metered(entries[run.run_id])]
        nowhere = await self._meter(unmetered) if unmetered else []
        metered: dict[str, tuple[Usage, ...]] = {run.run_id: () for run in nowhere}
        for run in runs:
            entry = self.table.runs.get(run.run_id)
            if entry is not None and entry.final and entry.usage is not None:
                metered[run.run_id] = entry.usage
        return metered

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        """Let go of runs that have ended, and end those that go on in spite of it.

        One that cannot be ended now is listed as a job that nobody knows.
        """
        for run_id in run_ids:
            entry = self.table.runs.get(run_id)
            if entry is None or not entry.final:
                continue
            self.table.forget(run_id)
            if entry.risen:
                try:
                    await self.resolver.end_risen(entry)
                except AdapterError as error:
                    log.warning("%s: job %d: %s", self.settings.center, entry.job_id, error)

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        """A piece of the run's output file, where the center's file system is mounted."""
        if self.settings.logs_directory is not None:
            await self._connect()
        entry = self.table.runs.get(run.run_id) or await self._present(run)
        if entry is None:
            raise Rejected(f"{self.settings.center} knows no run {run.run_id!r}", "UNKNOWN_RUN")
        if not entry.final:
            entry = await self.resolver.look(entry.run, entry.job_id) or entry
        return await logs.read(self.settings, entry, offset, limit)

    async def health(self) -> Health:
        """Whether a controller answers, and how many messages wait for accounting."""
        try:
            up = await self.client.ping()
            said = await self.client.diagnosis()
        except AdapterError as error:
            return Health(False, f"{type(error).__name__}: {error}")
        self.clock.heard(said.at_s)
        detail = f"Slurm {self.client.release}, {', '.join(up)}"
        if said.accounting_queue:
            detail += f", {said.accounting_queue} messages wait for accounting"
        return Health(True, detail)

    async def wait_for_change(self, timeout_s: float) -> bool:
        """Slurm cannot tell of changes; wake when runs are due to be looked at."""
        await asyncio.sleep(min(timeout_s, _LOOK_PAUSE_S))
        return bool(self.table.active)

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()

    # --- for `corridor center check` --------------------------------------------------------------

    async def check(self) -> Sequence[Finding]:
        """Look at what the contract does not ask for; see ``adapters.checking``."""
        return await examine(self.settings, self.client, self._tokens, self.clock)

    # --- inside -----------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Learn the interface's version, the center's time and its partitions, once."""
        if self._connected.is_set():
            return
        async with self._connecting:
            if self._connected.is_set():
                return
            await self._lookup.diagnosis()
            self._sender.partitions = {one.name: one for one in await self.client.partitions()}
            self._connected.set()

    def _recent(self, run: RunRef) -> Entry | None:
        """What is known of a run, if it has ended or was looked at just now."""
        entry = self.table.runs.get(run.run_id)
        if entry is None or entry.final:
            return entry
        return entry if self._now_s() - entry.seen_s < _HEARD_S else None

    async def _present(self, run: RunRef) -> Entry | None:
        """The run as it stands now; its native id is checked before it is used for a change."""
        await self._connect()
        entry = self.table.runs.get(run.run_id)
        if entry is not None and entry.final:
            return entry
        return (await self.resolver.resolve([run])).get(run.run_id)

    async def _meter(self, runs: Sequence[RunRef]) -> list[RunRef]:
        """Ask accounting for the use of ended runs.

        Returns those that Slurm once had, and of which neither it nor accounting has a record left.
        """
        unknown = [run for run in runs if run.run_id not in self.table.runs]
        found = await self.resolver.resolve(unknown) if unknown else {}
        nowhere = [run for run in unknown if run.native_id and run.run_id not in found]
        for run in nowhere:
            log.warning(
                "%s: accounting has no record of job %s, run %s: its use is 0 s",
                self.settings.center,
                run.native_id,
                run.run_id,
            )
        ended = []
        for run in runs:
            entry = self.table.runs.get(run.run_id)
            if entry is not None and entry.final and entry.usage is None:
                ended.append(entry)
        await self.resolver.meter_all(ended)
        return nowhere


def _metered(entry: Entry | None) -> bool:
    """Whether nothing needs to be asked: it is known, or active and so has no use yet."""
    if entry is None:
        return False
    return entry.usage is not None or entry.observation.phase in ACTIVE_PHASES
