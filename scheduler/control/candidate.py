"""One replica among those that would lead: its steps, each of which asks the database once.

A step may be cut off anywhere, by a process that is stopped or a database that is away; the next
one goes on from what the database says then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from scheduler.domain.leases import Lease, Tenure, Watch


class LeaseStore(Protocol):
    """Where the lease is kept (``store.lease_line``)."""

    def look(self) -> tuple[Lease | None, int]:
        """Return the lease and the database's clock in epoch milliseconds."""
        ...

    def take(self, judged: Lease | None) -> int | None:
        """Take a lease that was judged to be over; the new epoch, or None if it changed since."""
        ...

    def renew(self, epoch: int) -> bool:
        """Renew the lease; False if another one leads."""
        ...

    def release(self, epoch: int) -> None:
        """Let go of the lease."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What is so after a step: the epoch under which this replica leads, 0 if it does not.

    ``lease`` is that of another, as last seen; ``age_s`` how long ago it was renewed.
    """

    epoch: int
    lease: Lease | None
    age_s: float


class CandidateReplica:
    """See the module. ``now_s`` are seconds that pass while the process is stopped."""

    def __init__(self, store: LeaseStore, lasts_s: float, now_s: Callable[[], float]) -> None:
        self._store, self._lasts_s, self._now_s = store, lasts_s, now_s
        self._watch = Watch()
        self._tenure = Tenure(lasts_s, now_s())
        self.epoch = 0

    def step(self, willing: bool) -> Standing:
        """Renew the lease of ours, or look whether to take it, if ``willing``.

        Raises what the store does if it cannot be asked; then ``doubts`` tells how things stand.
        """
        if self.epoch:
            return self._renew()
        lease, now_ms = self._store.look()
        own_s = self._now_s()
        if willing and self._watch.may_take(lease, now_ms, own_s):
            taken = self._store.take(lease)
            if taken is not None:
                self._tenure = Tenure(self._lasts_s, own_s)
                self.epoch = taken
                return Standing(taken, None, 0.0)
        age_s = 0.0 if lease is None else (now_ms - lease.renewed_ms) / 1000
        return Standing(0, lease, max(0.0, age_s))

    def _renew(self) -> Standing:
        asked_s = self._now_s()
        if self._store.renew(self.epoch):
            self._tenure.renewed(asked_s)
        else:
            self.epoch = 0
        return Standing(self.epoch, None, self._now_s() - asked_s)

    def doubts(self) -> bool:
        """Whether this replica leads, but must expect that another one does by now."""
        return bool(self.epoch) and self._tenure.is_doubtful(self._now_s())

    def give_up(self) -> None:
        """Lead no more, and let others at once."""
        epoch, self.epoch = self.epoch, 0
        if epoch:
            self._store.release(epoch)
