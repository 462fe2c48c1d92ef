"""Use cases of charges of settled runs: shown, corrected, written off, clawed back."""

from dataclasses import dataclass

from scheduler.domain.principal import Principal
from scheduler.errors import InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import charge_history, charge_orders, debts, enterprises_blocked
from scheduler.store.change_requests import Act
from scheduler.store.charge_book import Charge
from scheduler.store.charge_history import Past
from scheduler.store.charge_orders import Corrected, Lowering
from scheduler.store.database import Connection
from scheduler.store.debts import Clawback, Settled, WriteOff
from scheduler.store.frozen import FrozenRule


@dataclass(frozen=True, slots=True)
class Told:
    """A charge with its corrections, and what programmes answered at admission."""

    charge: Charge
    past: list[Past]
    answers: list[FrozenRule]


def _act(context: Context, caller: Principal, reason: str) -> Act:
    return Act(caller, reason, context.clock.now_ms(), context.wall_ms())


async def show(context: Context, caller: Principal, run: str) -> Told:
    """Return what a settled run costs; raises ``InvalidRequest``, ``NotFound``, ``WrongState``."""
    if wrong := checks.given("run_id", run, 64):
        raise InvalidRequest(wrong)

    def read(connection: Connection) -> Told:
        charge = charge_orders.find(connection, caller.scope, run)
        return Told(charge, *charge_history.read(connection, charge.run))

    return await context.db.read(read)


async def correct(
    context: Context, caller: Principal, order: Lowering, reason: str, *, validate_only: bool
) -> Corrected:
    """Lower a charge once per request id, ask for it, or only show what would become of it.

    Raises ``InvalidRequest``, ``NotFound``, ``WrongState``, ``RequestIdReused``.
    """
    wrong = checks.given("run_id", order.run, 64) + checks.reason(reason)
    if not validate_only:
        wrong += checks.given("request_id", order.request_id, 128)
    wrong += checks.whole("gross_fen", order.gross_fen, checks.MONEY_MAX_FEN)
    if wrong:
        raise InvalidRequest(wrong)
    act = _act(context, caller, reason)
    call = context.db.read if validate_only else context.db.write
    return await call(
        lambda c: charge_orders.correct(c, order, act, context.approvals, preview=validate_only)
    )


async def write_off(context: Context, caller: Principal, order: WriteOff, reason: str) -> Settled:
    """Give up a debt once per request id, or ask for it; raises what ``correct`` does."""
    _check(order.run, order.request_id, order.amount_fen, reason)
    act = _act(context, caller, reason)
    return await context.db.write(lambda c: debts.write_off(c, order, act, context.approvals))


async def claw_back(context: Context, caller: Principal, order: Clawback, reason: str) -> Settled:
    """Take a subsidy back once per request id; raises what ``correct`` does, and ``Forbidden``."""
    _check(order.run, order.request_id, order.amount_fen, reason)
    if wrong := checks.given("programme", order.programme):
        raise InvalidRequest(wrong)
    act = _act(context, caller, reason)
    return await context.db.write(lambda c: debts.claw_back(c, order, act))


async def block(
    context: Context, caller: Principal, enterprise: str, blocked: bool, reason: str
) -> bool:
    """Block an enterprise or let it go on; raises ``InvalidRequest`` and ``NotFound``."""
    if wrong := checks.given("enterprise", enterprise) + checks.reason(reason):
        raise InvalidRequest(wrong)
    act = _act(context, caller, reason)
    await context.db.write(lambda c: enterprises_blocked.block(c, enterprise, blocked, act))
    return blocked


def _check(run: str, request_id: str, amount_fen: int, reason: str) -> None:
    wrong = checks.given("run_id", run, 64) + checks.given("request_id", request_id, 128)
    wrong += checks.whole("amount_fen", amount_fen, checks.MONEY_MAX_FEN, least=1)
    wrong += checks.reason(reason)
    if wrong:
        raise InvalidRequest(wrong)
