"""Use cases of funds and the ledger."""

from quota.transfers import Link
from scheduler.domain.principal import Principal
from scheduler.errors import InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import appropriations, funds
from scheduler.store.appropriations import Appropriated, Payment
from scheduler.store.change_requests import Act
from scheduler.store.funds import FundInfo, Verification


async def list_funds(
    context: Context, caller: Principal, city: str, programme: str
) -> list[FundInfo]:
    """Return the funds the caller may see."""
    return await context.db.read(
        lambda connection: funds.list_funds(connection, caller.scope, city, programme)
    )


async def appropriate(
    context: Context, caller: Principal, payment: Payment, reason: str
) -> Appropriated:
    """Pay into a fund once per request id, or ask for it if the amount needs another person.

    Raises ``InvalidRequest``, ``NotFound`` for a fund that the caller does not manage, and
    ``RequestIdReused`` if the id already paid another amount.
    """
    wrong = checks.given("request_id", payment.request_id, 128)
    wrong += checks.given("programme", payment.programme)
    wrong += checks.given("period", payment.period, 16)
    wrong += checks.whole("amount_fen", payment.amount_fen, checks.MONEY_MAX_FEN, least=1)
    wrong += checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    act = Act(caller, reason, context.clock.now_ms(), context.wall_ms())
    return await context.db.write(
        lambda connection: appropriations.appropriate(connection, payment, act, context.approvals)
    )


async def list_transfers(
    context: Context,
    caller: Principal,
    *,
    account: str,
    job_uid: int,
    limit: int,
    before: tuple[int, str, int] | None,
) -> list[Link]:
    """Return at most ``limit`` entries, newest first, from before (time, shard, sequence)."""
    return await context.db.read(
        lambda connection: funds.list_transfers(
            connection,
            caller.scope,
            account=account,
            job_uid=job_uid,
            limit=limit,
            before=before,
        )
    )


async def verify_ledger(context: Context) -> Verification:
    """Recompute the whole ledger on one snapshot, off the event loop."""
    found = await context.db.read(funds.verify)
    context.on_verified("ledger", context.wall_ms(), len(found.problems))
    return found
