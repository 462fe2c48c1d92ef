"""Traces: which one a call belongs to, and the spans of which they are made; pure.

A trace follows one submission through the service (docs/tracing.md). Its context travels in W3C's
form, https://www.w3.org/TR/trace-context/: ``version-trace id-span id-flags``, in lower-case
hexadecimal. Ids of spans of a job are derived from what they tell of, so whoever tells of it, in
whatever process and however often, gives the same span the same id, and may name one that another
tells later.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

#: The metadata of a call that carries its context.
TRACEPARENT: Final = "traceparent"
#: A span links to so many others at most.
LINKS_MAX: Final = 32
#: So many jobs and elements of arrays of one call are followed at most.
FOLLOWED_MAX: Final = 32

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_RATIO_BITS: Final = 64


class TraceContext(NamedTuple):
    """A span of a trace, by 32 and 16 hexadecimal digits; ``sampled`` says that it is recorded."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def __str__(self) -> str:
        """Return it as ``traceparent`` has it."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def parse(text: str | bytes | None) -> TraceContext | None:
    """Return the context that a ``traceparent`` says; None for one that is malformed.

    A higher version may say more after what is known, version 00 may not; ff is none.
    """
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if (
        version == "ff"
        or (version == "00" and more)
        or not (int(trace_id, 16) and int(span_id, 16))
    ):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))


def span_id_of(trace_id: str, *what: object) -> str:
    """Return the id of the span of a trace that tells of ``what``."""
    text = " ".join(map(str, (trace_id, *what)))
    return blake2b(text.encode(), digest_size=8).hexdigest()


def is_sampled(trace_id: str, ratio: float) -> bool:
    """Whether a trace is one of the given part of all, judged by its id: the same everywhere."""
    return int(trace_id[16:], 16) < ratio * (1 << _RATIO_BITS)


class SpanKind(Enum):
    """Whose work a span is: ours, a call that we answer, or one that we make."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"


Attribute = str | int | bool


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A span that is over. Instants are epoch nanoseconds; ``parent_id`` is empty for a root.

    ``error`` says what went wrong, empty for nothing.
    """

    name: str
    context: TraceContext
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    links: tuple[TraceContext, ...] = ()
    kind: SpanKind = SpanKind.INTERNAL
    error: str = ""


class Spans(Protocol):
    """Where spans go. ``emit`` is quick, never waits and never raises."""

    @property
    def emitted(self) -> int:
        """How many spans were taken."""
        ...

    @property
    def gone(self) -> int:
        """How many of them have gone out, or were given up."""
        ...

    def emit(self, span: SpanRecord) -> None:
        """Take a span on its way."""
        ...

    def flush(self, patience_s: float) -> None:
        """Wait, for so many seconds at most, until all have gone out: for a thread of its own."""
        ...


class Chooser:
    """Decides which traces begin, go on and are recorded.

    ``ratio`` of the calls without a context are recorded. One that comes with a context belongs to
    the caller's trace, and is recorded if the caller records it: of all callers together at most
    ``callers_per_s`` a second, for nobody may have us record without bound. ``draw`` gives so many
    random bytes, ``now_s`` are seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        ratio: float,
        callers_per_s: float,
        draw: Callable[[int], bytes],
        now_s: Callable[[], float],
    ) -> None:
        self._ratio, self._rate, self._draw, self._now_s = ratio, callers_per_s, draw, now_s
        self._left, self._at_s = max(1.0, callers_per_s), now_s()

    def choose(self, traceparent: str | bytes | None) -> tuple[TraceContext, str]:
        """Return the context of a call's own span, and the id of its parent, empty for none."""
        given = None if traceparent is None else parse(traceparent)
        if given is None:
            drawn = self._draw(24).hex()
            return TraceContext(drawn[:32], drawn[32:], is_sampled(drawn[:32], self._ratio)), ""
        own = self._draw(8).hex()
        sampled = given.sampled and (is_sampled(given.trace_id, self._ratio) or self._may())
        return TraceContext(given.trace_id, own, sampled), given.span_id

    def fresh(self) -> TraceContext:
        """Return the context of a new trace that is recorded."""
        drawn = self._draw(24).hex()
        return TraceContext(drawn[:32], drawn[32:])

    def _may(self) -> bool:
        now_s = self._now_s()
        self._left = min(max(1.0, self._rate), self._left + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if not self._rate or self._left < 1:
            return False
        self._left -= 1
        return True
