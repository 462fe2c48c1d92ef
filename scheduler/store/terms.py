"""Dates of versions, of rules and prices alike: when one is in force, and what may follow what.

Versions of one thing do not overlap, none begins or ends in the past, and one that has no end yet
ends where the next begins.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.calendar import SHANGHAI
from scheduler.errors import FieldViolation, WrongState
from scheduler.store.change_requests import Request

PLANNED: Final = "PLANNED"
IN_FORCE: Final = "IN_FORCE"
ENDED: Final = "ENDED"
#: Nobody sets terms further ahead.
AHEAD_MAX_MS: Final = 5 * 366 * 86_400_000


class Span(NamedTuple):
    """When a version is in force, half-open; no ``to_ms`` is no end, ``from_ms`` is never."""

    name: str
    from_ms: int
    to_ms: int | None


def state(from_ms: int, to_ms: int | None, now_ms: int) -> str:
    """Return whether a version's time is to come, is now, or is over (or never came)."""
    if to_ms is not None and to_ms <= max(from_ms, now_ms):
        return ENDED
    return PLANNED if from_ms > now_ms else IN_FORCE


def instant_text(at_ms: int) -> str:
    """Return an instant for people, in Shanghai: 2027-01-01 00:00:00 +08:00."""
    at = datetime.fromtimestamp(at_ms / 1000, SHANGHAI)
    return f"{at:%Y-%m-%d %H:%M:%S} +08:00"


def check_dates(from_ms: int | None, to_ms: int | None, now_ms: int) -> list[FieldViolation]:
    """Check when a version is to be in force; ``from_ms`` None is from its approval on."""
    wrong = check_ahead("effective_time", from_ms, now_ms)
    wrong += check_ahead("end_time", to_ms, now_ms)
    if to_ms is not None and to_ms <= (now_ms if from_ms is None else from_ms):
        wrong.append(FieldViolation("end_time", "must be later than effective_time"))
    return wrong


def check_ahead(
    field: str, at_ms: int | None, now_ms: int, unset: str = "the moment of the approval"
) -> list[FieldViolation]:
    """Check an instant that must not lie in the past, nor too far ahead; None is in order.

    ``unset`` says what leaving it out stands for.
    """
    if at_ms is None or now_ms <= at_ms <= now_ms + AHEAD_MAX_MS:
        return []
    if at_ms < now_ms:
        what = f"must not lie in the past (it is {instant_text(now_ms)}); leave it out for {unset}"
    else:
        what = "must not lie more than five years ahead"
    return [FieldViolation(field, what)]


def clash(
    from_ms: int,
    to_ms: int | None,
    spans: Iterable[Span],
    *,
    began_ms: int = -1,
    instead: str = "end by then, or begin after it",
) -> FieldViolation | None:
    """Say which version a new one would overlap, and what is allowed ``instead``.

    One that has no end and began before, or by ``began_ms``, does not count: it ends where the new
    one begins.
    """
    for one in spans:
        if one.to_ms is not None and one.to_ms <= one.from_ms:
            continue
        begins = instant_text(one.from_ms)
        if one.from_ms == from_ms and from_ms > began_ms:
            what = (
                f"would overlap {one.name}, which takes effect at that moment, {begins}: {instead}"
            )
            return FieldViolation("effective_time", what)
        if one.from_ms > from_ms and (to_ms is None or to_ms > one.from_ms):
            what = f"would overlap {one.name}, which takes effect on {begins}: {instead}"
            return FieldViolation("end_time", what)
        if one.from_ms <= from_ms and one.to_ms is not None and one.to_ms > from_ms:
            what = (
                f"would overlap {one.name}, which is in force until {instant_text(one.to_ms)}:"
                " begin then or later, or end that one earlier first"
            )
            return FieldViolation("effective_time", what)
    return None


def lock(connection: Connection, table: str, codes: Iterable[str]) -> None:
    """Lock the programmes or flavors whose versions are read and added to, until the commit.

    Two who add to the same at the same time come one after the other, and the second is judged by
    what the first did. On SQLite a write transaction is alone from its beginning.
    """
    if connection.dialect.name != "sqlite":
        rows = f'SELECT 1 FROM {table} WHERE code = ANY(?) ORDER BY code COLLATE "C" FOR UPDATE'
        connection.exec_driver_sql(rows, (sorted(codes),)).close()


def check_still_fits(request: Request, wrong: Sequence[FieldViolation]) -> None:
    """Raise ``WrongState`` for a request that was in order when it was made, and is not now."""
    if wrong:
        what = "; ".join(f"{one.field} {one.description}" for one in wrong)
        raise WrongState(
            f"change request {request.number} no longer fits: {what}. Deny it, and have the change"
            " proposed anew",
            subject=f"changeRequests/{request.number}",
        )
