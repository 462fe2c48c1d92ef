"""QuotaService, its methods about budgets: messages in, use cases, messages out."""

from typing import Final

from corridor.v1 import budget_pb2 as pb

from quota.budgets import Mode, Terms
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc import caller
from scheduler.rpc.messages import (
    CallContext,
    optional,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import budgets
from scheduler.services.context import Context
from scheduler.store.budget_settings import SettingsRow
from scheduler.store.budgets import BudgetRow, Place

_MODES: Final = {
    "HARD": pb.BUDGET_MODE_HARD,
    "OVERBURN": pb.BUDGET_MODE_OVERBURN,
    "OBSERVE": pb.BUDGET_MODE_OBSERVE,
}
_MODE_WORDS: Final = {number: word for word, number in _MODES.items()}


class BudgetMethods:
    """Mixed into the servicer of QuotaService."""

    _context: Context

    async def GetBudget(
        self, request: pb.GetBudgetRequest, context: CallContext
    ) -> pb.GetBudgetResponse:
        row = await budgets.get_budget(self._context, caller.current(), _place(request))
        return pb.GetBudgetResponse(budget=_budget(row))

    async def ListBudgets(
        self, request: pb.ListBudgetsRequest, context: CallContext
    ) -> pb.ListBudgetsResponse:
        size = page_size(request.page_size)
        after = page_key(request.page_token, str, str, str) or ("", "", "")
        found = await budgets.list_budgets(
            self._context,
            caller.current(),
            _place(request),
            size + 1,
            (after[0], after[1], after[2]),
        )
        rows, more = split_page(found, size)
        last = rows[-1] if more else None
        return pb.ListBudgetsResponse(
            budgets=[_budget(row) for row in rows],
            next_page_token="" if last is None else page_token(last.node, last.flavor, last.period),
        )

    async def UpdateBudget(
        self, request: pb.UpdateBudgetRequest, context: CallContext
    ) -> pb.UpdateBudgetResponse:
        row = await budgets.update_budget(
            self._context,
            caller.current(),
            _place(request.budget),
            optional(request.budget, "allotted_unit_seconds"),
            etag=request.budget.etag,
            reason=request.reason,
        )
        return pb.UpdateBudgetResponse(budget=_budget(row))

    async def GetBudgetSettings(
        self, request: pb.GetBudgetSettingsRequest, context: CallContext
    ) -> pb.GetBudgetSettingsResponse:
        row = await budgets.get_settings(self._context, caller.current(), request.city)
        return pb.GetBudgetSettingsResponse(settings=_settings(row))

    async def UpdateBudgetSettings(
        self, request: pb.UpdateBudgetSettingsRequest, context: CallContext
    ) -> pb.UpdateBudgetSettingsResponse:
        row = await budgets.update_settings(
            self._context,
            caller.current(),
            _settings_row(request.settings),
            reason=request.reason,
        )
        return pb.UpdateBudgetSettingsResponse(settings=_settings(row))

    async def VerifyBudgets(
        self, request: pb.VerifyBudgetsRequest, context: CallContext
    ) -> pb.VerifyBudgetsResponse:
        found = await budgets.verify(self._context, caller.current())
        return pb.VerifyBudgetsResponse(
            ok=found.ok,
            entry_count=found.entries,
            budget_count=found.budgets,
            open_hold_count=found.open_holds,
            problems=found.problems,
        )


def _place(message: pb.GetBudgetRequest | pb.ListBudgetsRequest | pb.Budget) -> Place:
    return Place(message.city, message.enterprise, message.flavor, message.period)


def _budget(row: BudgetRow) -> pb.Budget:
    budget = row.budget
    limit = budget.limit
    burnt = None if limit is None else (budget.used * 10_000 // limit if limit > 0 else 10_000)
    return pb.Budget(
        city=row.city,
        enterprise=row.enterprise,
        flavor=row.flavor,
        period=row.period,
        allotted_unit_seconds=budget.allotted,
        held_unit_seconds=budget.held,
        settled_unit_seconds=budget.settled,
        received_unit_seconds=budget.received,
        given_unit_seconds=budget.given,
        free_unit_seconds=budget.free,
        burnt_bps=burnt,
        owed_unit_seconds=row.owed,
        lendable_unit_seconds=row.lendable,
        mode=_MODES.get(row.mode, pb.BUDGET_MODE_UNSPECIFIED),
        opened=budget.opened,
        etag=row.etag,
        update_time=timestamp(row.updated_ms),
    )


def _settings(row: SettingsRow) -> pb.BudgetSettings:
    terms = row.terms
    return pb.BudgetSettings(
        city=row.city,
        enabled=terms.enabled,
        period_months=terms.months,
        mode=_MODES[str(terms.mode)],
        overburn_bps=terms.overburn_bps,
        carry=terms.carry,
        roll_over=terms.roll_over,
        enterprises_free=terms.enterprises_free,
        share_limit_bps=terms.omega_bps,
        grace_seconds=terms.grace_s,
        lender_keeps_bps=terms.keep_bps,
        debt_cap_bps=terms.debt_cap_bps,
        repay_bps=terms.repay_bps,
        etag=row.etag,
        update_time=timestamp(row.updated_ms),
    )


def _settings_row(message: pb.BudgetSettings) -> SettingsRow:
    if message.mode not in _MODE_WORDS:
        what = "is mandatory: HARD, OVERBURN or OBSERVE"
        raise InvalidRequest([FieldViolation("settings.mode", what)])
    terms = Terms(
        enabled=message.enabled,
        months=message.period_months,
        mode=Mode(_MODE_WORDS[message.mode]),
        overburn_bps=message.overburn_bps,
        carry=message.carry,
        roll_over=message.roll_over,
        enterprises_free=message.enterprises_free,
        omega_bps=message.share_limit_bps,
        grace_s=message.grace_seconds,
        keep_bps=message.lender_keeps_bps,
        debt_cap_bps=message.debt_cap_bps,
        repay_bps=message.repay_bps,
    )
    return SettingsRow(message.city, terms, message.etag, 0)
