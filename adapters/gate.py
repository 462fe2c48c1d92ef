"""A gate before a center: no more calls than agreed, none at all while it does not answer.

``Gate`` is itself a ``CenterAdapter``, so that every adapter gets the same manners. A token bucket
holds the rate, a limit the calls at once, for which others wait; a circuit breaker opens after
``failures_max`` calls in a row which the center left unanswered, and lets a single probe through
after each pause. A refused call never reaches the center, so that it certainly had no effect.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Final

from adapters.contract import (
    Accepted,
    CenterAdapter,
    CenterDescription,
    Health,
    LogChunk,
    Observation,
    Page,
    RunRef,
    RunRequest,
    Usage,
    boot_s,
)
from adapters.errors import OutcomeUnknown, Throttled, Unavailable
from adapters.reading import Fields

OnCall = Callable[[str, str, float], None]
#: So many calls in a row that are not answered, unless settings say another number.
FAILURES_MAX: Final = 5


def _ignore(method: str, error_class: str, seconds: float) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """``calls_per_s`` (0 = no limit) with bursts of ``burst`` calls, at most ``concurrency_max`` at
    once (0 = no limit); the breaker opens after ``failures_max`` unanswered calls in a row
    (0 = never), for ``pause_s`` real seconds."""

    calls_per_s: float = 0.0
    burst: int = 1
    failures_max: int = FAILURES_MAX
    pause_s: float = 10.0
    concurrency_max: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.calls_per_s < math.inf:
            raise ValueError(f"'calls_per_s' must be at least 0, not {self.calls_per_s}")
        if self.burst < 1:
            raise ValueError(f"'burst' must be at least 1, not {self.burst}")
        if self.failures_max < 0:
            raise ValueError(f"'failures_max' must be at least 0, not {self.failures_max}")
        if self.concurrency_max < 0:
            raise ValueError(f"'concurrency_max' must be at least 0, not {self.concurrency_max}")
        if not 0 < self.pause_s < math.inf:
            raise ValueError(f"'pause_s' must be positive, not {self.pause_s}")

    @classmethod
    def of(cls, given: object, failures_max: int = FAILURES_MAX) -> "GateSettings":
        """Read ``gate`` of a center's settings; raises ``ValueError`` that names the key."""
        fields = Fields("gate", given)
        read = cls(
            calls_per_s=fields.number("calls_per_s", 0.0),
            burst=fields.whole("burst", 1, least=1),
            failures_max=fields.whole("failures_max", failures_max),
            pause_s=fields.number("pause_s", 10.0),
            concurrency_max=fields.whole("concurrency_max", 0),
        )
        fields.done()
        return read


class Verdict(Enum):
    """What a call told about the center."""

    ANSWERED = "ANSWERED"  # also with a refusal
    UNANSWERED = "UNANSWERED"
    NOTHING = "NOTHING"  # given up by the caller


def verdict_of(error: type[BaseException] | None) -> Verdict:
    """What an error says of the center's health: a center that throttles or rejects is well."""
    if error is None:
        return Verdict.ANSWERED
    if issubclass(error, Unavailable | OutcomeUnknown) and not issubclass(error, Throttled):
        return Verdict.UNANSWERED
    return Verdict.ANSWERED if issubclass(error, Exception) else Verdict.NOTHING


class TokenBucket:
    """``burst`` tokens that come back at ``calls_per_s``. Times are monotonic seconds."""

    def __init__(self, calls_per_s: float, burst: int, now_s: float) -> None:
        self._rate, self._burst = calls_per_s, burst
        self._tokens, self._at_s = float(burst), now_s
        self._held_until_s = now_s

    def take(self, now_s: float) -> float:
        """Take a token: 0.0, or the seconds until there is one and none is taken."""
        if now_s < self._held_until_s:
            return self._held_until_s - now_s
        if not self._rate:
            return 0.0
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._tokens < 1 - 1e-9:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0

    def held_s(self, now_s: float) -> float:
        """Seconds for which the center itself asked for quiet."""
        return max(0.0, self._held_until_s - now_s)

    def hold(self, until_s: float) -> None:
        """No tokens before ``until_s``: the center itself asked for quiet."""
        self._held_until_s = max(self._held_until_s, until_s)


