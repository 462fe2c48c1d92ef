"""Programmes, funds, wallets and prices: set up, shown and paid into."""

from dataclasses import dataclass

from sqlalchemy import Connection

from quota.rules import Rule
from quota.transfers import Entry, Kind, Link
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import FieldViolation, InvalidRequest, RequestIdReused
from scheduler.store import bookings, fund_figures, funds_reduction, transfers
from scheduler.store.database import bulk_insert
from scheduler.store.fund_figures import FundInfo as FundInfo
from scheduler.store.fund_figures import check_open as check_open
from scheduler.store.fund_figures import list_funds as list_funds
from scheduler.store.fund_figures import managed_fund as managed_fund
from scheduler.store.fund_openings import open_payable as open_payable
from scheduler.store.fund_openings import open_period as open_period
from scheduler.store.fund_openings import open_wallet as open_wallet
from scheduler.store.tables import PriceVersion, Programme, RuleVersion, table
from scheduler.store.verification import Verification as Verification
from scheduler.store.verification import verify as verify


@dataclass(frozen=True, slots=True)
class ProgrammeInfo:
    """A programme with the newest version of its rule."""

    code: str
    city: str
    name: str
    document_ref: str
    sample: bool
    mode: str
    rule: Rule


# --- setting up -----------------------------------------------------------------------------------


def create_programme(
    connection: Connection, *, city: str, name: str, document_ref: str, sample: bool, rule: Rule,
    now_ms: int,
) -> None:  # fmt: skip
    """Create a programme with the first version of its rule, or add a newer version."""
    run = connection.exec_driver_sql
    found = run("SELECT code FROM programme WHERE code = ?", (rule.programme,)).first()
    if found is None:
        bulk_insert(
            connection, table(Programme),
            ("code", "city", "name", "document_ref", "sample", "mode", "issue", "priority",
             "exclusive_group", "status"),
            [(rule.programme, city, name, document_ref, sample, "DEDUCT", "POOL", rule.priority,
              rule.exclusive_group or None, "ACTIVE")],
        )  # fmt: skip
    bulk_insert(
        connection, table(RuleVersion),
        ("programme", "version", "effective_from_ms", "body", "sha256"),
        [(rule.programme, rule.version, now_ms, rule.to_json(), rule.sha256())],
    )  # fmt: skip


def set_price(
    connection: Connection, *, center: str, flavor: str, unit: str, price_ufen: int,
    effective_from_ms: int, actor: str,
) -> str:  # fmt: skip
    """Put a new price version in force from an instant; the one before it ends there."""
    run = connection.exec_driver_sql
    last = run(
        "SELECT max(effective_from_ms), count(*) FROM price_version WHERE flavor = ?", (flavor,)
    ).one()
    if last[0] is not None and effective_from_ms <= last[0]:
        raise InvalidRequest(
            [FieldViolation("effective_from", "must be later than the price in force began")]
        )
    price_id = f"{flavor}@{last[1] + 1}"
    run(
        "UPDATE price_version SET effective_to_ms = ? WHERE flavor = ? AND effective_to_ms IS NULL",
        (effective_from_ms, flavor),
    )
    bulk_insert(
        connection, table(PriceVersion),
        ("price_id", "center", "flavor", "unit", "price_ufen", "effective_from_ms", "created_by"),
        [(price_id, center, flavor, unit, price_ufen, effective_from_ms, actor)],
    )  # fmt: skip
    return price_id


# --- showing and paying in ------------------------------------------------------------------------


def list_programmes(connection: Connection, scope: Scope, city: str = "") -> list[ProgrammeInfo]:
    """Return the programmes the caller may see, with their newest rules."""
    where, values = fund_figures.visible(scope)
    if city:
        where, values = f"{where} AND p.city = ?", (*values, city)
    rows = connection.exec_driver_sql(
        "SELECT p.code, p.city, p.name, p.document_ref, p.sample, p.mode, r.body"
        " FROM programme p JOIN rule_version r ON r.programme = p.code AND r.version ="
        " (SELECT max(version) FROM rule_version WHERE programme = p.code)"
        f" WHERE {where} ORDER BY p.code",
        values,
    )
    return [
        ProgrammeInfo(code, of, name, ref, bool(sample), mode, Rule.from_json(body))
        for code, of, name, ref, sample, mode, body in rows
    ]


