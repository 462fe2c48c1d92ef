"""Rows as they are, for those who check the books from outside; read-only."""

from typing import NamedTuple

from sqlalchemy import Connection

from quota.transfers import Link
from scheduler.store.database import open_engine
from scheduler.store.transfers import stream


class RunRow(NamedTuple):
    """One attempt; instants are None for what did not happen."""

    uid: int
    attempt: int
    city: str
    enterprise: str
    center: str
    flavor: str
    units: int
    state: str
    admit_ms: int
    start_ms: int | None
    end_ms: int | None
    settled_ms: int | None
    failure: str | None


class AccountRow(NamedTuple):
    """An account's four sums in fen."""

    account: str
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int


class Evidence(NamedTuple):
    """All of one snapshot: runs by job and attempt, entries by shard and place."""

    runs: list[RunRow]
    accounts: list[AccountRow]
    open_holds: int
    transfers: list[Link]


def read(connection: Connection) -> Evidence:
    """Read everything on one snapshot."""
    run = connection.exec_driver_sql
    rows = run(
        "SELECT job_uid, attempt, city, enterprise, center, flavor, units, state, admit_ms,"
        " start_ms, end_ms, settled_ms, failure_class FROM run ORDER BY job_uid, attempt"
    )
    accounts = run(
        "SELECT account_id, debits_pending, debits_posted, credits_pending, credits_posted"
        " FROM account ORDER BY account_id"
    )
    holds = run("SELECT count(*) FROM hold WHERE state = 'HELD'").scalar_one()
    return Evidence(
        [RunRow(*row) for row in rows],
        [AccountRow(*row) for row in accounts],
        int(holds),
        list(stream(connection)),
    )


def read_file(url: str) -> Evidence:
    """Read everything from a database that a service may be using."""
    engine = open_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            return read(connection)
    finally:
        engine.dispose()
