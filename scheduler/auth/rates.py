"""How much one caller may ask of this process: calls and jobs a second, streams at a time.

Each rate is a bucket that fills at the rate and holds ``burst``. A call that finds something in its
bucket goes through and may leave it below nothing, so one call of many jobs is taken whole, and
the next waits the longer. Buckets are this process's own: with n replicas a caller gets n times as
much.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scheduler.domain.principal import Principal
from scheduler.errors import RateLimited

#: What is counted, as metrics name it.
KINDS: Final = ("calls", "jobs", "streams")
_CALLERS_MAX: Final = 50_000
#: Who a caller is for these limits; two tokens of one person count together.
_Key = tuple[str, str, str, str | None, str | None, str | None]
_STREAM_RETRY_S: Final = 5.0
#: Instants are sums of fractions: so little is no time.
_GRAIN_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and ``burst`` at once after a rest; ``per_s`` 0 is no limit."""

    per_s: float
    burst: int


NO_RATE: Final = Rate(0.0, 1)


class Bucket:
    """One rate, with a bucket for each caller."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._whole_s = rate.burst / rate.per_s if rate.per_s else 0.0
        #: When each one's bucket is full again.
        self._full_s: dict[_Key, float] = {}

    def take(self, key: _Key, count: int, now_s: float) -> float:
        """Take ``count``; returns 0, or in how many seconds there is something to take again."""
        if not self._rate.per_s:
            return 0.0
        full_s = max(self._full_s.get(key, now_s), now_s)
        if full_s - now_s >= self._whole_s - min(_GRAIN_S, 0.5 / self._rate.per_s):
            return full_s - now_s - self._whole_s + 1 / self._rate.per_s
        if len(self._full_s) >= _CALLERS_MAX:
            self._full_s = {one: at for one, at in self._full_s.items() if at > now_s}
        self._full_s[key] = full_s + count / self._rate.per_s
        return 0.0


class Rates:
    """The limits of all callers; ``on_refused`` is told the kind of each refusal."""

    def __init__(
        self,
        calls: Rate = NO_RATE,
        jobs: Rate = NO_RATE,
        streams: int = 0,
        *,
        real_s: Callable[[], float] = time.monotonic,
        on_refused: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        self._calls_rate, self._jobs_rate, self._streams_max = calls, jobs, streams
        self._calls, self._jobs = Bucket(calls), Bucket(jobs)
        self._open: dict[_Key, int] = {}
        self._real_s, self._on_refused = real_s, on_refused

    def call(self, caller: Principal) -> None:
        """Count a call; raises ``RateLimited``."""
        wait_s = self._calls.take(_key(caller), 1, self._real_s())
        if wait_s:
            raise self._refusal(caller, "calls", self._calls_rate, wait_s)

    def jobs(self, caller: Principal, count: int) -> None:
        """Count jobs that are submitted in one call; raises ``RateLimited`` for all of them."""
        wait_s = self._jobs.take(_key(caller), count, self._real_s())
        if wait_s:
            raise self._refusal(caller, "jobs", self._jobs_rate, wait_s)

    def open_stream(self, caller: Principal) -> None:
        """Count a stream that begins; raises ``RateLimited``."""
        key = _key(caller)
        count = self._open.get(key, 0)
        if self._streams_max and count >= self._streams_max:
            self._on_refused("streams")
            raise RateLimited(
                f"at most {self._streams_max:,} streams of one caller may be open at a time"
                " (limits.streams); end one, or watch more in one",
                subject=_name(caller),
                limit="limits.streams",
                retry_after_s=_STREAM_RETRY_S,
            )
        self._open[key] = count + 1

    def close_stream(self, caller: Principal) -> None:
        """A stream that was counted ended."""
        key = _key(caller)
        count = self._open.pop(key) - 1
        if count:
            self._open[key] = count

    def _refusal(self, caller: Principal, kind: str, rate: Rate, wait_s: float) -> RateLimited:
        self._on_refused(kind)
        return RateLimited(
            f"one caller may make {rate.per_s:g} {kind} a second here, {rate.burst:,} after a rest"
            f" (limits.{kind}_per_s); try again in {wait_s:.3g} s",
            subject=_name(caller),
            limit=f"limits.{kind}_per_s",
            retry_after_s=wait_s,
        )


def _key(caller: Principal) -> _Key:
    return (
        caller.issuer, caller.subject, caller.role, caller.city, caller.enterprise, caller.center,
    )  # fmt: skip


def _name(caller: Principal) -> str:
    return f"callers/{caller.subject}"
