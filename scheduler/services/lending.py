"""Use cases of hours lent between cities: asked for, offered, agreed, repaid, forgiven."""

from collections.abc import Sequence

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.services import checks
from scheduler.services.budgets import UNIT_SECONDS_MAX
from scheduler.services.context import Context
from scheduler.store import loan_rules, loans
from scheduler.store.loan_rules import RuleRow
from scheduler.store.loans import DebtRow, LoanRow, Proposal
from scheduler.store.quotas_telling import Change


async def propose(context: Context, caller: Principal, wanted: Proposal, *, reason: str) -> LoanRow:
    """Ask for hours, or offer them; see ``loans.propose`` for what it raises."""
    wrong = checks.reason(reason)
    wrong += checks.given("lender", wanted.lender) + checks.given("borrower", wanted.borrower)
    wrong += checks.given("flavor", wanted.flavor)
    wrong += checks.whole("unit_seconds", wanted.unit_seconds, UNIT_SECONDS_MAX, 1)
    if wanted.lender and wanted.lender == wanted.borrower:
        wrong.append(FieldViolation("borrower", "must be another city than the lender"))
    if wrong:
        raise InvalidRequest(wrong)
    change = _change(context, caller, reason)
    return await context.db.write(lambda connection: loans.propose(connection, wanted, change))


async def accept(context: Context, caller: Principal, loan_id: int, reason: str) -> LoanRow:
    """Agree to a loan; see ``loans.accept`` for what it raises."""
    change = _decision(context, caller, reason)
    return await context.db.write(lambda connection: loans.accept(connection, loan_id, change))


async def decline(context: Context, caller: Principal, loan_id: int, reason: str) -> LoanRow:
    """Refuse a loan or take it back; raises ``NotFound`` and ``WrongState``."""
    change = _decision(context, caller, reason)
    return await context.db.write(lambda connection: loans.decline(connection, loan_id, change))


async def list_loans(
    context: Context, caller: Principal, states: Sequence[str], limit: int, before: int
) -> tuple[list[LoanRow], list[DebtRow]]:
    """Return at most ``limit`` loans below an id (0: all), the newest first, and all debts."""
    return await context.db.read(
        lambda connection: (
            loans.list_loans(connection, caller.scope, states, limit, before),
            loans.list_debts(connection, caller.scope),
        )
    )


async def forgive(context: Context, caller: Principal, debt: DebtRow, reason: str) -> DebtRow:
    """Let a borrower off so much of a debt; raises ``InvalidRequest`` and ``NotFound``."""
    wrong = checks.reason(reason)
    wrong += checks.given("debt.lender", debt.lender) + checks.given("debt.borrower", debt.borrower)
    wrong += checks.whole("debt.unit_seconds", debt.unit_seconds, UNIT_SECONDS_MAX, 1)
    if wrong:
        raise InvalidRequest(wrong)
    change = _change(context, caller, reason)
    return await context.db.write(lambda connection: loans.forgive(connection, debt, change))


async def get_rule(context: Context, caller: Principal, lender: str, flavor: str) -> RuleRow:
    """Return a city's standing rule; ``NotFound`` outside the scope."""
    return await context.db.read(
        lambda connection: loan_rules.get_rule(connection, caller.scope, lender, flavor)
    )


async def update_rule(context: Context, caller: Principal, rule: RuleRow, reason: str) -> RuleRow:
    """Set the standing rule of the caller's own city.

    Raises ``InvalidRequest``, ``NotFound``, and ``Conflict`` for a stale etag.
    """
    wrong = checks.reason(reason)
    for field, amount in (
        ("loan_unit_seconds", rule.loan_unit_seconds),
        ("period_unit_seconds", rule.period_unit_seconds),
    ):
        wrong += checks.whole(f"rule.{field}", amount, UNIT_SECONDS_MAX)
    if wrong:
        raise InvalidRequest(wrong)
    change = Change(caller, rule.etag, reason, context.clock.now_ms(), context.wall_ms())
    return await context.db.write(
        lambda connection: loan_rules.update_rule(connection, rule, change)
    )


def _decision(context: Context, caller: Principal, reason: str) -> Change:
    wrong = checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    return _change(context, caller, reason)


def _change(context: Context, caller: Principal, reason: str) -> Change:
    return Change(caller, None, reason, context.clock.now_ms(), context.wall_ms())
