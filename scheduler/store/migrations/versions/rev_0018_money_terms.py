"""A stamp of prices, rules and funds: while it is the same, what was read of them holds."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_FUNCTION: Final = "corridor_terms_changed"
#: Columns by table whose change is one of the terms; None is any.
_TERMS: Final[dict[str, tuple[str, ...] | None]] = {
    "price_version": None,
    "rule_version": None,
    "programme": None,
    "fund_period": ("state", "start_ms", "end_ms"),
    "fund_funder": ("funder", "place", "account_id"),
    "flavor": ("code", "center", "domestic"),
}
_STAMP: Final = (
    "INSERT INTO money_terms (id, stamp) VALUES (1, {stamp})"
    " ON CONFLICT (id) DO UPDATE SET stamp = excluded.stamp"
)


def upgrade() -> None:
    """Add the stamp, and the triggers that change it whoever writes."""
    op.create_table(
        "money_terms",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("stamp", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id = 1", name="one"),
    )
    if _postgresql():
        stamp = _STAMP.format(stamp="gen_random_uuid()::text")
        op.execute(
            f"CREATE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {stamp}; RETURN NULL; END $$"
        )
    else:
        stamp = _STAMP.format(stamp="lower(hex(randomblob(16)))")
    op.execute(stamp)
    for table, columns in _TERMS.items():
        update = "UPDATE" if columns is None else f"UPDATE OF {', '.join(columns)}"
        for verb, when in (("insert", "INSERT"), ("update", update), ("delete", "DELETE")):
            head = f"CREATE TRIGGER {table}_terms_{verb} AFTER {when} ON {table}"
            op.execute(
                f"{head} FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()"
                if _postgresql()
                else f"{head} BEGIN {stamp}; END"
            )


def downgrade() -> None:
    """Take it away."""
    for table in _TERMS:
        for verb in ("insert", "update", "delete"):
            where = f" ON {table}" if _postgresql() else ""
            op.execute(f"DROP TRIGGER {table}_terms_{verb}{where}")
    if _postgresql():
        op.execute(f"DROP FUNCTION {_FUNCTION}()")
    op.drop_table("money_terms")


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
