"""Tables of statements: what one states, on which entries it rests, and its files; see ``tables``.

Lines are not stored: they are made from the ledger again, whose entries of a closed period never
change. What could change since, such as the name of an enterprise, is kept as it was. Once made,
only the state of a statement ever changes, with who changed it and why.
"""

from typing import Final

from sqlalchemy import CheckConstraint, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from scheduler.store.tables import _big as big

KINDS: Final = ("CENTER", "CITY", "ENTERPRISE")
STATES: Final = ("DISPUTED", "DRAFT", "ISSUED", "PAID")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


class Statement(SQLModel, table=True):
    """A statement of one owner and period; revision n + 1 follows n that was disputed.

    Sums are those of ``quota.statements.Totals``, in fen. ``city`` is the owner's, "" of a center.
    ``later_fen`` is what corrections of its months change that are booked, and stated, later.
    ``format_version`` is how its files are made: ``quota.statements.FORMAT_VERSION`` at its making.
    """

    __table_args__ = (
        CheckConstraint(f"kind IN ({_listed(KINDS)})", name="kind"),
        CheckConstraint(f"state IN ({_listed(STATES)})", name="state"),
        CheckConstraint("revision > 0 AND end_ms > start_ms", name="span"),
        UniqueConstraint("kind", "owner", "period", "revision", name="statement_revision"),
    )
    number: str = Field(primary_key=True)
    kind: str
    owner: str
    city: str = Field(index=True)
    period: str
    revision: int
    start_ms: int = big()
    end_ms: int = big()
    invoice: str
    lines: int = big()
    charges: int = big()
    gross_fen: int = big()
    share_fen: int = big()
    others_fen: int = big()
    self_pay_fen: int = big()
    claim_fen: int = big()
    written_off_fen: int = big()
    due_fen: int = big()
    corrections: int = big()
    later_fen: int = big()
    created_ms: int = big()
    created_by: str
    state: str
    issued_ms: int | None = big(null=True)
    issued_by: str = ""
    paid_ms: int | None = big(null=True)
    paid_by: str = ""
    payment_ref: str = ""
    disputed_ms: int | None = big(null=True)
    disputed_by: str = ""
    dispute: str = ""
    format_version: int = 1


class StatementRange(SQLModel, table=True):
    """Entries of one shard on which a statement rests; ``head`` is the hash of the last."""

    __tablename__ = "statement_range"
    number: str = Field(primary_key=True)
    shard: str = Field(primary_key=True)
    seq_from: int = big()
    seq_to: int = big()
    entries: int = big()
    amount: int = big()
    head: bytes = Field(sa_type=LargeBinary)


class StatementFile(SQLModel, table=True):
    """A file of a statement as it was first made: made again, it must be the same."""

    __tablename__ = "statement_file"
    number: str = Field(primary_key=True)
    format: str = Field(primary_key=True)
    sha256: str
    size_bytes: int = big()


class StatementParty(SQLModel, table=True):
    """How an enterprise or programme was called when a statement was made.

    ``kind`` is ``enterprises`` (``ref`` the credit code) or ``programmes`` (its document).
    """

    __tablename__ = "statement_party"
    number: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    name: str
    ref: str
