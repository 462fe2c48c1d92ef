"""What is reported of a run: by its center, or by the worker that spoke to the center.

Reports may come late and more than once; ingestion (``scheduler.store.ingest``) makes them
monotonic: one that says nothing new changes nothing.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from adapters.contract import Observation, Usage


class ReportKind(StrEnum):
    """What kind of thing was learned."""

    ACCEPTED = "ACCEPTED"  # the center took the run and gave a native id
    OBSERVED = "OBSERVED"  # the center says how the run stands
    NOTICED = "NOTICED"  # the center told the run's program that it will be ended
    REFUSED = "REFUSED"  # the center will never take it
    NEVER_TAKEN = "NEVER_TAKEN"  # every call certainly had no effect; we stopped trying
    VANISHED = "VANISHED"  # the center had it and has it no more, without a word of its end
    FORGOTTEN = "FORGOTTEN"  # the center took it, did not begin it, and has no record of it left
    SILENT = "SILENT"  # not known: the answer was lost or the center does not speak


class Report(NamedTuple):
    """One report on attempt ``attempt`` of job ``uid``."""

    uid: int
    attempt: int
    kind: ReportKind
    native_id: str = ""
    submit_ms: int = 0
    observation: Observation | None = None
    usage: tuple[Usage, ...] | None = None  # None: not metered yet
    reason: str = ""
    message: str = ""


def accepted(uid: int, attempt: int, native_id: str, submit_ms: int) -> Report:
    """The center took the run."""
    return Report(uid, attempt, ReportKind.ACCEPTED, native_id=native_id, submit_ms=submit_ms)


def observed(
    uid: int, attempt: int, observation: Observation, usage: Sequence[Usage] | None = None
) -> Report:
    """The center says how the run stands; with its metered use (None: not metered yet)."""
    return Report(
        uid,
        attempt,
        ReportKind.OBSERVED,
        native_id=observation.native_id,
        submit_ms=observation.submit_ms,
        observation=observation,
        usage=None if usage is None else tuple(usage),
    )


def metered(uid: int, attempt: int, usage: Sequence[Usage]) -> Report:
    """The center has nothing left of a run that has ended but what it used, if anything."""
    return Report(uid, attempt, ReportKind.OBSERVED, usage=tuple(usage))


def noticed(uid: int, attempt: int) -> Report:
    """The run's program was told that it will be ended; its grace begins."""
    return Report(uid, attempt, ReportKind.NOTICED)


def refused(uid: int, attempt: int, reason: str, message: str) -> Report:
    """The center will never take the run."""
    return Report(uid, attempt, ReportKind.REFUSED, reason=reason, message=message)


def never_taken(uid: int, attempt: int, message: str) -> Report:
    """No call had an effect and we stopped trying."""
    return Report(uid, attempt, ReportKind.NEVER_TAKEN, message=message)


def vanished(uid: int, attempt: int) -> Report:
    """The center has it no more."""
    message = "the center has no such run any more"
    return Report(uid, attempt, ReportKind.VANISHED, message=message)


def forgotten(uid: int, attempt: int, native_id: str, submit_ms: int) -> Report:
    """The center forgot what it took under this id; both are empty if nobody knows them."""
    return Report(
        uid,
        attempt,
        ReportKind.FORGOTTEN,
        native_id=native_id,
        submit_ms=submit_ms,
        message="its center took it and has forgotten it; it is sent again",
    )


def silent(uid: int, attempt: int, message: str) -> Report:
    """Not known."""
    return Report(uid, attempt, ReportKind.SILENT, message=message)
