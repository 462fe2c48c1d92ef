"""Comparisons with centers' own records of use."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_COUNTS = ("record", "foreign", "unsettled", "agreed", "difference", "new", "ended")


def upgrade() -> None:
    """Add the table, insert-only."""
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "recon_run",
        sa.Column("number", serial, nullable=False, autoincrement=True),
        sa.Column("center", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("from_ms", "to_ms")),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("source", "sha256")),
        *(sa.Column(f"{name}_count", sa.BigInteger(), nullable=False) for name in _COUNTS),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("actor", "reason")),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.CheckConstraint("to_ms > from_ms", name="span"),
        sqlite_autoincrement=True,
    )
    op.create_index("recon_run_center", "recon_run", ["center", "number"])
    postgresql = op.get_bind().dialect.name == "postgresql"
    for verb in ("UPDATE", "DELETE"):
        head = f"CREATE TRIGGER recon_run_no_{verb.lower()} BEFORE {verb} ON recon_run"
        op.execute(
            f"{head} FOR EACH ROW EXECUTE FUNCTION corridor_insert_only()"
            if postgresql
            else f"{head} BEGIN SELECT RAISE(ABORT, 'recon_run is insert-only'); END"
        )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("recon_run")
