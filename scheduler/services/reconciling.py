"""Use cases: our records of use compared with a center's own, and the differences resolved."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from adapters.contract import RunRef, Usage
from quota.reconciling import Tolerance, Window
from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import centers, differences, reconciliations, revised_use
from scheduler.store.differences import Decision, DifferenceRow
from scheduler.store.reconciliations import CenterRecord, Order, Reconciliation
from scheduler.store.revised_use import Taken
from scheduler.store.usage_records import is_billed

#: How a difference can be resolved.
HOW: Final = ("OURS", "THEIRS", "CORRECTED", "EXPLAINED")
RECORDS_MAX: Final = 100_000
WINDOW_MAX_DAYS: Final = 400
#: Runs of which a center is asked for the use in one go.
_ASKED_MAX: Final = 500
_DAY_MS: Final = 86_400_000
_TOLERANCE_MAX: Final = 10**9


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller wants compared; ``records`` are the center's, unless its adapter is asked."""

    center: str
    window: Window
    tolerance: Tolerance
    source: str
    records: Sequence[CenterRecord]
    ask_adapter: bool
    keep: bool
    reason: str


async def reconcile(
    context: Context, caller: Principal, wish: Wish
) -> tuple[Reconciliation, list[DifferenceRow]]:
    """Compare what ended in a window; returns the comparison and all its differences.

    Raises ``InvalidRequest``, ``NotFound`` for a center that is not there, and ``TemporarilyAway``
    if its adapter is to be asked and does not answer.
    """
    now_ms = context.clock.now_ms()
    wrong = _wrong(wish, now_ms)
    if wrong:
        raise InvalidRequest(wrong)
    await context.db.read(lambda c: centers.get_center(c, wish.center, now_ms))
    if wish.ask_adapter:
        asked = await _ask(context, wish)
        wish = replace(wish, records=asked, source=wish.source or "adapter")
    order = Order(
        wish.center, wish.window, wish.tolerance, wish.source, wish.records, caller, wish.reason,
        now_ms, context.wall_ms(),
    )  # fmt: skip
    if wish.keep:
        return await context.db.write(lambda c: reconciliations.reconcile(c, order))
    return await context.db.read(lambda c: reconciliations.preview(c, order))


def _wrong(wish: Wish, now_ms: int) -> list[FieldViolation]:
    window, tolerance = wish.window, wish.tolerance
    wrong = checks.given("center", wish.center)
    if wish.keep:
        wrong += checks.reason(wish.reason)
    if not 0 < window.from_ms < window.to_ms:
        wrong.append(FieldViolation("to_time", "must be later than from_time, which is mandatory"))
    elif window.to_ms > now_ms:
        wrong.append(FieldViolation("to_time", "must not be later than now"))
    elif window.to_ms - window.from_ms > WINDOW_MAX_DAYS * _DAY_MS:
        wrong.append(FieldViolation("to_time", f"at most {WINDOW_MAX_DAYS} days are compared"))
    wrong += checks.whole("submit_tolerance", tolerance.submit_s, 86_400)
    wrong += checks.whole("tolerance_seconds", tolerance.seconds, _TOLERANCE_MAX)
    wrong += checks.whole("tolerance_fen", tolerance.amount_fen, _TOLERANCE_MAX)
    if wish.ask_adapter and wish.records:
        wrong.append(FieldViolation("records", "give records, or have the adapter asked"))
    if len(wish.records) > RECORDS_MAX:
        wrong.append(
            FieldViolation("records", f"at most {RECORDS_MAX:,}; compare a shorter time at once")
        )
    if not wish.ask_adapter:
        wrong += checks.given("source", wish.source)
    for at, one in enumerate(wish.records[:RECORDS_MAX]):
        if not one.name or one.end_ms < one.start_ms or one.submit_ms <= 0:
            field = f"records[{at}]"
            wrong.append(FieldViolation(field, "must have a name, times, and end after it begins"))
            if len(wrong) > 20:
                break
    return wrong


async def _ask(context: Context, wish: Wish) -> list[CenterRecord]:
    """Ask a center's adapter what the runs used that we settled."""
    runs = await context.db.read(
        lambda c: reconciliations.settled_runs(c, wish.center, wish.window)
    )
    found: list[CenterRecord] = []
    for first in range(0, len(runs), _ASKED_MAX):
        part = runs[first : first + _ASKED_MAX]
        answer = await context.centers.usage(wish.center, part)
        for run in part:
            found += [_record(run, one) for one in _newest(answer.get(run.run_id, ()))]
    return found


def _newest(usage: Sequence[Usage]) -> list[Usage]:
    newest: dict[tuple[str, int, int], Usage] = {}
    for one in usage:
        key = (one.native_id, one.submit_ms, one.segment)
        if key not in newest or newest[key].revision < one.revision:
            newest[key] = one
    return [one for one in newest.values() if is_billed(one)]


def _record(run: RunRef, one: Usage) -> CenterRecord:
    return CenterRecord(
        run.name, one.native_id, one.submit_ms, one.start_ms, one.end_ms, one.units,
        one.units,
    )  # fmt: skip


async def list_reconciliations(
    context: Context, center: str, limit: int, before: int
) -> list[Reconciliation]:
    """Return at most ``limit`` comparisons, newest first, of numbers below ``before`` (0: all)."""
    return await context.db.read(
        lambda c: reconciliations.list_reconciliations(c, center, limit, before)
    )


async def list_differences(
    context: Context,
    caller: Principal,
    *,
    center: str,
    show_resolved: bool,
    limit: int,
    before: int,
) -> list[DifferenceRow]:
    """Return at most ``limit`` differences that concern the caller, newest first."""
    return await context.db.read(
        lambda c: differences.list_differences(
            c, caller.scope, center=center, open_only=not show_resolved, limit=limit, before=before
        )
    )


async def resolve(
    context: Context, caller: Principal, diff_id: int, how: str, reason: str
) -> Taken:
    """Resolve a difference: OURS, THEIRS, CORRECTED or EXPLAINED.

    THEIRS takes the center's record over, or asks another person to approve what that costs. Raises
    ``InvalidRequest``, ``NotFound``, and ``WrongState`` for one that was resolved otherwise, was
    not corrected, or whose record cannot be taken over.
    """
    wrong = checks.reason(reason)
    if how not in HOW:
        known = f"{', '.join(HOW[:-1])} or {HOW[-1]}"
        wrong.append(FieldViolation("resolution", f"must be {known}"))
    if wrong:
        raise InvalidRequest(wrong)
    decision = Decision(
        diff_id, how, reason.strip(), caller, context.clock.now_ms(), context.wall_ms()
    )
    if how == "THEIRS":
        return await context.db.write(lambda c: revised_use.take(c, decision, context.approvals))
    return Taken(await context.db.write(lambda c: differences.resolve(c, decision)), None)
