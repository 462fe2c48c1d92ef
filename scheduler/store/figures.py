"""Figures that the metrics show, read in one go; also the demonstration's tables."""

from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Figures:
    """Quotas (city, flavor, nominal, used), pools (flavor, capacity, used), funds (city,
    programme, available, held, posted in fen)."""

    quotas: list[tuple[str, str, int, int]]
    pools: list[tuple[str, int, int]]
    funds: list[tuple[str, str, int, int, int]]


def read(connection: Connection) -> Figures:
    """Read all figures on one snapshot."""
    quotas = connection.exec_driver_sql(
        "SELECT city, flavor, nominal_units, used_units FROM city_quota ORDER BY city, flavor"
    ).all()
    pools = connection.exec_driver_sql(
        "SELECT f.code, f.capacity_units, coalesce(sum(q.used_units), 0) FROM flavor f"
        " LEFT JOIN city_quota q ON q.flavor = f.code GROUP BY f.code, f.capacity_units"
        " ORDER BY f.code"
    ).all()
    funds = connection.exec_driver_sql(
        "SELECT p.city, p.code,"
        " sum(a.credits_posted - a.debits_posted - a.debits_pending),"
        " sum(a.debits_pending), sum(a.debits_posted)"
        " FROM programme p JOIN fund_period f ON f.programme = p.code"
        " JOIN account a ON a.account_id = f.account_id"
        " WHERE f.state = 'OPEN' GROUP BY p.city, p.code ORDER BY p.city, p.code"
    ).all()
    return Figures(
        list(quotas),
        [(f, c, int(u)) for f, c, u in pools],
        [(c, p, int(a), int(h), int(s)) for c, p, a, h, s in funds],
    )
