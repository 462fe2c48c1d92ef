"""Indexes of the ledger by time alone: entries of one instant are put in order when they are read.

Many entries are booked at the same instant. An index that says their place too is many times as
large, and takes longer to write than the entry.
"""

from typing import Final

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_PLACE: Final = ("shard", "seq")
_INDEXES: Final = {
    "transfer_debit": ("debit_account", "effective_ms"),
    "transfer_credit": ("credit_account", "effective_ms"),
    "transfer_time": ("effective_ms",),
}


def upgrade() -> None:
    """Make them anew without the place."""
    for name, columns in _INDEXES.items():
        op.drop_index(name, "transfer")
        op.create_index(name, "transfer", list(columns))


def downgrade() -> None:
    """Make them anew with it."""
    for name, columns in _INDEXES.items():
        op.drop_index(name, "transfer")
        op.create_index(name, "transfer", [*columns, *_PLACE])
