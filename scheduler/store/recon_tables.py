"""The table of comparisons with centers' own records; differences are in ``charge_tables``."""

from sqlalchemy import CheckConstraint, Index
from sqlmodel import SQLModel

from scheduler.store.budget_tables import _serial as serial
from scheduler.store.tables import _big as big


class ReconRun(SQLModel, table=True):
    """One comparison of what ended in [from_ms, to_ms) at a center; insert-only.

    ``sha256`` is the digest of the center's records as they were compared.
    """

    __tablename__ = "recon_run"
    __table_args__ = (
        CheckConstraint("to_ms > from_ms", name="span"),
        Index("recon_run_center", "center", "number"),
        {"sqlite_autoincrement": True},
    )
    number: int | None = serial()
    center: str
    from_ms: int = big()
    to_ms: int = big()
    source: str
    sha256: str
    record_count: int = big()
    foreign_count: int = big()
    unsettled_count: int = big()
    agreed_count: int = big()
    difference_count: int = big()
    new_count: int = big()
    ended_count: int = big()
    actor: str
    reason: str
    created_ms: int = big()
