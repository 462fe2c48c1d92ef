"""The subsidy ledger, complete: rules, prices, vouchers, periods, statements, approvals."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from scheduler.store import migrate_charges, migrate_rules

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what each part of the books needs."""
    migrate_charges.upgrade()
    migrate_rules.upgrade()
    _approvals()


def downgrade() -> None:
    """Take it back, in the opposite order."""
    migrate_charges.downgrade()
    _approvals_back()
    migrate_rules.downgrade()
    _terms_back()


# --- guards ---------------------------------------------------------------------------------------


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _changed(columns: Sequence[str]) -> str:
    """Condition of a trigger: one of these columns is not what it was."""
    differs = "IS DISTINCT FROM" if _postgresql() else "IS NOT"
    return " OR ".join(f"NEW.{name} {differs} OLD.{name}" for name in columns)


def _refuse(verb: str, table: str, when: str, message: str) -> None:
    """Let the database refuse an UPDATE or DELETE of a row ``when`` that holds."""
    name = f"{table}_no_{verb.lower()}"
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW WHEN ({when})"
        f" EXECUTE FUNCTION corridor_refuse('{message}')"
        if _postgresql()
        else f"CREATE TRIGGER {name} BEFORE {verb} ON {table} WHEN {when}"
        f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


def _free(table: str) -> None:
    """Take the guards of a table away."""
    for verb in ("update", "delete"):
        on = f" ON {table}" if _postgresql() else ""
        op.execute(f"DROP TRIGGER {table}_no_{verb}{on}")


# --- approvals ------------------------------------------------------------------------------------

_SAID: Final = (
    "number", "kind", "target", "city", "payload", "before", "after", "amount_fen", "requester",
    "role", "reason", "request_key", "created_ms",
)  # fmt: skip


def _approvals() -> None:
    """Change requests: what one says never changes, nor what was decided of it."""
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    texts = [sa.Column(name, sa.String(), nullable=False) for name in _SAID[1:7]]
    op.create_table(
        "change_request",
        sa.Column("number", serial, nullable=False, autoincrement=True),
        *texts,
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False, server_default=sa.text("'PENDING'")),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("requester", "role", "reason")),
        sa.Column("request_key", sa.String(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decision_reason", sa.String(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.CheckConstraint(
            "kind IN ('APPROPRIATE', 'CORRECTION', 'LOWER', 'PRICE_VERSION', 'RULE_END',"
            " 'RULE_VERSION', 'WRITE_OFF')",
            name="kind",
        ),
        sa.CheckConstraint("state IN ('APPROVED', 'DENIED', 'PENDING', 'WITHDRAWN')", name="state"),
        sa.CheckConstraint("(state = 'PENDING') = (decided_ms IS NULL)", name="decided"),
        sa.CheckConstraint("state <> 'APPROVED' OR decided_by <> requester", name="two_persons"),
        sqlite_autoincrement=True,
    )
    op.create_index("change_request_key", "change_request", ["request_key"], unique=True)
    op.create_index("change_request_city", "change_request", ["city", "state"])
    if _postgresql():
        op.execute(
            "CREATE FUNCTION corridor_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION USING MESSAGE = TG_ARGV[0],"
            " ERRCODE = 'integrity_constraint_violation'; END $$"
        )
    decided = "a change request is decided once and never changed"
    _refuse("UPDATE", "change_request", f"OLD.state <> 'PENDING' OR {_changed(_SAID)}", decided)
    _refuse("DELETE", "change_request", "1 = 1", decided)


def _approvals_back() -> None:
    op.drop_table("change_request")
    if _postgresql():
        op.execute("DROP FUNCTION corridor_refuse()")
