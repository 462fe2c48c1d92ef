"""Alerts on funds, caps and vouchers: raised by the leader, each exactly once until armed again.

What stands in the table is what was told; a unique index holds that no threshold of a subject is
told of twice at the same time, whoever leads.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from quota.alerting import (
    DAY_MS,
    THRESHOLDS,
    AlertKind,
    Changes,
    Seen,
    Subject,
    Told,
    changes,
    days_left,
    used_percents,
)
from quota.calendar import natural_year
from scheduler.domain.events import EventKind
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.store import feed, forecasts, leader, scoping
from scheduler.store.alert_tables import Alert
from scheduler.store.database import bulk_execute, bulk_insert
from scheduler.store.fund_figures import list_funds
from scheduler.store.tables import table

_COLUMNS: Final = (
    "kind", "name", "threshold", "city", "enterprise", "figures", "raised_ms", "next_try_ms",
)  # fmt: skip


class AlertRow(NamedTuple):
    """An alert as it was raised; ``armed_ms`` is None while what it tells of holds."""

    number: int
    kind: str
    name: str
    threshold: int
    city: str
    enterprise: str
    figures: dict[str, int]
    raised_ms: int
    armed_ms: int | None
    delivered_ms: int | None
    tries: int


# --- what is reached ------------------------------------------------------------------------------


def look(connection: Connection, now_ms: int) -> Changes:
    """Compare what funds, caps and vouchers have reached with what was told."""
    seen = [
        *_funds(connection, now_ms),
        *_caps(connection, now_ms),
        *_vouchers(connection, now_ms),
        *_running_out(connection, now_ms),
    ]
    told = connection.exec_driver_sql(
        "SELECT number, kind, name, threshold FROM alert WHERE armed_ms IS NULL"
    )
    return changes(seen, [Told(*row) for row in told])


def _funds(connection: Connection, now_ms: int) -> Iterator[Seen]:
    for fund in list_funds(connection, EVERYTHING):
        if fund.state == "CLOSED":
            continue
        used = fund.appropriated_fen - fund.available_fen
        yield Seen(
            Subject(AlertKind.FUND_USED, f"{fund.programme}/{fund.period}", fund.city),
            used_percents(used, fund.appropriated_fen, THRESHOLDS[AlertKind.FUND_USED]),
            (("used_fen", used), ("appropriated_fen", fund.appropriated_fen)),
        )


def _caps(connection: Connection, now_ms: int) -> Iterator[Seen]:
    year = natural_year(now_ms)
    rows = connection.exec_driver_sql(
        "SELECT c.programme, c.enterprise, e.city, c.pending_fen + c.posted_fen, c.limit_fen"
        " FROM cap_counter c JOIN enterprise e ON e.code = c.enterprise"
        f" WHERE c.year = {year} AND c.limit_fen IS NOT NULL"
        " ORDER BY c.programme, c.enterprise"
    )
    for programme, enterprise, city, used, limit in rows:
        yield Seen(
            Subject(AlertKind.CAP_USED, f"{programme}/{enterprise}/{year}", city, enterprise),
            used_percents(used, limit, THRESHOLDS[AlertKind.CAP_USED]),
            (("used_fen", used), ("limit_fen", limit)),
        )


def _vouchers(connection: Connection, now_ms: int) -> Iterator[Seen]:
    kind = AlertKind.VOUCHER_ENDS
    latest_ms = now_ms + max(THRESHOLDS[kind]) * DAY_MS
    rows = connection.exec_driver_sql(
        "SELECT v.voucher_no, v.city, v.enterprise, v.end_ms,"
        " a.credits_posted - a.debits_posted - a.debits_pending AS free FROM voucher v"
        " JOIN account a ON a.account_id = v.account_id WHERE NOT v.drained"
        f" AND v.state = 'ISSUED' AND v.end_ms > {now_ms} AND v.end_ms <= {latest_ms}"
        " AND a.credits_posted - a.debits_posted - a.debits_pending > 0 ORDER BY v.voucher_no"
    )
    for number, city, enterprise, end_ms, free in rows:
        yield Seen(
            Subject(kind, str(number), city, enterprise),
            days_left(end_ms, now_ms, THRESHOLDS[kind]),
            (("end_ms", end_ms), ("left_fen", free)),
        )


def _running_out(connection: Connection, now_ms: int) -> Iterator[Seen]:
    """Funds that are likely spent soon, and before their period ends."""
    kind = AlertKind.FUND_RUNS_OUT
    for one in forecasts.forecast_funds(connection, EVERYTHING, now_ms):
        likely = None if one.forecast is None else one.forecast.likely_days
        if likely is None or not one.fund.available_fen:
            continue
        end_ms = now_ms + likely * DAY_MS
        if end_ms < one.fund.end_ms:
            yield Seen(
                Subject(kind, f"{one.fund.programme}/{one.fund.period}", one.fund.city),
                days_left(end_ms, now_ms, THRESHOLDS[kind]),
                (("likely_days", likely), ("available_fen", one.fund.available_fen)),
            )


# --- telling --------------------------------------------------------------------------------------


def look_and_tell(connection: Connection, epoch: int, now_ms: int) -> Changes:
    """Write what ``look`` finds, and tell the feed of what is raised; returns it.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    found = look(connection, now_ms)
    bulk_execute(
        connection,
        "UPDATE alert SET armed_ms = ? WHERE number = ? AND armed_ms IS NULL",
        [(now_ms, number) for number in found.armed],
    )
    bulk_insert(
        connection,
        table(Alert),
        _COLUMNS,
        [
            (
                str(kind),
                name,
                threshold,
                city,
                enterprise,
                json.dumps(dict(figures)),
                now_ms,
                now_ms,
            )
            for (kind, name, city, enterprise), threshold, figures in found.raised
        ],
        {"tries": "0"},
    )
    feed.append(
        connection,
        [
            feed.EventRow(
                EventKind.ALERT_RAISED, 0, 0, one.subject.enterprise, one.subject.city, "", now_ms,
                json.dumps(
                    {
                        "kind": str(one.subject.kind),
                        "name": one.subject.name,
                        "threshold": str(one.threshold),
                        **{name: str(figure) for name, figure in one.figures},
                    }
                ),
            )
            for one in found.raised
        ],
    )  # fmt: skip
    return found