class Breaker:
    """Closed, open until a time, or half open with one probe under way."""

    def __init__(self, failures_max: int, pause_s: float) -> None:
        self._failures_max, self._pause_s = failures_max, pause_s
        self._failures = 0
        self._open_until_s: float | None = None
        self._probing = False

    @property
    def is_closed(self) -> bool:
        """Whether calls pass freely."""
        return self._open_until_s is None

    @property
    def failures(self) -> int:
        """Unanswered calls in a row so far."""
        return self._failures

    def refusal_s(self, now_s: float) -> float | None:
        """None if a call may be made now, else the seconds until one may (0 = probe under way)."""
        if self._open_until_s is None:
            return None
        if now_s < self._open_until_s:
            return self._open_until_s - now_s
        return 0.0 if self._probing else None

    def begin(self) -> bool:
        """A call is made; whether it is the probe."""
        if self._open_until_s is None:
            return False
        self._probing = True
        return True

    def end(self, verdict: Verdict, probe: bool, now_s: float) -> None:
        """A call has ended. One that began before the breaker opened decides nothing any more."""
        if probe:
            self._probing = False
        if self._open_until_s is not None and not probe:
            return
        if verdict is Verdict.ANSWERED:
            self._failures, self._open_until_s = 0, None
        elif verdict is Verdict.UNANSWERED:
            self._failures += 1
            if probe or (self._failures_max and self._failures >= self._failures_max):
                self._open_until_s = now_s + self._pause_s


class _Passage(AbstractAsyncContextManager[None]):
    """One call through the gate, once there is room for it: measured and judged.

    After ``by_s`` on the clock of ``boot_s`` it is not made any more.
    """

    def __init__(self, gate: "Gate", method: str, by_s: float = math.inf) -> None:
        self._gate, self._method, self._by_s = gate, method, by_s
        self._probe, self._began_s = False, 0.0

    async def __aenter__(self) -> None:
        slots = self._gate.slots
        if slots is not None:
            await slots.acquire()
        try:
            if boot_s() >= self._by_s:
                raise Unavailable("not called: by now another leader may have sent it")
            self._began_s = self._gate.now()
            self._probe = self._gate.admit(self._method, self._began_s)
        except BaseException:
            if slots is not None:
                slots.release()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._gate.slots is not None:
            self._gate.slots.release()
        now_s = self._gate.now()
        if isinstance(error, Throttled):
            self._gate.bucket.hold(now_s + error.retry_after_s)
        self._gate.breaker.end(verdict_of(kind), self._probe, now_s)
        self._gate.on_call(self._method, kind.__name__ if kind else "", now_s - self._began_s)


@dataclass(frozen=True, slots=True)
class GateState:
    """How a gate stands: ``next_call_s`` real seconds until a call may pass, 0 if one may now."""

    passes: bool
    unanswered_calls: int
    next_call_s: float
    calls_per_s: float


