"""Failures of a job by class, for limits by class; an index of runs that gave lent units back."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the index."""
    op.add_column("job", sa.Column("failures", sa.String(), nullable=False, server_default=""))
    where = sa.text("evict_cause = 'RECLAIM'")
    op.create_index(
        "run_reclaimed", "run", ["evict_ms"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_index("run_reclaimed", "run")
    op.drop_column("job", "failures")
