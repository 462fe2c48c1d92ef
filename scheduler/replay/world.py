"""A planner in virtual time, in a world in which things go wrong.

As ``simulate``, and beyond it: several options a job, priorities, failures with retries and
back-off, cancellations, holds, queue deadlines, evictions, outages of centers and capacity cuts.
Without any of these it decides as ``simulate`` does (a test compares both). At one instant all ends
come first, then what changes outside, then what leaves the queue, then what comes, each by the
job's place; then the planner plans until nothing more starts. It is deterministic.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from scheduler.placement.model import (
    Delta,
    Eviction,
    JobRemoved,
    Option,
    Plan,
    PoolSet,
    Reservation,
    RunActive,
    RunEnded,
    RunStarted,
)
from scheduler.replay import lives as of
from scheduler.replay.lives import Cut, Kept, Life, Lived, Outage, Stay, backoff_ms
from scheduler.replay.simulate import Planner

# What happens, in the order in which it is taken in at one instant.
_END, _STARTED, _OUTSIDE, _CANCEL, _EXPIRE, _AWAY, _COME, _BACK = range(8)
_PROGRESS_EVERY: Final = 1024


class _Run:
    """A run under way; ``due_ms`` is when it ends unless something ends or moves it before."""

    __slots__ = ("due_ms", "hung_ms", "hung_since", "lag_until_ms", "option", "start_ms", "stopped")

    def __init__(self, option: Option, start_ms: int, lag_until_ms: int, due_ms: int) -> None:
        self.option, self.start_ms = option, start_ms
        self.lag_until_ms, self.due_ms = lag_until_ms, due_ms
        self.hung_since: int | None = None
        self.hung_ms = 0
        self.stopped = ""


class World:
    """One run of lives through a planner; ``settings`` are the deltas before the first job.

    The planner has loaded nothing yet. ``progress`` is told now and then how many jobs have ended.
    """

    def __init__(
        self,
        lives: Sequence[Life],
        settings: Sequence[Delta],
        planner: Planner,
        outside: Sequence[Outage | Cut] = (),
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._lives, self._planner, self._outside = tuple(lives), planner, tuple(outside)
        self._progress = progress
        self._granted = {one.flavor: one for one in settings if isinstance(one, PoolSet)}
        self._events: list[tuple[int, int, int]] = []
        self._runs: dict[int, _Run] = {}
        self._waiting: set[int] = set()
        self._failures: dict[int, int] = {}
        self._evicted: dict[int, int] = {}
        self._promised: dict[int, tuple[int, Reservation]] = {}
        self._states = [of.WAITING] * len(self._lives)
        self._stays: list[Stay] = []
        self._kept: list[Kept] = []
        self._first: dict[int, int] = {}
        self._retries = self._evictions = self._ended = 0
        self._revision = self._looked_at = 0
        self._wake_ms: int | None = None
        self._deltas: list[Delta] = []
        self._now_ms = 0
        self._waited_for: dict[int, list[int]] = {}
        for place, life in enumerate(self._lives):
            for other, _ in life.after:
                self._waited_for.setdefault(other, []).append(place)
        self._begin(settings)

    def _begin(self, settings: Sequence[Delta]) -> None:
        active: list[RunActive] = []
        for place, life in enumerate(self._lives):
            if life.running is not None:
                active.append(life.running)
                self._take(place, life.running.option, life.running.start_ms)
            else:
                self._events.append((life.come_ms, _COME, place))
            self._foresee(place, life)
        for number, one in enumerate(self._outside):
            self._events += [(one.from_ms, _OUTSIDE, number), (one.to_ms, _OUTSIDE, number)]
        heapify(self._events)
        self._planner.load(0, [*settings, *active])

    def _foresee(self, place: int, life: Life) -> None:
        if life.cancel_ms is not None:
            self._events.append((life.cancel_ms, _CANCEL, place))
        if life.deadline_ms is not None:
            self._events.append((life.deadline_ms, _EXPIRE, place))
        for from_ms, to_ms in life.away:
            self._events += [(from_ms, _AWAY, place), (to_ms, _BACK, place)]

    def run(self) -> Lived:
        """Live all through: until nothing happens any more."""
        for ended in self.steps():
            if self._progress is not None:
                self._progress(ended)
        return self.lived()

    def steps(self) -> Iterator[int]:
        """Live all through, and say now and then how many jobs have ended."""
        while self._events or (self._wake_ms is not None and self._waiting):
            self._step(self._next_ms())
            if self._revision % _PROGRESS_EVERY == 0:
                yield self._ended

    def lived(self) -> Lived:
        """Return how it went."""
        return Lived(
            self._lives, tuple(self._stays), tuple(self._states), self._first, tuple(self._kept),
            self._evictions, self._retries, self._revision, self._looked_at,
        )  # fmt: skip

    def _next_ms(self) -> int:
        wake_ms = self._wake_ms if self._waiting else None
        if not self._events:
            assert wake_ms is not None, "the caller has looked"
            return wake_ms
        at_ms = self._events[0][0]
        return at_ms if wake_ms is None or at_ms <= wake_ms else wake_ms

    def _step(self, now_ms: int) -> None:
        events, self._now_ms = self._events, now_ms
        while events and events[0][0] <= now_ms:
            _, kind, place = heappop(events)
            _HANDLERS[kind](self, place, now_ms)
        more = True
        while more:
            deltas, self._deltas = self._deltas, []
            before, self._revision = self._revision, self._revision + 1
            plan = self._planner.cycle(before, deltas, self._revision, now_ms)
            more = plan.more
            self._follow(plan, now_ms)

    def _follow(self, plan: Plan, now_ms: int) -> None:
        for start in plan.starts:
            self._start(start.uid, start.option, now_ms)
        for promise in plan.reservations:
            if promise.uid not in self._promised and promise.start_ms > now_ms:
                self._promised[promise.uid] = (now_ms, promise)
        for eviction in plan.evictions:
            self._evict(eviction, now_ms)
        self._looked_at += plan.looked_at
        wake_ms = plan.wake_ms
        self._wake_ms = wake_ms if wake_ms is not None and wake_ms > now_ms else None

    # --- runs -------------------------------------------------------------------------------------

    def _start(self, place: int, option: Option, now_ms: int) -> None:
        self._waiting.discard(place)
        self._first.setdefault(place, now_ms)
        self._retries += place in self._failures
        if place in self._promised:
            said_ms, promise = self._promised.pop(place)
            void = self._disturbed(promise.flavor, said_ms, now_ms)
            self._kept.append(Kept(place, promise.flavor, said_ms, promise.start_ms, now_ms, void))
        self._take(place, option, now_ms)

    def _take(self, place: int, option: Option, start_ms: int) -> None:
        attempt = self._lives[place].attempt(self._failures.get(place, 0))
        ran_ms = start_ms + attempt.lag_ms
        due_ms = ran_ms + attempt.on(option) + attempt.tail_ms
        self._runs[place] = _Run(option, start_ms, ran_ms, due_ms)
        heappush(self._events, (due_ms, _END, place))
        if attempt.lag_ms:
            heappush(self._events, (ran_ms, _STARTED, place))

    def _started(self, place: int, now_ms: int) -> None:
        run = self._runs.get(place)
        if run is not None and run.lag_until_ms == now_ms:
            self._deltas.append(RunStarted(place, now_ms))

    def _due(self, place: int, now_ms: int) -> None:
        """A run ends by itself, or its time after a notice is over; what was moved ends later."""
        run = self._runs.get(place)
        if run is None or run.due_ms != now_ms or run.hung_since is not None:
            return
        attempt = self._lives[place].attempt(self._failures.get(place, 0))
        if not run.stopped:
            run.hung_ms += attempt.tail_ms
            self._end(place, attempt.failure, now_ms, attempt.tail_ms)
        else:
            self._end(place, run.stopped, now_ms)

    def _end(self, place: int, ending: str, now_ms: int, tail_ms: int = 0) -> None:
        run = self._runs.pop(place)
        life = self._lives[place]
        if run.hung_since is not None:
            run.hung_ms += now_ms - run.hung_since
        ran_ms = min(run.lag_until_ms, now_ms)
        self._deltas.append(RunEnded(place, max(0, now_ms - ran_ms - tail_ms)))
        self._stays.append(
            Stay(place, run.option, run.start_ms, ran_ms, now_ms, ending, run.hung_ms)
        )
        if ending == of.CANCELLED or not ending:
            self._over(place, of.CANCELLED if ending else of.SUCCEEDED)
        elif run.stopped == ending:
            self._evicted[place] = self._evicted.get(place, life.queued.evictions) + 1
            self._queue(place, now_ms)
        else:
            failures = self._failures[place] = self._failures.get(place, 0) + 1
            if ending in life.retry_on and failures < life.attempts_max:
                self._queue(place, now_ms + backoff_ms(failures))
            else:
                self._over(place, of.FAILED)

    def _evict(self, eviction: Eviction, now_ms: int) -> None:
        run = self._runs.get(eviction.uid)
        if run is None or run.stopped or run.hung_since is not None:
            return
        stop_ms = now_ms + eviction.grace_ms
        if stop_ms < run.due_ms:  # else it ends by itself before
            self._evictions += 1
            run.stopped, run.due_ms = of.PREEMPTED, stop_ms
            heappush(self._events, (stop_ms, _END, eviction.uid))

    # --- the queue --------------------------------------------------------------------------------

    def _come(self, place: int, now_ms: int) -> None:
        here = place in self._runs or place in self._waiting
        life = self._lives[place]
        if self._states[place] != of.WAITING or here or now_ms < life.come_ms:
            return
        if any(from_ms <= now_ms < to_ms for from_ms, to_ms in life.away):
            return
        for other, well in life.after:
            state = self._states[other]
            if state == of.WAITING:
                return
            if well and state != of.SUCCEEDED:
                self._over(place, of.CANCELLED)
                return
        self._queue(place, 0)

    def _queue(self, place: int, not_before_ms: int) -> None:
        """A job waits, again in its old place in the queue if it ran before."""
        queued = self._lives[place].queued
        changed = queued._replace(
            not_before_ms=max(queued.not_before_ms, not_before_ms),
            evictions=self._evicted.get(place, queued.evictions),
        )
        self._waiting.add(place)
        self._deltas.append(changed if changed != queued else queued)

    def _cancel(self, place: int, now_ms: int) -> None:
        if place in self._runs:
            self._end(place, of.CANCELLED, now_ms)
        elif self._leave(place) or self._states[place] == of.WAITING:
            self._over(place, of.CANCELLED)

    def _expire(self, place: int, now_ms: int) -> None:
        if self._leave(place):
            self._over(place, of.EXPIRED)

    def _away(self, place: int, now_ms: int) -> None:
        self._leave(place)

    def _leave(self, place: int) -> bool:
        """Take a job out of the queue; False if it does not wait."""
        if place not in self._waiting:
            return False
        self._waiting.discard(place)
        self._promised.pop(place, None)
        self._deltas.append(JobRemoved(place))
        return True

    def _over(self, place: int, state: str) -> None:
        self._states[place] = state
        self._ended += 1
        for waiting in self._waited_for.get(place, ()):
            self._come(waiting, self._now_ms)

    # --- centers ----------------------------------------------------------------------------------

    def _change(self, number: int, now_ms: int) -> None:
        one = self._outside[number]
        if isinstance(one, Outage) and one.from_ms == now_ms:
            for place in self._on(one.flavors):
                if one.hang:
                    self._runs[place].hung_since = now_ms
                else:
                    self._end(place, of.CENTER, now_ms)
        elif isinstance(one, Outage) and one.hang:
            self._go_on(one, now_ms)
        for flavor in sorted(one.flavors if isinstance(one, Outage) else {one.flavor}):
            if flavor in self._granted:
                self._deltas.append(self._pool(flavor, now_ms))

    def _go_on(self, outage: Outage, now_ms: int) -> None:
        """What stood still goes on, unless another outage holds it."""
        for place in self._on(outage.flavors):
            run = self._runs[place]
            if run.hung_since is None or self._is_down(run.option.flavor, now_ms):
                continue
            stood_ms, run.hung_since = now_ms - run.hung_since, None
            run.hung_ms += stood_ms
            run.due_ms += stood_ms
            self._deltas.append(RunStarted(place, run.lag_until_ms + run.hung_ms))
            heappush(self._events, (run.due_ms, _END, place))

    def _on(self, flavors: frozenset[str]) -> list[int]:
        return sorted(place for place, run in self._runs.items() if run.option.flavor in flavors)

    def _is_down(self, flavor: str, now_ms: int) -> bool:
        return any(
            isinstance(one, Outage) and flavor in one.flavors and one.from_ms <= now_ms < one.to_ms
            for one in self._outside
        )

    def _pool(self, flavor: str, now_ms: int) -> PoolSet:
        granted = self._granted[flavor]
        cuts = [
            one.units
            for one in self._outside
            if isinstance(one, Cut) and one.flavor == flavor and one.from_ms <= now_ms < one.to_ms
        ]
        return granted._replace(
            capacity_units=min([granted.capacity_units, *cuts]),
            open=granted.open and not self._is_down(flavor, now_ms),
        )

    def _disturbed(self, flavor: str, from_ms: int, to_ms: int) -> bool:
        """Whether a cut of the flavor began, or an outage lasted, in (from, to]."""
        for one in self._outside:
            if isinstance(one, Cut):
                if one.flavor == flavor and from_ms < one.from_ms <= to_ms:
                    return True
            elif flavor in one.flavors and one.from_ms <= to_ms and one.to_ms > from_ms:
                return True
        return False


_HANDLERS: Final[dict[int, Callable[[World, int, int], None]]] = {
    _END: World._due,
    _STARTED: World._started,
    _OUTSIDE: World._change,
    _CANCEL: World._cancel,
    _EXPIRE: World._expire,
    _AWAY: World._away,
    _COME: World._come,
    _BACK: World._come,
}
