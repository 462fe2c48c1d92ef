"""Failures of jobs by class, deadlines that were met, evictions by time, promises to be kept."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, the index and the table."""
    op.add_column("job", sa.Column("failures", sa.String(), nullable=False, server_default=""))
    op.add_column("job", sa.Column("met_deadline_ms", sa.BigInteger(), nullable=True))
    where = sa.text("evict_cause = 'RECLAIM'")
    op.create_index(
        "run_reclaimed", "run", ["evict_ms"], sqlite_where=where, postgresql_where=where
    )
    op.create_table(
        "promise",
        sa.Column("flavor", sa.String(), nullable=False),
        sa.Column("job_uid", sa.BigInteger(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("evicts", sa.Boolean(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("flavor"),
        sa.CheckConstraint("units > 0", name="units"),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("promise")
    op.drop_index("run_reclaimed", "run")
    op.drop_column("job", "met_deadline_ms")
    op.drop_column("job", "failures")
