"""Prices and subsidy rules in force, as the pure rules of ``quota`` want them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from sqlalchemy import Connection

from quota.subsidy import Applicant, Left, Rule, eligible
from scheduler.store.database import bulk_read


class Price(NamedTuple):
    """A price version in force."""

    price_id: str
    price_ufen: int


class OpenFund(NamedTuple):
    """The fund of a programme whose period contains the present."""

    account_id: str
    period: str


@dataclass(frozen=True, slots=True)
class Money:
    """Prices by flavor, rules in force, and the open fund of each programme."""

    prices: Mapping[str, Price]
    rules: tuple[Rule, ...]
    funds: Mapping[str, OpenFund]

    def rules_for(self, applicant: Applicant, flavor: str) -> tuple[list[Rule], list[Rule]]:
        """Return (rules that admit the job and have an open fund, those without one)."""
        admitted = eligible(self.rules, applicant, flavor)
        return (
            [rule for rule in admitted if rule.programme in self.funds],
            [rule for rule in admitted if rule.programme not in self.funds],
        )


class Payer(NamedTuple):
    """An enterprise as the money rules see it."""

    enterprise: str
    applicant: Applicant
    blocked: bool


def load_money(connection: Connection, now_ms: int) -> Money:
    """Read what is in force at ``now_ms``."""
    run = connection.exec_driver_sql
    in_force = (
        f"effective_from_ms <= {now_ms} AND (effective_to_ms IS NULL OR effective_to_ms > {now_ms})"
    )
    prices = {
        flavor: Price(price_id, price)
        for flavor, price_id, price in run(
            f"SELECT flavor, price_id, price_ufen FROM price_version WHERE {in_force}"
            " ORDER BY effective_from_ms"
        )
    }
    rules = tuple(
        _rule(body)
        for (body,) in run(
            "SELECT r.body FROM rule_version r JOIN programme p ON p.code = r.programme"
            f" WHERE p.status = 'ACTIVE' AND {in_force} ORDER BY r.programme, r.version"
        )
    )
    newest = {rule.programme: rule for rule in rules}
    funds = {
        programme: OpenFund(account, period)
        for programme, account, period in run(
            "SELECT programme, account_id, period FROM fund_period WHERE state = 'OPEN'"
            f" AND start_ms <= {now_ms} AND end_ms > {now_ms} ORDER BY programme, start_ms"
        )
    }
    return Money(prices, tuple(newest.values()), funds)


@lru_cache(maxsize=4_096)
def _rule(body: str) -> Rule:
    return Rule.from_json(body)


def load_rules(
    connection: Connection, versions: Collection[tuple[str, int]]
) -> dict[tuple[str, int], Rule]:
    """Read rules by (programme, version)."""
    if not versions:
        return {}
    marks = ", ".join(["(?, ?)"] * len(versions))
    rows = connection.exec_driver_sql(
        "SELECT programme, version, body FROM rule_version"
        f" WHERE (programme, version) IN (VALUES {marks})",
        tuple(chain.from_iterable(sorted(versions))),
    )
    return {(programme, version): _rule(body) for programme, version, body in rows}


def load_payers(connection: Connection, enterprises: Iterable[str]) -> dict[str, Payer]:
    """Read enterprises by code."""
    codes = sorted(set(enterprises))
    if not codes:
        return {}
    rows = bulk_read(
        connection,
        "SELECT code, city, size_class, sector, startup, blocked FROM enterprise"
        f" WHERE code IN ({_marks(codes)})",
        tuple(codes),
    )
    return {
        code: Payer(code, Applicant(city, size, sector, bool(startup)), bool(blocked))
        for code, city, size, sector, startup, blocked in rows
    }


def available(connection: Connection, accounts: Iterable[str]) -> dict[str, int]:
    """Read what limited accounts can still give, in fen."""
    names = sorted(set(accounts))
    if not names:
        return {}
    rows = bulk_read(
        connection,
        "SELECT account_id, credits_posted + credit_limit_fen - debits_posted - debits_pending"
        f" FROM account WHERE account_id IN ({_marks(names)})",
        tuple(names),
    )
    return {account: int(left) for account, left in rows}


def cap_used(
    connection: Connection, programmes: Collection[str], enterprises: Collection[str], year: int
) -> dict[tuple[str, str], int]:
    """Read what programmes gave and hold for enterprises in a natural year."""
    if not programmes or not enterprises:
        return {}
    rows = bulk_read(
        connection,
        "SELECT programme, enterprise, pending_fen + posted_fen FROM cap_counter"
        f" WHERE programme IN ({_marks(programmes)}) AND enterprise IN ({_marks(enterprises)})"
        f" AND year = {year}",
        (*sorted(programmes), *sorted(enterprises)),
    )
    return {(programme, enterprise): int(used) for programme, enterprise, used in rows}


def _marks(values: Collection[object]) -> str:
    return ", ".join(["?"] * len(values))


def left_of(rule: Rule, fund_fen: int, used_fen: int) -> Left:
    """What a programme can still give an enterprise."""
    cap = None if rule.year_cap_fen is None else max(0, rule.year_cap_fen - used_fen)
    return Left(max(0, fund_fen), cap)
