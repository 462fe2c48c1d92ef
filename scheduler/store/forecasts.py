"""Forecasts of when funds will be spent, for those who may see the funds."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zlib import crc32

from sqlalchemy import Connection

from quota.forecast import Forecast, until_spent
from scheduler.domain.principal import Scope
from scheduler.store import fund_days
from scheduler.store.bookings import fund_shard
from scheduler.store.fund_figures import FundInfo, list_funds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FundForecast:
    """A fund, how it was spent, and on which days in Shanghai it may be spent.

    ``forecast`` is None if it was spent for less than a week. ``today`` and the days of the
    forecast count from 1970-01-01. ``held_until_ms`` is when the last run that holds money of it
    reaches its wall limit, None if nothing is held.
    """

    fund: FundInfo
    today: int
    days_known: int
    spent_fen: int
    forecast: Forecast | None
    held_until_ms: int | None

    @property
    def period_end(self) -> str:
        """The last day of the fund's period."""
        return self.date(fund_days.today(self.fund.end_ms) - 1 - self.today)

    def date(self, days: int | None) -> str:
        """Return the day so many days from today, such as 2026-03-05; "" for None."""
        if days is None:
            return ""
        return (_EPOCH + timedelta(days=self.today + days)).date().isoformat()


def forecast_funds(
    connection: Connection, scope: Scope, now_ms: int, city: str = "", programme: str = ""
) -> list[FundForecast]:
    """Return forecasts of the open funds that the caller may see and whose period has begun."""
    found = list_funds(connection, scope, city=city, programme=programme)
    return [
        _forecast(connection, fund, now_ms)
        for fund in found
        if fund.state == "OPEN" and fund.start_ms <= now_ms < fund.end_ms
    ]


def _forecast(connection: Connection, fund: FundInfo, now_ms: int) -> FundForecast:
    shard = fund_shard(fund.programme, fund.period)
    daily = fund_days.daily(connection, shard, now_ms)
    day = fund_days.today(now_ms)
    # The same day and fund always draw the same weeks: a forecast does not flicker.
    seed = crc32(f"{shard}:{day}".encode())
    weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
    left = fund.available_fen + fund.vouchers_fen
    held_until = connection.exec_driver_sql(
        "SELECT max(coalesce(r.start_ms, r.admit_ms) + r.wall_limit_s * 1000) FROM run r"
        " JOIN hold_leg l ON l.job_uid = r.job_uid AND l.attempt = r.attempt"
        " WHERE r.settled_ms IS NULL AND l.programme = ?",
        (fund.programme,),
    ).scalar()
    return FundForecast(
        fund,
        day,
        len(daily),
        sum(daily),
        until_spent(left, daily, weekday, seed),
        None if held_until is None or not fund.held_fen else int(held_until),
    )
