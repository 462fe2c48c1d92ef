"""Money that a person adds to a fund: the ledger's entry and the audit row in one transaction.

An amount that needs two persons is kept as a change request, and paid in when that is approved.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from scheduler.domain.approving import Approvals, ChangeKind
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.store import audit_trail, change_requests, funds, lone_changes
from scheduler.store.change_requests import Act, Proposal, Request
from scheduler.store.funds import FundInfo
from scheduler.store.lone_changes import Size


@dataclass(frozen=True, slots=True)
class Payment:
    """What a funder ("": the own city) is to add to a fund, once per request id."""

    programme: str
    period: str
    amount_fen: int
    request_id: str
    funder: str = ""


@dataclass(frozen=True, slots=True)
class Appropriated:
    """The fund as it stands, and the request if the payment needs or needed another person."""

    fund: FundInfo
    request: Request | None


def appropriate(
    connection: Connection, payment: Payment, act: Act, approvals: Approvals
) -> Appropriated:
    """Pay into a fund of the actor's scope, or ask for it; a repeated request id does neither.

    Raises what ``funds.appropriate`` and ``change_requests.propose`` do.
    """
    fund = funds.managed_fund(connection, act.actor.scope, payment.programme, payment.period)
    key = funds.appropriation_key(payment.programme, payment.period, payment.request_id)
    account = fund.funder(payment.funder).account_id
    if funds.paid_before(connection, key, account, payment.amount_fen):
        return Appropriated(fund, change_requests.find(connection, key))
    funds.check_open(fund)
    size = Size(ChangeKind.APPROPRIATE, _target(payment), payment.amount_fen, key)
    if not lone_changes.needs_another(connection, size, act, approvals):
        paid = _pay(connection, act.actor.scope, payment, act, act.actor.subject, act.reason)
        lone_changes.note(connection, size, act)
        return Appropriated(paid, None)
    proposal = Proposal(
        ChangeKind.APPROPRIATE,
        _target(payment),
        fund.city,
        {
            "programme": payment.programme,
            "period": payment.period,
            "amount_fen": payment.amount_fen,
            "request_id": payment.request_id,
            "funder": payment.funder,
        },
        before={"appropriated_fen": fund.appropriated_fen},
        after={"appropriated_fen": fund.appropriated_fen + payment.amount_fen},
        amount_fen=payment.amount_fen,
        request_key=key,
    )
    return Appropriated(fund, change_requests.propose(connection, proposal, act))


def apply(connection: Connection, request: Request, act: Act) -> None:
    """Pay in what was approved; raises ``WrongState`` if the period is open no more."""
    payment = Payment(**request.payload)
    _pay(connection, EVERYTHING, payment, act, request.requester, request.reason)


def _pay(
    connection: Connection, scope: Scope, payment: Payment, act: Act, payer: str, why: str
) -> FundInfo:
    """Pay in; the entry says who wanted it and ``why``, the audit row who made it so."""
    seen = funds.list_funds(connection, scope, programme=payment.programme, period=payment.period)
    fund = funds.appropriate(
        connection,
        scope,
        programme=payment.programme,
        period=payment.period,
        amount_fen=payment.amount_fen,
        request_id=payment.request_id,
        funder=payment.funder,
        actor=payer,
        reason=why,
        now_ms=act.now_ms,
    )
    before_fen = seen[0].appropriated_fen if seen else 0
    if not seen or fund != seen[0]:
        audit_trail.record(
            connection,
            act.actor,
            "FUND_APPROPRIATED",
            _target(payment),
            at_ms=act.wall_ms,
            before={"appropriated_fen": before_fen},
            after={"appropriated_fen": fund.appropriated_fen},
            reason=act.reason,
            city=fund.city,
        )
    return fund


def _target(payment: Payment) -> str:
    return f"programmes/{payment.programme}/funds/{payment.period}"
