"""Tables of alerts, and of what funds spent each day; see ``tables`` and ``quota.alerting``."""

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from scheduler.store.budget_tables import _serial as serial
from scheduler.store.tables import _big as big


class Alert(SQLModel, table=True):
    """A threshold that was reached; told of once until it is armed again.

    ``delivered_ms`` is when the webhook took it; ``tries`` says how often it was tried.
    """

    __table_args__ = (
        Index(
            "alert_told",
            "kind",
            "name",
            "threshold",
            unique=True,
            sqlite_where=text("armed_ms IS NULL"),
            postgresql_where=text("armed_ms IS NULL"),
        ),
        Index(
            "alert_undelivered",
            "next_try_ms",
            sqlite_where=text("delivered_ms IS NULL"),
            postgresql_where=text("delivered_ms IS NULL"),
        ),
        Index("alert_city", "city", "number"),
        {"sqlite_autoincrement": True},
    )
    number: int | None = serial()
    kind: str
    name: str
    threshold: int
    city: str
    enterprise: str
    figures: str
    raised_ms: int = big()
    armed_ms: int | None = big(null=True)
    delivered_ms: int | None = big(null=True)
    tries: int = 0
    next_try_ms: int = big(0)


class FundDay(SQLModel, table=True):
    """What a fund's shard spent net on a day in Shanghai; ``day`` counts from 1970-01-01.

    Derived from the entries up to ``fund_day_seen``; forecasts read it, no money rests on it.
    """

    __tablename__ = "fund_day"
    shard: str = Field(primary_key=True)
    day: int = Field(primary_key=True)
    spent_fen: int = big()


class FundDaySeen(SQLModel, table=True):
    """Up to which entry of a fund's shard ``fund_day`` counts."""

    __tablename__ = "fund_day_seen"
    shard: str = Field(primary_key=True)
    seq: int = big()
