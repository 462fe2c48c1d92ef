"""Use cases of budgets: shown within the caller's scope, set with a reason under an etag."""

from quota.budgets import Key
from scheduler.domain.principal import EVERYTHING, Principal, Role
from scheduler.errors import FieldViolation, Forbidden, InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import budget_journal, budget_settings, budgets
from scheduler.store.budget_journal import BudgetVerification
from scheduler.store.budget_settings import SettingsRow
from scheduler.store.budgets import BudgetRow, Place
from scheduler.store.quotas_telling import Change

#: A trillion unit-hours: whatever is above is a mistake.
UNIT_SECONDS_MAX = 3_600 * 10**12


async def get_budget(context: Context, caller: Principal, place: Place) -> BudgetRow:
    """Return one budget; ``NotFound`` if there is none that the caller may see."""
    _check_place(place)
    now_ms = context.clock.now_ms()
    return await context.db.read(
        lambda connection: budgets.get_budget(connection, caller.scope, place, now_ms)
    )


async def list_budgets(
    context: Context, caller: Principal, place: Place, limit: int, after: Key
) -> list[BudgetRow]:
    """Return at most ``limit`` budgets by (node, flavor, period) after a key."""
    now_ms = context.clock.now_ms()
    return await context.db.read(
        lambda connection: budgets.list_budgets(
            connection, caller.scope, place, now_ms, limit, after
        )
    )


async def update_budget(
    context: Context,
    caller: Principal,
    place: Place,
    allotted_unit_seconds: int | None,
    *,
    etag: str,
    reason: str,
) -> BudgetRow:
    """Allot unit-seconds, None for no limit.

    Raises ``InvalidRequest``, ``NotFound``, ``Conflict`` for a stale etag, ``Forbidden`` for a
    city's budget by anybody but an operator, ``WrongState`` and ``QuotaExceeded``.
    """
    wrong = checks.reason(reason) + checks.given("budget.flavor", place.flavor)
    wrong += checks.whole("budget.allotted_unit_seconds", allotted_unit_seconds, UNIT_SECONDS_MAX)
    if wrong:
        raise InvalidRequest(wrong)
    _check_place(place)
    if not place.enterprise and caller.role is not Role.OPERATOR:
        raise Forbidden(
            "only an operator sets the budgets of cities; you set those of your enterprises",
            reason="OPERATOR_SETTING",
        )
    change = _change(context, caller, etag, reason)
    return await context.db.write(
        lambda connection: budgets.update_budget(connection, place, allotted_unit_seconds, change)
    )


async def get_settings(context: Context, caller: Principal, city: str) -> SettingsRow:
    """Return how a city's budgets work; ``NotFound`` outside the scope."""
    return await context.db.read(
        lambda connection: budget_settings.get_settings(connection, caller.scope, city)
    )


async def update_settings(
    context: Context, caller: Principal, wanted: SettingsRow, *, reason: str
) -> SettingsRow:
    """Set how a city's budgets work.

    Raises ``InvalidRequest``, ``NotFound``, ``Conflict`` for a stale etag, and ``Forbidden`` for
    what only an operator may change.
    """
    terms = wanted.terms
    wrong = checks.reason(reason) + checks.given("settings.city", wanted.city)
    if terms.months not in (1, 3):
        what = f"must be 1 or 3, not {terms.months}"
        wrong.append(FieldViolation("settings.period_months", what))
    for field, value in (
        ("overburn_bps", terms.overburn_bps),
        ("lender_keeps_bps", terms.keep_bps),
        ("debt_cap_bps", terms.debt_cap_bps),
        ("repay_bps", terms.repay_bps),
    ):
        wrong += checks.whole(f"settings.{field}", value, 10_000)
    wrong += checks.whole("settings.share_limit_bps", terms.omega_bps, 1_000_000, 10_000)
    wrong += checks.whole("settings.grace_seconds", terms.grace_s, 7 * 86_400)
    if wrong:
        raise InvalidRequest(wrong)
    change = _change(context, caller, wanted.etag, reason)
    return await context.db.write(
        lambda connection: budget_settings.update_settings(connection, wanted.city, terms, change)
    )


async def verify(context: Context, caller: Principal) -> BudgetVerification:
    """Recompute the budgets, holds and debts that the caller may see from their journal."""
    found = await context.db.read(
        lambda connection: budget_journal.verify(connection, caller.scope)
    )
    if caller.scope == EVERYTHING:
        context.on_verified("budgets", context.wall_ms(), len(found.problems))
    return found


def _check_place(place: Place) -> None:
    if not place.city and not place.enterprise:
        raise InvalidRequest([FieldViolation("city", "say whose budget: a city or an enterprise")])


def _change(context: Context, caller: Principal, etag: str, reason: str) -> Change:
    return Change(caller, etag, reason, context.clock.now_ms(), context.wall_ms())
