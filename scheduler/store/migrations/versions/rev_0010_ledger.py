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
    _terms()


def downgrade() -> None:
    """Take it back, in the opposite order."""
    migrate_charges.downgrade()
    migrate_rules.downgrade()
    _terms_back()
    _approvals_back()


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


# --- rules and prices -----------------------------------------------------------------------------

#: Columns of versions that are never changed, by table and what its versions are of.
_VERSIONS: Final = {
    "rule_version": (
        "programme",
        ("programme", "version", "effective_from_ms", "body", "sha256", "document_ref",
         "created_ms", "created_by", "approved_by"),
    ),
    "price_version": (
        "flavor",
        ("price_id", "center", "flavor", "unit", "price_ufen", "effective_from_ms", "created_ms",
         "created_by", "approved_by"),
    ),
}  # fmt: skip


def _terms() -> None:
    """Versions of rules and prices say who made and approved them, and can only be ended.

    A version of before that a newer one followed without an end of its own ends where that began.
    """
    for name in ("document_ref", "created_by", "approved_by"):
        op.add_column("rule_version", _text(name))
    op.add_column("price_version", _text("approved_by"))
    zero = sa.text("0")
    for table in _VERSIONS:
        since = sa.Column("created_ms", sa.BigInteger(), nullable=False, server_default=zero)
        op.add_column(table, since)
    after = "n.programme = rule_version.programme AND n.version > rule_version.version"
    op.execute(
        "UPDATE rule_version SET effective_to_ms = (SELECT CASE"
        " WHEN min(n.effective_from_ms) < rule_version.effective_from_ms"
        " THEN rule_version.effective_from_ms ELSE min(n.effective_from_ms) END"
        f" FROM rule_version n WHERE {after}) WHERE effective_to_ms IS NULL"
        f" AND EXISTS (SELECT 1 FROM rule_version n WHERE {after})"
    )
    open_end = sa.text("effective_to_ms IS NULL")
    for table, (owner, kept) in _VERSIONS.items():
        op.create_index(
            f"{table}_open", table, [owner], unique=True, sqlite_where=open_end,
            postgresql_where=open_end,
        )  # fmt: skip
        never = f"a {table.replace('_', ' ')} is never changed, its end only comes nearer"
        _refuse(
            "UPDATE",
            table,
            f"{_changed(kept)} OR NEW.effective_to_ms IS NULL"
            " OR NEW.effective_to_ms < OLD.effective_from_ms"
            " OR NEW.effective_to_ms > coalesce(OLD.effective_to_ms, NEW.effective_to_ms)",
            never,
        )
        _refuse("DELETE", table, "1 = 1", never)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False, server_default=sa.text("''"))


def _terms_back() -> None:
    for table in _VERSIONS:
        _free(table)
        op.drop_index(f"{table}_open", table)
        op.drop_column(table, "created_ms")
        op.drop_column(table, "approved_by")
    for name in ("document_ref", "created_by"):
        op.drop_column("rule_version", name)
