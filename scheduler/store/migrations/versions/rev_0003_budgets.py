"""Budgets of unit-seconds by period, their holds, and hours lent between cities."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = (
    "loan_rule", "loan", "budget_debt", "budget_entry", "budget_hold", "budget", "budget_city",
)  # fmt: skip
_FIGURES = ("held", "settled", "received", "given")


def upgrade() -> None:
    """Add the tables; the journal of budgets is only ever added to."""
    _budget_city()
    _budget()
    _budget_hold()
    _budget_entry()
    _budget_debt()
    _loan()
    _loan_rule()
    postgresql = op.get_bind().dialect.name == "postgresql"
    for verb in ("UPDATE", "DELETE"):
        trigger = f"budget_entry_no_{verb.lower()}"
        op.execute(
            f"CREATE TRIGGER {trigger} BEFORE {verb} ON budget_entry"
            " FOR EACH ROW EXECUTE FUNCTION corridor_insert_only()"
            if postgresql
            else f"CREATE TRIGGER {trigger} BEFORE {verb} ON budget_entry"
            " BEGIN SELECT RAISE(ABORT, 'budget_entry is insert-only'); END"
        )


def downgrade() -> None:
    """Forget it all."""
    for table in _TABLES:
        op.drop_table(table)


def _texts(*names: str) -> list[Any]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _bigs(*names: str, null: bool = False) -> list[Any]:
    return [sa.Column(name, sa.BigInteger(), nullable=null) for name in names]


def _ints(*names: str) -> list[Any]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def _flags(*names: str) -> list[Any]:
    return [sa.Column(name, sa.Boolean(), nullable=False) for name in names]


def _serial(name: str) -> Any:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, nullable=False, autoincrement=True)


def _figures(names: Sequence[str]) -> list[Any]:
    return _bigs(*(f"{name}_unit_seconds" for name in names))


def _budget_city() -> None:
    op.create_table(
        "budget_city",
        *_texts("city"),
        *_flags("enabled"),
        *_ints("months"),
        *_texts("mode"),
        *_ints("overburn_bps"),
        *_flags("carry", "roll_over", "enterprises_free"),
        *_ints("omega_bps"),
        *_bigs("grace_s"),
        *_ints("keep_bps", "debt_cap_bps", "repay_bps"),
        *_bigs("opened_until_ms", "version", "updated_ms"),
        sa.PrimaryKeyConstraint("city"),
        sa.ForeignKeyConstraint(["city"], ["city.code"]),
        sa.CheckConstraint("months IN (1, 3)", name="months"),
        sa.CheckConstraint("mode IN ('HARD', 'OBSERVE', 'OVERBURN')", name="mode"),
        sa.CheckConstraint(
            "overburn_bps BETWEEN 0 AND 10000 AND keep_bps BETWEEN 0 AND 10000"
            " AND debt_cap_bps BETWEEN 0 AND 10000 AND repay_bps BETWEEN 0 AND 10000"
            " AND omega_bps BETWEEN 10000 AND 1000000 AND grace_s >= 0",
            name="figures",
        ),
    )


def _budget() -> None:
    op.create_table(
        "budget",
        *_texts("node", "flavor", "period", "city", "enterprise"),
        *_bigs("start_ms", "end_ms"),
        *_bigs("allotted_unit_seconds", null=True),
        *_figures(_FIGURES),
        *_bigs("margin_unit_seconds", "opened_ms", null=True),
        *_bigs("version", "updated_ms"),
        sa.PrimaryKeyConstraint("node", "flavor", "period"),
        sa.CheckConstraint(
            "held_unit_seconds >= 0 AND settled_unit_seconds >= 0"
            " AND received_unit_seconds >= 0 AND given_unit_seconds >= 0",
            name="not_negative",
        ),
        sa.CheckConstraint(
            "allotted_unit_seconds IS NULL OR allotted_unit_seconds >= 0", name="allot"
        ),
        sa.CheckConstraint(
            "allotted_unit_seconds IS NULL OR margin_unit_seconds IS NULL"
            " OR allotted_unit_seconds + received_unit_seconds - given_unit_seconds"
            " - held_unit_seconds - settled_unit_seconds >= -margin_unit_seconds",
            name="covered",
        ),
        sa.CheckConstraint("end_ms > start_ms", name="span"),
    )
    op.create_index("budget_city_period", "budget", ["city", "period"])
    where = sa.text("opened_ms IS NULL")
    op.create_index(
        "budget_due", "budget", ["start_ms"], sqlite_where=where, postgresql_where=where
    )


def _budget_hold() -> None:
    op.create_table(
        "budget_hold",
        *_bigs("job_uid"),
        *_ints("attempt", "part"),
        *_texts("city", "enterprise", "flavor", "period"),
        *_bigs("unit_seconds"),
        *_bigs("used_unit_seconds", null=True),
        *_flags("background"),
        *_bigs("created_ms"),
        *_bigs("settled_ms", null=True),
        sa.PrimaryKeyConstraint("job_uid", "attempt", "part"),
        sa.CheckConstraint(
            "unit_seconds > 0 AND used_unit_seconds BETWEEN 0 AND unit_seconds", name="used"
        ),
        sa.CheckConstraint("(used_unit_seconds IS NULL) = (settled_ms IS NULL)", name="settled"),
    )


def _budget_entry() -> None:
    op.create_table(
        "budget_entry",
        _serial("seq"),
        *_bigs("at_ms"),
        *_texts("kind", "node", "flavor", "period"),
        *_figures((*_FIGURES, "debt")),
        *_texts("other", "parent"),
        *_bigs("allotted_unit_seconds", null=True),
        *_bigs("job_uid"),
        *_ints("attempt", "part"),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("budget_entry_job", "budget_entry", ["job_uid"])


def _budget_debt() -> None:
    op.create_table(
        "budget_debt",
        *_texts("lender", "borrower", "flavor"),
        *_bigs("unit_seconds", "updated_ms"),
        sa.PrimaryKeyConstraint("lender", "borrower", "flavor"),
        sa.CheckConstraint("unit_seconds >= 0", name="not_negative"),
    )


def _loan() -> None:
    op.create_table(
        "loan",
        _serial("loan_id"),
        *_texts("lender", "borrower", "flavor", "period"),
        *_bigs("unit_seconds"),
        *_texts("state"),
        *_flags("by_rule"),
        *_bigs("created_ms"),
        *_texts("created_by", "reason"),
        *_bigs("decided_ms", null=True),
        *_texts("decided_by", "decision"),
        sa.PrimaryKeyConstraint("loan_id"),
        sa.ForeignKeyConstraint(["lender"], ["city.code"]),
        sa.ForeignKeyConstraint(["borrower"], ["city.code"]),
        sa.ForeignKeyConstraint(["flavor"], ["flavor.code"]),
        sa.CheckConstraint(
            "state IN ('ACCEPTED', 'DECLINED', 'EXPIRED', 'OFFERED', 'REQUESTED')", name="state"
        ),
        sa.CheckConstraint("unit_seconds > 0 AND lender <> borrower", name="amount"),
        sa.CheckConstraint(
            "(state IN ('OFFERED', 'REQUESTED')) = (decided_ms IS NULL)", name="decided"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("loan_lender", "loan", ["lender", "flavor", "period"])
    op.create_index("loan_borrower", "loan", ["borrower"])


def _loan_rule() -> None:
    op.create_table(
        "loan_rule",
        *_texts("lender", "flavor", "borrowers"),
        *_bigs("loan_unit_seconds", "period_unit_seconds", "version", "updated_ms"),
        sa.PrimaryKeyConstraint("lender", "flavor"),
        sa.ForeignKeyConstraint(["lender"], ["city.code"]),
        sa.ForeignKeyConstraint(["flavor"], ["flavor.code"]),
        sa.CheckConstraint("loan_unit_seconds >= 0 AND period_unit_seconds >= 0", name="amounts"),
    )
