"""Tables of what becomes of a charge after its settlement; see ``tables``."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from scheduler.store.tables import _big as big

#: Why a charge was changed: its center stated other use, or somebody decided so.
CORRECTION_KINDS: Final = ("DECIDED", "USAGE")
#: How our books and a center's differ. RECORD: one record was stated twice, in two ways.
DIFFERENCES: Final = ("AMOUNT", "MISSING_HERE", "MISSING_THERE", "RECORD", "SECONDS", "UNITS")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _serial() -> Any:
    return Field(
        default=None,
        sa_column=sa.Column(
            BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
    )


class Correction(SQLModel, table=True):
    """A change of what a settled run costs, insert-only: revision 1, 2 and so on of its charge.

    The four sums are what the run costs from then on: gross, and who bears it. ``basis`` is the
    digest of the use that it rests on; ``ref_period`` the month of that use. ``idem_key`` names the
    wish of the caller, or the use.
    """

    __table_args__ = (
        CheckConstraint(f"kind IN ({_listed(CORRECTION_KINDS)})", name="kind"),
        CheckConstraint(
            "gross_fen >= 0 AND gross_fen = subsidy_fen + self_pay_fen + receivable_fen",
            name="sums",
        ),
        UniqueConstraint("idem_key", name="correction_idem_key"),
    )
    job_uid: int = big(pk=True)
    attempt: int = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    kind: str
    code: str
    gross_fen: int = big()
    subsidy_fen: int = big()
    self_pay_fen: int = big()
    receivable_fen: int = big()
    basis: str
    ref_period: str
    idem_key: str
    actor: str
    role: str
    reason: str
    booked_ms: int = big()


class ReconDiff(SQLModel, table=True):
    """A difference between our books and what a center says, until somebody resolves it.

    ``here`` and ``there`` are what each side says, as JSON. ``charge_revision`` is the revision of
    the run's charge by which it was resolved, if any.
    """

    __tablename__ = "recon_diff"
    __table_args__ = (
        CheckConstraint(f"kind IN ({_listed(DIFFERENCES)})", name="kind"),
        CheckConstraint("state IN ('OPEN', 'RESOLVED')", name="state"),
        Index(
            "recon_diff_open",
            "center",
            sqlite_where=text("state = 'OPEN'"),
            postgresql_where=text("state = 'OPEN'"),
        ),
        UniqueConstraint("idem_key", name="recon_diff_idem_key"),
        {"sqlite_autoincrement": True},
    )
    diff_id: int | None = _serial()
    center: str
    kind: str
    native_id: str
    submit_ms: int = big()
    segment: int
    job_uid: int = big(0)
    attempt: int = 0
    use_ms: int = big()
    here: str
    there: str
    state: str = "OPEN"
    found_ms: int = big()
    idem_key: str
    resolved_ms: int | None = big(null=True)
    resolved_by: str = ""
    resolution: str = ""
    charge_revision: int | None = None
