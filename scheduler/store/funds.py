"""Programmes, funds, wallets and prices: set up, shown and paid into."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from quota.calendar import period_bounds
from quota.subsidy import CORRIDOR, Rule
from quota.transfers import (
    Entry,
    Kind,
    Link,
    appropriation_account,
    fund_account,
    payable_account,
    receivable_account,
    wallet_account,
)
from scheduler.domain.events import EventKind
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.domain.states import JobState
from scheduler.errors import AlreadyThere, FieldViolation, InvalidRequest, NotFound, RequestIdReused
from scheduler.store import feed, transfers
from scheduler.store.database import bulk_insert
from scheduler.store.tables import Account, FundPeriod, PriceVersion, Programme, RuleVersion, table
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


@dataclass(frozen=True, slots=True)
class FundInfo:
    """The money of a programme in a period, in fen."""

    programme: str
    city: str
    period: str
    start_ms: int
    end_ms: int
    state: str
    appropriated_fen: int
    held_fen: int
    posted_fen: int

    @property
    def available_fen(self) -> int:
        """What is neither held nor spent."""
        return self.appropriated_fen - self.held_fen - self.posted_fen


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


def open_period(connection: Connection, programme: str, period: str) -> None:
    """Open a programme's fund for a period, with no money in it."""
    start_ms, end_ms = period_bounds(period)
    account = fund_account(programme, period)
    bulk_insert(
        connection, table(FundPeriod),
        ("programme", "period", "start_ms", "end_ms", "state", "account_id"),
        [(programme, period, start_ms, end_ms, "OPEN", account)],
    )  # fmt: skip
    city = connection.exec_driver_sql(
        "SELECT city FROM programme WHERE code = ?", (programme,)
    ).scalar_one()
    _accounts(
        connection,
        [
            (account, "FUND", programme, city, True, 0),
            (appropriation_account(programme, period), "APPROPRIATION", programme, city, False, 0),
        ],
    )


def open_wallet(connection: Connection, enterprise: str, city: str, credit_limit_fen: int) -> None:
    """Open an enterprise's wallet (a credit line) and the account of what it owes."""
    _accounts(
        connection,
        [
            (wallet_account(enterprise), "WALLET", enterprise, city, True, credit_limit_fen),
            (receivable_account(enterprise), "RECEIVABLE", enterprise, city, False, 0),
        ],
    )


def open_payable(connection: Connection, center: str) -> None:
    """Open the account of what is owed to a center."""
    _accounts(connection, [(payable_account(center), "CENTER_PAYABLE", center, "", False, 0)])


def _accounts(connection: Connection, rows: Sequence[tuple[str, str, str, str, bool, int]]) -> None:
    bulk_insert(
        connection, table(Account),
        ("account_id", "kind", "owner", "city", "limited", "credit_limit_fen", "ledger",
         "debits_pending", "debits_posted", "credits_pending", "credits_posted"),
        [(*row, "CNY", 0, 0, 0, 0) for row in rows],
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


def _visible(scope: Scope) -> tuple[str, tuple[str, ...]]:
    """Condition on ``p.city``: a city's own programmes and those of the whole corridor."""
    if scope.enterprise is not None:
        return (
            "p.city IN (?, (SELECT city FROM enterprise WHERE code = ?))",
            (CORRIDOR, scope.enterprise),
        )
    if scope.city is not None:
        return "p.city IN (?, ?)", (CORRIDOR, scope.city)
    return "1 = 1", ()


def list_programmes(connection: Connection, scope: Scope, city: str = "") -> list[ProgrammeInfo]:
    """Return the programmes the caller may see, with their newest rules."""
    where, values = _visible(scope)
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


def list_funds(
    connection: Connection, scope: Scope, city: str = "", programme: str = "", period: str = ""
) -> list[FundInfo]:
    """Return the funds the caller may see."""
    where, values = _visible(scope)
    for column, wanted in (("p.city", city), ("p.code", programme), ("f.period", period)):
        if wanted:
            where, values = f"{where} AND {column} = ?", (*values, wanted)
    rows = connection.exec_driver_sql(
        "SELECT p.code, p.city, f.period, f.start_ms, f.end_ms, f.state, a.credits_posted,"
        " a.debits_pending, a.debits_posted FROM programme p"
        " JOIN fund_period f ON f.programme = p.code JOIN account a ON a.account_id = f.account_id"
        f" WHERE {where} ORDER BY p.code, f.start_ms",
        values,
    )
    return [FundInfo(*row) for row in rows]


def managed_fund(connection: Connection, scope: Scope, programme: str, period: str) -> FundInfo:
    """Return a fund that a city or an operator manages; ``NotFound`` for any other."""
    own = Scope(city=scope.city) if scope.city is not None else scope
    found = list_funds(connection, own, programme=programme, period=period)
    if not found or (scope.city is not None and found[0].city != scope.city):
        raise NotFound(f"there is no fund of programme {programme!r} in {period!r} that you manage")
    return found[0]


def check_open(fund: FundInfo) -> None:
    """Raise ``AlreadyThere`` for a fund whose period takes no more money."""
    if fund.state != "OPEN":
        raise AlreadyThere(f"the period {fund.period} of {fund.programme} is {fund.state}")


def appropriation_key(programme: str, period: str, request_id: str) -> str:
    """Return the key under which a payment into a fund is made once."""
    return f"appropriate:{programme}:{period}:{request_id}"


def paid_before(connection: Connection, key: str, amount_fen: int) -> bool:
    """Whether this payment was made; raises ``RequestIdReused`` if another was, under its key."""
    before = transfers.select(connection, "idem_key = ?", (key,))
    if before and before[0].entry.amount_fen != amount_fen:
        raise RequestIdReused(
            f"request id {key.rpartition(':')[2]!r} already paid {before[0].entry.amount_fen} fen"
            " into this fund; use a new request id for another payment"
        )
    return bool(before)


def appropriate(
    connection: Connection, scope: Scope, *, programme: str, period: str, amount_fen: int,
    request_id: str, actor: str, reason: str, now_ms: int,
) -> FundInfo:  # fmt: skip
    """Pay into a fund; the same request again changes nothing and gives the fund as it is.

    Raises ``NotFound`` for a fund outside the scope, ``RequestIdReused`` for another payload.
    """
    found = managed_fund(connection, scope, programme, period)
    key = appropriation_key(programme, period, request_id)
    if paid_before(connection, key, amount_fen):
        return found
    check_open(found)
    fund, source = fund_account(programme, period), appropriation_account(programme, period)
    entry = Entry(
        fund, Kind.DIRECT, "APPROPRIATE", source, fund, amount_fen, now_ms, key,
        ref_period=period, actor=actor, reason=reason,
    )  # fmt: skip
    transfers.append_transfers(connection, [entry])
    for side, account in (("debits", source), ("credits", fund)):
        connection.exec_driver_sql(
            f"UPDATE account SET {side}_posted = {side}_posted + ? WHERE account_id = ?",
            (amount_fen, account),
        )
    # All cities heed money of the whole corridor.
    for city in _cities_of(connection, found.city):
        feed.append(
            connection,
            [feed.EventRow(EventKind.FUND_CHANGED, 0, 0, "", city, JobState.QUEUED, now_ms)],
        )
    return list_funds(connection, EVERYTHING, programme=programme, period=period)[0]


def _cities_of(connection: Connection, city: str) -> list[str]:
    if city != CORRIDOR:
        return [city]
    return [row[0] for row in connection.exec_driver_sql("SELECT code FROM city ORDER BY code")]


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
