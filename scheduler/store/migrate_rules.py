"""The part of revision 0010 about rules: what they ask about enterprises, jobs and flavors."""

import sqlalchemy as sa
from alembic import op

_TABLES = ("earlier_support", "listed_project", "related_party")
_NAMED = "contract <> ''"


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _dated() -> list[sa.Column[int]]:
    return [
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("valid_to_ms", sa.BigInteger(), nullable=True),
    ]


def _of_enterprise() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["enterprise"], ["enterprise.code"])


def upgrade() -> None:
    """No enterprise is related to a center yet, and no flavor known to be of domestic make."""
    span = "valid_to_ms IS NULL OR valid_to_ms > valid_from_ms"
    op.create_table(
        "related_party",
        *_keys("enterprise", "center"),
        *_dated(),
        *_keys("source"),
        sa.PrimaryKeyConstraint("enterprise", "center", "valid_from_ms"),
        sa.ForeignKeyConstraint(["center"], ["center.code"]),
        _of_enterprise(),
        sa.CheckConstraint(span, name="span"),
    )
    op.create_table(
        "listed_project",
        *_keys("enterprise", "list_name", "project"),
        *_dated(),
        *_keys("source"),
        sa.PrimaryKeyConstraint("enterprise", "list_name", "project", "valid_from_ms"),
        _of_enterprise(),
        sa.CheckConstraint(span, name="span"),
    )
    op.create_table(
        "earlier_support",
        *_keys("enterprise", "programme"),
        sa.Column("since_year", sa.Integer(), nullable=False),
        *_keys("source"),
        sa.PrimaryKeyConstraint("enterprise", "programme"),
        _of_enterprise(),
    )
    op.add_column(
        "flavor", sa.Column("domestic", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    for name in ("contract", "project"):
        op.add_column(
            "job", sa.Column(name, sa.String(), nullable=False, server_default=sa.text("''"))
        )
    op.create_index(
        "job_contract",
        "job",
        ["enterprise", "contract"],
        sqlite_where=sa.text(_NAMED),
        postgresql_where=sa.text(_NAMED),
    )


def downgrade() -> None:
    """Forget it."""
    op.drop_index("job_contract", "job")
    for table, column in (("job", "contract"), ("job", "project"), ("flavor", "domestic")):
        op.drop_column(table, column)
    for table in _TABLES:
        op.drop_table(table)
