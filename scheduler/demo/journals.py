"""What the centers themselves wrote down: each run's stay, read without the code that ran it.

A simulated center keeps a journal as a real one keeps its accounting log. It is the center's
word, independent of the scheduler's store, and what the checks hold the store against.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from scheduler.domain.ids import parse_run_id


@dataclass(slots=True)
class Stay:
    """One acceptance of a run by a center; a name that was accepted twice has two.

    ``outcome`` is SUCCEEDED or a failure class, as the center meant it to end; ``cancelled`` says
    that it was ended on request before that, ``told`` that its program had been given notice of it:
    then the platform ended it.
    """

    center: str
    name: str
    uid: int
    attempt: int
    city: str
    enterprise: str
    flavor: str
    units: int
    accept_ms: int
    runtime_ms: int
    outcome: str
    start_ms: int | None = None
    end_ms: int | None = None
    cancelled: bool = False
    told: bool = False

    @property
    def used_s(self) -> int:
        """Whole seconds in which it occupied its units."""
        if self.start_ms is None or self.end_ms is None:
            return 0
        return (self.end_ms - self.start_ms) // 1000


def stays(center: str, events: Iterable[Mapping[str, object]]) -> list[Stay]:
    """Put the events of one journal together, in the order of acceptance.

    Raises ``ValueError`` for an event about a run that was never accepted.
    """
    found: list[Stay] = []
    latest: dict[str, Stay] = {}
    for event in events:
        kind = event["event"]
        if kind == "open":
            continue
        name = str(event["name"])
        if kind == "accept":
            latest[name] = _accepted(center, name, event)
            found.append(latest[name])
            continue
        stay = latest.get(name)
        if stay is None:
            raise ValueError(f"journal of {center}: {kind} of {name}, which it never accepted")
        at_ms = cast(int, event["at_ms"])
        if kind == "start":
            stay.start_ms = at_ms
        elif kind == "end":
            stay.end_ms = at_ms
        elif kind == "notice":
            stay.told = True
        elif kind == "cancel":
            _cancelled(stay, at_ms)
    return found


def _accepted(center: str, name: str, event: Mapping[str, object]) -> Stay:
    uid, attempt = parse_run_id(str(event["run_id"]))
    return Stay(
        center,
        name,
        uid,
        attempt,
        str(event["city"]),
        str(event["enterprise"]),
        str(event["flavor"]),
        cast(int, event["units"]),
        cast(int, event["submit_ms"]),
        cast(int, event["runtime_ms"]),
        str(event["outcome"]),
    )


def _cancelled(stay: Stay, at_ms: int) -> None:
    """A waiting run ends at once; a running one a moment later, unless it ends by itself before."""
    if stay.start_ms is None:
        stay.cancelled, stay.end_ms = True, at_ms
    elif at_ms < stay.start_ms + stay.runtime_ms:
        stay.cancelled = True
