"""Free unit-seconds: granted to an enterprise by a programme of such a kind, for a fund's period.

They are a second unit beside money, in the ledger ``UNIT_S``: amounts are unit-seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from quota.rules import CORRIDOR, Rule
from quota.transfers import (
    UNIT_S,
    Entry,
    Kind,
    consumed_account,
    grant_account,
    grant_pool_account,
)
from scheduler.domain.principal import Scope
from scheduler.errors import NotFound, RequestIdReused, WrongState
from scheduler.store import audit_trail, bookings, fund_figures, money_locks, transfers
from scheduler.store.change_requests import Act
from scheduler.store.database import bulk_execute
from scheduler.store.fund_figures import FundInfo


@dataclass(frozen=True, slots=True)
class Grant:
    """Unit-seconds to be granted, once per request id."""

    programme: str
    period: str
    enterprise: str
    unit_seconds: int
    request_id: str


@dataclass(frozen=True, slots=True)
class GrantInfo:
    """What an enterprise was granted in a period, in unit-seconds: granted = held + used + left.

    What was left when the period closed was taken back and is not in ``granted``.
    """

    programme: str
    period: str
    city: str
    enterprise: str
    granted_unit_seconds: int
    held_unit_seconds: int
    used_unit_seconds: int
    end_ms: int

    @property
    def left_unit_seconds(self) -> int:
        """What it can still give."""
        return self.granted_unit_seconds - self.held_unit_seconds - self.used_unit_seconds


def list_grants(
    connection: Connection, scope: Scope, *, programme: str = "", period: str = "",
    enterprise: str = "",
) -> list[GrantInfo]:  # fmt: skip
    """Return the grants of a scope: a city's own programmes', an enterprise's own."""
    parts = ["1 = 1"]
    if scope.city is not None:
        parts.append(f"(p.city = :city OR (p.city = '{CORRIDOR}' AND e.city = :city))")
    if scope.enterprise is not None:
        parts.append("g.enterprise = :own")
    rows = connection.execute(
        text(
            "SELECT g.programme, g.period, p.city, g.enterprise,"
            " a.credits_posted - g.returned_unit_seconds, a.debits_pending,"
            " a.debits_posted - g.returned_unit_seconds, f.end_ms FROM unit_grant g"
            " JOIN programme p ON p.code = g.programme JOIN enterprise e ON e.code = g.enterprise"
            " JOIN fund_period f ON f.programme = g.programme AND f.period = g.period"
            " JOIN account a ON a.account_id = g.account_id"
            f" WHERE {' AND '.join(parts)} AND (:programme = '' OR g.programme = :programme)"
            " AND (:period = '' OR g.period = :period)"
            " AND (:enterprise = '' OR g.enterprise = :enterprise)"
            " ORDER BY g.programme, f.start_ms, g.enterprise"
        ),
        {
            "city": scope.city, "own": scope.enterprise, "programme": programme, "period": period,
            "enterprise": enterprise,
        },
    )  # fmt: skip
    return [GrantInfo(*row) for row in rows]


def grant(connection: Connection, order: Grant, act: Act) -> GrantInfo:
    """Grant unit-seconds of a programme that the actor manages; the same request adds none.

    Raises ``NotFound``, ``WrongState`` for a fund that is not open or a rule that gives money,
    ``RequestIdReused``.
    """
    fund = fund_figures.managed_fund(connection, act.actor.scope, order.programme, order.period)
    _check_enterprise(connection, fund, order.enterprise)
    account = grant_account(order.programme, order.period, order.enterprise)
    pool = grant_pool_account(order.programme, order.period)
    shard = bookings.fund_shard(order.programme, order.period)
    _open(connection, fund, order.enterprise, act.now_ms)
    money_locks.lock(connection, accounts=(account, pool), shards=(shard,))
    key = f"grant:{order.programme}:{order.period}:{order.request_id}"
    before = transfers.select(connection, "idem_key = ?", (key,))
    if before:
        entry = before[0].entry
        if (entry.credit_account, entry.amount_fen) != (account, order.unit_seconds):
            raise RequestIdReused(
                f"request id {order.request_id!r} already granted {entry.amount_fen} unit-seconds"
                f" to {entry.credit_account}; use a new request id for another grant"
            )
        return _one(connection, order)
    fund_figures.check_open(fund)
    _check_rule(connection, fund)
    entry = Entry(
        shard, Kind.DIRECT, "GRANT", pool, account, order.unit_seconds, act.now_ms, key,
        actor=act.actor.subject, reason=act.reason, ledger=UNIT_S,
    )  # fmt: skip
    bookings.book(connection, [entry])
    after = _one(connection, order)
    audit_trail.record(
        connection,
        act.actor,
        "HOURS_GRANTED",
        f"{fund.target}/grants/{order.enterprise}",
        at_ms=act.wall_ms,
        before={"granted_unit_seconds": after.granted_unit_seconds - order.unit_seconds},
        after={"granted_unit_seconds": after.granted_unit_seconds},
        reason=act.reason,
        city=fund.city,
        enterprise=order.enterprise,
    )
    bookings.tell(connection, (fund.city,), act.now_ms)
    return after


