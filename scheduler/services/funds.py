"""Use cases of programmes, funds and the ledger."""

from quota.transfers import Link
from scheduler.domain.principal import Principal
from scheduler.errors import InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import appropriations, funds
from scheduler.store.funds import FundInfo, ProgrammeInfo, Verification


async def list_programmes(context: Context, caller: Principal, city: str) -> list[ProgrammeInfo]:
    """Return the programmes the caller may see, with their rules."""
    return await context.db.read(
        lambda connection: funds.list_programmes(connection, caller.scope, city)
    )


async def list_funds(
    context: Context, caller: Principal, city: str, programme: str
) -> list[FundInfo]:
    """Return the funds the caller may see."""
    return await context.db.read(
        lambda connection: funds.list_funds(connection, caller.scope, city, programme)
    )


async def appropriate(
    context: Context,
    caller: Principal,
    *,
    programme: str,
    period: str,
    amount_fen: int,
    request_id: str,
    reason: str,
) -> FundInfo:
    """Pay into a fund once per request id; returns the fund as it stands.

    Raises ``InvalidRequest``, ``NotFound`` for a fund that the caller does not manage, and
    ``RequestIdReused`` if the id already paid another amount.
    """
    wrong = checks.given("request_id", request_id, 128) + checks.given("programme", programme)
    wrong += checks.given("period", period, 16)
    wrong += checks.whole("amount_fen", amount_fen, checks.MONEY_MAX_FEN, least=1)
    wrong += checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
    return await context.db.write(
        lambda connection: appropriations.appropriate(
            connection,
            caller,
            programme=programme,
            period=period,
            amount_fen=amount_fen,
            request_id=request_id,
            reason=reason,
            now_ms=context.clock.now_ms(),
            wall_ms=context.wall_ms(),
        )
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
    return await context.db.read(funds.verify)
