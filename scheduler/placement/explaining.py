"""Why a job waits, and when it may start: answers that change nothing.

The reason of a job is that of the option nearest to a start. Its band says when it will start:
``start_earliest_ms`` is when an option would fit if runs ended when they are expected to and nobody
came before; ``start_likely_ms`` is when it starts in a forecast in which all that waits starts in
the real order and runs as long as is expected; ``start_latest_ms`` is the promise, where there is
one, else when it starts if all use their limits. None of them knows of jobs that are still to come.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from scheduler.domain.reasons import RANK, UNFORESEEN, PendingReason, ReasonCode, StartOutlook
from scheduler.placement.calibrating import Calibration
from scheduler.placement.choosing import least_units
from scheduler.placement.foresight import Foresight
from scheduler.placement.model import Explanation, JobQueued, Option
from scheduler.placement.parking import class_of
from scheduler.placement.pools import Pool
from scheduler.placement.reasoning import Reasoning
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import ClassKey, Entry
from scheduler.placement.standing import Standing

#: A forecast answers questions for so long (scheduling time), whatever happens meanwhile.
FORECAST_MS: Final = 15_000


class Band(NamedTuple):
    """When a job starts, before what experience says; ``promised`` if the latest is a promise."""

    earliest_ms: int
    likely_ms: int
    latest_ms: int | None
    promised: bool


class Explainer:
    """Reads a root planner between cycles."""

    def __init__(self, root: RootPlanner, forecast_ms: int = FORECAST_MS) -> None:
        self._root = root
        self.foresight = Foresight(root, forecast_ms)
        self.calibration = Calibration()

    def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """Say why a waiting job waits; None if it does not wait here."""
        root = self._root
        found = self._find(uid)
        if found is not None:
            key, entry, before, parked = found
            return self._explained(key, entry, before, now_ms, parked)
        run = root.active.get(uid)
        if run is None or not run.options:
            return None
        # It was started a moment ago, and is about to be admitted or refused.
        last = root.refusals.last.get(run.key)
        reason = last or PendingReason(
            ReasonCode.NOT_EVALUATED, "corridor", run.option.flavor, requested=run.option.units
        )
        starting = _at_once(reason, now_ms)
        waiting = Standing(root, now_ms).waiting_in(run.city)
        return Explanation(uid, starting, 1, 1 + waiting)

    def band(self, uid: int, now_ms: int) -> Band | None:
        """When a waiting job starts, without what experience says; None if nobody can say."""
        found = self._find(uid)
        if found is None:
            return None
        key, entry, _, parked = found
        reason, _ = self._judged(key, now_ms, parked)
        return self._band(reason, key, entry, now_ms, None)

    def _find(self, uid: int) -> tuple[ClassKey, Entry, int | None, PendingReason | None] | None:
        """Where a job waits: class, entry, jobs of its enterprise before it, why it is parked."""
        root = self._root
        parked = root.parking.jobs.get(uid)
        if parked is not None:
            job = parked.job
            entry = (-job.priority, job.queued_ms, uid, 0)
            return class_of(job), entry, None, parked.reason
        place = root.shards.locate(uid, root.pending_takes())
        if place is None:
            return None
        return place.key, place.entry, place.before_in_enterprise, None

    def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        """Say what would be said of a job if it were queued now."""
        key = class_of(job)
        entry = (-job.priority, job.queued_ms, job.uid, 0)
        found = self._explained(key, entry, None, now_ms, None, job)
        return replace(found, waiting_in_city=found.waiting_in_city + 1)

    def _explained(
        self, key: ClassKey, entry: Entry, before: int | None, now_ms: int,
        parked: PendingReason | None, asked: JobQueued | None = None,
    ) -> Explanation:  # fmt: skip
        reason, reasons = self._judged(key, now_ms, parked)
        reason = self._banded(reason, key, entry, now_ms, asked)
        standing = Standing(self._root, now_ms)
        place, waiting = standing.place(key, entry, before), standing.waiting_in(key[0])
        return Explanation(entry[2], reason, place, waiting, reasons)

    def _judged(
        self, key: ClassKey, now_ms: int, parked: PendingReason | None
    ) -> tuple[PendingReason, tuple[PendingReason, ...]]:
        """The reason of a job and those of its options, with the earliest starts."""
        city, enterprise, options, _ = key
        reasoning = Reasoning(self._root, now_ms)
        bindings = [reasoning.binding(city, enterprise, option) for option in options]
        if parked is None:
            own = reasoning.of_class(key, bindings)
        else:
            own = reasoning.before(parked, reasoning.nearest(bindings))
        reasons = tuple(
            self._dated(one.reason(option), key, option, now_ms)
            for one, option in zip(bindings, options, strict=True)
        )
        if isinstance(own, PendingReason):
            return self._nearest_times(own, reasons), reasons
        return max(reasons, key=lambda one: RANK[one.code]), reasons

    # --- times ------------------------------------------------------------------------------------

    def _dated(
        self, reason: PendingReason, key: ClassKey, option: Option, now_ms: int
    ) -> PendingReason:
        """Add to a reason when its option would fit if runs ended as expected."""
        pool = self._root.pools.get(option.flavor)
        if pool is None or reason.code in UNFORESEEN:
            return replace(reason, outlook=StartOutlook.NONE)
        at_ms, later = self.foresight.expected(pool, now_ms).earliest(
            key[0], key[1], least_units(option), now_ms
        )
        return replace(
            reason,
            next_event_ms=self._next_end(pool, now_ms),
            start_earliest_ms=None if later is None else at_ms,
        )

    @staticmethod
    def _nearest_times(own: PendingReason, options: Sequence[PendingReason]) -> PendingReason:
        """A reason that is no option's has the earliest start of all options, once it is over."""
        known = [one.start_earliest_ms for one in options if one.start_earliest_ms is not None]
        if not known or own.code in UNFORESEEN:
            return own
        return replace(own, start_earliest_ms=max(min(known), own.start_earliest_ms or 0))

    def _banded(
        self, reason: PendingReason, key: ClassKey, entry: Entry, now_ms: int,
        asked: JobQueued | None,
    ) -> PendingReason:  # fmt: skip
        """Add the band, as wide as experience says; none for what does not start as things are."""
        band = self._band(reason, key, entry, now_ms, asked)
        if band is None:
            return replace(reason, start_earliest_ms=None, outlook=StartOutlook.NONE)
        flavor, learned = key[2][0].flavor, self.calibration
        latest_ms = band.latest_ms
        if latest_ms is not None and not band.promised:
            latest_ms = now_ms + learned.latest(flavor, latest_ms - now_ms)
        return replace(
            reason,
            start_earliest_ms=now_ms + learned.earliest(flavor, band.earliest_ms - now_ms),
            start_likely_ms=band.likely_ms,
            start_latest_ms=latest_ms,
            outlook=StartOutlook.PROMISED if band.promised else StartOutlook.FORESEEN,
        )

    def _band(
        self, reason: PendingReason, key: ClassKey, entry: Entry, now_ms: int,
        asked: JobQueued | None,
    ) -> Band | None:  # fmt: skip
        if reason.start_earliest_ms is None or reason.code in UNFORESEEN:
            return None
        if reason.code is ReasonCode.NOT_EVALUATED:  # nothing binds: the next plan starts it
            return Band(now_ms, now_ms, now_ms, promised=False)
        likely, latest = self.foresight.start(key, entry, now_ms, asked)
        promise = self._promise(key, entry)
        latest = latest if promise is None else promise
        if likely is None:
            likely = latest
        if likely is None:
            return None
        likely = max(now_ms, likely)
        if promise is not None:
            likely = min(likely, max(now_ms, promise))
        if latest is not None:
            latest = max(likely, latest)
        earliest = min(max(now_ms, reason.start_earliest_ms), likely)
        return Band(earliest, likely, latest, promise is not None)

    def _promise(self, key: ClassKey, entry: Entry) -> int | None:
        for option in key[2]:
            pool = self._root.pools.get(option.flavor)
            holder = None if pool is None else pool.holder
            if holder is not None and holder.entry[2] == entry[2] and holder.start_ms:
                return holder.start_ms
        return None

    @staticmethod
    def _next_end(pool: Pool, now_ms: int) -> int | None:
        return max(now_ms, pool.ends[0][0]) if pool.ends else None


def _at_once(reason: PendingReason, now_ms: int) -> PendingReason:
    """A reason of a job that was just started, unless it may be refused for that reason again."""
    if reason.code in UNFORESEEN:
        return replace(reason, outlook=StartOutlook.NONE)
    return replace(
        reason, start_earliest_ms=now_ms, start_likely_ms=now_ms, outlook=StartOutlook.FORESEEN
    )
