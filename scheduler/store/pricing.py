"""Prices and subsidy rules in force, and what there is to give, as the pure rules want them.

What changes by people's decisions alone (prices, rules, which funds there are) is read once and
kept for as long as its stamp in the database is the same and none of its dates passes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

from quota.charges import FOREVER_MS, Source
from quota.rules import Rule
from scheduler.store.bulk import Question, Rows, prompt_read, prompt_reads
from scheduler.store.money_locks import ACCOUNTS_LEFT
from scheduler.store.rule_facts import Payer as Payer
from scheduler.store.rule_facts import load_payers as load_payers


class Price(NamedTuple):
    """A price version in force."""

    price_id: str
    price_ufen: int


@dataclass(frozen=True, slots=True)
class Money:
    """Prices by flavor, rules in force, and funds of each programme that are open from now on.

    Funds of later periods are for runs that last until then. ``domestic`` are flavors of domestic
    make, ``centers`` where each flavor is. It holds in [from_ms, until_ms) under its ``stamp``.
    ``memo`` is for what readers derive from it; it goes with it.
    """

    prices: Mapping[str, Price]
    rules: tuple[Rule, ...]
    funds: Mapping[str, tuple[Source, ...]]
    domestic: frozenset[str] = frozenset()
    centers: Mapping[str, str] = field(default_factory=dict)
    stamp: str = ""
    from_ms: int = 0
    until_ms: int = 0
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def funded(self, now_ms: int) -> set[str]:
        """Return the programmes that have a fund of this moment."""
        return {
            programme
            for programme, sources in self.funds.items()
            if any(source.from_ms <= now_ms < source.to_ms for source in sources)
        }


@dataclass(frozen=True, slots=True)
class Own:
    """Vouchers and grants of enterprises: sources by (enterprise, programme)."""

    sources: Mapping[tuple[str, str], tuple[Source, ...]] = field(default_factory=dict)


#: The last that was read of each database.
_KEPT: Final[WeakKeyDictionary[Engine, Money]] = WeakKeyDictionary()
_NEXT: Final = " UNION ALL ".join(
    f"SELECT min({column}) AS at_ms FROM {table} WHERE {column} > {{now}}"
    for table, column in (
        ("price_version", "effective_from_ms"),
        ("price_version", "effective_to_ms"),
        ("rule_version", "effective_from_ms"),
        ("rule_version", "effective_to_ms"),
        ("fund_period", "end_ms"),
    )
)


#: The question for the stamp of the terms.
STAMP: Final[Question] = ("SELECT stamp FROM money_terms", ())


def load_money(connection: Connection, now_ms: int) -> Money:
    """Return what is in force at ``now_ms``: what was read before, if that is still so."""
    stamps = prompt_read(connection, *STAMP)
    kept = kept_money(connection, now_ms)
    if kept is not None and is_stamped(kept, stamps):
        return kept
    if not stamps:  # somebody emptied the table: the next change of the terms makes a new one
        return _read_money(connection, now_ms, "")
    # What is read after its stamp is as new as the stamp says, or newer.
    read = _KEPT[connection.engine] = _read_money(connection, now_ms, stamps[0][0])
    return read


def kept_money(connection: Connection, now_ms: int) -> Money | None:
    """Return what was read before and may be in force; it is if it ``is_stamped``."""
    kept = _KEPT.get(connection.engine)
    return kept if kept is not None and kept.from_ms <= now_ms < kept.until_ms else None


def is_stamped(kept: Money, stamps: Rows) -> bool:
    """Whether what was kept has the stamp that stands in the database."""
    return bool(stamps) and stamps[0][0] == kept.stamp


def _read_money(connection: Connection, now_ms: int, stamp: str) -> Money:
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
    funds: dict[str, list[Source]] = {}
    for programme, account, funder, start_ms, end_ms in run(
        "SELECT f.programme, n.account_id, n.funder, f.start_ms, f.end_ms FROM fund_period f"
        " JOIN fund_funder n ON n.programme = f.programme AND n.period = f.period"
        f" WHERE f.state = 'OPEN' AND f.end_ms > {now_ms} ORDER BY f.programme, f.start_ms, n.place"
    ):
        funds.setdefault(programme, []).append(Source(account, funder, start_ms, end_ms))
    flavors = run("SELECT code, center, domestic FROM flavor").all()
    next_ms = run(f"SELECT min(at_ms) FROM ({_NEXT.format(now=now_ms)}) AS changes").scalar()
    return Money(
        prices,
        tuple(newest.values()),
        {name: tuple(mine) for name, mine in funds.items()},
        frozenset(code for code, _, domestic in flavors if domestic),
        {code: center for code, center, _ in flavors},
        stamp,
        now_ms,
        FOREVER_MS if next_ms is None else int(next_ms),
    )


def programme_names(connection: Connection) -> dict[str, str]:
    """Read the names of all programmes, for people."""
    rows = connection.exec_driver_sql("SELECT code, name FROM programme")
    return {code: name for code, name in rows}  # noqa: C416 - rows are no pairs to the type checker


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


def load_own(
    connection: Connection, rules: Iterable[Rule], enterprises: Collection[str], now_ms: int
) -> Own:
    """Read vouchers that are valid now, and grants of open periods, of some enterprises."""
    asked = own_asked(tuple(rules), enterprises, now_ms)
    return own_told(*prompt_reads(connection, asked))


def own_asked(
    rules: Collection[Rule], enterprises: Collection[str], now_ms: int
) -> list[Question | None]:
    """Return the questions for vouchers and for grants."""
    codes = tuple(sorted(enterprises))
    marks = _marks(codes)
    vouchers = (
        "SELECT enterprise, programme, account_id, end_ms, cap_year FROM voucher"
        f" WHERE enterprise IN ({marks}) AND state = 'ISSUED'"
        " AND valid_from_ms <= ? AND end_ms > ?"
    )
    grants = (
        "SELECT g.enterprise, g.programme, g.account_id, f.start_ms, f.end_ms FROM unit_grant g"
        " JOIN fund_period f ON f.programme = g.programme AND f.period = g.period"
        f" WHERE g.enterprise IN ({marks}) AND f.state = 'OPEN' AND f.end_ms > ?"
    )
    return [
        (vouchers, (*codes, now_ms, now_ms))
        if codes and any(rule.issue == "VOUCHER" for rule in rules)
        else None,
        (grants, (*codes, now_ms))
        if codes and any(rule.unit == "UNIT_S" for rule in rules)
        else None,
    ]


def own_told(vouchers: Rows, grants: Rows) -> Own:
    """Return the answers as sources."""
    found: dict[tuple[str, str], list[Source]] = {}
    for enterprise, programme, account, end_ms, year in vouchers:
        source = Source(account, expire_ms=end_ms, cap_year=year)
        found.setdefault((enterprise, programme), []).append(source)
    for enterprise, programme, account, start_ms, end_ms in grants:
        source = Source(account, from_ms=start_ms, to_ms=end_ms)
        found.setdefault((enterprise, programme), []).append(source)
    return Own({key: tuple(sources) for key, sources in found.items()})


def available(connection: Connection, accounts: Iterable[str]) -> dict[str, int]:
    """Read what limited accounts can still give, in fen (unit-seconds of grants).

    What a lowered fund waits to take out is not there to be given.
    """
    return available_told(*prompt_reads(connection, [available_asked(accounts)]))


def available_asked(accounts: Iterable[str]) -> Question | None:
    """Return the question for what accounts can still give."""
    names = sorted(set(accounts))
    if not names:
        return None
    return f"{ACCOUNTS_LEFT} IN ({_marks(names)})", tuple(names)


def available_told(rows: Rows) -> dict[str, int]:
    """Return the answer by account."""
    return {account: int(left) for account, left in rows}


def cap_used(
    connection: Connection, programmes: Collection[str], enterprises: Collection[str], year: int
) -> dict[tuple[str, str, int], int]:
    """Read what programmes gave and hold for enterprises in a natural year and the next."""
    return caps_told(*prompt_reads(connection, [caps_asked(programmes, enterprises, year)]))


def caps_asked(
    programmes: Collection[str], enterprises: Collection[str], year: int
) -> Question | None:
    """Return the question for what was used of yearly caps."""
    if not programmes or not enterprises:
        return None
    return (
        "SELECT programme, enterprise, year, pending_fen + posted_fen FROM cap_counter"
        f" WHERE programme IN ({_marks(programmes)}) AND enterprise IN ({_marks(enterprises)})"
        f" AND year IN ({year}, {year + 1})",
        (*sorted(programmes), *sorted(enterprises)),
    )


def caps_told(rows: Rows) -> dict[tuple[str, str, int], int]:
    """Return the answer by programme, enterprise and natural year."""
    return {(programme, who, in_year): int(used) for programme, who, in_year, used in rows}


def _marks(values: Collection[object]) -> str:
    return ", ".join(["?"] * len(values))
