"""Alerts that a limit comes near: each threshold is told of once, and again only after it was left.

An alert is level-triggered: what is reached is compared with what was told. A threshold that is no
longer reached (money was added, a hold came back) is armed again.
"""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000


class AlertKind(StrEnum):
    """What comes near, and the unit of its thresholds."""

    FUND_USED = "FUND_USED"  # percent of a fund that is held, spent or in vouchers
    CAP_USED = "CAP_USED"  # percent of an enterprise's cap of a natural year
    VOUCHER_ENDS = "VOUCHER_ENDS"  # days until a voucher with money in it ends
    FUND_RUNS_OUT = "FUND_RUNS_OUT"  # days until a fund is likely spent


#: When each kind is told of, in the order in which they are reached.
THRESHOLDS: Final = {
    AlertKind.FUND_USED: (50, 80, 100),
    AlertKind.CAP_USED: (80, 100),
    AlertKind.VOUCHER_ENDS: (30, 7),
    AlertKind.FUND_RUNS_OUT: (14,),
}


class Subject(NamedTuple):
    """What an alert is about; ``name`` is unique within its kind, such as ``p/2026``."""

    kind: AlertKind
    name: str
    city: str
    enterprise: str = ""


class Seen(NamedTuple):
    """A subject as it stands: the thresholds it has reached, and figures for people."""

    subject: Subject
    reached: tuple[int, ...]
    figures: tuple[tuple[str, int], ...]


class Told(NamedTuple):
    """An alert that was raised and not armed again."""

    number: int
    kind: str
    name: str
    threshold: int


class Raise(NamedTuple):
    """An alert to raise now."""

    subject: Subject
    threshold: int
    figures: tuple[tuple[str, int], ...]


class Changes(NamedTuple):
    """Alerts to raise, in order, and the numbers of those to arm again."""

    raised: tuple[Raise, ...]
    armed: tuple[int, ...]


def used_percents(used: int, limit: int, thresholds: Iterable[int]) -> tuple[int, ...]:
    """Return the percents of ``limit`` that ``used`` has reached; at exactly 100 % that one too.

    A limit of 0 is used up by anything but nothing.
    """
    return tuple(one for one in thresholds if used > 0 and used * 100 >= one * limit)


def days_left(at_ms: int, now_ms: int, thresholds: Iterable[int]) -> tuple[int, ...]:
    """Return the numbers of days within which ``at_ms`` lies."""
    return tuple(one for one in thresholds if at_ms - now_ms <= one * DAY_MS)


def changes(seen: Sequence[Seen], told: Collection[Told]) -> Changes:
    """Compare what is reached with what was told.

    What was told of a subject that is not seen any more (a closed fund) is armed again as well: it
    is over.
    """
    known = {(one.kind, one.name, one.threshold): one.number for one in told}
    reached = {
        (str(one.subject.kind), one.subject.name, threshold)
        for one in seen
        for threshold in one.reached
    }
    raised = [
        Raise(one.subject, threshold, one.figures)
        for one in seen
        for threshold in one.reached
        if (str(one.subject.kind), one.subject.name, threshold) not in known
    ]
    return Changes(
        tuple(raised), tuple(sorted(number for key, number in known.items() if key not in reached))
    )
