"""Jobs that are followed in traces, and up to where it was told of them."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both tables; no job of before is followed."""
    op.create_table(
        "job_trace",
        sa.Column("job_uid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("span_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("job_uid"),
    )
    op.create_table(
        "trace_mark",
        sa.Column("one", sa.Integer(), nullable=False),
        sa.Column("upto_seq", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one = 1", name="one"),
        sa.PrimaryKeyConstraint("one"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("trace_mark")
    op.drop_table("job_trace")
