"""Statements: what they state, the entries they rest on, and their files."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_PARTS: Final = ("statement_range", "statement_file", "statement_party")
#: What of a statement never changes.
_MADE: Final = (
    "number", "kind", "owner", "city", "period", "revision", "start_ms", "end_ms", "invoice",
    "lines", "charges", "gross_fen", "share_fen", "others_fen", "self_pay_fen", "claim_fen",
    "written_off_fen", "due_fen", "corrections", "later_fen", "created_ms", "created_by",
)  # fmt: skip
_BOOKED: Final = "job_uid <> 0 AND kind IN ('POST', 'DIRECT')"


def upgrade() -> None:
    """Add the tables and their guards, and an index by which a period's entries are found."""
    _statement()
    op.create_table(
        "statement_range",
        *map(_text, ("number", "shard")),
        *map(_big, ("seq_from", "seq_to", "entries", "amount")),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", "shard"),
    )
    op.create_table(
        "statement_file",
        *map(_text, ("number", "format", "sha256")),
        _big("size_bytes"),
        sa.PrimaryKeyConstraint("number", "format"),
    )
    op.create_table(
        "statement_party",
        *map(_text, ("number", "kind", "code", "name", "ref")),
        sa.PrimaryKeyConstraint("number", "kind", "code"),
    )
    for table in _PARTS:
        for verb in ("UPDATE", "DELETE"):
            _guard(table, verb)
    _guard("statement", "DELETE")
    differs = "IS DISTINCT FROM" if _postgresql() else "IS NOT"
    _guard("statement", "UPDATE", " OR ".join(f"NEW.{one} {differs} OLD.{one}" for one in _MADE))
    booked = sa.text(_BOOKED)
    op.create_index(
        "transfer_booked", "transfer", ["effective_ms", "job_uid", "attempt"],
        sqlite_where=booked, postgresql_where=booked,
    )  # fmt: skip


def downgrade() -> None:
    """Forget all statements."""
    op.drop_index("transfer_booked", "transfer")
    for table in (*_PARTS, "statement"):
        op.drop_table(table)


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _text(name: str) -> Any:
    return sa.Column(name, sa.String(), nullable=False)


def _big(name: str, null: bool = False) -> Any:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def _statement() -> None:
    op.create_table(
        "statement",
        *map(_text, _MADE[:5]),
        sa.Column("revision", sa.Integer(), nullable=False),
        *map(_big, _MADE[6:8]),
        _text("invoice"),
        *map(_big, _MADE[9:21]),
        *map(_text, ("created_by", "state")),
        _big("issued_ms", null=True),
        _text("issued_by"),
        _big("paid_ms", null=True),
        *map(_text, ("paid_by", "payment_ref")),
        _big("disputed_ms", null=True),
        *map(_text, ("disputed_by", "dispute")),
        sa.PrimaryKeyConstraint("number"),
        sa.CheckConstraint("kind IN ('CENTER', 'CITY', 'ENTERPRISE')", name="kind"),
        sa.CheckConstraint("state IN ('DISPUTED', 'DRAFT', 'ISSUED', 'PAID')", name="state"),
        sa.CheckConstraint("revision > 0 AND end_ms > start_ms", name="span"),
        sa.UniqueConstraint("kind", "owner", "period", "revision", name="statement_revision"),
    )
    op.create_index("ix_statement_city", "statement", ["city"])


def _guard(table: str, verb: str, when: str = "") -> None:
    """Let the database refuse it: always, or where ``when`` holds."""
    condition = f" WHEN ({when})" if when else ""
    op.execute(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
        + (
            f" FOR EACH ROW{condition} EXECUTE FUNCTION corridor_insert_only()"
            if _postgresql()
            else f"{condition} BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
        )
    )
