"""Prices of a center, put in force by two persons: of several flavors at once, all or none.

What was quoted and held keeps the price it was quoted; nothing is ever priced backwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from quota.rules import CORRIDOR
from scheduler.domain.approving import Approvals, ChangeKind
from scheduler.errors import FieldViolation, InvalidRequest, NotFound
from scheduler.store import audit_trail, bookings, catalog, change_requests, prices, terms
from scheduler.store.change_requests import Act, Proposal, Request
from scheduler.store.prices import PriceInfo
from scheduler.store.terms import Span


class NewPrice(NamedTuple):
    """What a flavor is to cost, in micro-fen per unit and second."""

    flavor: str
    price_ufen: int


@dataclass(frozen=True, slots=True)
class PriceChange:
    """Prices to put in force at ``from_ms`` (None: when they are approved).

    With ``replace_planned`` versions of these flavors that have not begun never do.
    """

    center: str
    prices: tuple[NewPrice, ...]
    from_ms: int | None = None
    replace_planned: bool = False


def propose(
    connection: Connection,
    change: PriceChange,
    act: Act,
    approvals: Approvals,
    request_key: str | None = None,
) -> Request | None:
    """Ask for prices, or put them in force if one person may; returns the request, if one waits.

    Raises ``NotFound`` for an unknown center, ``InvalidRequest`` for what is wrong with the prices.
    """
    if request_key is None or change_requests.find(connection, request_key) is None:
        wrong = _wrong(connection, change, act.now_ms)
        if wrong:
            raise InvalidRequest(wrong)
    from_ms = act.now_ms if change.from_ms is None else change.from_ms
    until = {one.flavor: _until(connection, one.flavor, from_ms) for one in change.prices}
    dates = {} if change.from_ms is None else {"effective_from_ms": change.from_ms}
    proposal = Proposal(
        ChangeKind.PRICE_VERSION,
        f"centers/{change.center}/prices",
        CORRIDOR,
        _payload(change),
        before={flavor: None if one is None else one.price_ufen for flavor, one in until.items()},
        after={**dict(change.prices), **dates},
        request_key=request_key,
    )
    return change_requests.ask_or_make(connection, proposal, act, approvals, apply)


def apply(connection: Connection, request: Request, act: Act) -> None:
    """Put approved prices in force; raises ``WrongState`` if they no longer fit."""
    change = _change(request.payload)
    terms.lock(connection, "flavor", [one.flavor for one in change.prices])
    terms.check_still_fits(request, _wrong(connection, change, act.now_ms))
    units = {one.flavor: one.unit for one in catalog.flavors(connection)}
    from_ms = act.now_ms if change.from_ms is None else change.from_ms
    for flavor, price_ufen in change.prices:
        for one in _planned(prices.versions_of(connection, flavor), act.now_ms):
            prices.cancel(connection, one.price_id)
        before = _until(connection, flavor, from_ms)
        new = PriceInfo(
            "", change.center, flavor, units[flavor], price_ufen, from_ms, None, act.now_ms,
            request.requester, request.decided_by,
        )  # fmt: skip
        price_id = prices.add_version(connection, new)
        audit_trail.record(
            connection,
            act.actor,
            "PRICE_SET",
            f"centers/{change.center}/prices/{price_id}",
            at_ms=act.wall_ms,
            before={"price_ufen": None if before is None else before.price_ufen},
            after={"price_ufen": price_ufen, "effective_from_ms": from_ms},
            reason=act.reason,
        )
    bookings.tell(connection, (CORRIDOR,), act.now_ms)


def _payload(change: PriceChange) -> Mapping[str, Any]:
    return {
        "center": change.center,
        "prices": [one._asdict() for one in change.prices],
        "from_ms": change.from_ms,
        "replace_planned": change.replace_planned,
    }


def _change(payload: Mapping[str, Any]) -> PriceChange:
    new = tuple(NewPrice(**one) for one in payload["prices"])
    return PriceChange(payload["center"], new, payload["from_ms"], payload["replace_planned"])


def _wrong(connection: Connection, change: PriceChange, now_ms: int) -> list[FieldViolation]:
    """Return what is wrong with prices as of now; raises ``NotFound`` for an unknown center."""
    of_center = sorted(
        one.flavor for one in catalog.flavors(connection) if one.center == change.center
    )
    if not of_center:
        raise NotFound(f"there is no center {change.center!r} that offers anything")
    wrong = terms.check_dates(change.from_ms, None, now_ms)
    if wrong:
        return wrong
    for at, (flavor, price_ufen) in enumerate(change.prices):
        where = f"prices[{at}]"
        if flavor not in of_center:
            what = f"{change.center} offers {', '.join(of_center)}, not {flavor!r}"
            wrong.append(FieldViolation(f"{where}.flavor", what))
            continue
        versions = prices.versions_of(connection, flavor)
        overlap = _overlap(change, versions, now_ms)
        if overlap is not None:
            wrong.append(FieldViolation(f"{where}.effective_time", overlap))
        elif _same(versions, price_ufen, now_ms if change.from_ms is None else change.from_ms):
            what = "is the price that is in force then: leave the flavor out"
            wrong.append(FieldViolation(f"{where}.price_ufen", what))
    return wrong


def _overlap(change: PriceChange, versions: Sequence[PriceInfo], now_ms: int) -> str | None:
    """Say which version of a flavor's price a new one would overlap, and what is allowed."""
    from_ms = now_ms if change.from_ms is None else change.from_ms
    planned = _planned(versions, now_ms)
    if not change.replace_planned:
        latest = sorted(versions, key=lambda one: one.from_ms, reverse=True)
        spans = [Span(one.price_id, one.from_ms, one.to_ms) for one in latest]
        instead = "begin after it, or replace what is planned"
        found = terms.clash(from_ms, None, spans, began_ms=now_ms, instead=instead)
        return None if found is None else found.description
    first_ms = min((one.from_ms for one in planned), default=from_ms)
    if first_ms < from_ms:
        return (
            f"would leave no price from {terms.instant_text(first_ms)}, when {planned[0].price_id}"
            " was to begin: begin then or earlier"
        )
    return None


def _planned(versions: Sequence[PriceInfo], now_ms: int) -> list[PriceInfo]:
    return [one for one in versions if one.state(now_ms) == terms.PLANNED]


def _same(versions: Sequence[PriceInfo], price_ufen: int, from_ms: int) -> bool:
    return any(
        one.price_ufen == price_ufen and one.state(from_ms) == terms.IN_FORCE for one in versions
    )


def _until(connection: Connection, flavor: str, from_ms: int) -> PriceInfo | None:
    """Return the version that is in force until a new one begins."""
    versions = prices.versions_of(connection, flavor)
    found = [one for one in versions if one.state(from_ms) == terms.IN_FORCE]
    return found[-1] if found else None
