"""Budgets of unit-seconds by period, their holds, and hours lent between cities."""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
