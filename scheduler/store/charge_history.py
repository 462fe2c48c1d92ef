"""How a charge came about: its corrections, and what programmes answered at admission."""

from typing import NamedTuple

from sqlalchemy import Connection

from scheduler.store import frozen
from scheduler.store.charge_rows import Run
from scheduler.store.frozen import FrozenRule


class Past(NamedTuple):
    """One correction; ``code`` USAGE for use that the center stated later."""

    revision: int
    code: str
    gross_fen: int
    subsidy_fen: int
    actor: str
    reason: str
    booked_ms: int
    month: str


def read(connection: Connection, run: Run) -> tuple[list[Past], list[FrozenRule]]:
    """Return a run's corrections in order, and the programmes that were asked for it."""
    key = (run.uid, run.attempt)
    past = connection.exec_driver_sql(
        "SELECT revision, CASE WHEN kind = 'USAGE' THEN kind ELSE code END, gross_fen,"
        " subsidy_fen, actor, reason, booked_ms, ref_period FROM correction"
        " WHERE job_uid = ? AND attempt = ? ORDER BY revision",
        key,
    )
    told = [Past(*row) for row in past]
    held = connection.exec_driver_sql(
        "SELECT frozen, price_id, price_ufen FROM hold WHERE job_uid = ? AND attempt = ?"
        " AND rev = 0",
        key,
    ).one()
    return told, list(frozen.read(*held).rules)
