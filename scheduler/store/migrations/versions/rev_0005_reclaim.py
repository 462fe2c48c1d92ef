"""Interruptible jobs, evictions and the emergency class."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FLAGS = ("interruptible", "emergency", "deactivated")
_COUNTS = ("evictions", "attempts_free", "start_tries")
_INSTANTS = ("evict_ms", "evict_for", "evict_grace_ms", "notice_ms", "evict_deadline_ms")


def upgrade() -> None:
    """Apply it."""
    for name in _FLAGS:
        op.add_column(
            "job", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )
    for name in _COUNTS:
        op.add_column(
            "job", sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0"))
        )
    op.add_column("run", sa.Column("evict_cause", sa.String(), nullable=True))
    for name in _INSTANTS:
        op.add_column("run", sa.Column(name, sa.BigInteger(), nullable=True))
