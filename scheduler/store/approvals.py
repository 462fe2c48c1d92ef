"""What is done when a change request is approved, by its kind.

A module that lets changes wait gives the function that makes them, and one row here.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.approving import ChangeKind
from scheduler.store import appropriations, change_requests
from scheduler.store.change_requests import Act, Applier, Request

APPLY: Final[Mapping[ChangeKind, Applier]] = {
    ChangeKind.APPROPRIATE: appropriations.apply,
}


def approve(connection: Connection, number: int, act: Act) -> Request:
    """Approve a change request and make its change; raises what either does."""

    def make(on: Connection, request: Request, by: Act) -> None:
        APPLY[request.kind](on, request, by)

    return change_requests.approve(connection, number, act, make)
