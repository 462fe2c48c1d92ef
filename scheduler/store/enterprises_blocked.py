"""Enterprises that may start nothing until somebody lets them go on."""

from sqlalchemy import Connection

from scheduler.errors import NotFound
from scheduler.store import audit_trail, bookings
from scheduler.store.change_requests import Act


def block(connection: Connection, enterprise: str, blocked: bool, act: Act) -> None:
    """Block an enterprise of the actor's scope or let it go on; runs under way are not touched.

    Raises ``NotFound`` outside the scope.
    """
    row = connection.exec_driver_sql(
        "SELECT city, blocked FROM enterprise WHERE code = ?", (enterprise,)
    ).first()
    if row is None or not act.actor.scope.covers(row[0], enterprise):
        raise NotFound(f"there is no enterprise {enterprise!r} that you manage")
    if bool(row[1]) == blocked:
        return
    connection.exec_driver_sql(
        "UPDATE enterprise SET blocked = ? WHERE code = ?", (blocked, enterprise)
    )
    bookings.tell(connection, {row[0]}, act.now_ms)
    audit_trail.record(
        connection,
        act.actor,
        "ENTERPRISE_BLOCKED" if blocked else "ENTERPRISE_UNBLOCKED",
        f"enterprises/{enterprise}",
        at_ms=act.wall_ms,
        before={"blocked": not blocked},
        after={"blocked": blocked},
        reason=act.reason,
        city=row[0],
        enterprise=enterprise,
    )
