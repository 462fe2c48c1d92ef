"""Use cases of vouchers, of hours that are granted, and of wallets."""

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import grants, voucher_figures, vouchers, wallets
from scheduler.store.change_requests import Act
from scheduler.store.grants import Grant, GrantInfo
from scheduler.store.voucher_figures import VoucherInfo, Wanted
from scheduler.store.vouchers import AT_ONCE, Issue
from scheduler.store.wallets import WalletInfo

#: A trillion unit-hours: whatever is above is a mistake.
UNIT_SECONDS_MAX = 3_600 * 10**12


async def issue(
    context: Context, caller: Principal, order: Issue, reason: str
) -> list[VoucherInfo]:
    """Issue vouchers once per request id, all or none.

    Raises ``InvalidRequest`` and what ``vouchers.issue`` raises.
    """
    wrong = checks.given("request_id", order.request_id, 128)
    wrong += checks.given("programme", order.programme) + checks.given("period", order.period, 16)
    wrong += checks.reason(reason)
    if not 1 <= len(order.vouchers) <= AT_ONCE:
        what = f"must be 1..{AT_ONCE} vouchers, not {len(order.vouchers)}"
        wrong.append(FieldViolation("vouchers", what))
    for at, one in enumerate(order.vouchers):
        wrong += checks.given(f"vouchers[{at}].enterprise", one.enterprise)
        wrong += checks.whole(f"vouchers[{at}].face_fen", one.face_fen, checks.MONEY_MAX_FEN, 1)
    if wrong:
        raise InvalidRequest(wrong)
    act = _act(context, caller, reason)
    return await context.db.write(lambda c: vouchers.issue(c, order, act))


async def get_voucher(context: Context, caller: Principal, voucher_no: str) -> VoucherInfo:
    """Return one voucher; ``NotFound`` outside the scope."""
    now_ms = context.clock.now_ms()
    return await context.db.read(
        lambda c: voucher_figures.get_voucher(c, caller.scope, voucher_no, now_ms)
    )


async def list_vouchers(
    context: Context, caller: Principal, wanted: Wanted, limit: int, after: tuple[int, str]
) -> list[VoucherInfo]:
    """Return at most ``limit`` vouchers of the caller's scope after (end, number)."""
    now_ms = context.clock.now_ms()
    return await context.db.read(
        lambda c: voucher_figures.list_vouchers(c, caller.scope, wanted, now_ms, limit, after)
    )


async def revoke(context: Context, caller: Principal, voucher_no: str, reason: str) -> VoucherInfo:
    """End a voucher now; see ``vouchers.revoke`` for what it raises."""
    wrong = checks.given("voucher_no", voucher_no, 64) + checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    act = _act(context, caller, reason)
    return await context.db.write(lambda c: vouchers.revoke(c, voucher_no, act))


# --- hours ----------------------------------------------------------------------------------------


async def grant(context: Context, caller: Principal, order: Grant, reason: str) -> GrantInfo:
    """Grant unit-seconds once per request id; see ``grants.grant`` for what it raises."""
    wrong = checks.given("request_id", order.request_id, 128)
    wrong += checks.given("programme", order.programme) + checks.given("period", order.period, 16)
    wrong += checks.given("enterprise", order.enterprise) + checks.reason(reason)
    wrong += checks.whole("unit_seconds", order.unit_seconds, UNIT_SECONDS_MAX, least=1)
    if wrong:
        raise InvalidRequest(wrong)
    act = _act(context, caller, reason)
    return await context.db.write(lambda c: grants.grant(c, order, act))


async def list_grants(
    context: Context, caller: Principal, programme: str, period: str, enterprise: str
) -> list[GrantInfo]:
    """Return the grants of the caller's scope."""
    return await context.db.read(
        lambda c: grants.list_grants(
            c, caller.scope, programme=programme, period=period, enterprise=enterprise
        )
    )


# --- wallets --------------------------------------------------------------------------------------


async def list_wallets(
    context: Context, caller: Principal, city: str, enterprise: str, limit: int, after: str
) -> list[WalletInfo]:
    """Return at most ``limit`` wallets of the caller's scope after an enterprise."""
    return await context.db.read(
        lambda c: wallets.list_wallets(
            c, caller.scope, city=city, enterprise=enterprise, limit=limit, after=after
        )
    )


async def top_up(
    context: Context, caller: Principal, enterprise: str, amount_fen: int, request_id: str,
    reason: str,
) -> WalletInfo:  # fmt: skip
    """Note what an enterprise paid in, once per request id; see ``wallets.top_up``."""
    wrong = checks.given("request_id", request_id, 128) + checks.given("enterprise", enterprise)
    wrong += checks.whole("amount_fen", amount_fen, checks.MONEY_MAX_FEN, least=1)
    wrong += checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    act = _act(context, caller, reason)
    return await context.db.write(
        lambda c: wallets.top_up(c, enterprise, amount_fen, request_id, act)
    )


async def set_credit(
    context: Context, caller: Principal, enterprise: str, credit_limit_fen: int, reason: str
) -> WalletInfo:
    """Set an enterprise's credit limit; see ``wallets.set_credit`` for what it raises."""
    wrong = checks.given("enterprise", enterprise) + checks.reason(reason)
    wrong += checks.whole("credit_limit_fen", credit_limit_fen, checks.MONEY_MAX_FEN)
    if wrong:
        raise InvalidRequest(wrong)
    act = _act(context, caller, reason)
    return await context.db.write(
        lambda c: wallets.set_credit(c, enterprise, credit_limit_fen, act)
    )


def _act(context: Context, caller: Principal, reason: str) -> Act:
    return Act(caller, reason, context.clock.now_ms(), context.wall_ms())