def list_alerts(
    connection: Connection, scope: Scope, *, open_only: bool, limit: int, before: int = 0
) -> list[AlertRow]:
    """Return alerts that concern the caller, newest first, of numbers below ``before`` (0: all).

    An enterprise sees its own alone, a city those of its funds and enterprises.
    """
    where = scoping.enterprises(scope, "city", "enterprise")
    if open_only:
        where += " AND armed_ms IS NULL"
    if before:
        where += f" AND number < {before}"
    rows = connection.execute(
        text(
            "SELECT number, kind, name, threshold, city, enterprise, figures, raised_ms, armed_ms,"
            f" delivered_ms, tries FROM alert WHERE {where} ORDER BY number DESC LIMIT {limit}"
        ),
        scoping.values(scope),
    )
    return [_alert(row) for row in rows]


def highest(connection: Connection) -> dict[tuple[str, str], int]:
    """Return the highest percent told of each programme's fund, by (city, programme)."""
    rows = connection.exec_driver_sql(
        "SELECT city, name, threshold FROM alert WHERE armed_ms IS NULL"
        f" AND kind = '{AlertKind.FUND_USED}'"
    )
    found: dict[tuple[str, str], int] = {}
    for city, name, threshold in rows:
        key = (city, name.partition("/")[0])
        found[key] = max(found.get(key, 0), threshold)
    return found


# --- handing over to a webhook --------------------------------------------------------------------


def undelivered(connection: Connection, now_ms: int, since_ms: int, limit: int) -> list[AlertRow]:
    """Return alerts raised since an instant that nobody took yet and whose next try is due."""
    rows = connection.exec_driver_sql(
        "SELECT number, kind, name, threshold, city, enterprise, figures, raised_ms, armed_ms,"
        " delivered_ms, tries FROM alert WHERE delivered_ms IS NULL"
        f" AND next_try_ms <= {now_ms} AND raised_ms >= {since_ms} ORDER BY number LIMIT {limit}"
    )
    return [_alert(row) for row in rows]


def delivered(connection: Connection, epoch: int, number: int, now_ms: int) -> None:
    """Note that an alert was taken."""
    leader.check(connection, epoch)
    connection.exec_driver_sql(
        f"UPDATE alert SET delivered_ms = {now_ms}, tries = tries + 1 WHERE number = {number}"
    )


def postpone(connection: Connection, epoch: int, number: int, next_ms: int) -> None:
    """Note that an alert was not taken, and when it is tried again."""
    leader.check(connection, epoch)
    connection.exec_driver_sql(
        f"UPDATE alert SET next_try_ms = {next_ms}, tries = tries + 1 WHERE number = {number}"
    )


def _alert(row: Sequence[Any]) -> AlertRow:
    number, kind, name, threshold, city, enterprise, figures, *rest = row
    return AlertRow(number, kind, name, threshold, city, enterprise, json.loads(figures), *rest)
