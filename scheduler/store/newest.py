"""The newest of what is stored, from which the clock and the ids of a new process go on."""

from typing import Final

from sqlalchemy import Connection

from scheduler.store import elements

#: Events are stored in order of commit, which is nearly that of time.
_LAST_EVENTS: Final = 10_000


def newest_ms(connection: Connection) -> int | None:
    """Return the newest instant of scheduling time in the feed; None if nothing has happened.

    Closing a month tells nothing to the feed, and nothing may be booked before it afterwards.
    """
    found = connection.exec_driver_sql(
        "SELECT max(at_ms) FROM (SELECT max(at_ms) AS at_ms FROM"
        f" (SELECT at_ms FROM event ORDER BY seq DESC LIMIT {_LAST_EVENTS}) AS last_events"
        " UNION ALL SELECT max(closed_ms) FROM book_month) AS known"
    ).scalar()
    return None if found is None else int(found)


def newest_uid(connection: Connection) -> int:
    """Return the highest uid of a job, or kept for an element of one; 0 without jobs."""
    last = int(connection.exec_driver_sql("SELECT max(uid) FROM job").scalar() or 0)
    return max(last, elements.last_uid(connection))


def is_loaded(connection: Connection) -> bool:
    """Whether data files were loaded: there is a city."""
    return connection.exec_driver_sql("SELECT 1 FROM city LIMIT 1").first() is not None


def has_operator(connection: Connection, wall_ms: int) -> bool:
    """Whether an operator's token is valid at ``wall_ms``."""
    found = connection.exec_driver_sql(
        "SELECT 1 FROM token WHERE role = 'OPERATOR' AND revoked_ms IS NULL"
        f" AND expire_ms > {wall_ms} LIMIT 1"
    )
    return found.first() is not None
