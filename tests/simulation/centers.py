"""Simulated centers with all their faults on, and a process that may die at each of their calls."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from adapters.contract import (
    Accepted,
    CenterDescription,
    FailureClass,
    FlavorCapacity,
    Health,
    LogChunk,
    Observation,
    Page,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import Unavailable
from adapters.simulated import SimulatedCenter, SimulatedSettings
from tests.simulation.forgetful import ForgetfulCenter
from tests.simulation.inline_store import Crash
from tests.simulation.world import CENTERS, HandClock

#: All ways in which a run may end badly; the sum stays below one half.
FAILURES: Mapping[FailureClass, float] = {
    FailureClass.USER_CODE: 0.06,
    FailureClass.TIME_LIMIT: 0.04,
    FailureClass.OUT_OF_MEMORY: 0.03,
    FailureClass.NODE: 0.08,
    FailureClass.CENTER: 0.06,
    FailureClass.IMAGE: 0.03,
    FailureClass.INPUT: 0.03,
    FailureClass.PREEMPTED: 0.06,
    FailureClass.REJECTED_BY_CENTER: 0.02,
    FailureClass.LOST: 0.05,
}
#: What a center that forgets never does to what has begun: it has a record of that.
_NO_RECORD = frozenset({FailureClass.LOST})


def flavors(center: str) -> tuple[FlavorCapacity, ...]:
    """What a center offers."""
    return tuple(
        FlavorCapacity(flavor, units, per_node, "aarch64")
        for flavor, (units, per_node) in CENTERS[center].items()
    )


def open_center(
    center: str, clock: HandClock, seed: int, journal: Path | None = None, *, faulty: bool = True,
    forgets: bool = False,
) -> SimulatedCenter:  # fmt: skip
    """A simulated center; without faults it takes and ends everything as asked.

    One that ``forgets`` loses what it just took, but never what has begun.
    """
    settings = SimulatedSettings(center, flavors(center), seed=seed, journal=journal, settle_s=2.0)
    if faulty:
        settings = replace(
            settings,
            start_delay_s=3.0,
            cancel_delay_s=7.0,
            usage_delay_s=20.0,
            runtime_fraction=0.6,
            runtime_spread=0.9,
            failure_rates=FAILURES,
            lost_answer_rate=0.12,
            lost_call_rate=0.12,
            unavailable_rate=0.15,
            throttle_calls_per_s=5.0,
        )
    if forgets:
        kept = {one: rate for one, rate in settings.failure_rates.items() if one not in _NO_RECORD}
        settings = replace(settings, failure_rates=kept)
        return ForgetfulCenter(settings, clock.now_ms, clock.real_s)
    return SimulatedCenter(settings, clock.now_ms, clock.real_s)


class CallBook:
    """Which calls may have had an effect that nobody heard of; outlives the process.

    A run that may have been taken is sent again only after the center said, once its settle
    window had passed, that it does not have it.
    """

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._doubtful: dict[str, int] = {}
        self.wrong: list[str] = []
        self.cancelled: set[str] = set()
        #: Units of flavors of which the center says that it has fewer.
        self.reported: dict[str, int] = {}

    def calls(self, run_id: str) -> None:
        """A run is about to be sent."""
        if run_id in self._doubtful:  # noted, not raised: a worker survives any error of a call
            self.wrong.append(f"{run_id} is sent again blind")
        self._doubtful[run_id] = self._clock.ms

    def had_no_effect(self, run_id: str) -> None:
        """The center said that the call changed nothing."""
        self._doubtful.pop(run_id, None)

    def is_absent(self, run_id: str, settle_s: float) -> None:
        """The center said that it does not have the run."""
        sent_ms = self._doubtful.get(run_id)
        if sent_ms is not None and self._clock.ms - sent_ms >= settle_s * 1000:
            del self._doubtful[run_id]


class MortalCenter:
    """A ``CenterAdapter`` around another: ``dies`` is asked before and after each call.

    With an ``rng`` it now and then meters nonsense, repeats itself or corrects itself.
    """

    def __init__(
        self,
        inner: SimulatedCenter,
        book: CallBook,
        dies: Callable[[str], bool] = lambda point: False,
        rng: random.Random | None = None,
    ) -> None:
        self.inner, self._book, self._dies, self._rng = inner, book, dies, rng

    @property
    def settle_s(self) -> float:
        """That of the center."""
        return self.inner.settle_s

    @property
    def provisional_s(self) -> float:
        """See ``CenterAdapter``."""
        return self.inner.provisional_s

    def _point(self, point: str) -> None:
        if self._dies(point):
            raise Crash

    async def describe(self) -> CenterDescription:
        """See ``CenterAdapter``."""
        said = await self.inner.describe()
        cut = self._book.reported
        fewer = tuple(replace(one, units=cut.get(one.flavor, one.units)) for one in said.flavors)
        return replace(said, flavors=fewer)

    async def submit(self, request: RunRequest) -> Accepted:
        """See ``CenterAdapter``."""
        self._book.calls(request.run_id)
        self._point("before submit")
        try:
            answer = await self.inner.submit(request)
        except Unavailable:
            self._book.had_no_effect(request.run_id)
            raise
        self._point("after submit")
        return answer

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        """See ``CenterAdapter``."""
        self._point("before find")
        found = await self.inner.find(runs)
        for run in runs:
            if run.run_id not in found:
                self._book.is_absent(run.run_id, self.settle_s)
        return found

    async def list_active(self, page_token: str = "") -> Page:
        """See ``CenterAdapter``."""
        return await self.inner.list_active(page_token)

    async def cancel(self, run: RunRef) -> None:
        """See ``CenterAdapter``."""
        self._point("before cancel")
        await self.inner.cancel(run)
        self._book.cancelled.add(run.run_id)
        self._point("after cancel")

    async def notify(self, run: RunRef, grace_s: int) -> None:
        """See ``CenterAdapter``."""
        self._point("before notify")
        await self.inner.notify(run, grace_s)
        self._point("after notify")

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """See ``CenterAdapter``."""
        found = await self.inner.usage(runs)
        if self._rng is None:
            return found
        return {run: self._odd(segments) for run, segments in found.items()}

    def _odd(self, segments: tuple[Usage, ...]) -> tuple[Usage, ...]:
        """Now and then nonsense, a repetition, or an earlier revision beside the last one."""
        assert self._rng is not None
        if not segments or self._rng.random() < 0.8:
            return segments
        one = segments[0]
        early = replace(one, revision=0, end_ms=one.end_ms + 60_000)
        match self._rng.randrange(4):
            case 0:
                return (replace(one, end_ms=one.start_ms - 1),)
            case 1:
                return (one, one)
            case 2:
                return (one, early)
            case _:
                return (early, one)

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        """See ``CenterAdapter``."""
        await self.inner.acknowledge(run_ids)

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        """See ``CenterAdapter``."""
        return await self.inner.logs(run, offset, limit)

    async def health(self) -> Health:
        """See ``CenterAdapter``."""
        return await self.inner.health()

    async def wait_for_change(self, timeout_s: float) -> bool:
        """Never in a story: its steps are given by hand."""
        raise AssertionError("a story waits for nothing")

    async def close(self) -> None:
        """The center lives on when the scheduler dies."""