def appropriation_key(programme: str, period: str, request_id: str) -> str:
    """Return the key under which a payment into a fund is made once."""
    return f"appropriate:{programme}:{period}:{request_id}"


def paid_before(connection: Connection, key: str, account: str, amount_fen: int) -> bool:
    """Whether this payment was made; raises ``RequestIdReused`` if another was, under its key."""
    before = transfers.select(connection, "idem_key = ?", (key,))
    if not before:
        return False
    entry = before[0].entry
    if (entry.credit_account, entry.amount_fen) != (account, amount_fen):
        raise RequestIdReused(
            f"request id {key.rpartition(':')[2]!r} already paid {entry.amount_fen} fen into"
            f" {entry.credit_account}; use a new request id for another payment"
        )
    return True


def appropriate(
    connection: Connection, scope: Scope, *, programme: str, period: str, amount_fen: int,
    request_id: str, actor: str, reason: str, now_ms: int, funder: str = "",
) -> FundInfo:  # fmt: skip
    """Pay money of a funder ("": the own city) into a fund; the same request changes nothing more.

    What is pending of a reduction is met from it first. Returns the fund as it is. Raises
    ``NotFound`` for a fund outside the scope or a funder it has not, ``WrongState`` for one that is
    not open, ``RequestIdReused`` for another payload.
    """
    seen = managed_fund(connection, scope, programme, period)
    fund_figures.lock(connection, seen)
    money = seen.funder(funder)
    key = appropriation_key(programme, period, request_id)
    if paid_before(connection, key, money.account_id, amount_fen):
        return seen
    found = managed_fund(connection, scope, programme, period)
    check_open(found)
    entry = Entry(
        bookings.fund_shard(programme, period), Kind.DIRECT, "APPROPRIATE", found.source_of(money),
        money.account_id, amount_fen, now_ms, key, actor=actor, reason=reason,
    )  # fmt: skip
    bookings.book(connection, [entry])
    connection.exec_driver_sql(
        "UPDATE fund_funder SET appropriated_fen = appropriated_fen + ? WHERE account_id = ?",
        (amount_fen, money.account_id),
    )
    funds_reduction.eat(connection, (money.account_id,), now_ms)
    bookings.tell(connection, (found.city,), now_ms)
    return list_funds(connection, EVERYTHING, programme=programme, period=period)[0]


def list_transfers(
    connection: Connection, scope: Scope, *, account: str = "", job_uid: int = 0,
    limit: int = 100, before: tuple[int, str, int] | None = None,
) -> list[Link]:  # fmt: skip
    """Return entries of an account or a job within the scope, newest first.

    ``before`` is (effective_ms, shard, seq) of the last entry of the page before.
    """
    where, values = "1 = 1", list[object]()
    if before is not None:
        where = "(effective_ms, shard, seq) < (?, ?, ?)"
        values += before
    if account:
        where += " AND (debit_account = ? OR credit_account = ?)"
        values += [account, account]
    if job_uid:
        where += " AND job_uid = ?"
        values.append(job_uid)
    if scope.enterprise is not None:
        where += " AND job_uid IN (SELECT uid FROM job WHERE enterprise = ?)"
        values.append(scope.enterprise)
    elif scope.city is not None:
        where += (
            " AND (job_uid IN (SELECT uid FROM job WHERE city = ?) OR debit_account IN"
            " (SELECT account_id FROM account WHERE city = ?))"
        )
        values += [scope.city, scope.city]
    return transfers.select(
        connection,
        f"{where} ORDER BY effective_ms DESC, shard DESC, seq DESC LIMIT {limit}",
        values,
    )
