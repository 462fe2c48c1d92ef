"""Vouchers: issued out of a fund, one or many at once, and revoked."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from quota.amounts import yuan
from quota.calendar import natural_year
from quota.rules import Rule
from quota.transfers import Entry, Kind, fund_account, voucher_account
from scheduler.errors import QuotaExceeded, RequestIdReused, WrongState
from scheduler.store import audit_trail, bookings, fund_figures, voucher_figures, voucher_returns
from scheduler.store.change_requests import Act
from scheduler.store.database import bulk_execute, bulk_insert
from scheduler.store.fund_figures import FundInfo
from scheduler.store.fund_tables import Voucher
from scheduler.store.tables import table
from scheduler.store.voucher_checks import AT_ONCE as AT_ONCE
from scheduler.store.voucher_checks import Issue as Issue
from scheduler.store.voucher_checks import NewVoucher as NewVoucher
from scheduler.store.voucher_checks import Ready, check_money, checked, rule_in_force
from scheduler.store.voucher_figures import VoucherInfo


def issue(connection: Connection, order: Issue, act: Act) -> list[VoucherInfo]:
    """Issue vouchers of a programme that the actor manages; a repeated request id issues none.

    Raises ``NotFound``, ``InvalidRequest`` naming each voucher that is not in order,
    ``WrongState`` for a fund that is not open, a rule without vouchers, or less in the fund than
    is to be issued, ``QuotaExceeded`` for an enterprise's cap that counts on issue,
    ``AlreadyThere`` for numbers that are taken, ``RequestIdReused``.
    """
    scope = act.actor.scope
    fund = fund_figures.managed_fund(connection, scope, order.programme, order.period)
    if _issued_before(connection, order):
        return voucher_figures.of_request(connection, order.key, act.now_ms)
    fund_figures.check_open(fund)
    rule = rule_in_force(connection, fund, act.now_ms)
    year = natural_year(act.now_ms)
    counted = rule.cap_on == "ISSUE"
    caps = [(fund.programme, one.enterprise, year) for one in order.vouchers if counted]
    fund_figures.lock(connection, fund, caps=caps)
    ready = checked(connection, fund, rule, order, act.now_ms)
    check_money(fund_figures.managed_fund(connection, scope, order.programme, order.period), ready)
    if counted:
        _count(connection, rule, ready, year)
    _write(connection, fund, order, ready, year if counted else None, act)
    issued = voucher_figures.of_request(connection, order.key, act.now_ms)
    audit_trail.record(
        connection,
        act.actor,
        "VOUCHERS_ISSUED",
        fund.target,
        at_ms=act.wall_ms,
        after={
            "vouchers": len(ready),
            "face_fen": sum(one.face_fen for one in ready),
            "first": ready[0].voucher_no,
            "last": ready[-1].voucher_no,
        },
        reason=act.reason,
        city=fund.city,
    )
    bookings.tell(connection, (fund.city,), act.now_ms)
    return issued


def _issued_before(connection: Connection, order: Issue) -> bool:
    """Whether this very call was made; raises ``RequestIdReused`` if its id said another thing."""
    said = connection.execute(
        text("SELECT request_sha256 FROM voucher WHERE request_key = :key LIMIT 1"),
        {"key": order.key},
    ).scalar()
    if said is not None and said != order.sha256():
        raise RequestIdReused(
            f"request id {order.request_id!r} already issued other vouchers of this fund; use a new"
            " request id"
        )
    return said is not None


def _count(connection: Connection, rule: Rule, ready: Sequence[Ready], year: int) -> None:
    """Count faces against the yearly caps of enterprises; raises ``QuotaExceeded``."""
    faces: dict[str, int] = {}
    for one in ready:
        faces[one.enterprise] = faces.get(one.enterprise, 0) + one.face_fen
    cap = rule.year_cap_fen
    for enterprise, fen in sorted(faces.items()):
        used = connection.execute(
            text(
                "SELECT pending_fen + posted_fen FROM cap_counter WHERE programme = :programme"
                " AND enterprise = :enterprise AND year = :year"
            ),
            {"programme": rule.programme, "enterprise": enterprise, "year": year},
        ).scalar()
        left = None if cap is None else max(0, cap - (used or 0))
        if left is not None and fen > left:
            raise QuotaExceeded(
                f"{rule.programme} gives {enterprise} at most {yuan(cap or 0)} in {year}, counted"
                f" when vouchers are issued: {yuan(left)} is left, the vouchers come to"
                f" {yuan(fen)}",
                subject=f"enterprises/{enterprise}",
                reason="YEAR_CAP",
            )
    bulk_execute(
        connection,
        "INSERT INTO cap_counter (programme, enterprise, year, pending_fen, posted_fen, limit_fen)"
        " VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (programme, enterprise, year) DO UPDATE SET"
        " pending_fen = cap_counter.pending_fen + excluded.pending_fen,"
        " limit_fen = excluded.limit_fen",
        [(rule.programme, one, year, fen, cap) for one, fen in sorted(faces.items())],
    )


# --- writing --------------------------------------------------------------------------------------


def _write(
    connection: Connection, fund: FundInfo, order: Issue, ready: Sequence[Ready],
    cap_year: int | None, act: Act,
) -> None:  # fmt: skip
    who, digest = act.actor.subject, order.sha256()
    source = fund_account(fund.programme, fund.period)
    bookings.open_accounts(
        connection,
        [
            (voucher_account(one.voucher_no), "VOUCHER", one.enterprise, fund.city, True, 0)
            for one in ready
        ],
    )
    bookings.book(
        connection,
        [
            Entry(
                bookings.fund_shard(fund.programme, fund.period), Kind.DIRECT, "ISSUE", source,
                voucher_account(one.voucher_no), one.face_fen, act.now_ms,
                f"issue:{one.voucher_no}", actor=who, reason=act.reason,
            )
            for one in ready
        ],
    )  # fmt: skip
    bulk_insert(
        connection, table(Voucher),
        ("voucher_no", "programme", "period", "enterprise", "city", "account_id", "face_fen",
         "valid_from_ms", "valid_to_ms", "end_ms", "state", "cap_year", "returned_fen", "returns",
         "drained", "request_key", "request_line", "request_sha256", "issued_ms", "issued_by",
         "reason", "ended_by", "end_reason"),
        [
            (one.voucher_no, fund.programme, fund.period, one.enterprise, fund.city,
             voucher_account(one.voucher_no), one.face_fen, one.valid_from_ms, one.valid_to_ms,
             one.valid_to_ms, "ISSUED", cap_year, 0, 0, False, order.key, at, digest, act.now_ms,
             who, act.reason, "", "")
            for at, one in enumerate(ready)
        ],
    )  # fmt: skip


def revoke(connection: Connection, voucher_no: str, act: Act) -> VoucherInfo:
    """End a voucher now: what is not held goes back at once, the rest when its holds resolve.

    Again changes nothing. Raises ``NotFound`` for one that the actor does not manage, and
    ``WrongState`` for one that has ended otherwise.
    """
    scope = act.actor.scope
    seen = voucher_figures.get_voucher(connection, scope, voucher_no, act.now_ms)
    fund_figures.managed_fund(connection, scope, seen.programme, seen.period)
    voucher_returns.lock(connection, (voucher_no,))
    found = voucher_figures.get_voucher(connection, scope, voucher_no, act.now_ms)
    if found.state == "REVOKED":
        return found
    if found.state != "ISSUED":
        raise WrongState(
            f"voucher {voucher_no} is {found.state}: there is nothing left to revoke",
            subject=found.target,
        )
    connection.execute(
        text(
            "UPDATE voucher SET state = 'REVOKED', end_ms = :now, ended_ms = :now, ended_by = :who,"
            " end_reason = :why WHERE voucher_no = :number"
        ),
        {"now": act.now_ms, "who": act.actor.subject, "why": act.reason, "number": voucher_no},
    )
    voucher_returns.give_back(connection, act.now_ms, numbers=(voucher_no,))
    after = voucher_figures.get_voucher(connection, scope, voucher_no, act.now_ms)
    audit_trail.record(
        connection,
        act.actor,
        "VOUCHER_REVOKED",
        found.target,
        at_ms=act.wall_ms,
        before={"left_fen": found.left_fen, "held_fen": found.held_fen},
        after={"returned_fen": after.returned_fen, "held_fen": after.held_fen},
        reason=act.reason,
        city=found.city,
        enterprise=found.enterprise,
    )
    return after
