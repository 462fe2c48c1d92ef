"""Differences name the revision of the charge by which they were resolved."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Those of before name none."""
    op.add_column("recon_diff", sa.Column("charge_revision", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("recon_diff", "charge_revision")
