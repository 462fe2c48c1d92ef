"""Puts the money part of data files into the store: programmes, funds, vouchers, grants, facts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, text

from quota.amounts import split
from quota.calendar import SHANGHAI
from quota.rules import CORRIDOR
from scheduler.domain.principal import EVERYTHING, Principal, Role
from scheduler.store import catalog, funds, grants, programmes, vouchers
from scheduler.store.change_requests import Act
from scheduler.store.grants import Grant
from scheduler.store.seed_quotas import known
from scheduler.store.seed_rules import Dated, EnterpriseFacts, SeedProgramme
from scheduler.store.tables import Center, Enterprise, FundPeriod, Programme, table
from scheduler.store.vouchers import Issue, NewVoucher

_ACTOR: Final = "data files"
_REQUEST: Final = "data-files"


def load_programmes(connection: Connection, wanted: Sequence[SeedProgramme], now_ms: int) -> int:
    """Add programmes that are missing, and funds of this year; returns how many were new."""
    codes = {one.city for one in catalog.cities(connection)} | {CORRIDOR}
    for one in wanted:
        known(one.city, codes, "programmes.yaml: city")
    there = set(connection.execute(sa.select(table(Programme).c.code)).scalars())
    new = [one for one in wanted if one.rule.programme not in there]
    for one in new:
        programmes.create_programme(
            connection,
            city=one.city,
            name=one.name,
            document_ref=one.document_ref,
            sample=one.sample,
            rule=one.rule,
            now_ms=now_ms,
        )
    year = _year(now_ms)
    periods = table(FundPeriod).c
    opened = connection.execute(sa.select(periods.programme).where(periods.period == year))
    funded = set(opened.scalars())
    for one in wanted:
        if one.rule.programme not in funded:
            _open_fund(connection, one, year, now_ms)
    return len(new)


def _year(now_ms: int) -> str:
    return str(datetime.fromtimestamp(now_ms / 1000, SHANGHAI).year)


def _open_fund(connection: Connection, one: SeedProgramme, year: str, now_ms: int) -> None:
    """Open a fund with its first money, of each funder its share."""
    funds.open_period(connection, one.rule.programme, year)
    shares = one.rule.shares
    for (funder, _), amount in zip(
        shares, split(one.fund_fen, [share for _, share in shares]), strict=True
    ):
        if amount:
            funds.appropriate(
                connection,
                EVERYTHING,
                programme=one.rule.programme,
                period=year,
                amount_fen=amount,
                request_id=_REQUEST if funder == one.city else f"{_REQUEST}-{funder}",
                actor=_ACTOR,
                reason="first money of the period",
                now_ms=now_ms,
                funder="" if funder == one.city else funder,
            )


def load_rights(connection: Connection, wanted: Sequence[SeedProgramme], now_ms: int) -> None:
    """Issue vouchers and grant unit-seconds of this year that were not yet."""
    codes = set(connection.execute(sa.select(table(Enterprise).c.code)).scalars())
    actor = Principal(_ACTOR, Role.OPERATOR, None, None, None, "", 0)
    act = Act(actor, "first of the period", now_ms, now_ms)
    year = _year(now_ms)
    issued = _there(connection, "SELECT DISTINCT programme FROM voucher WHERE period = :year", year)
    granted = _there(
        connection,
        "SELECT programme || ' ' || enterprise FROM unit_grant WHERE period = :year",
        year,
    )
    for one in wanted:
        programme = one.rule.programme
        named = [right.enterprise for right in one.vouchers]
        named += [right.enterprise for right in one.grants]
        for enterprise in named:
            known(enterprise, codes, "programmes.yaml: enterprise")
        if one.vouchers and programme not in issued:
            new = [NewVoucher(voucher.enterprise, voucher.face_fen) for voucher in one.vouchers]
            vouchers.issue(connection, Issue(programme, year, new, _REQUEST), act)
        for grant in one.grants:
            if f"{programme} {grant.enterprise}" not in granted:
                request = f"{_REQUEST}-{grant.enterprise}"
                seconds = grant.unit_hours * 3_600
                order = Grant(programme, year, grant.enterprise, seconds, request)
                grants.grant(connection, order, act)


def _there(connection: Connection, query: str, year: str) -> set[str]:
    return set(connection.execute(text(query), {"year": year}).scalars())


def load_facts(connection: Connection, facts: Sequence[EnterpriseFacts]) -> None:
    """Add what rules ask about enterprises, where it is not known yet."""
    centers = set(connection.execute(sa.select(table(Center).c.code)).scalars())
    for one in facts:
        for fact in one.related:
            known(fact.what[0], centers, "enterprises.yaml: related_centers.center")
            _add(connection, "related_party", ("enterprise", "center"), one.enterprise, fact)
        for fact in one.projects:
            names = ("enterprise", "list_name", "project")
            _add(connection, "listed_project", names, one.enterprise, fact)
        for programme, year, source in one.supported:
            connection.execute(
                text(
                    "INSERT INTO earlier_support"
                    " (enterprise, programme, since_year, valid_from_ms, source)"
                    " VALUES (:enterprise, :programme, :year, 0, :source) ON CONFLICT DO NOTHING"
                ),
                {
                    "enterprise": one.enterprise, "programme": programme, "year": year,
                    "source": source,
                },
            )  # fmt: skip


def _add(
    connection: Connection, target: str, names: Sequence[str], enterprise: str, fact: Dated
) -> None:
    columns = (*names, "valid_from_ms", "valid_to_ms", "source")
    values = (enterprise, *fact.what, fact.from_ms, fact.to_ms, fact.source)
    connection.execute(
        text(
            f"INSERT INTO {target} ({', '.join(columns)})"
            f" VALUES ({', '.join(f':{name}' for name in columns)}) ON CONFLICT DO NOTHING"
        ),
        dict(zip(columns, values, strict=True)),
    )
