"""Use cases of prices: shown to all, set by operators."""

from dataclasses import dataclass
from typing import Final

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.services import approving, checks
from scheduler.services.context import Context
from scheduler.services.programmes import Command
from scheduler.store import price_changes, prices
from scheduler.store.change_requests import Request
from scheduler.store.database import Connection
from scheduler.store.price_changes import PriceChange
from scheduler.store.prices import PriceInfo

#: A million yuan for an hour of one unit: whatever is above is a mistake.
PRICE_MAX_UFEN: Final = 10**8 * 10**6 // 3600
_PRICES_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Priced:
    """The request that waits, or the versions that are there because nobody had to approve them."""

    request: Request | None
    prices: list[PriceInfo]


async def list_prices(
    context: Context, center: str, flavor: str, limit: int, after: tuple[str, int, str]
) -> list[PriceInfo]:
    """Return at most ``limit`` versions by flavor, the newest first, after a key."""
    return await context.db.read(lambda c: prices.list_prices(c, center, flavor, limit, after))


async def set_prices(
    context: Context, caller: Principal, change: PriceChange, command: Command
) -> Priced:
    """Ask for prices of a center; raises ``InvalidRequest``, ``NotFound``, ``RequestIdReused``."""
    wrong = checks.given("request_id", command.request_id, 128) + checks.reason(command.reason)
    wrong += checks.given("center", change.center) + _check(change)
    if wrong:
        raise InvalidRequest(wrong)
    act = approving.act_of(context, caller, command.reason)
    key = f"price:{change.center}:{caller.subject}:{command.request_id}"

    def ask(connection: Connection) -> Priced:
        request = price_changes.propose(connection, change, act, context.approvals, key)
        if request is not None:
            return Priced(request, [])
        newest = [prices.list_prices(connection, "", one.flavor, 1) for one in change.prices]
        return Priced(None, [one for found in newest for one in found])

    return await approving.do(context, ask, validate_only=command.validate_only)


def _check(change: PriceChange) -> list[FieldViolation]:
    if not 0 < len(change.prices) <= _PRICES_MAX:
        return [FieldViolation("prices", f"must be 1..{_PRICES_MAX}, one for each flavor")]
    wrong = []
    seen: set[str] = set()
    for at, (flavor, price_ufen) in enumerate(change.prices):
        name = f"prices[{at}].price_ufen_per_unit_second"
        wrong += checks.whole(name, price_ufen, PRICE_MAX_UFEN)
        if flavor in seen:
            wrong.append(FieldViolation(f"prices[{at}].flavor", f"{flavor!r} stands there twice"))
        seen.add(flavor)
    return wrong
