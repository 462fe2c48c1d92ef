"""Tables of the quota book beside those of cities and enterprises; see ``tables``."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from scheduler.store.tables import _big as big

RECLAIM_MODES: Final = ("churn", "evict", "lease")
STOP_STATES: Final = ("DRAIN", "HOLD", "OPEN")
CHANGE_KINDS: Final = ("CITY", "ENTERPRISE", "FLAVOR")
CHANGE_STATES: Final = ("APPLIED", "CANCELLED", "PENDING", "REFUSED")


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


class FlavorQuota(SQLModel, table=True):
    """The corridor's own units of a flavor, and how lent units come back; no row: the defaults.

    ``corridor_units`` NULL is what the cities' nominal quotas leave of the pool.
    """

    __tablename__ = "flavor_quota"
    __table_args__ = (
        CheckConstraint("corridor_units IS NULL OR corridor_units >= 0", name="corridor"),
        CheckConstraint(_one_of("reclaim", RECLAIM_MODES), name="reclaim"),
        CheckConstraint(
            "lease_s > 0 AND run_min_s >= 0 AND grace_s >= 0 AND rate_s > 0"
            " AND rate_bps BETWEEN 1 AND 10000",
            name="reclaim_figures",
        ),
    )
    flavor: str = Field(primary_key=True, foreign_key="flavor.code")
    corridor_units: int | None = big(null=True)
    reclaim: str
    lease_s: int = big()
    run_min_s: int = big()
    grace_s: int = big()
    rate_bps: int
    rate_s: int = big()
    version: int = big()
    updated_ms: int = big()


class PoolReport(SQLModel, table=True):
    """What a center last said that it has of a flavor; no row: it has not said yet."""

    __tablename__ = "pool_report"
    __table_args__ = (CheckConstraint("units >= 0", name="units_not_negative"),)
    flavor: str = Field(primary_key=True, foreign_key="flavor.code")
    units: int = big()
    changed_ms: int = big()


class StopState(SQLModel, table=True):
    """Whether a city or an enterprise may start jobs; no row: it may. Rows stay when it is opened.

    ``node`` is ``cities/<code>`` or ``enterprises/<code>``; ``role`` that of who set it.
    """

    __tablename__ = "stop_state"
    __table_args__ = (
        CheckConstraint(_one_of("state", STOP_STATES), name="state"),
        CheckConstraint("(city IS NULL) <> (enterprise IS NULL)", name="one_owner"),
    )
    node: str = Field(primary_key=True)
    city: str | None = Field(default=None, foreign_key="city.code")
    enterprise: str | None = Field(default=None, foreign_key="enterprise.code")
    state: str
    reason: str
    actor: str
    role: str
    version: int = big()
    updated_ms: int = big()


class QuotaChange(SQLModel, table=True):
    """A change of a quota that was ordered for later; ``figures`` is JSON of what it sets."""

    __tablename__ = "quota_change"
    __table_args__ = (
        CheckConstraint(_one_of("kind", CHANGE_KINDS), name="kind"),
        CheckConstraint(_one_of("state", CHANGE_STATES), name="state"),
        CheckConstraint("(state = 'PENDING') = (decided_ms IS NULL)", name="decided"),
        Index(
            "quota_change_pending",
            "effective_ms",
            "change_id",
            sqlite_where=text("state = 'PENDING'"),
            postgresql_where=text("state = 'PENDING'"),
        ),
        {"sqlite_autoincrement": True},
    )
    change_id: int | None = Field(
        default=None,
        sa_column=sa.Column(
            BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
    )
    kind: str
    city: str = ""
    enterprise: str = ""
    flavor: str
    figures: str
    effective_ms: int = big()
    state: str = "PENDING"
    reason: str
    actor: str
    role: str
    scope_city: str | None = None
    created_ms: int = big()
    decided_ms: int | None = big(null=True)
    message: str = ""
