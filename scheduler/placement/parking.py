"""Waiting jobs that are not looked at for a while: back-off, or a start that admission refused."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import JobQueued
from scheduler.placement.shard import ClassKey

#: What admission refuses one job for, it would refuse all of its class for.
_FOR_ALL_OF_CLASS: Final = frozenset(
    {
        ReasonCode.DEACTIVATED,
        ReasonCode.MISCONFIGURED,
        ReasonCode.BUDGET_ENTERPRISE,
        ReasonCode.BUDGET_CITY,
        ReasonCode.SUBSIDY_SHORT,
        ReasonCode.WALLET_SHORT,
        ReasonCode.SELF_PAY_ABOVE_MAX,
        ReasonCode.NEXT_PERIOD_NOT_OPEN,
    }
)

#: What only time helps against.
_FOR_TIME: Final = frozenset({ReasonCode.NOT_BEFORE, ReasonCode.RETRY_BACKOFF})


class Parked(NamedTuple):
    """A waiting job that is not looked at before ``due_ms``."""

    job: JobQueued
    reason: PendingReason
    due_ms: int


def class_of(job: JobQueued) -> ClassKey:
    """The class a job is of."""
    return job.city, job.enterprise, job.options, job.user


class Parking:
    """Parked jobs by uid, and the classes that wait with them.

    ``stalled`` holds classes of which a job is parked for want of money, with the reason: were the
    next of it tried, one after the other would take units from jobs that can be paid for, only to
    be refused.
    """

    def __init__(self) -> None:
        self.jobs: dict[int, Parked] = {}
        self.stalled: dict[ClassKey, PendingReason] = {}
        self._due: list[tuple[int, int]] = []

    def park(self, job: JobQueued, reason: PendingReason, due_ms: int) -> None:
        """Let a job wait until ``due_ms``, and its class with it if the reason concerns all."""
        self.jobs[job.uid] = Parked(job, reason, due_ms)
        heappush(self._due, (due_ms, job.uid))
        if reason.code in _FOR_ALL_OF_CLASS:
            self.stalled[class_of(job)] = reason

    def leave(self, uid: int) -> ClassKey | None:
        """A job is parked no more; returns the class that may be tried again with it."""
        parked = self.jobs.pop(uid, None)
        if parked is None:
            return None
        if parked.reason.code not in _FOR_ALL_OF_CLASS:
            return None
        key = class_of(parked.job)
        return key if self.stalled.pop(key, None) is not None else None

    def refused_in(self, city: str) -> list[JobQueued]:
        """The jobs of a city that admission refused."""
        return [
            parked.job
            for parked in self.jobs.values()
            if parked.job.city == city and parked.reason.code not in _FOR_TIME
        ]

    def due(self, now_ms: int) -> Iterator[JobQueued]:
        """Yield the jobs whose time has come; the caller takes each out."""
        while (at_ms := self.wake_ms()) is not None and at_ms <= now_ms:
            _, uid = heappop(self._due)
            yield self.jobs[uid].job

    def wake_ms(self) -> int | None:
        """When a job becomes due; None if none is parked."""
        while self._due:
            due_ms, uid = self._due[0]
            parked = self.jobs.get(uid)
            if parked is not None and parked.due_ms == due_ms:
                return due_ms
            heappop(self._due)
        return None
