"""The agent: any adapter with a journal before it, whose runs are told of to a scheduler.

A command becomes an intent in the journal, then a call, then its answer in the journal, then an
answer to the scheduler; so whatever dies in between, what was asked for is looked up by name and
adopted, never started twice. ``adapters.agent.following`` looks at the center by itself.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from adapters.agent import words
from adapters.agent.comparing import compare
from adapters.agent.journal import Journal, JournalFailure
from adapters.agent.rows import Entry
from adapters.contract import (
    Accepted,
    CenterAdapter,
    LogChunk,
    Observation,
    RunRef,
    RunRequest,
    boot_s,
)
from adapters.errors import AdapterError, OutcomeUnknown, Throttled, Unavailable
from adapters.telling import about

log = logging.getLogger(__name__)


class StaleEpoch(Exception):
    """Who speaks led once; another leads now."""


class Listener(Protocol):
    """Hears what is new; must be quick and must not raise."""

    def changed(self, run_ids: Iterable[str]) -> None:
        """These runs stand otherwise than before."""
        ...

    def nudged(self) -> None:
        """The center's standing or description changed."""
        ...


class Agent:
    """The agent of one center; ``now_s`` is monotonic. Who looks for a run that is being submitted
    waits for the answer for at most ``busy_s`` real seconds."""

    def __init__(
        self,
        adapter: CenterAdapter,
        journal: Journal,
        now_s: Callable[[], float] = boot_s,
        busy_s: float = 20.0,
    ) -> None:
        self._busy_s = busy_s
        self.adapter, self.journal, self.now_s = adapter, journal, now_s
        self.told: words.Told | None = None
        #: Set when the center should be looked at soon.
        self.look = asyncio.Event()
        self._listener: Listener | None = None
        self._calls: dict[str, asyncio.Task[Accepted]] = {}
        self._missing_s: dict[str, float] = {}
        self._error: AdapterError | None = Unavailable("the center has not been looked at yet")
        self._swept_s: float | None = None

    # --- who is obeyed and who listens ------------------------------------------------------------

    async def obey(self, epoch: int) -> None:
        """Obey a leader. Raises ``StaleEpoch`` if a later one was obeyed before."""
        self.check(epoch)
        self.journal.obey(epoch)
        await self.journal.commit()

    def check(self, epoch: int) -> None:
        """Raise ``StaleEpoch`` unless ``epoch`` is the highest that was obeyed, or above it."""
        if epoch < self.journal.epoch:
            raise StaleEpoch(
                f"epoch {epoch} is over: a scheduler that leads under epoch {self.journal.epoch}"
                " was obeyed since; nothing was done"
            )

    def listen(self, listener: Listener | None) -> None:
        """Tell ``listener`` from now on what is new, and nobody else."""
        self._listener = listener

    def standing(self) -> words.Standing:
        """Whether the center answers, as of now."""
        age_s = None if self._swept_s is None else self.now_s() - self._swept_s
        return words.Standing(self._error, age_s, boot_s())

    # --- what the scheduler asks for --------------------------------------------------------------

    async def submit(self, request: RunRequest) -> Accepted:
        """Start a run, once: a call under way or an earlier answer serves each further one.

        The call goes on if who asked for it goes away; what becomes of it is in the journal.
        """
        call = self._calls.get(request.run_id)
        if call is None:
            call = asyncio.create_task(self._submit(request), name=f"submit-{request.run_id}")
            self._calls[request.run_id] = call
            call.add_done_callback(lambda call: self._ended(request, call))
        return await asyncio.shield(call)

    def _ended(self, request: RunRequest, call: "asyncio.Task[Accepted]") -> None:
        """A submission has ended; who asked for it may be gone."""
        self._calls.pop(request.run_id, None)
        if not call.cancelled():
            call.exception()

    async def finish(self, most_s: float) -> None:
        """Let submissions under way end, for at most so many real seconds.

        Those that do not are given up: they are intents, and looked up when the agent is back.
        """
        if self._calls:
            _, late = await asyncio.wait(list(self._calls.values()), timeout=most_s)
            for call in late:
                call.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _submit(self, request: RunRequest) -> Accepted:
        known = self.journal.runs.get(request.run_id)
        if known is not None and is_known(known):
            return _answer_of(known)
        if known is None:
            self.journal.put(Entry(request.ref))
            try:
                await self.journal.commit()
            except JournalFailure as error:
                self.journal.drop([request.run_id])
                raise Unavailable(str(error)) from error
        elif known.observation is None:
            adopted = await self._settled_intent(known)
            if adopted is not None:
                return adopted
        return await self._call(replace(request, fresh=request.fresh and known is None))

    async def _settled_intent(self, intent: Entry) -> Accepted | None:
        """Find what an earlier call without an answer did: None if certainly nothing."""
        asked_s = self.now_s()
        try:
            seen = (await self.adapter.find([intent.ref])).get(intent.ref.run_id)
        except AdapterError as error:
            raise OutcomeUnknown(
                f"an earlier call for {intent.ref.name} is not answered, and its center cannot be"
                f" asked: {error}"
            ) from error
        if seen is not None:
            return _answer_of(await self._saw(intent.ref, seen))
        if not self.is_absent(intent.ref.run_id, asked_s):
            raise OutcomeUnknown(
                f"an earlier call for {intent.ref.name} is not answered and may still take effect"
            )
        return None

    async def _call(self, request: RunRequest) -> Accepted:
        """Call the center; the intent is in the journal."""
        with about(request):
            return await self._call_it(request)

    async def _call_it(self, request: RunRequest) -> Accepted:
        self.is_there(request.run_id)
        try:
            answer = await self.adapter.submit(request)
        except OutcomeUnknown:
            self.look.set()
            raise
        except AdapterError as error:
            if not isinstance(error, Throttled):
                log.info("%s was not taken: %s", request.name, error)
            entry = self.journal.runs.get(request.run_id)
            if entry is not None and entry.observation is None:
                self.journal.drop([request.run_id])  # with a later commit: it is only looked up
            raise
        except Exception as error:
            log.exception("submission of %s failed", request.name)
            raise OutcomeUnknown(f"{type(error).__name__}: {error}") from error
        entry = self.journal.runs.get(request.run_id, Entry(request.ref))
        await self.keep([entry.accepted(answer)])
        self.look.set()
        return answer

    async def find(self, runs: Sequence[RunRef]) -> dict[str, Observation]:
        """Look for runs: what the journal does not know is looked up at the center now."""
        busy = [self._calls[ref.run_id] for ref in runs if ref.run_id in self._calls]
        if busy:  # what the center says of them now it may not say any more in a moment
            _, late = await asyncio.wait(busy, timeout=self._busy_s)
            if late:
                raise Unavailable(f"submissions of {len(late)} of these runs are under way")
        known = self.journal.runs
        unknown = [ref for ref in runs if not is_known(known.get(ref.run_id))]
        found = dict(await self.adapter.find(unknown)) if unknown else {}
        for ref in unknown:
            if ref.run_id in found and not self.is_busy(ref.run_id):
                await self._saw(ref, found[ref.run_id])
        for ref in runs:
            entry = known.get(ref.run_id)
            if entry is not None and entry.observation is not None and not entry.gone:
                found[ref.run_id] = entry.observation
        return found

    async def cancel(self, run: RunRef) -> None:
        """Ask for a run's end."""
        await self.adapter.cancel(self._best(run))
        self.look.set()

    async def notify(self, run: RunRef, grace_s: int) -> None:
        """Tell a run's program that it will be ended."""
        await self.adapter.notify(self._best(run), grace_s)
        self.look.set()

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        """Read a piece of a run's log."""
        return await self.adapter.logs(self._best(run), offset, limit)

    async def usage(self, runs: Sequence[RunRef]) -> words.Metered:
        """Ask the center what it metered."""
        return await self.adapter.usage([self._best(run) for run in runs])

    async def reconcile(self, said: words.Reconciled) -> None:
        """Forget what the scheduler has for good, and look for what it misses."""
        journal = self.journal.runs
        active = {
            run_id: entry.observation
            for run_id, entry in journal.items()
            if entry.active and entry.observation is not None
        }
        difference = compare(journal, active, said.settled, said.wanted)
        self.journal.drop(difference.forget)
        for run_id in difference.forget:
            self._missing_s.pop(run_id, None)
        await self.journal.commit()
        done = [run_id for run_id in said.settled if run_id not in active]
        if done:
            await self.adapter.acknowledge(done)
        if said.wanted:
            await self.find(said.wanted)

    def _best(self, run: RunRef) -> RunRef:
        """Return what is known of a run here or by its scheduler."""
        entry = self.journal.runs.get(run.run_id)
        return run if entry is None or not entry.ref.native_id else entry.ref

    # --- what following shares --------------------------------------------------------------------

    def is_busy(self, run_id: str) -> bool:
        """Whether a submission of this run is under way: then nothing else is said of it."""
        return run_id in self._calls

    def is_absent(self, run_id: str, asked_s: float) -> bool:
        """Note that the center, asked at ``asked_s``, lacked a run; whether for long enough."""
        since_s = self._missing_s.setdefault(run_id, asked_s)
        if asked_s - since_s < self.adapter.settle_s:
            return False
        del self._missing_s[run_id]
        return True

    def is_there(self, run_id: str) -> None:
        """Note that the center has a run, or is called for it: it is not missing any more."""
        self._missing_s.pop(run_id, None)

    async def keep(self, entries: Sequence[Entry]) -> None:
        """Note what the center said, on the disk if that can be, and tell of it.

        A disk that cannot be written makes nothing untrue; it is tried again with each commit.
        """
        for entry in entries:
            self.journal.put(entry)
        try:
            await self.journal.commit()
        except JournalFailure as error:
            log.error("%s", error)
            self.stands(Unavailable(str(error)))
        if entries and self._listener is not None:
            self._listener.changed([entry.ref.run_id for entry in entries])

    def describes(self, told: words.Told) -> None:
        """Note what the center says of itself."""
        if told != self.told:
            self.told = told
            self._nudge()

    def stands(self, error: AdapterError | None, swept_s: float | None = None) -> None:
        """Note how the last look went; ``swept_s`` is when a whole one began."""
        before, self._error = self._error, error
        if swept_s is not None:
            self._swept_s = swept_s
        if str(before) != str(error):
            self._nudge()

    async def _saw(self, ref: RunRef, seen: Observation) -> Entry:
        """Keep what was found of a run that the journal did not know, or only intended."""
        self.is_there(ref.run_id)
        entry = self.journal.runs.get(ref.run_id, Entry(ref))
        after = entry.saw(seen)
        if after is not entry:
            await self.keep([after])
        return after

    def _nudge(self) -> None:
        if self._listener is not None:
            self._listener.nudged()


def is_known(entry: Entry | None) -> bool:
    """Whether the center's word on a run is in the journal, and it is not gone since."""
    return entry is not None and entry.observation is not None and not entry.gone


def _answer_of(entry: Entry) -> Accepted:
    return Accepted(entry.ref.run_id, entry.ref.native_id, entry.ref.submit_ms)
