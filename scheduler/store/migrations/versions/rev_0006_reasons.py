"""How long jobs waited for which reason, and how long runs took."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and an index by which the last runs are found."""
    op.create_table(
        "reason_spell",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "from_ms"),
        sa.CheckConstraint("to_ms IS NULL OR to_ms >= from_ms", name="span"),
    )
    op.create_index("reason_spell_to", "reason_spell", ["to_ms"])
    where = sa.text(
        "start_ms IS NOT NULL AND end_ms IS NOT NULL"
        " AND state IN ('CANCELLED', 'FAILED', 'SUCCEEDED')"
    )
    op.create_index("run_ended", "run", ["end_ms"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Forget it all."""
    op.drop_index("run_ended", "run")
    op.drop_table("reason_spell")