def _one(connection: Connection, order: Grant) -> GrantInfo:
    [found] = list_grants(
        connection, Scope(), programme=order.programme, period=order.period,
        enterprise=order.enterprise,
    )  # fmt: skip
    return found


def _check_enterprise(connection: Connection, fund: FundInfo, enterprise: str) -> None:
    city = connection.execute(
        text("SELECT city FROM enterprise WHERE code = :code"), {"code": enterprise}
    ).scalar()
    if city is None or fund.city not in (CORRIDOR, city):
        raise NotFound(
            f"there is no enterprise {enterprise!r} of {fund.city}, whose programme it is"
        )


def _check_rule(connection: Connection, fund: FundInfo) -> None:
    body = connection.execute(
        text("SELECT body FROM rule_version WHERE programme = :code ORDER BY version DESC LIMIT 1"),
        {"code": fund.programme},
    ).scalar_one()
    if Rule.from_json(body).unit != UNIT_S:
        raise WrongState(
            f"{fund.programme} gives money, not free hours; make a programme whose rule says"
            f" unit: {UNIT_S}",
            subject=f"programmes/{fund.programme}",
        )


def _open(connection: Connection, fund: FundInfo, enterprise: str, now_ms: int) -> None:
    """Open the accounts of a grant that are not there yet."""
    programme, period, city = fund.programme, fund.period, fund.city
    account = grant_account(programme, period, enterprise)
    bookings.open_accounts(
        connection,
        [
            (account, "GRANT", enterprise, city, True, 0),
            (grant_pool_account(programme, period), "GRANT_POOL", programme, city, False, 0),
            (consumed_account(programme, period), "CONSUMED", programme, city, False, 0),
        ],
        UNIT_S,
    )
    bulk_execute(
        connection,
        "INSERT INTO unit_grant (programme, period, enterprise, account_id, returned_unit_seconds,"
        " created_ms) VALUES (?, ?, ?, ?, 0, ?)"
        " ON CONFLICT (programme, period, enterprise) DO NOTHING",
        [(programme, period, enterprise, account, now_ms)],
    )


def accounts_of(connection: Connection, programme: str, period: str) -> list[str]:
    """Return the accounts that ``take_back`` moves, to be locked before."""
    rows = connection.exec_driver_sql(
        "SELECT account_id FROM unit_grant WHERE programme = ? AND period = ?", (programme, period)
    )
    return [*rows.scalars(), grant_pool_account(programme, period)]


def take_back(connection: Connection, programme: str, period: str, now_ms: int) -> None:
    """Take back what is left of all grants of a period, whose rows are locked (``accounts_of``)."""
    rows: Sequence[tuple[str, int]] = [
        (account, int(left))
        for account, left in connection.exec_driver_sql(
            "SELECT g.account_id, a.credits_posted - a.debits_posted - a.debits_pending"
            " FROM unit_grant g JOIN account a ON a.account_id = g.account_id"
            " WHERE g.programme = ? AND g.period = ? ORDER BY g.account_id",
            (programme, period),
        )
        if left > 0
    ]
    bookings.book(
        connection,
        [
            Entry(
                bookings.fund_shard(programme, period), Kind.DIRECT, "EXPIRE", account,
                grant_pool_account(programme, period), left, now_ms, f"return:{account}",
                reason="the period is closed", ledger=UNIT_S,
            )
            for account, left in rows
        ],
    )  # fmt: skip
    bulk_execute(
        connection,
        "UPDATE unit_grant SET returned_unit_seconds = returned_unit_seconds + ?"
        " WHERE account_id = ?",
        [(left, account) for account, left in rows],
    )
