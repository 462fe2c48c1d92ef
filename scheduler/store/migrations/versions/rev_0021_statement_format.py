"""Statements keep the version of their files' format; those of before are of version 1."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

#: What of a statement never changes, without and with this revision.
_MADE: Final = (
    "number", "kind", "owner", "city", "period", "revision", "start_ms", "end_ms", "invoice",
    "lines", "charges", "gross_fen", "share_fen", "others_fen", "self_pay_fen", "claim_fen",
    "written_off_fen", "due_fen", "corrections", "later_fen", "created_ms", "created_by",
)  # fmt: skip
_NEW: Final = "format_version"


def upgrade() -> None:
    """Add it, and guard it like the rest of what a statement says."""
    version = sa.Column(_NEW, sa.Integer(), nullable=False, server_default="1")
    op.add_column("statement", version)
    _guard(*_MADE, _NEW)


def downgrade() -> None:
    """Forget it."""
    _guard(*_MADE)
    op.drop_column("statement", _NEW)


def _guard(*columns: str) -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    differs = "IS DISTINCT FROM" if postgresql else "IS NOT"
    when = " OR ".join(f"NEW.{one} {differs} OLD.{one}" for one in columns)
    op.execute(f"DROP TRIGGER statement_no_update{' ON statement' if postgresql else ''}")
    head = "CREATE TRIGGER statement_no_update BEFORE UPDATE ON statement"
    op.execute(
        f"{head} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION corridor_insert_only()"
        if postgresql
        else f"{head} WHEN ({when}) BEGIN SELECT RAISE(ABORT, 'statement is insert-only'); END"
    )
