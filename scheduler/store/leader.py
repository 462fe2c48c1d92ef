"""Who leads: one row with an epoch that fences every write of the control loop.

A leader takes a new epoch when it begins and checks it inside each of its write transactions; one
that was replaced while it slept finds another epoch and writes nothing (DESIGN.md 9).

Beside it lies the lease, in a row of its own so that it can be renewed while a write holds the
epoch. It says who leads, where that one is reached, and when others may take over.
"""

from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from scheduler.domain.leases import Lease

_LEASE: Final = "epoch, holder, name, address, beat, renewed_ms, lasts_ms"


class Fenced(Exception):
    """Another leader has taken over; this one must write nothing more."""


def take_over(connection: Connection, holder: str, now_ms: int) -> int:
    """Become the leader; returns the new epoch. The caller knows that no other one is alive."""
    connection.execute(
        text(
            "INSERT INTO leader (one, epoch, holder, renewed_ms) VALUES (1, 1, :holder, :now)"
            " ON CONFLICT (one) DO UPDATE SET"
            " epoch = leader.epoch + 1, holder = :holder, renewed_ms = :now"
        ),
        {"holder": holder, "now": now_ms},
    )
    return int(connection.execute(text("SELECT epoch FROM leader")).scalar_one())


def check(connection: Connection, epoch: int) -> None:
    """Raise ``Fenced`` unless ``epoch`` still leads; for transactions that write."""
    # Elsewhere a next leader has to wait until what this transaction writes is committed.
    _compare(connection, epoch, "" if connection.dialect.name == "sqlite" else " FOR SHARE")


def check_read(connection: Connection, epoch: int) -> None:
    """Raise ``Fenced`` unless ``epoch`` still leads; for those that only read: it locks nothing."""
    _compare(connection, epoch, "")


# --- the lease ------------------------------------------------------------------------------------


class Candidate(NamedTuple):
    """Who would lead: ``holder`` is unique to this start of a replica, ``lasts_ms`` its lease."""

    holder: str
    name: str
    address: str
    lasts_ms: int


def database_ms(connection: Connection) -> int:
    """Return the database's own clock in epoch milliseconds UTC: of all clocks, the one that all
    replicas share."""
    if connection.dialect.name == "sqlite":
        clock = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    else:
        clock = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    return int(connection.exec_driver_sql(f"SELECT {clock}").scalar_one())


def read_lease(connection: Connection) -> Lease | None:
    """Return the lease; None if nobody has ever led by one."""
    return _read_lease(connection, "")


def _read_lease(connection: Connection, lock: str) -> Lease | None:
    row = connection.exec_driver_sql(
        f"SELECT {_LEASE} FROM leader_lease WHERE one = 1{lock}"
    ).first()
    return None if row is None else Lease(*row)


def take_lease(
    connection: Connection, judged: Lease | None, by: Candidate, now_ms: int
) -> int | None:
    """Take the lease and with it the lead; returns the new epoch.

    None if it is not the lease any more that was ``judged`` to be over: somebody renewed or took
    it. ``now_ms`` is the database's clock. Waits for writes of the leader before.
    """
    run = connection.exec_driver_sql
    run(
        f"INSERT INTO leader_lease (one, {_LEASE}) VALUES (1, 0, '', '', '', 0, 0, 0)"
        " ON CONFLICT DO NOTHING"
    )
    found = _read_lease(connection, "" if connection.dialect.name == "sqlite" else " FOR UPDATE")
    assert found is not None, "it was made above"
    if found != (judged or Lease(0, "", "", "", 0, 0, 0)):
        return None
    epoch = take_over(connection, by.holder, now_ms)
    run(
        "UPDATE leader_lease SET epoch = ?, holder = ?, name = ?, address = ?, beat = beat + 1,"
        " renewed_ms = ?, lasts_ms = ? WHERE one = 1",
        (epoch, by.holder, by.name, by.address, now_ms, by.lasts_ms),
    )
    return epoch


def renew_lease(connection: Connection, epoch: int, holder: str, now_ms: int) -> bool:
    """Renew the lease at ``now_ms`` of the database's clock; False if another one leads.

    Waits for no write: the epoch is only looked at.
    """
    done = connection.exec_driver_sql(
        "UPDATE leader_lease SET beat = beat + 1, renewed_ms = ? WHERE one = 1 AND epoch = ?"
        " AND holder = ? AND lasts_ms > 0 AND epoch = (SELECT epoch FROM leader WHERE one = 1)",
        (now_ms, epoch, holder),
    )
    return done.rowcount == 1


def release_lease(connection: Connection, epoch: int, holder: str) -> None:
    """Let go of the lease, so that others need not wait until it is over."""
    connection.exec_driver_sql(
        "UPDATE leader_lease SET beat = beat + 1, address = '', lasts_ms = 0 WHERE one = 1"
        " AND epoch = ? AND holder = ?",
        (epoch, holder),
    )


def end_open_transactions(connection: Connection, application: str, older_ms: int) -> int:
    """End the connections of an application that are in a transaction begun ``older_ms`` before.

    What a process that is stopped has locked, it would keep for ever. Returns how many were ended;
    nothing to do on SQLite. Raises ``DBAPIError`` where the database does not allow it.
    """
    if connection.dialect.name == "sqlite":
        return 0
    run = connection.exec_driver_sql
    run("SET LOCAL ROLE NONE")  # who logged in may end what the same one began
    ended = run(
        "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = ?"
        " AND pid <> pg_backend_pid()"
        " AND xact_start < clock_timestamp() - ? * interval '1 millisecond' OFFSET 0) AS ended",
        (application, older_ms),
    )
    return int(ended.scalar_one())


def _compare(connection: Connection, epoch: int, lock: str) -> None:
    found = connection.exec_driver_sql(f"SELECT epoch FROM leader WHERE one = 1{lock}").scalar()
    if found != epoch:
        raise Fenced(f"epoch {epoch} was replaced by {found}")
