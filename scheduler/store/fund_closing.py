"""The end of a fund's period: nothing more is held of it, what is held is settled, the rest lapses.

Vouchers go on to the end of their validity: a fund closes when none of them can give any more.
"""

from sqlalchemy import Connection, text

from quota.transfers import GENESIS, Entry, Kind
from scheduler.domain.principal import EVERYTHING, Principal, Role
from scheduler.errors import WrongState
from scheduler.store import audit_trail, bookings, fund_figures, grants, transfers
from scheduler.store.change_requests import Act
from scheduler.store.database import bulk_insert
from scheduler.store.fund_figures import FundInfo
from scheduler.store.fund_tables import FundClose
from scheduler.store.tables import table

#: Who closes what somebody has let begin to close.
_SERVICE = Principal("corridor", Role.OPERATOR, None, None, None, "", 0)


def close(connection: Connection, programme: str, period: str, act: Act) -> FundInfo:
    """Let a fund whose period is over begin to close, and close it if nothing keeps it open.

    Again changes nothing. Raises ``NotFound`` for one that the actor does not manage, and
    ``WrongState`` for one whose period is not over.
    """
    fund = fund_figures.managed_fund(connection, act.actor.scope, programme, period)
    if fund.state != "OPEN":
        return fund
    if fund.end_ms > act.now_ms:
        raise WrongState(
            f"the period {period} of {programme} is not over, so its fund cannot be closed; lower"
            " the fund to stop it before",
            subject=fund.target,
            reason="PERIOD_RUNNING",
        )
    fund_figures.lock(connection, fund)
    connection.execute(
        text(
            "UPDATE fund_period SET state = 'CLOSING', closing_ms = :now, closing_by = :who,"
            " closing_reason = :why WHERE programme = :programme AND period = :period"
        ),
        {
            "now": act.now_ms, "who": act.actor.subject, "why": act.reason,
            "programme": programme, "period": period,
        },
    )  # fmt: skip
    audit_trail.record(
        connection,
        act.actor,
        "FUND_CLOSING",
        fund.target,
        at_ms=act.wall_ms,
        before={"state": "OPEN"},
        after={"state": "CLOSING", "held_fen": fund.held_fen, "available_fen": fund.available_fen},
        reason=act.reason,
        city=fund.city,
    )
    if _ready(connection, programme, period):
        _finish(connection, programme, period, act.now_ms, act.wall_ms)
    bookings.tell(connection, (fund.city,), act.now_ms)
    return fund_figures.managed_fund(connection, act.actor.scope, programme, period)


def any_due(connection: Connection) -> bool:
    """Whether a fund that is closing has nothing any more that keeps it open."""
    return bool(_due(connection))


def close_due(connection: Connection, now_ms: int, wall_ms: int) -> None:
    """Close one of the funds that are closing and that nothing keeps open any more.

    One in a transaction: so the rows of each are locked in order.
    """
    for programme, period in _due(connection)[:1]:
        _finish(connection, programme, period, now_ms, wall_ms)


def _due(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.exec_driver_sql(
        "SELECT programme, period FROM fund_period WHERE state = 'CLOSING'"
        " ORDER BY programme, period"
    ).all()
    return [(row[0], row[1]) for row in rows if _ready(connection, row[0], row[1])]


def _ready(connection: Connection, programme: str, period: str) -> bool:
    """Whether nothing is held of a fund or its grants, and no voucher of it gives any more."""
    held = connection.execute(
        text(
            "SELECT 1 FROM account a WHERE a.debits_pending > 0 AND a.account_id IN"
            " (SELECT account_id FROM fund_funder WHERE programme = :programme AND period = :period"
            " UNION ALL SELECT account_id FROM unit_grant WHERE programme = :programme"
            " AND period = :period) LIMIT 1"
        ),
        {"programme": programme, "period": period},
    ).first()
    voucher = connection.execute(
        text(
            "SELECT 1 FROM voucher WHERE programme = :programme AND period = :period"
            " AND NOT drained LIMIT 1"
        ),
        {"programme": programme, "period": period},
    ).first()
    return held is None and voucher is None


def _finish(connection: Connection, programme: str, period: str, now_ms: int, wall_ms: int) -> None:
    """Let the rest lapse, freeze the head of the fund's shard, and close it."""
    [seen] = fund_figures.list_funds(connection, EVERYTHING, programme=programme, period=period)
    fund_figures.lock(connection, seen, grants.accounts_of(connection, programme, period))
    [fund] = fund_figures.list_funds(connection, EVERYTHING, programme=programme, period=period)
    shard = bookings.fund_shard(programme, period)
    bookings.open_accounts(
        connection,
        [(fund.lapsed_of(one), "LAPSED", programme, fund.city, False, 0) for one in fund.funders],
    )
    bookings.book(
        connection,
        [
            Entry(
                shard, Kind.DIRECT, "LAPSE", one.account_id, fund.lapsed_of(one),
                one.available_fen, now_ms, f"lapse:{one.account_id}", actor=_SERVICE.subject,
                reason="the period is closed",
            )
            for one in fund.funders
            if one.available_fen
        ],
    )  # fmt: skip
    grants.take_back(connection, programme, period, now_ms)
    for statement in (
        "UPDATE fund_funder SET reducing_fen = 0",
        "UPDATE fund_period SET state = 'CLOSED'",
    ):
        connection.execute(
            text(f"{statement} WHERE programme = :programme AND period = :period"),
            {"programme": programme, "period": period},
        )
    seq, digest = transfers.read_heads(connection).get(shard, (0, GENESIS))
    bulk_insert(
        connection, table(FundClose),
        ("programme", "period", "shard", "seq", "hash", "lapsed_fen", "closed_ms"),
        [(programme, period, shard, seq, digest, fund.available_fen, now_ms)],
    )  # fmt: skip
    audit_trail.record(
        connection,
        _SERVICE,
        "FUND_CLOSED",
        fund.target,
        at_ms=wall_ms,
        before={"state": "CLOSING"},
        after={"state": "CLOSED", "lapsed_fen": fund.available_fen, "sequence": seq},
        city=fund.city,
    )
