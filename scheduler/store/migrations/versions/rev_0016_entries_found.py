"""Indexes by which entries of the ledger are found: of an account and of all, newest first."""

from typing import Final

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_PLACE: Final = ("effective_ms", "shard", "seq")
_INDEXES: Final = {
    "transfer_debit": ("debit_account", *_PLACE),
    "transfer_credit": ("credit_account", *_PLACE),
    "transfer_time": _PLACE,
}


def upgrade() -> None:
    """Make the indexes."""
    for name, columns in _INDEXES.items():
        op.create_index(name, "transfer", list(columns))


def downgrade() -> None:
    """Drop them."""
    for name in _INDEXES:
        op.drop_index(name, "transfer")
