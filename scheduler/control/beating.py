"""A replica's heartbeat: a thread that steps its candidate, whatever the event loop is busy with.

It renews nothing for an event loop that stands still: who leads must be able to.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from scheduler.control.candidate import CandidateReplica, LeaseStore, Standing
from scheduler.store.lease_line import LineLost

log = structlog.get_logger()

#: So often a replica says that it lives, in real seconds.
_ALIVE_S: Final = 2.0
#: A thread that waits for a database that is away is not waited for longer at the end.
_JOIN_S: Final = 5.0


class Line(LeaseStore, Protocol):
    """The replica's line to the database."""

    def seen(self, number: int) -> bool:
        """Say that this replica lives; False if its number is another's by now."""
        ...

    def join(self) -> int:
        """Get a number."""
        ...

    def leave(self) -> None:
        """Say that this replica ends in order."""
        ...

    def close(self) -> None:
        """Let go of the line."""
        ...


@dataclass(frozen=True, slots=True)
class BeatTimes:
    """Real seconds: how long a lease lasts, how often it is renewed, and how often others look.

    A leader whose event loop stands still for ``stall_s`` renews no more.
    """

    lasts_s: float = 3.0
    renew_s: float = 1.0
    look_s: float = 0.5
    stall_s: float = 8.0


class Beat:
    """See the module. ``tell`` is called in the thread after every step, with None if the database
    could not be asked; ``renumber`` when the replica has another number from now on."""

    def __init__(
        self,
        line: Line,
        number: int,
        times: BeatTimes,
        now_s: Callable[[], float],
        tell: Callable[[Standing | None], None],
        renumber: Callable[[int], None],
    ) -> None:
        self._line, self._number, self._times, self._now_s = line, number, times, now_s
        self._tell, self._renumber = tell, renumber
        self.candidate = CandidateReplica(line, times.lasts_s, now_s)
        #: Whether it takes the lease if it is free.
        self.willing = True
        #: When the event loop was last seen to turn, and the database to answer.
        self.turned_s = self.reached_s = now_s()
        self._said_s = now_s()
        self._give_up = False
        self._stopped, self._hurry = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="corridor-lease", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def give_up(self) -> None:
        """Have it let go of the lease, soon; it takes it again only if ``willing``."""
        self._give_up = True
        self._hurry.set()

    def stop(self) -> None:
        """Let go of the lease and of the line."""
        self._stopped.set()
        self._hurry.set()
        if self._thread.ident is None:
            self._end()
        else:
            self._thread.join(_JOIN_S)

    def step(self) -> Standing | None:
        """Beat once; returns what is so then, None if the database could not be asked."""
        try:
            if self._give_up:
                self._give_up = False
                self.candidate.give_up()
            standing = self._step()
            self._say_alive()
        except LineLost as error:
            log.warning("lease_line_lost", error=str(error).strip())
            return None
        except Exception:  # the thread must go on: nobody else would renew
            log.exception("lease_failed")
            return None
        self.reached_s = self._now_s()
        return standing

    def _step(self) -> Standing | None:
        stood_s = self._now_s() - self.turned_s
        if self.candidate.epoch and stood_s > self._times.stall_s:
            log.error("event_loop_stands", for_s=round(stood_s, 1))
            return None
        return self.candidate.step(self.willing)

    def _say_alive(self) -> None:
        if self._now_s() - self._said_s < _ALIVE_S:
            return
        if not self._line.seen(self._number):
            self._number = self._line.join()
            log.warning("replica_renumbered", number=self._number)
            self._renumber(self._number)
        self._said_s = self._now_s()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._tell(self.step())
            times = self._times
            self._hurry.wait(times.renew_s if self.candidate.epoch else times.look_s)
            self._hurry.clear()
        self._end()

    def _end(self) -> None:
        try:
            self.candidate.give_up()
            self._line.leave()
        except LineLost as error:
            log.warning("lease_not_released", error=str(error).strip())
        except Exception:
            log.exception("lease_not_released")
        self._line.close()
