"""Terms of leadership, one after another: a replica leads, is replaced, follows, and leads again.

Whether it may lead is found out beside, in a thread (``beating``). Here a term is opened when it
may and closed when it may not any more. What a term does is fenced by its epoch, so that one which
is closed late has changed nothing.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from adapters.contract import boot_s
from scheduler.control.beating import Beat, BeatTimes, Line
from scheduler.control.candidate import Standing
from scheduler.control.loop import ControlLoop
from scheduler.domain.leases import Lease
from scheduler.errors import CorridorError
from scheduler.store.leader import Fenced

log = structlog.get_logger()

#: How often the event loop shows that it turns, in real seconds.
_TURN_S: Final = 0.25
#: So many turns a lead is doubted before it is given up: who was stopped asks first.
_DOUBTS: Final = 8
#: A replica that could not open its term lets others try for so long.
_PAUSE_S: Final = 5.0


class LeadershipMetrics(Protocol):
    """Figures of who leads."""

    def leader(self, leads: bool, epoch: int) -> None:
        """Whether this process leads, and the epoch that leads as far as it knows."""
        ...

    def lease(self, age_s: float) -> None:
        """How long ago the lease was renewed, just now."""
        ...

    def took_over(self) -> None:
        """This process became the leader."""
        ...


class OtherLeads(CorridorError):
    """Another replica leads, and this one cannot follow."""

    reason = "ANOTHER_LEADS"


class Leadership:
    """Between ``start`` and ``stop`` this replica leads whenever it is its turn.

    ``open_term`` takes an epoch and returns a loop that was started under it. A replica that is
    ``alone`` never follows: it does not start while another one leads, and ``ended`` is set once
    it is replaced.
    """

    def __init__(
        self,
        line: Line,
        number: int,
        open_term: Callable[[int], Awaitable[ControlLoop]],
        metrics: LeadershipMetrics,
        *,
        times: BeatTimes | None = None,
        alone: bool = False,
        renumber: Callable[[int], None] = lambda number: None,
        now_s: Callable[[], float] = boot_s,
    ) -> None:
        self._times = times or BeatTimes()
        self._open_term, self._metrics, self._alone = open_term, metrics, alone
        self._now_s = now_s
        self._beat = Beat(line, number, self._times, now_s, self._tell, renumber)
        #: The loop of the present term; None while this replica follows.
        self.present: ControlLoop | None = None
        #: The lease of another, as last seen.
        self.lease: Lease | None = None
        #: Whether the lease of another had run out when it was looked at last.
        self.overdue = False
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._epoch = self._given_up = self._told = 0
        self._changed = asyncio.Event()
        #: Hears whether the database answers.
        self.on_reach: Callable[[bool], Awaitable[None]] | None = None
        self._reached = True
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def epoch(self) -> int | None:
        """The epoch under which this replica leads; None while it does not."""
        loop = self.present
        return None if loop is None or loop.fenced.is_set() else loop.epoch or None

    # --- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Lead at once if nobody does, and follow otherwise.

        Raises what opening a term raises, and ``OtherLeads``; ``stop`` is to be called then too.
        """
        await self._first_step()
        self._tasks = [asyncio.create_task(self._turn_forever(), name="leadership-turns")]
        self._beat.start()
        if self._epoch:
            await self._begin(self._epoch)
        self._tasks.append(asyncio.create_task(self._lead_forever(), name="leadership"))

    async def _first_step(self) -> None:
        """Look once, and while another one leads and we cannot follow, until that is over."""
        until_s = self._now_s() + 2 * self._times.lasts_s + self._times.look_s
        while True:
            standing = await asyncio.to_thread(self._beat.step)
            if standing is not None:
                self._heard(standing)
                if self._epoch or not self._alone:
                    return
            if self._now_s() >= until_s:
                break
            await asyncio.sleep(self._times.look_s)
        if self.lease is None:
            raise OtherLeads("the database did not answer when it was asked who leads")
        raise OtherLeads(
            f"{self.lease.name} leads on this database, and its centers are simulated in the"
            " service, where no other replica can take them over: run them behind `corridor agent`"
            " (docs/replicas.md), or stop that one"
        )

    async def stop(self) -> None:
        """Close the term, if there is one, and let others lead."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()
        await asyncio.to_thread(self._beat.stop)

    # --- what the thread says ---------------------------------------------------------------------

    def _tell(self, standing: Standing | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._heard, standing)

    def _heard(self, standing: Standing | None) -> None:
        if standing is None:
            return
        self._metrics.lease(standing.age_s)
        epoch = 0 if standing.epoch == self._given_up else standing.epoch
        self.overdue = not epoch and standing.age_s > self._times.lasts_s
        if not epoch:
            self.lease = standing.lease
        if epoch != self._epoch:
            self._epoch = epoch
            self._changed.set()
        led_by = 0 if standing.lease is None else standing.lease.epoch
        if not epoch and self.present is None and led_by != self._told:
            self._told = led_by
            self._metrics.leader(False, led_by)

    async def _turn_forever(self) -> None:
        """Show the thread that this event loop turns; give up a lead that nobody confirms.

        One that is alone keeps it: nobody else is there to lead.
        """
        doubted = 0
        while True:
            self._beat.turned_s = now_s = self._now_s()
            doubted = doubted + 1 if self._epoch and self._beat.candidate.doubts() else 0
            if doubted >= _DOUBTS and not self._alone:
                log.error("lead_in_doubt", epoch=self._epoch, hint="the database does not answer")
                self._drop()
            reached = now_s - self._beat.reached_s < 2 * self._times.lasts_s
            if reached != self._reached and self.on_reach is not None:
                await self.on_reach(reached)
            self._reached = reached
            await asyncio.sleep(_TURN_S)

    def _drop(self) -> None:
        """Lead no more under this epoch, whatever the thread still says."""
        if self._epoch:
            self._given_up, self._epoch = self._epoch, 0
            self._changed.set()
        self._beat.give_up()

    # --- terms ------------------------------------------------------------------------------------

    async def _lead_forever(self) -> None:
        while True:
            if self.present is None:
                await self._wait_elected()
                try:
                    await self._begin(self._epoch)
                except Exception as error:
                    log.error("term_not_opened", error=str(error), exc_info=_unexpected(error))
                    self._drop()
                    await asyncio.sleep(_PAUSE_S)
                    self._beat.willing = True
                    continue
            await self._wait_over()
            await self._close()
            if self._alone:
                self.ended.set()
                return
            self._beat.willing = True

    async def _begin(self, epoch: int) -> None:
        self._beat.willing = False
        self.present = await self._open_term(epoch)
        self.lease, self._told = None, 0
        self._metrics.took_over()

    async def _wait_elected(self) -> None:
        while not self._epoch:
            self._changed.clear()
            await self._changed.wait()

    async def _wait_over(self) -> None:
        """Wait until this replica is replaced: the lease says so, or a write that is fenced."""
        loop = self.present
        assert loop is not None, "a term was begun"
        fenced = asyncio.create_task(loop.fenced.wait())
        try:
            while self._epoch == loop.epoch and not fenced.done():
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait({fenced, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        finally:
            fenced.cancel()
        log.warning("replaced", epoch=loop.epoch)
        if self._epoch == loop.epoch:  # a write was fenced before the lease said so
            self._drop()

    async def _close(self) -> None:
        loop, self.present = self.present, None
        if loop is not None:
            await loop.stop()


def _unexpected(error: Exception) -> Exception | None:
    """Return what is to be shown with where it was raised: what nobody foresaw."""
    return None if isinstance(error, CorridorError | Fenced) else error
