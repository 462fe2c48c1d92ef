"""Jobs of which only the books' part is left, and up to where what is old is gone."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_OVER = sa.text("settled AND NOT pruned")


def upgrade() -> None:
    """Add the table, the mark, and the index by which jobs that ended long ago are found."""
    op.create_table(
        "retention",
        sa.Column("one", sa.Integer(), nullable=False),
        sa.Column("events_upto_seq", sa.BigInteger(), nullable=False),
        sa.Column("events_upto_ms", sa.BigInteger(), nullable=False),
        sa.Column("jobs_upto_uid", sa.BigInteger(), nullable=False),
        sa.Column("jobs_upto_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one = 1", name="one"),
        sa.PrimaryKeyConstraint("one"),
    )
    op.add_column(
        "job", sa.Column("pruned", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_index("job_over", "job", ["end_ms"], sqlite_where=_OVER, postgresql_where=_OVER)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("job_over", "job")
    op.drop_column("job", "pruned")
    op.drop_table("retention")
