"""Facts about enterprises that people set: all dated, and ended before they began if need be."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

#: What names a fact, by table.
_NAMES: Final = {
    "related_party": ("enterprise", "center"),
    "listed_project": ("enterprise", "list_name", "project"),
    "earlier_support": ("enterprise", "programme"),
}


def upgrade() -> None:
    """Date earlier support, from always on; what never was in force ended when it would begin."""
    for table in _NAMES:
        _again(table, dated=True, ended="valid_to_ms >= valid_from_ms")


def downgrade() -> None:
    """Forget what never began, and all but the first year known of earlier support."""
    for table in ("related_party", "listed_project"):
        op.execute(f"DELETE FROM {table} WHERE valid_to_ms = valid_from_ms")
        _again(table, dated=True, ended="valid_to_ms > valid_from_ms")
    op.execute(
        "DELETE FROM earlier_support WHERE EXISTS (SELECT 1 FROM earlier_support o"
        " WHERE o.enterprise = earlier_support.enterprise"
        " AND o.programme = earlier_support.programme"
        " AND o.valid_from_ms < earlier_support.valid_from_ms)"
    )
    _again("earlier_support", dated=False, ended="")


def _again(table: str, *, dated: bool, ended: str) -> None:
    """Make a table anew with what is in it, for no constraint of it can be changed on SQLite."""
    names = _NAMES[table]
    connection = op.get_bind()
    rows = [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]
    op.drop_table(table)
    columns: list[Any] = [sa.Column(name, sa.String(), nullable=False) for name in names]
    key, rules = names, list[Any]()
    if table == "earlier_support":
        columns.append(sa.Column("since_year", sa.Integer(), nullable=False))
    if dated:
        columns += [
            sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
            sa.Column("valid_to_ms", sa.BigInteger(), nullable=True),
        ]
        key = (*names, "valid_from_ms")
        rules.append(sa.CheckConstraint(f"valid_to_ms IS NULL OR {ended}", name="span"))
    columns.append(sa.Column("source", sa.String(), nullable=False))
    if table == "related_party":
        rules.append(sa.ForeignKeyConstraint(["center"], ["center.code"]))
    rules.append(sa.ForeignKeyConstraint(["enterprise"], ["enterprise.code"]))
    made = op.create_table(table, *columns, sa.PrimaryKeyConstraint(*key), *rules)
    kept = {column.name for column in columns}
    dates = {"valid_from_ms": 0, "valid_to_ms": None} if dated else {}
    op.bulk_insert(
        made,
        [{name: value for name, value in (dates | row).items() if name in kept} for row in rows],
    )
