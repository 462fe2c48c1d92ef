"""What centers were told of; runs that an operator resolved; starts anew inside a center."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the table: what was settled before is not told to centers."""
    op.add_column(
        "run", sa.Column("resolution", sa.String(), nullable=False, server_default=sa.text("''"))
    )
    op.add_column("run", sa.Column("restart_ms", sa.BigInteger(), nullable=True))
    op.create_table(
        "acknowledgement",
        sa.Column("center", sa.String(), nullable=False),
        sa.Column("upto_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("center"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("acknowledgement")
    op.drop_column("run", "restart_ms")
    op.drop_column("run", "resolution")
