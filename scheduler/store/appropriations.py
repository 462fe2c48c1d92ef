"""Money that a person adds to a fund: the ledger's entry and the audit row in one transaction."""

from sqlalchemy import Connection

from scheduler.domain.principal import Principal
from scheduler.store import audit_trail, funds
from scheduler.store.funds import FundInfo


def appropriate(
    connection: Connection,
    actor: Principal,
    *,
    programme: str,
    period: str,
    amount_fen: int,
    request_id: str,
    reason: str,
    now_ms: int,
    wall_ms: int,
) -> FundInfo:
    """Pay into a fund of the caller's scope; a repeated request id pays and notes nothing more.

    Raises what ``funds.appropriate`` does.
    """
    scope = actor.scope
    seen = funds.list_funds(connection, scope, programme=programme, period=period)
    fund = funds.appropriate(
        connection,
        scope,
        programme=programme,
        period=period,
        amount_fen=amount_fen,
        request_id=request_id,
        actor=actor.subject,
        reason=reason,
        now_ms=now_ms,
    )
    before_fen = seen[0].appropriated_fen if seen else 0
    if fund.appropriated_fen != before_fen:
        audit_trail.record(
            connection,
            actor,
            "FUND_APPROPRIATED",
            f"programmes/{programme}/funds/{period}",
            at_ms=wall_ms,
            before={"appropriated_fen": before_fen},
            after={"appropriated_fen": fund.appropriated_fen},
            reason=reason,
            city=fund.city,
        )
    return fund
