"""Tables of budgets, of hours lent between cities, and the journal of both; see ``tables``.

Quantities are unit-seconds in BIGINT. A node is ``cities/<code>``, ``enterprises/<code>`` or
``corridor``.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from scheduler.store.tables import _big as big

LOAN_STATES: Final = ("ACCEPTED", "DECLINED", "EXPIRED", "OFFERED", "REQUESTED")


def _serial() -> Any:
    return Field(
        default=None,
        sa_column=sa.Column(
            BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
    )


class BudgetCity(SQLModel, table=True):
    """How a city's budgets work; no row, or ``enabled`` false: the city has none.

    All budgets that began before ``opened_until_ms`` are open.
    """

    __tablename__ = "budget_city"
    __table_args__ = (
        CheckConstraint("months IN (1, 3)", name="months"),
        CheckConstraint("mode IN ('HARD', 'OBSERVE', 'OVERBURN')", name="mode"),
        CheckConstraint(
            "overburn_bps BETWEEN 0 AND 10000 AND keep_bps BETWEEN 0 AND 10000"
            " AND debt_cap_bps BETWEEN 0 AND 10000 AND repay_bps BETWEEN 0 AND 10000"
            " AND omega_bps BETWEEN 10000 AND 1000000 AND grace_s >= 0",
            name="figures",
        ),
    )
    city: str = Field(primary_key=True, foreign_key="city.code")
    enabled: bool
    months: int
    mode: str
    overburn_bps: int
    carry: bool
    roll_over: bool
    enterprises_free: bool
    omega_bps: int
    grace_s: int = big()
    keep_bps: int
    debt_cap_bps: int
    repay_bps: int
    opened_until_ms: int = big(0)
    version: int = big()
    updated_ms: int = big()


class Budget(SQLModel, table=True):
    """A node's unit-seconds of a flavor in a period; ``allotted`` NULL is unlimited.

    It never goes further below zero than ``margin_unit_seconds``, NULL for any. Version 0: nobody
    ever set it.
    """

    __table_args__ = (
        CheckConstraint(
            "held_unit_seconds >= 0 AND settled_unit_seconds >= 0"
            " AND received_unit_seconds >= 0 AND given_unit_seconds >= 0",
            name="not_negative",
        ),
        CheckConstraint(
            "allotted_unit_seconds IS NULL OR allotted_unit_seconds >= 0", name="allot"
        ),
        CheckConstraint(
            "allotted_unit_seconds IS NULL OR margin_unit_seconds IS NULL"
            " OR allotted_unit_seconds + received_unit_seconds - given_unit_seconds"
            " - held_unit_seconds - settled_unit_seconds >= -margin_unit_seconds",
            name="covered",
        ),
        CheckConstraint("end_ms > start_ms", name="span"),
        Index("budget_city_period", "city", "period"),
        Index(
            "budget_due",
            "start_ms",
            sqlite_where=text("opened_ms IS NULL"),
            postgresql_where=text("opened_ms IS NULL"),
        ),
    )
    node: str = Field(primary_key=True)
    flavor: str = Field(primary_key=True)
    period: str = Field(primary_key=True)
    city: str = ""
    enterprise: str = ""
    start_ms: int = big()
    end_ms: int = big()
    allotted_unit_seconds: int | None = big(null=True)
    held_unit_seconds: int = big(0)
    settled_unit_seconds: int = big(0)
    received_unit_seconds: int = big(0)
    given_unit_seconds: int = big(0)
    margin_unit_seconds: int | None = big(null=True)
    opened_ms: int | None = big(null=True)
    version: int = big(0)
    updated_ms: int = big()


class BudgetHold(SQLModel, table=True):
    """What a run holds of its enterprise's and its city's budget of one period.

    ``used_unit_seconds`` is NULL while it is open, and set once.
    """

    __tablename__ = "budget_hold"
    __table_args__ = (
        CheckConstraint(
            "unit_seconds > 0 AND used_unit_seconds BETWEEN 0 AND unit_seconds", name="used"
        ),
        CheckConstraint("(used_unit_seconds IS NULL) = (settled_ms IS NULL)", name="settled"),
    )
    job_uid: int = big(pk=True)
    attempt: int = Field(primary_key=True)
    part: int = Field(primary_key=True)
    city: str
    enterprise: str
    flavor: str
    period: str
    unit_seconds: int = big()
    used_unit_seconds: int | None = big(null=True)
    background: bool
    created_ms: int = big()
    settled_ms: int | None = big(null=True)


class BudgetEntry(SQLModel, table=True):
    """One change of a budget, insert-only: what is added to each figure (``quota.budgets.Entry``).

    ``allotted_unit_seconds`` is the new allotment of an ALLOT.
    """

    __tablename__ = "budget_entry"
    __table_args__ = (
        Index("budget_entry_job", "job_uid"),
        {"sqlite_autoincrement": True},
    )
    seq: int | None = _serial()
    at_ms: int = big()
    kind: str
    node: str
    flavor: str
    period: str
    held_unit_seconds: int = big(0)
    settled_unit_seconds: int = big(0)
    received_unit_seconds: int = big(0)
    given_unit_seconds: int = big(0)
    debt_unit_seconds: int = big(0)
    other: str = ""
    parent: str = ""
    allotted_unit_seconds: int | None = big(null=True)
    job_uid: int = big(0)
    attempt: int = 0
    part: int = 0


class BudgetDebt(SQLModel, table=True):
    """What one node owes another of a flavor: hours that were lent, or used beyond a budget."""

    __tablename__ = "budget_debt"
    __table_args__ = (CheckConstraint("unit_seconds >= 0", name="not_negative"),)
    lender: str = Field(primary_key=True)
    borrower: str = Field(primary_key=True)
    flavor: str = Field(primary_key=True)
    unit_seconds: int = big()
    updated_ms: int = big()


class Loan(SQLModel, table=True):
    """Hours that one city asks of another or offers it, and what became of that."""

    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(map(repr, LOAN_STATES))})", name="state"),
        CheckConstraint("unit_seconds > 0 AND lender <> borrower", name="amount"),
        CheckConstraint(
            "(state IN ('OFFERED', 'REQUESTED')) = (decided_ms IS NULL)", name="decided"
        ),
        Index("loan_lender", "lender", "flavor", "period"),
        Index("loan_borrower", "borrower"),
        {"sqlite_autoincrement": True},
    )
    loan_id: int | None = _serial()
    lender: str = Field(foreign_key="city.code")
    borrower: str = Field(foreign_key="city.code")
    flavor: str = Field(foreign_key="flavor.code")
    period: str
    unit_seconds: int = big()
    state: str
    by_rule: bool = False
    created_ms: int = big()
    created_by: str
    reason: str
    decided_ms: int | None = big(null=True)
    decided_by: str = ""
    decision: str = ""


class LoanRule(SQLModel, table=True):
    """What a city lends without being asked each time: how much a loan and a period, and to whom.

    ``borrowers`` are codes with commas between, empty for all cities.
    """

    __tablename__ = "loan_rule"
    __table_args__ = (
        CheckConstraint("loan_unit_seconds >= 0 AND period_unit_seconds >= 0", name="amounts"),
    )
    lender: str = Field(primary_key=True, foreign_key="city.code")
    flavor: str = Field(primary_key=True, foreign_key="flavor.code")
    borrowers: str
    loan_unit_seconds: int = big()
    period_unit_seconds: int = big()
    version: int = big()
    updated_ms: int = big()
