"""Use case: an operator says what became of a run whose outcome nobody knows."""

from dataclasses import dataclass
from typing import Final

from scheduler.domain.ids import parse_run_id
from scheduler.domain.principal import Principal
from scheduler.domain.resolving import Resolution, Word
from scheduler.errors import Conflict, FieldViolation, InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import resolutions
from scheduler.store.resolutions import Order, Resolved
from scheduler.store.settlements import Moved

_TRIES: Final = 3
_EXIT_CODE_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator says; ``exit_code`` and the instants belong to ENDED alone."""

    run: str
    resolution: str
    exit_code: int | None
    start_ms: int | None
    end_ms: int | None
    reason: str


async def resolve(context: Context, caller: Principal, wish: Wish) -> Resolved:
    """End an UNKNOWN run by an operator's word, once; the same word again changes nothing.

    Raises ``InvalidRequest``, ``NotFound``, ``WrongState`` for a run that is not UNKNOWN (any
    more), and ``Conflict`` if its center keeps saying something else at the same time.
    """
    wrong = checks.reason(wish.reason) + _wrong(wish)
    if wrong:
        raise InvalidRequest(wrong)
    reason, resolution = wish.reason.strip(), Resolution(wish.resolution)
    message = f"resolved by an operator as {resolution}: {reason}"
    word = Word(resolution, message, wish.exit_code, wish.start_ms, wish.end_ms)
    order = Order(
        parse_run_id(wish.run), word, caller, reason, context.clock.now_ms(), context.wall_ms()
    )
    for _ in range(_TRIES):
        try:
            return await context.db.write(lambda c: resolutions.resolve(c, order))
        except Moved:
            continue
    raise Conflict(f"run {wish.run} changes all the while; look at it and say it again")


def _wrong(wish: Wish) -> list[FieldViolation]:
    wrong = []
    try:
        parse_run_id(wish.run)
    except ValueError as error:
        wrong.append(FieldViolation("run", str(error)))
    if wish.resolution not in Resolution.__members__:
        known = ", ".join(Resolution)
        return [*wrong, FieldViolation("resolution", f"must be one of {known}")]
    ended = wish.resolution == Resolution.ENDED
    if ended and (wish.exit_code is None or not 0 <= wish.exit_code <= _EXIT_CODE_MAX):
        wrong.append(FieldViolation("exit_code", f"must be 0..{_EXIT_CODE_MAX} for what ended"))
    if ended and wish.end_ms is None:
        wrong.append(FieldViolation("end_time", "is mandatory for what ended"))
    if not ended:
        wrong += [
            FieldViolation(field, "belongs to what ended alone")
            for field, value in (
                ("exit_code", wish.exit_code),
                ("start_time", wish.start_ms),
                ("end_time", wish.end_ms),
            )
            if value is not None
        ]
    return wrong