class Gate:
    """A ``CenterAdapter`` around another one.

    ``now`` gives monotonic real seconds. ``on_call`` is told of every call: the method, the class
    of the error or an empty text, and the seconds it took; calls that the gate refuses count too,
    as ``Throttled`` or ``Unavailable`` after 0 seconds. It must not raise.
    """

    def __init__(
        self,
        inner: CenterAdapter,
        settings: GateSettings,
        now: Callable[[], float],
        on_call: OnCall = _ignore,
    ) -> None:
        self.inner, self.now, self.on_call = inner, now, on_call
        self.bucket = TokenBucket(settings.calls_per_s, settings.burst, now())
        self.breaker = Breaker(settings.failures_max, settings.pause_s)
        most = settings.concurrency_max
        #: Room for calls at once, None for any number.
        self.slots = asyncio.Semaphore(most) if most else None
        self._calls_per_s = settings.calls_per_s

    def state(self) -> GateState:
        """Return how it stands now; nothing is taken of its bucket."""
        now_s = self.now()
        refused_s = self.breaker.refusal_s(now_s)
        next_call_s = max(refused_s or 0.0, self.bucket.held_s(now_s))
        closed = self.breaker.is_closed
        return GateState(closed, self.breaker.failures, next_call_s, self._calls_per_s)

    def admit(self, method: str, now_s: float) -> bool:
        """Let a call through; whether it is a probe. Raises ``Unavailable``, ``Throttled``."""
        refused_s = self.breaker.refusal_s(now_s)
        if refused_s is not None:
            self.on_call(method, Unavailable.__name__, 0.0)
            raise Unavailable(self._closed_message(refused_s))
        wait_s = self.bucket.take(now_s)
        if wait_s > 0:
            self.on_call(method, Throttled.__name__, 0.0)
            raise Throttled(f"rate limit of this center reached, wait {wait_s:.3f} s", wait_s)
        return self.breaker.begin()

    def _closed_message(self, refused_s: float) -> str:
        unanswered = f"not called: {self.breaker.failures} calls in a row were not answered"
        if refused_s:
            return f"{unanswered}; the next attempt is made in {refused_s:.1f} s"
        return f"{unanswered}; an attempt is under way"

    @property
    def settle_s(self) -> float:
        """That of the center."""
        return self.inner.settle_s

    @property
    def provisional_s(self) -> float:
        """That of the center."""
        return self.inner.provisional_s

    async def describe(self) -> CenterDescription:
        """See ``CenterAdapter``."""
        async with _Passage(self, "describe"):
            return await self.inner.describe()

    async def submit(self, request: RunRequest) -> Accepted:
        """See ``CenterAdapter``; not made if there was no room for it in time."""
        async with _Passage(self, "submit", request.send_by_s):
            return await self.inner.submit(request)

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        """See ``CenterAdapter``."""
        async with _Passage(self, "find"):
            return await self.inner.find(runs)

    async def list_active(self, page_token: str = "") -> Page:
        """See ``CenterAdapter``."""
        async with _Passage(self, "list_active"):
            return await self.inner.list_active(page_token)

    async def cancel(self, run: RunRef) -> None:
        """See ``CenterAdapter``."""
        async with _Passage(self, "cancel"):
            await self.inner.cancel(run)

    async def notify(self, run: RunRef, grace_s: int) -> None:
        """See ``CenterAdapter``."""
        async with _Passage(self, "notify"):
            await self.inner.notify(run, grace_s)

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """See ``CenterAdapter``."""
        async with _Passage(self, "usage"):
            return await self.inner.usage(runs)

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        """Passed on: nothing is asked of the center by it."""
        await self.inner.acknowledge(run_ids)

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        """See ``CenterAdapter``."""
        async with _Passage(self, "logs"):
            return await self.inner.logs(run, offset, limit)

    async def health(self) -> Health:
        """The center's own word; while the breaker is open, why it is not asked.

        It takes no token, and decides nothing about the breaker.
        """
        refused_s = self.breaker.refusal_s(self.now())
        if refused_s is not None:
            return Health(False, self._closed_message(refused_s))
        began_s = self.now()
        answer = await self.inner.health()
        self.on_call("health", "", self.now() - began_s)
        return answer

    async def wait_for_change(self, timeout_s: float) -> bool:
        """That of the center: a wait is no call, and is neither limited nor counted."""
        return await self.inner.wait_for_change(timeout_s)

    async def close(self) -> None:
        """Close the center's adapter; always lets through."""
        await self.inner.close()
