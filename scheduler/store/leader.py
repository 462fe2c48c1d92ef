"""Who leads: one row with an epoch that fences every write of the control loop.

A leader takes a new epoch when it begins and checks it inside each of its write transactions; one
that was replaced while it slept finds another epoch and writes nothing (DESIGN.md 9).
"""

from sqlalchemy import Connection, text


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


def _compare(connection: Connection, epoch: int, lock: str) -> None:
    found = connection.exec_driver_sql(f"SELECT epoch FROM leader WHERE one = 1{lock}").scalar()
    if found != epoch:
        raise Fenced(f"epoch {epoch} was replaced by {found}")
