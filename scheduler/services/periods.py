"""Use cases of funds' periods and of the months of the books: opened, lowered and closed."""

from scheduler.domain.principal import Principal
from scheduler.errors import InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import book_months, fund_closing, fund_openings, funds_reduction
from scheduler.store.book_months import MonthInfo
from scheduler.store.change_requests import Act
from scheduler.store.fund_figures import FundInfo
from scheduler.store.funds_reduction import Lowered, Lowering


async def open_fund(
    context: Context, caller: Principal, programme: str, period: str, reason: str
) -> FundInfo:
    """Open a programme's fund for a period; see ``fund_openings.open_fund`` for what it raises."""
    _check_fund(programme, period, reason)
    act = _act(context, caller, reason)
    return await context.db.write(lambda c: fund_openings.open_fund(c, programme, period, act))


async def lower_fund(
    context: Context, caller: Principal, lowering: Lowering, reason: str
) -> Lowered:
    """Take money out of a fund once per request id, or ask for it if it needs another person.

    Raises ``InvalidRequest`` and what ``funds_reduction.lower`` raises.
    """
    wrong = checks.given("request_id", lowering.request_id, 128)
    wrong += checks.whole("amount_fen", lowering.amount_fen, checks.MONEY_MAX_FEN, least=1)
    if wrong:
        raise InvalidRequest(wrong)
    _check_fund(lowering.programme, lowering.period, reason)
    act = _act(context, caller, reason)
    return await context.db.write(
        lambda c: funds_reduction.lower(c, lowering, act, context.approvals)
    )


async def close_fund(
    context: Context, caller: Principal, programme: str, period: str, reason: str
) -> FundInfo:
    """Let a fund close; see ``fund_closing.close`` for what it raises."""
    _check_fund(programme, period, reason)
    act = _act(context, caller, reason)
    return await context.db.write(lambda c: fund_closing.close(c, programme, period, act))


async def list_months(context: Context) -> list[MonthInfo]:
    """Return the months of the books, the newest first."""
    return await context.db.read(book_months.list_months)


async def close_month(context: Context, caller: Principal, month: str, reason: str) -> MonthInfo:
    """Close a month of the books; see ``book_months.close`` for what it raises."""
    wrong = checks.given("month", month, 16) + checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    act = _act(context, caller, reason)
    # Alone: it lets others wait who book, and they need not wait for each other's calls too.
    return await context.db.write(lambda c: book_months.close(c, month, act), alone=True)


def _check_fund(programme: str, period: str, reason: str) -> None:
    wrong = checks.given("programme", programme) + checks.given("period", period, 16)
    wrong += checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)


def _act(context: Context, caller: Principal, reason: str) -> Act:
    return Act(caller, reason, context.clock.now_ms(), context.wall_ms())
