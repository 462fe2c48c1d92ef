"""Funds opened for a programme's period: one account for each funder, with no money in it."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from quota.calendar import period_bounds
from quota.rules import Rule
from quota.transfers import (
    EXTERNAL,
    appropriation_account,
    fund_account,
    lapsed_account,
    payable_account,
    receivable_account,
    wallet_account,
)
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import AlreadyThere, FieldViolation, InvalidRequest, NotFound, WrongState
from scheduler.store import audit_trail, bookings, fund_figures
from scheduler.store.change_requests import Act
from scheduler.store.database import bulk_insert
from scheduler.store.fund_figures import FundInfo
from scheduler.store.fund_tables import FundFunder
from scheduler.store.tables import FundPeriod, table


@dataclass(frozen=True, slots=True)
class _Programme:
    code: str
    city: str
    funders: tuple[str, ...]


def open_fund(connection: Connection, programme: str, period: str, act: Act) -> FundInfo:
    """Open a programme's fund for a period that is not over, for all funders of its newest rule.

    A fund that is open already gets the funders that it lacks. Raises ``NotFound`` for a programme
    that the actor does not manage, ``InvalidRequest`` for what is no period, ``AlreadyThere`` for
    one that overlaps another of the programme, ``WrongState`` for one that is over or closed.
    """
    of = _managed(connection, act.actor.scope, programme)
    try:
        _, end_ms = period_bounds(period)
    except ValueError as error:
        raise InvalidRequest([FieldViolation("period", str(error))]) from error
    target = f"programmes/{programme}/funds/{period}"
    if end_ms <= act.now_ms:
        raise WrongState(
            f"the period {period} is over; open the fund of one that is not", subject=target
        )
    before = fund_figures.list_funds(connection, EVERYTHING, programme=programme, period=period)
    if before:
        fund_figures.check_open(before[0])
    else:
        _check_overlap(connection, programme, period)
    _open(connection, of, period)
    after = fund_figures.list_funds(connection, EVERYTHING, programme=programme, period=period)[0]
    if not before or before[0].funders != after.funders:
        audit_trail.record(
            connection,
            act.actor,
            "FUND_OPENED",
            target,
            at_ms=act.wall_ms,
            before={"funders": _names(before[0]) if before else ""},
            after={"funders": _names(after)},
            reason=act.reason,
            city=of.city,
        )
        bookings.tell(connection, (of.city,), act.now_ms)
    return after


def open_period(connection: Connection, programme: str, period: str) -> None:
    """Open a programme's fund as ``open_fund`` does, unasked and unchecked."""
    _open(connection, _managed(connection, EVERYTHING, programme), period)


def _names(fund: FundInfo) -> str:
    return ", ".join(one.funder for one in fund.funders)


def _managed(connection: Connection, scope: Scope, programme: str) -> _Programme:
    row = connection.execute(
        text(
            "SELECT p.city, r.body FROM programme p JOIN rule_version r ON r.programme = p.code"
            " WHERE p.code = :code ORDER BY r.version DESC LIMIT 1"
        ),
        {"code": programme},
    ).first()
    if row is None or scope.city not in (None, row.city):
        raise NotFound(f"there is no programme {programme!r} that you manage")
    shares = Rule.from_json(row.body).shares
    others = tuple(one.name for one in shares if one.name != row.city)
    return _Programme(programme, row.city, (row.city, *others))


def _check_overlap(connection: Connection, programme: str, period: str) -> None:
    start_ms, end_ms = period_bounds(period)
    other = connection.execute(
        text(
            "SELECT period FROM fund_period WHERE programme = :code AND start_ms < :end"
            " AND end_ms > :start ORDER BY start_ms LIMIT 1"
        ),
        {"code": programme, "start": start_ms, "end": end_ms},
    ).scalar()
    if other is not None:
        raise AlreadyThere(
            f"the period {period} overlaps {other}, for which {programme} has a fund; a job is"
            " paid from one fund at a time: open one that begins where that ends"
        )


def _open(connection: Connection, of: _Programme, period: str) -> None:
    """Open what is not there yet: the period, its funders and their accounts."""
    start_ms, end_ms = period_bounds(period)
    there = {
        funder
        for (funder,) in connection.exec_driver_sql(
            "SELECT funder FROM fund_funder WHERE programme = ? AND period = ?", (of.code, period)
        )
    }
    if not there:
        bulk_insert(
            connection, table(FundPeriod),
            ("programme", "period", "start_ms", "end_ms", "state", "account_id", "closing_by",
             "closing_reason"),
            [(of.code, period, start_ms, end_ms, "OPEN", fund_account(of.code, period), "", "")],
        )  # fmt: skip
    accounts: list[tuple[str, str, str, str, bool, int]] = []
    rows: list[tuple[object, ...]] = []
    for place, funder in enumerate(of.funders):
        if funder in there:
            continue
        named = "" if place == 0 else funder
        account = fund_account(of.code, period, named)
        rows.append((of.code, period, funder, place or len(there), account, 0, 0))
        accounts += [
            (account, "FUND", of.code, of.city, True, 0),
            (appropriation_account(of.code, period, named), "APPROPRIATION", of.code, of.city,
             False, 0),
            (lapsed_account(of.code, period, named), "LAPSED", of.code, of.city, False, 0),
        ]  # fmt: skip
        there.add(funder)
    bookings.open_accounts(connection, accounts)
    bulk_insert(
        connection, table(FundFunder),
        ("programme", "period", "funder", "place", "account_id", "appropriated_fen",
         "reducing_fen"),
        rows,
    )  # fmt: skip


# --- accounts of enterprises and centers ----------------------------------------------------------


def open_wallet(connection: Connection, enterprise: str, city: str, credit_limit_fen: int) -> None:
    """Open an enterprise's wallet (a credit line) and the account of what it owes."""
    bookings.open_accounts(
        connection,
        [
            (wallet_account(enterprise), "WALLET", enterprise, city, True, credit_limit_fen),
            (receivable_account(enterprise), "RECEIVABLE", enterprise, city, False, 0),
            (EXTERNAL, "EXTERNAL", "", "", False, 0),
        ],
    )


def open_payable(connection: Connection, center: str) -> None:
    """Open the account of what is owed to a center."""
    row = (payable_account(center), "CENTER_PAYABLE", center, "", False, 0)
    bookings.open_accounts(connection, [row])
