"""Signed daily digests of the ledger, kept as they were made."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, insert-only."""
    op.create_table(
        "ledger_digest",
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("public_pem", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for verb in ("UPDATE", "DELETE"):
        head = f"CREATE TRIGGER ledger_digest_no_{verb.lower()} BEFORE {verb} ON ledger_digest"
        op.execute(
            f"{head} FOR EACH ROW EXECUTE FUNCTION corridor_insert_only()"
            if postgresql
            else f"{head} BEGIN SELECT RAISE(ABORT, 'ledger_digest is insert-only'); END"
        )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("ledger_digest")
