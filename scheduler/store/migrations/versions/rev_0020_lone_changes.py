"""What persons did without a second one, so that their amounts count together."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, insert-only; what was done before this revision counts no more."""
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "lone_change",
        sa.Column("number", serial, nullable=False, autoincrement=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("kind", "target")),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("requester", sa.String(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.CheckConstraint("amount_fen >= 0", name="amount"),
        sqlite_autoincrement=True,
    )
    op.create_index("lone_change_of", "lone_change", ["requester", "target", "made_ms"])
    postgresql = op.get_bind().dialect.name == "postgresql"
    for verb in ("UPDATE", "DELETE"):
        head = f"CREATE TRIGGER lone_change_no_{verb.lower()} BEFORE {verb} ON lone_change"
        op.execute(
            f"{head} FOR EACH ROW EXECUTE FUNCTION corridor_insert_only()"
            if postgresql
            else f"{head} BEGIN SELECT RAISE(ABORT, 'lone_change is insert-only'); END"
        )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("lone_change")
