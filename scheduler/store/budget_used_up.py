"""Which budgets are used up and may go below zero: what waits for them is ordered last of all."""

from sqlalchemy import Connection

from scheduler.placement.model import Delta, UsedUp

#: An enterprise's budget is under the terms of the city where the enterprise is now.
_USED_UP = (
    "SELECT b.node, b.flavor FROM budget b LEFT JOIN enterprise e ON e.code = b.enterprise"
    " JOIN budget_city t ON t.city = coalesce(e.city, b.city)"
    " WHERE t.enabled AND t.mode = 'OVERBURN' AND b.start_ms <= {now} AND b.end_ms > {now}"
    " AND b.allotted_unit_seconds + b.received_unit_seconds - b.given_unit_seconds"
    " <= b.held_unit_seconds + b.settled_unit_seconds ORDER BY b.node, b.flavor"
)


def told(connection: Connection, now_ms: int) -> list[Delta]:
    """Return what the planner is told of it; nothing where no city ever had budgets."""
    if not _any(connection):
        return []
    rows = connection.exec_driver_sql(_USED_UP.format(now=now_ms))
    return [UsedUp(tuple((node, flavor) for node, flavor in rows))]


def told_after(connection: Connection, seq: int) -> list[Delta]:
    """Return what it is told of it as of an event."""
    if not _any(connection):
        return []
    now_ms = connection.exec_driver_sql(f"SELECT at_ms FROM event WHERE seq = {seq}").scalar_one()
    return told(connection, int(now_ms))


def _any(connection: Connection) -> bool:
    return connection.exec_driver_sql("SELECT 1 FROM budget_city LIMIT 1").first() is not None
