"""Settled runs of a time read back for a dry run of other rules or prices (``quota.dry_run``)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection

from quota.calendar import natural_year
from quota.dry_run import PastRun, Purse
from quota.rules import Ask, Rule
from quota.slices import Span
from scheduler.store import fund_days, pricing, rule_facts
from scheduler.store.database import bulk_read


@dataclass(frozen=True, slots=True)
class Past:
    """Settled runs in the order of their settlement, and what there was when the time began.

    ``booked`` is what each programme gave them as booked, corrections included; ``rules`` are those
    in force now.
    """

    runs: Sequence[PastRun]
    purse: Purse
    booked: Counter[str]
    rules: tuple[Rule, ...]


def load(
    connection: Connection, *, city: str, from_ms: int, now_ms: int, rules: Iterable[Rule]
) -> Past:
    """Read the billed runs of a city ("": of all) that were settled from an instant until now.

    ``rules`` are those that will be tried, beside those in force: what they ask about enterprises
    is read as it is now.
    """
    money = pricing.load_money(connection, now_ms)
    where = f"r.settled_ms >= {from_ms} AND r.settled_ms < {now_ms}"
    values: tuple[str, ...] = ()
    if city:
        where, values = f"{where} AND r.city = ?", (city,)
    heads = _heads(connection, where, values)
    spans = _spans(connection, where, values)
    asked = (*money.rules, *rules)
    enterprises = sorted({head[2] for head in heads})
    payers = rule_facts.load_payers(connection, enterprises, asked, now_ms)
    runs = [
        _run(head, spans[head[:2]], payers[head[2]], money)
        for head in heads
        if head[:2] in spans and head[2] in payers
    ]
    own = pricing.load_own(connection, asked, enterprises, now_ms)
    accounts = [source.account for mine in money.funds.values() for source in mine]
    accounts += [source.account for mine in own.sources.values() for source in mine]
    left = pricing.available(connection, accounts)
    programmes = [rule.programme for rule in asked if rule.year_cap_fen is not None]
    caps = pricing.cap_used(connection, programmes, enterprises, natural_year(from_ms))
    booked: Counter[str] = Counter()
    for programme, account, enterprise, year, amount, ledger in _given(connection, where, values):
        if account in left:
            left[account] += amount
        if year is not None and (programme, enterprise, year) in caps:
            caps[programme, enterprise, year] -= amount
        if ledger == "CNY":
            booked[programme] += amount
    return Past(runs, Purse(money.funds, own.sources, left, caps), booked, money.rules)


_BILLED: Final = (
    "EXISTS (SELECT 1 FROM rated_line l WHERE l.job_uid = r.job_uid AND l.attempt = r.attempt"
    " AND l.billed)"
)


def _heads(connection: Connection, where: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
    rows = bulk_read(
        connection,
        "SELECT r.job_uid, r.attempt, r.enterprise, r.city, r.center, r.flavor, r.settled_ms,"
        " h.price_ufen, j.contract, j.project, j.subsidy, coalesce(j.array_uid, j.uid) FROM run r"
        " JOIN job j ON j.uid = r.job_uid JOIN hold h ON h.job_uid = r.job_uid"
        f" AND h.attempt = r.attempt AND h.rev = 0 WHERE {where} AND {_BILLED}"
        " ORDER BY r.settled_ms, r.job_uid, r.attempt",
        values,
    )
    return [tuple(row) for row in rows]


def _spans(
    connection: Connection, where: str, values: tuple[str, ...]
) -> dict[tuple[int, int], tuple[Span, ...]]:
    rows = bulk_read(
        connection,
        "SELECT u.job_uid, u.attempt, u.segment, u.start_ms, u.end_ms, u.units"
        f" FROM usage_record u JOIN run r ON r.job_uid = u.job_uid AND r.attempt = u.attempt"
        f" WHERE {where} AND u.revision = (SELECT max(n.revision) FROM usage_record n"
        " WHERE n.center = u.center AND n.native_id = u.native_id AND n.submit_ms = u.submit_ms"
        " AND n.segment = u.segment) ORDER BY u.job_uid, u.attempt, u.segment",
        values,
    )
    return {
        key: tuple(Span(*row[2:]) for row in mine)
        for key, mine in groupby(rows, key=lambda row: (row[0], row[1]))
    }


def _run(
    head: tuple[Any, ...], spans: tuple[Span, ...], payer: rule_facts.Payer, money: pricing.Money
) -> PastRun:
    _, _, enterprise, city, center, flavor, settled_ms, price, contract, project, wish, root = head
    ask = Ask(
        center,
        flavor,
        flavor in money.domestic,
        contract,
        payer.lists.get(project, frozenset()) if project else frozenset(),
    )
    return PastRun(
        enterprise, fund_days.today(settled_ms), root, payer.applicant._replace(city=city), ask,
        spans, price, wish != "NONE",
    )  # fmt: skip


def _given(
    connection: Connection, where: str, values: tuple[str, ...]
) -> Sequence[tuple[Any, ...]]:
    """Sums of what was given in the time, by programme, account, enterprise and year of the cap."""
    rows = bulk_read(
        connection,
        "SELECT s.programme, s.account_id, r.enterprise, s.cap_year, sum(s.amount_fen), s.ledger"
        " FROM subsidy_line s JOIN run r ON r.job_uid = s.job_uid AND r.attempt = s.attempt"
        f" WHERE {where} GROUP BY s.programme, s.account_id, r.enterprise, s.cap_year, s.ledger",
        values,
    )
    return [(*row[:4], int(row[4]), row[5]) for row in rows]
