"""Until when a center that is drained is to be empty."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column: centers that are drained now are so at once, as they were."""
    op.add_column("center", sa.Column("drain_deadline_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("center", "drain_deadline_ms")
