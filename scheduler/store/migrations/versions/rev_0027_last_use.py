"""When a token was last used, and who gave the token that a change was made with."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both: of what was there nothing is known, and all changes were made with our tokens."""
    op.add_column("token", sa.Column("last_used_ms", sa.BigInteger(), nullable=True))
    op.add_column(
        "audit_event",
        sa.Column("issuer", sa.String(), nullable=False, server_default=sa.text("''")),
    )


def downgrade() -> None:
    """Forget both."""
    op.drop_column("audit_event", "issuer")
    op.drop_column("token", "last_used_ms")
