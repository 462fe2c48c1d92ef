"""QuotaService, its methods about hours lent between cities."""

from typing import Final

from corridor.v1 import budget_pb2 as pb

from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc import caller
from scheduler.rpc.messages import (
    CallContext,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import lending
from scheduler.services.context import Context
from scheduler.store.loan_rules import RuleRow
from scheduler.store.loans import DebtRow, LoanRow, Proposal, borrower_node, lender_node

_STATES: Final = {
    "REQUESTED": pb.LOAN_STATE_REQUESTED,
    "OFFERED": pb.LOAN_STATE_OFFERED,
    "ACCEPTED": pb.LOAN_STATE_ACCEPTED,
    "DECLINED": pb.LOAN_STATE_DECLINED,
    "EXPIRED": pb.LOAN_STATE_EXPIRED,
}
_STATE_WORDS: Final = {number: word for word, number in _STATES.items()}


class LoanMethods:
    """Mixed into the servicer of QuotaService."""

    _context: Context

    async def LendHours(
        self, request: pb.LendHoursRequest, context: CallContext
    ) -> pb.LendHoursResponse:
        wanted = Proposal(request.lender, request.borrower, request.flavor, request.unit_seconds)
        row = await lending.propose(self._context, caller.current(), wanted, reason=request.reason)
        return pb.LendHoursResponse(loan=_loan(row))

    async def AcceptLoan(
        self, request: pb.AcceptLoanRequest, context: CallContext
    ) -> pb.AcceptLoanResponse:
        row = await lending.accept(self._context, caller.current(), request.loan_id, request.reason)
        return pb.AcceptLoanResponse(loan=_loan(row))

    async def DeclineLoan(
        self, request: pb.DeclineLoanRequest, context: CallContext
    ) -> pb.DeclineLoanResponse:
        row = await lending.decline(
            self._context, caller.current(), request.loan_id, request.reason
        )
        return pb.DeclineLoanResponse(loan=_loan(row))

    async def ListLoans(
        self, request: pb.ListLoansRequest, context: CallContext
    ) -> pb.ListLoansResponse:
        size = page_size(request.page_size)
        before = page_key(request.page_token, int) or (0,)
        wrong = [state for state in request.states if state not in _STATE_WORDS]
        if wrong:
            raise InvalidRequest([FieldViolation("states", f"unknown {wrong[0]}")])
        states = [_STATE_WORDS[state] for state in request.states]
        found, debts = await lending.list_loans(
            self._context, caller.current(), states, size + 1, before[0]
        )
        rows, more = split_page(found, size)
        return pb.ListLoansResponse(
            loans=[_loan(row) for row in rows],
            next_page_token=page_token(rows[-1].loan_id) if more else "",
            debts=[_debt(debt) for debt in debts],
        )

    async def ForgiveLoan(
        self, request: pb.ForgiveLoanRequest, context: CallContext
    ) -> pb.ForgiveLoanResponse:
        debt = request.debt
        wanted = DebtRow(
            lender_node(debt.lender), borrower_node(debt.borrower), debt.flavor, debt.unit_seconds
        )
        row = await lending.forgive(self._context, caller.current(), wanted, request.reason)
        return pb.ForgiveLoanResponse(debt=_debt(row))

    async def GetLoanRule(
        self, request: pb.GetLoanRuleRequest, context: CallContext
    ) -> pb.GetLoanRuleResponse:
        row = await lending.get_rule(
            self._context, caller.current(), request.lender, request.flavor
        )
        return pb.GetLoanRuleResponse(rule=_rule(row))

    async def UpdateLoanRule(
        self, request: pb.UpdateLoanRuleRequest, context: CallContext
    ) -> pb.UpdateLoanRuleResponse:
        rule = request.rule
        wanted = RuleRow(
            rule.lender, rule.flavor, tuple(rule.borrowers), rule.loan_unit_seconds,
            rule.period_unit_seconds, rule.etag, 0,
        )  # fmt: skip
        row = await lending.update_rule(self._context, caller.current(), wanted, request.reason)
        return pb.UpdateLoanRuleResponse(rule=_rule(row))


def _loan(row: LoanRow) -> pb.Loan:
    return pb.Loan(
        loan_id=row.loan_id,
        lender=row.lender,
        borrower=row.borrower,
        flavor=row.flavor,
        period=row.period,
        unit_seconds=row.unit_seconds,
        state=_STATES[row.state],
        by_rule=row.by_rule,
        create_time=timestamp(row.created_ms),
        created_by=row.created_by,
        reason=row.reason,
        decide_time=timestamp(row.decided_ms),
        decided_by=row.decided_by,
        decision=row.decision,
    )


def _debt(row: DebtRow) -> pb.Debt:
    return pb.Debt(
        lender=row.lender.removeprefix("cities/"),
        borrower=row.borrower,
        flavor=row.flavor,
        unit_seconds=row.unit_seconds,
    )


def _rule(row: RuleRow) -> pb.LoanRule:
    return pb.LoanRule(
        lender=row.lender,
        flavor=row.flavor,
        borrowers=row.borrowers,
        loan_unit_seconds=row.loan_unit_seconds,
        period_unit_seconds=row.period_unit_seconds,
        etag=row.etag,
        update_time=timestamp(row.updated_ms),
    )
