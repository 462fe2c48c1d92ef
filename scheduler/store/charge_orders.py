"""Charges that a person lowers after their settlement, with a code and a reason (T9).

Never above what the run costs, and above a threshold only with a second person. What was paid too
much goes back to those who paid it (``quota.corrections``); what was metered stays as it is.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from quota.amounts import split, yuan
from quota.corrections import Borne, Payer, lowered
from scheduler.domain.approving import Approvals, ChangeKind
from scheduler.domain.ids import parse_run_id, run_id
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import FieldViolation, InvalidRequest, NotFound, RequestIdReused, WrongState
from scheduler.store import (
    audit_trail,
    change_requests,
    charge_book,
    corrections,
    lone_changes,
)
from scheduler.store.change_requests import Act, Proposal, Request
from scheduler.store.charge_book import Charge, RatedRow
from scheduler.store.charge_rows import Given
from scheduler.store.corrections import Pay, Revision, Why
from scheduler.store.lone_changes import Size


class Code(StrEnum):
    """Why a charge is lowered."""

    CENTER_FAULT = "CENTER_FAULT"  # the center owns up to it after the settlement
    METERING_ERROR = "METERING_ERROR"
    PRICE_ERROR = "PRICE_ERROR"
    DUPLICATE = "DUPLICATE"
    GOODWILL = "GOODWILL"


@dataclass(frozen=True, slots=True)
class Lowering:
    """What a run is to cost from now on, once per request id."""

    run: str
    gross_fen: int
    code: Code
    request_id: str

    @property
    def key(self) -> str:
        """The key under which it is made once."""
        return f"decided:{self.run}:{self.request_id}"


@dataclass(frozen=True, slots=True)
class Corrected:
    """The charge before and after, and the request if it needs or needed another person.

    ``done`` is False while it waits for that, and for a preview.
    """

    before: Charge
    after: Charge
    request: Request | None
    done: bool


_KEPT: Final = (Payer.WALLET, Payer.DEBT)


def correct(
    connection: Connection, order: Lowering, act: Act, approvals: Approvals, *, preview: bool
) -> Corrected:
    """Lower a charge of the actor's scope, or ask for it; a repeated request id does neither.

    A ``preview`` checks the same and writes nothing. Raises ``NotFound``, ``InvalidRequest`` for
    an amount that is not below what the run costs, ``WrongState`` for a run that is not settled
    or whose subsidies were clawed back, ``RequestIdReused``.
    """
    before = find(connection, act.actor.scope, order.run)
    if _made(connection, order):
        return Corrected(before, before, change_requests.find(connection, order.key), True)
    if not preview:
        corrections.lock(connection, [before])
        before = find(connection, act.actor.scope, order.run)
    revision = _lowered(before, order, act.actor.subject, str(act.actor.role), act.reason)
    after = _standing(before, revision)
    if preview:
        return Corrected(before, after, None, False)
    less_fen = before.gross_fen - order.gross_fen
    size = Size(ChangeKind.CORRECTION, f"runs/{order.run}", less_fen, order.key)
    if lone_changes.needs_another(connection, size, act, approvals):
        return Corrected(before, after, _propose(connection, before, order, act), False)
    _write(connection, revision, act)
    lone_changes.note(connection, size, act)
    return Corrected(before, find(connection, EVERYTHING, order.run), None, True)


def apply(connection: Connection, request: Request, act: Act) -> None:
    """Lower what was approved; raises what ``correct`` does if it no longer fits."""
    payload = request.payload
    order = Lowering(
        payload["run"], payload["gross_fen"], Code(payload["code"]), payload["request_id"]
    )
    before = find(connection, EVERYTHING, order.run)
    corrections.lock(connection, [before])
    before = find(connection, EVERYTHING, order.run)
    _write(
        connection, _lowered(before, order, request.requester, request.role, request.reason), act
    )


def find(connection: Connection, scope: Scope, run: str) -> Charge:
    """Return the charge of a settled run; ``NotFound`` outside the scope, else ``WrongState``."""
    try:
        key = parse_run_id(run)
    except ValueError as error:
        raise InvalidRequest([FieldViolation("run_id", str(error))]) from error
    row = connection.exec_driver_sql(
        "SELECT city, enterprise FROM run WHERE job_uid = ? AND attempt = ?", key
    ).first()
    if row is None or not scope.covers(row[0], row[1]):
        raise NotFound(f"there is no run {run} that you may see")
    found = charge_book.load(connection, [key]).get(key)
    if found is None:
        raise WrongState(
            f"run {run} is not settled yet; what is held for it is freed or charged when it is",
            subject=f"runs/{run}",
            reason="NOT_SETTLED",
        )
    return found


def _made(connection: Connection, order: Lowering) -> bool:
    """Whether this very order was made; raises ``RequestIdReused`` if another was, by its key."""
    row = connection.exec_driver_sql(
        "SELECT gross_fen, code FROM correction WHERE idem_key = ?", (order.key,)
    ).first()
    if row is None:
        return False
    if tuple(row) != (order.gross_fen, str(order.code)):
        raise RequestIdReused(
            f"request id {order.request_id!r} already corrected this run to {yuan(row[0])}; use a"
            " new request id for another correction"
        )
    return True


def _propose(connection: Connection, before: Charge, order: Lowering, act: Act) -> Request:
    proposal = Proposal(
        ChangeKind.CORRECTION,
        f"runs/{order.run}",
        before.run.city,
        {
            "run": order.run,
            "gross_fen": order.gross_fen,
            "code": str(order.code),
            "request_id": order.request_id,
        },
        before={"gross_fen": before.gross_fen},
        after={"gross_fen": order.gross_fen, "code": str(order.code)},
        amount_fen=before.gross_fen - order.gross_fen,
        request_key=order.key,
    )
    return change_requests.propose(connection, proposal, act)


# --- what it comes to -----------------------------------------------------------------------------


def _check(before: Charge, order: Lowering) -> None:
    least, most = before.written_off_fen, before.gross_fen
    if not least <= order.gross_fen < most:
        allowed = f"it may be corrected to {yuan(least)} up to below {yuan(most)}, not to"
        if most <= least:
            allowed = "nothing of it is left to lower, so it cannot be corrected to"
        what = (
            f"run {order.run} costs {yuan(most)}, {yuan(least)} of it written off: {allowed}"
            f" {yuan(order.gross_fen)}; a charge is never raised by hand"
        )
        raise InvalidRequest([FieldViolation("gross_fen", what)])
    if before.clawed_back_fen:
        raise WrongState(
            f"{yuan(before.clawed_back_fen)} of the subsidies of run {order.run} were clawed back;"
            " its charge stands as it is",
            subject=f"runs/{order.run}",
            reason="CLAWED_BACK",
        )


def _lowered(before: Charge, order: Lowering, actor: str, role: str, reason: str) -> Revision:
    """Return the charge at its new sum."""
    _check(before, order)
    borne, given = _borne(before)
    amounts = lowered(borne, order.gross_fen - before.written_off_fen)
    shares = dict(zip(given, amounts, strict=False))
    lines = [
        line._replace(amount=shares.get(number, line.amount))
        for number, line in before.given
        if shares.get(number, line.amount)
    ]
    wallet, debt = amounts[len(given)], amounts[len(given) + 1] + before.written_off_fen
    why = Why("DECIDED", str(order.code), order.key, actor, role, reason)
    return Revision(
        before, why, before.basis, _rated(before, order.gross_fen), lines,
        _pays(before, lines, wallet, debt),
    )  # fmt: skip


def _borne(before: Charge) -> tuple[list[Borne], list[int]]:
    """Who bears the charge: each subsidy in fen (with the numbers of their lines), wallet, debt.

    What was written off of the debt is left out: it is gone.
    """
    claims = {one.debit for one in before.entries if one.credit.startswith("claim:")}
    numbers, borne = [], []
    for number, line in before.given:
        if line.ledger == "CNY":
            payer = Payer.CLAIM if line.account in claims else Payer.SUBSIDY
            numbers.append(number)
            borne.append(Borne(payer, line.amount))
    wallet = sum(one.amount for one in before.entries if one.debit.startswith("wallet:"))
    borne += [
        Borne(Payer.WALLET, wallet),
        Borne(Payer.DEBT, before.debt_fen - before.written_off_fen),
    ]
    return borne, numbers


def _rated(before: Charge, gross_fen: int) -> list[RatedRow]:
    parts = split(gross_fen, [line.gross_fen for line in before.rated])
    return [line._replace(gross_fen=fen) for line, fen in zip(before.rated, parts, strict=True)]


def _pays(before: Charge, lines: list[Given], wallet: int, debt: int) -> list[Pay]:
    """Return what each account that pays now pays then."""
    then: dict[str, int] = {}
    for line in lines:
        then[line.account] = then.get(line.account, 0) + line.amount
    pays: list[Pay] = []
    for one in before.entries:
        if one.debit.startswith("wallet:"):
            amount, wallet = wallet, 0
        elif one.debit.startswith("receivable:"):
            amount, debt = debt, 0
        else:
            amount = then.pop(one.debit, 0)
        if amount:
            pays.append(Pay(one.shard, one.ledger, one.debit, one.credit, amount))
    return pays


def _standing(before: Charge, revision: Revision) -> Charge:
    """The charge as the revision would leave it, for a preview."""
    return Charge(
        before.run, before.job_state, before.flavor, before.billed, before.revision + 1, True,
        before.settled_fen, before.basis,
        tuple(charge_book.Standing(*one, "") for one in revision.pays), tuple(revision.rated),
        tuple(enumerate(revision.given)), before.written_off_fen, before.clawed_back_fen,
    )  # fmt: skip


def _write(connection: Connection, revision: Revision, act: Act) -> None:
    """Write it, with the audit row of who made it so."""
    before, run = revision.charge, revision.charge.run
    corrections.write(connection, [revision], act.now_ms)
    audit_trail.record(
        connection,
        act.actor,
        "CHARGE_CORRECTED",
        f"runs/{run_id(run.uid, run.attempt)}",
        at_ms=act.wall_ms,
        before={"gross_fen": before.gross_fen, "subsidy_fen": before.subsidy_fen},
        after={
            "gross_fen": revision.gross_fen,
            "subsidy_fen": revision.subsidy_fen,
            "code": revision.why.code,
        },
        reason=act.reason,
        city=run.city,
        enterprise=run.enterprise,
    )
