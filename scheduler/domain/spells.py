"""How long a job waited for which reason: put together from its own events and from its kind's.

What a job does alone is known exactly by its events: held, in a pause after a failure, waiting for
other jobs or for the time it named (unless its city was held meanwhile, say: that is sampled of
the job itself). In between it waited for the reason of its kind, which is sampled; what was not
sampled yet is taken to be the first reason that was.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from scheduler.domain.events import EventKind
from scheduler.domain.reasons import ReasonCode

_ENDS: Final = frozenset(
    {
        EventKind.ADMITTED, EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED,
        EventKind.EXPIRED, EventKind.REJECTED,
    }
)  # fmt: skip


#: What only time helps against; what is more lasting hides it, and is sampled of the job itself.
_TIMED: Final = frozenset({ReasonCode.NOT_BEFORE, ReasonCode.RETRY_BACKOFF})


class Happening(NamedTuple):
    """An event of a job; ``detail`` is a JSON object of texts, or empty."""

    kind: EventKind
    at_ms: int
    detail: str = ""


class Spell(NamedTuple):
    """From ``from_ms`` to ``to_ms`` (None: still) it waited for ``code``."""

    code: ReasonCode
    from_ms: int
    to_ms: int | None


@dataclass(frozen=True, slots=True)
class Course:
    """What is known of a job: its events in order, and sampled spells, the most special first.

    ``alone`` are those of the job itself, which are among ``sampled`` too. An array of which no
    element waits to be placed waits for its elements.

    ``not_before_ms`` is what its submitter named, 0 for nothing or once it ran; a ``gated`` job
    waits for others.
    """

    happened: Sequence[Happening]
    sampled: Sequence[Sequence[Spell]] = ()
    not_before_ms: int = 0
    gated: bool = False
    deactivated: bool = False
    alone: Sequence[Spell] = ()
    is_array: bool = False


class _Stretch(NamedTuple):
    """A time in which a job waited; ``code`` None for that of its kind."""

    code: ReasonCode | None
    from_ms: int
    to_ms: int


def spells(course: Course, now_ms: int, present: ReasonCode | None = None) -> list[Spell]:
    """Return the spells in order, without a gap while it waited.

    ``present`` is what it is known to wait for now, None if it does not wait or nobody knows.
    """
    found: list[Spell] = []
    stretches, waits = _stretches(course, now_ms)
    for stretch in stretches:
        if stretch.code in _TIMED:
            found += _hidden(course, stretch)
        elif stretch.code is not None:
            found.append(Spell(stretch.code, stretch.from_ms, stretch.to_ms))
        else:
            goes_on = waits and stretch is stretches[-1]
            found += _filled(course, stretch, present if goes_on else None)
    return _joined(found, now_ms if waits else None, present)


def totals(found: Iterable[Spell], now_ms: int) -> list[tuple[ReasonCode, int]]:
    """Return how long each reason lasted in all in ms, the longest first."""
    sums: dict[ReasonCode, int] = {}
    for code, from_ms, to_ms in found:
        sums[code] = sums.get(code, 0) + (now_ms if to_ms is None else to_ms) - from_ms
    return sorted(sums.items(), key=lambda one: (-one[1], one[0]))


def _stretches(course: Course, now_ms: int) -> tuple[list[_Stretch], bool]:
    """The times in which it waited, and whether it waits now."""
    found: list[_Stretch] = []
    code: ReasonCode | None = None
    from_ms: int | None = None
    until_ms = 0  # of a pause, after which the reason is that of its kind

    def close(at_ms: int) -> None:
        nonlocal from_ms
        if from_ms is None:
            return
        middle_ms = min(max(until_ms, from_ms), at_ms)
        if code is not None and until_ms:
            found.append(_Stretch(code, from_ms, middle_ms))
            found.append(_Stretch(None, middle_ms, max(at_ms, middle_ms)))
        else:
            found.append(_Stretch(code, from_ms, max(at_ms, from_ms)))
        from_ms = None

    is_ready_later = any(one.kind is EventKind.READY for one in course.happened)
    for kind, at_ms, detail in course.happened:
        if kind in _ENDS:
            close(at_ms)
            continue
        close(at_ms)
        code, from_ms, until_ms = None, at_ms, 0
        if kind is EventKind.HELD:
            code = ReasonCode.QUEUE_HELD
        elif kind is EventKind.REQUEUED:
            until_ms = int(json.loads(detail).get("not_before_ms", 0)) if detail else 0
            code = ReasonCode.RETRY_BACKOFF if until_ms else None
        elif kind is EventKind.SUBMITTED and (is_ready_later or course.gated):
            code = ReasonCode.DEPENDENCY
        elif course.not_before_ms:
            code, until_ms = ReasonCode.NOT_BEFORE, course.not_before_ms
    waits = from_ms is not None
    if waits and code is ReasonCode.QUEUE_HELD and course.deactivated:
        code = ReasonCode.DEACTIVATED
    close(now_ms)
    return [one for one in found if one.to_ms > one.from_ms], waits


def _hidden(course: Course, stretch: _Stretch) -> list[Spell]:
    """A pause or a wish, and what hid it meanwhile: what was sampled of the job itself."""
    assert stretch.code is not None
    found: list[Spell] = []
    at_ms = stretch.from_ms
    for code, from_ms, to_ms in course.alone:
        begin_ms = max(from_ms, at_ms)
        end_ms = stretch.to_ms if to_ms is None else min(to_ms, stretch.to_ms)
        if begin_ms < end_ms:
            found.append(Spell(stretch.code, at_ms, begin_ms))
            found.append(Spell(code, begin_ms, end_ms))
            at_ms = end_ms
    found.append(Spell(stretch.code, at_ms, stretch.to_ms))
    return [one for one in found if one.to_ms is None or one.to_ms > one.from_ms]


def _filled(course: Course, stretch: _Stretch, present: ReasonCode | None) -> list[Spell]:
    """The sampled spells within a stretch, special ones over general ones, without a gap."""
    edges = {stretch.from_ms, stretch.to_ms}
    for sampled in course.sampled:
        for _, from_ms, to_ms in sampled:
            edges.add(min(max(from_ms, stretch.from_ms), stretch.to_ms))
            if to_ms is not None:
                edges.add(min(max(to_ms, stretch.from_ms), stretch.to_ms))
    marks = sorted(edges)
    parts: list[tuple[ReasonCode | None, int, int]] = []
    for at_ms, next_ms in pairwise(marks):
        parts.append((_sampled_at(course, at_ms), at_ms, next_ms))
    if course.is_array:
        parts[1:] = [(code or ReasonCode.DEPENDENCY, at, to) for code, at, to in parts[1:]]
        present = present or ReasonCode.DEPENDENCY
    # What was not sampled is what was sampled next; at the end what is said now.
    following = present
    for place in reversed(range(len(parts))):
        code, at_ms, next_ms = parts[place]
        following = code or following
        parts[place] = (following, at_ms, next_ms)
    known = ReasonCode.NOT_EVALUATED
    found: list[Spell] = []
    for code, at_ms, next_ms in parts:
        known = code or known
        found.append(Spell(known, at_ms, next_ms))
    return found


def _sampled_at(course: Course, at_ms: int) -> ReasonCode | None:
    for sampled in course.sampled:
        for code, from_ms, to_ms in sampled:
            if from_ms <= at_ms and (to_ms is None or at_ms < to_ms):
                return code
    return None


def _joined(found: Sequence[Spell], open_ms: int | None, present: ReasonCode | None) -> list[Spell]:
    """Neighbors of one reason made one; the last goes on if ``open_ms`` is given."""
    joined: list[Spell] = []
    for spell in found:
        last = joined[-1] if joined else None
        if last is not None and last.code is spell.code and last.to_ms == spell.from_ms:
            joined[-1] = last._replace(to_ms=spell.to_ms)
        else:
            joined.append(spell)
    if open_ms is None:
        return joined
    if present is not None and (not joined or joined[-1].code is not present):
        joined.append(Spell(present, open_ms, None))
    elif joined and joined[-1].to_ms == open_ms:
        joined[-1] = joined[-1]._replace(to_ms=None)
    return joined
