"""What is done when a change request is approved, by its kind.

A module that lets changes wait gives the function that makes them, and one row here.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.approving import ChangeKind
from scheduler.store import (
    appropriations,
    change_requests,
    charge_orders,
    debts,
    funds_reduction,
    price_changes,
    revised_use,
    rule_changes,
)
from scheduler.store.change_requests import Act, Applier, Request


def _correct(connection: Connection, request: Request, act: Act) -> None:
    """A charge is corrected by hand, or by a center's record that is taken over."""
    apply = revised_use.apply if "difference" in request.payload else charge_orders.apply
    apply(connection, request, act)


APPLY: Final[Mapping[ChangeKind, Applier]] = {
    ChangeKind.APPROPRIATE: appropriations.apply,
    ChangeKind.LOWER: funds_reduction.apply,
    ChangeKind.RULE_VERSION: rule_changes.apply,
    ChangeKind.RULE_END: rule_changes.apply_end,
    ChangeKind.PRICE_VERSION: price_changes.apply,
    ChangeKind.WRITE_OFF: debts.apply,
    ChangeKind.CORRECTION: _correct,
}


def approve(connection: Connection, number: int, act: Act) -> Request:
    """Approve a change request and make its change; raises what either does."""

    def make(on: Connection, request: Request, by: Act) -> None:
        APPLY[request.kind](on, request, by)

    return change_requests.approve(connection, number, act, make)
