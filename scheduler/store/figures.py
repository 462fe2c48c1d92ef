"""Figures that the metrics show, read in one go; also the demonstration's tables."""

from collections import Counter as Count
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from scheduler.domain.principal import EVERYTHING
from scheduler.store import alerts, differences, fund_figures, pools, quotas_usage, stops
from scheduler.store.pools import Pool
from scheduler.store.quotas_usage import UsageRow


@dataclass(frozen=True, slots=True)
class Figures:
    """Use by city and flavor, pools with the units in use, funds (city, programme, available,
    held, posted in fen), stopped nodes by (kind, state), dated changes of quotas by state, and the
    highest percent told of funds by (city, programme), open differences with centers' records by
    (center, kind)."""

    quotas: list[UsageRow]
    pools: list[tuple[Pool, int]]
    funds: list[tuple[str, str, int, int, int]]
    stops: dict[tuple[str, str], int]
    changes: dict[str, int]
    alerts: dict[tuple[str, str], int]
    differences: Mapping[tuple[str, str], int]


def read(connection: Connection) -> Figures:
    """Read all figures on one snapshot."""
    quotas = quotas_usage.city_usage(connection, EVERYTHING)
    used: Count[str] = Count()
    for row in quotas:
        used[row.flavor] += row.used_units
    funds: dict[tuple[str, str], tuple[int, int, int]] = {}
    for fund in fund_figures.list_funds(connection, EVERYTHING):
        if fund.state == "OPEN":
            free, held, spent = funds.get((fund.city, fund.programme), (0, 0, 0))
            funds[fund.city, fund.programme] = (
                free + fund.available_fen, held + fund.held_fen, spent + fund.posted_fen,
            )  # fmt: skip
    stopped = stops.stopped(connection).items()
    changes = connection.exec_driver_sql("SELECT state, count(*) FROM quota_change GROUP BY state")
    return Figures(
        quotas,
        [(pool, used[flavor]) for flavor, pool in pools.read(connection).items()],
        [(city, of, *sums) for (city, of), sums in sorted(funds.items())],
        Count((node.partition("/")[0], state) for node, state in stopped),
        {state: int(count) for state, count in changes},
        alerts.highest(connection),
        differences.open_by_center(connection),
    )


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """Cities' budgets now (city, flavor, allotted, held, settled, free; None without a limit),
    debts (city, flavor, owed by it and its enterprises), overruns (flavor, ever), in unit-seconds.
    """

    budgets: list[tuple[str, str, int | None, int, int, int | None]]
    debts: list[tuple[str, str, int]]
    overruns: list[tuple[str, int]]


def read_budgets(connection: Connection, now_ms: int) -> BudgetFigures:
    """Read the budgets of the present periods; nothing where no city has any."""
    budgets = connection.exec_driver_sql(
        "SELECT b.city, b.flavor, b.allotted_unit_seconds, b.held_unit_seconds,"
        " b.settled_unit_seconds, b.allotted_unit_seconds + b.received_unit_seconds"
        " - b.given_unit_seconds - b.held_unit_seconds - b.settled_unit_seconds FROM budget b"
        " JOIN budget_city c ON c.city = b.city WHERE c.enabled AND b.enterprise = ''"
        f" AND b.start_ms <= {now_ms} AND b.end_ms > {now_ms} ORDER BY b.city, b.flavor"
    ).all()
    debts = connection.exec_driver_sql(
        "SELECT o.city, d.flavor, sum(d.unit_seconds) FROM budget_debt d"
        " JOIN (SELECT 'cities/' || code AS node, code AS city FROM city UNION ALL"
        " SELECT 'enterprises/' || code, city FROM enterprise) o ON o.node = d.borrower"
        " GROUP BY o.city, d.flavor ORDER BY o.city, d.flavor"
    ).all()
    overruns = connection.exec_driver_sql(
        "SELECT flavor, sum(settled_unit_seconds) FROM budget WHERE node = 'corridor'"
        " GROUP BY flavor ORDER BY flavor"
    ).all()
    return BudgetFigures(
        [tuple(row) for row in budgets],
        [(city, flavor, int(owed)) for city, flavor, owed in debts],
        [(flavor, int(over)) for flavor, over in overruns],
    )
