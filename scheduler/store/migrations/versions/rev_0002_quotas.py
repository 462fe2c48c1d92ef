"""Quota rules: guarantees, the corridor's own pool, stop states, reclaim, dated changes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("quota_change", "stop_state", "pool_report", "flavor_quota")


def upgrade() -> None:
    """Add the tables and columns; what is there keeps its meaning."""
    # With its check in the column, both databases take it without writing the table anew.
    op.execute(
        "ALTER TABLE enterprise_quota ADD COLUMN guarantee_units BIGINT DEFAULT '0' NOT NULL"
        " CONSTRAINT guarantee CHECK (guarantee_units >= 0)"
    )
    where = sa.text("guarantee_units > 0")
    op.create_index(
        "enterprise_quota_guaranteed",
        "enterprise_quota",
        ["flavor"],
        sqlite_where=where,
        postgresql_where=where,
    )
    _flavor_quota()
    _pool_report()
    _stop_state()
    _quota_change()


def downgrade() -> None:
    """Forget it all."""
    for table in _TABLES:
        op.drop_table(table)
    op.drop_index("enterprise_quota_guaranteed", "enterprise_quota")
    op.drop_column("enterprise_quota", "guarantee_units")


def _text(name: str, *, null: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.String(), nullable=null)


def _big(name: str, *, null: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=null)


def _flavor_quota() -> None:
    op.create_table(
        "flavor_quota",
        _text("flavor"),
        _big("corridor_units", null=True),
        _text("reclaim"),
        _big("lease_s"),
        _big("run_min_s"),
        _big("grace_s"),
        sa.Column("rate_bps", sa.Integer(), nullable=False),
        _big("rate_s"),
        _big("version"),
        _big("updated_ms"),
        sa.PrimaryKeyConstraint("flavor"),
        sa.ForeignKeyConstraint(["flavor"], ["flavor.code"]),
        sa.CheckConstraint("corridor_units IS NULL OR corridor_units >= 0", name="corridor"),
        sa.CheckConstraint("reclaim IN ('churn', 'evict', 'lease')", name="reclaim"),
        sa.CheckConstraint(
            "lease_s > 0 AND run_min_s >= 0 AND grace_s >= 0 AND rate_s > 0"
            " AND rate_bps BETWEEN 1 AND 10000",
            name="reclaim_figures",
        ),
    )


def _pool_report() -> None:
    op.create_table(
        "pool_report",
        _text("flavor"),
        _big("units"),
        _big("changed_ms"),
        sa.PrimaryKeyConstraint("flavor"),
        sa.ForeignKeyConstraint(["flavor"], ["flavor.code"]),
        sa.CheckConstraint("units >= 0", name="units_not_negative"),
    )


def _stop_state() -> None:
    op.create_table(
        "stop_state",
        _text("node"),
        _text("city", null=True),
        _text("enterprise", null=True),
        _text("state"),
        _text("reason"),
        _text("actor"),
        _text("role"),
        _big("version"),
        _big("updated_ms"),
        sa.PrimaryKeyConstraint("node"),
        sa.ForeignKeyConstraint(["city"], ["city.code"]),
        sa.ForeignKeyConstraint(["enterprise"], ["enterprise.code"]),
        sa.CheckConstraint("state IN ('DRAIN', 'HOLD', 'OPEN')", name="state"),
        sa.CheckConstraint("(city IS NULL) <> (enterprise IS NULL)", name="one_owner"),
    )


def _quota_change() -> None:
    op.create_table(
        "quota_change",
        sa.Column(
            "change_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            autoincrement=True,
        ),
        _text("kind"),
        _text("city"),
        _text("enterprise"),
        _text("flavor"),
        _text("figures"),
        _big("effective_ms"),
        _text("state"),
        _text("reason"),
        _text("actor"),
        _text("role"),
        _text("scope_city", null=True),
        _big("created_ms"),
        _big("decided_ms", null=True),
        _text("message"),
        sa.PrimaryKeyConstraint("change_id"),
        sa.CheckConstraint("kind IN ('CITY', 'ENTERPRISE', 'FLAVOR')", name="kind"),
        sa.CheckConstraint("state IN ('APPLIED', 'CANCELLED', 'PENDING', 'REFUSED')", name="state"),
        sa.CheckConstraint("(state = 'PENDING') = (decided_ms IS NULL)", name="decided"),
        sqlite_autoincrement=True,
    )
    where = sa.text("state = 'PENDING'")
    op.create_index(
        "quota_change_pending",
        "quota_change",
        ["effective_ms", "change_id"],
        sqlite_where=where,
        postgresql_where=where,
    )
