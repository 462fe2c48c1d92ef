"""What it means that a center does not have a run which it was asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapters.contract import Usage
from scheduler.clock import Clock
from scheduler.control.tracked import Tracked
from scheduler.domain.reports import Report, forgotten, metered, vanished


@dataclass(slots=True)
class Absent:
    """Runs that a center did not have at any look through its settle window.

    ``reports`` tell of those that it once had; of these it ``forgot`` some before they began.
    Others it certainly ``never_took``. Both of the latter are sent again, under the same name.
    """

    reports: list[Report] = field(default_factory=list)
    forgot: list[Tracked] = field(default_factory=list)
    never_took: list[Tracked] = field(default_factory=list)


def judge(
    missing: Iterable[Tracked], usage: Mapping[str, tuple[Usage, ...]], asked_ms: int,
    clock: Clock, settle_s: float, provisional_s: float,
) -> Absent:  # fmt: skip
    """Judge runs that a center, asked at ``asked_ms``, did not have; notes since when.

    What counts is when it was asked: an answer that is old by now, for other calls of the look had
    to wait, says nothing of the time since. Only a center whose acceptances are provisional
    forgets; at others, and once a run was seen to begin, what was there and is gone is lost. One
    that was seen to end is settled by its use, if its center says that there is none, or which.
    """
    found = Absent()
    for run in missing:
        if run.ended:
            if run.run_id in usage:
                found.reports.append(metered(run.uid, run.attempt, usage[run.run_id]))
            continue
        if run.missing_ms is None:
            run.missing_ms = asked_ms
        if clock.real_s(asked_ms - run.missing_ms) < settle_s:
            continue
        if not run.taken:
            run.missing_ms = None
            found.never_took.append(run)
        elif provisional_s > 0 and not run.begun:
            found.forgot.append(run)
            found.reports.append(forgotten(run.uid, run.attempt, run.native_id, run.submit_ms))
        else:
            found.reports.append(vanished(run.uid, run.attempt))
    return found
