"""The little that is asked of the database to see that it is there, how fast, and on what clock."""

from typing import NamedTuple

from sqlalchemy import Connection


class Vitals(NamedTuple):
    """Sequence of the newest event that is committed, the day of the newest digest ("" if none),
    and the clock of the database's machine in epoch ms: None if it is this one's."""

    head: int
    digest_day: str
    clock_ms: int | None


def read(connection: Connection) -> Vitals:
    """Read all in two or three short statements."""
    run = connection.exec_driver_sql
    head = run("SELECT coalesce(max(seq), 0) FROM event").scalar_one()
    day = run("SELECT max(day) FROM ledger_digest").scalar()
    clock_ms = None
    if connection.dialect.name == "postgresql":
        clock = run("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        clock_ms = int(clock.scalar_one())
    return Vitals(int(head), str(day or ""), clock_ms)
