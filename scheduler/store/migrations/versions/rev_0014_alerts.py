"""Alerts on funds, caps and vouchers, and what funds spent each day."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; days are counted from the first entry again."""
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "alert",
        sa.Column("number", serial, nullable=False, autoincrement=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("city", "enterprise")),
        sa.Column("figures", sa.String(), nullable=False),
        sa.Column("raised_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("armed_ms", "delivered_ms")),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    told, undelivered = sa.text("armed_ms IS NULL"), sa.text("delivered_ms IS NULL")
    op.create_index(
        "alert_told",
        "alert",
        ["kind", "name", "threshold"],
        unique=True,
        sqlite_where=told,
        postgresql_where=told,
    )
    op.create_index(
        "alert_undelivered",
        "alert",
        ["next_try_ms"],
        sqlite_where=undelivered,
        postgresql_where=undelivered,
    )
    op.create_index("alert_city", "alert", ["city", "number"])
    op.create_table(
        "fund_day",
        sa.Column("shard", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("spent_fen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "day"),
    )
    op.create_table(
        "fund_day_seen",
        sa.Column("shard", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard"),
    )


def downgrade() -> None:
    """Drop them."""
    for name in ("fund_day_seen", "fund_day", "alert"):
        op.drop_table(name)
