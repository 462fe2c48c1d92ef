"""Funders, vouchers, grants of unit-seconds, months of the books, and what is closed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLES = (
    "books_closed", "book_head", "book_month", "fund_close", "unit_grant", "voucher",
    "fund_reduction", "fund_funder",
)  # fmt: skip
#: Tables to which rows are only added.
_CLOSED = ("book_head", "fund_close")
#: Periods and months are cut at midnight of Asia/Shanghai, which has had no summer time since 1991.
_SHANGHAI_S = 8 * 3_600
#: The advisory lock of the books, also in ``book_months``.
_BOOKS = 0x626F6F6B73


def upgrade() -> None:
    """Add the tables, and the guard that books nothing into what is closed."""
    _funders()
    _vouchers()
    _closing()
    _guard()


def downgrade() -> None:
    """Forget it all."""
    op.execute("DROP TRIGGER transfer_open_books" + (" ON transfer" if _postgresql() else ""))
    if _postgresql():
        op.execute("DROP FUNCTION corridor_open_books()")
    for table in _TABLES:
        op.drop_table(table)
    for column in ("closing_reason", "closing_by", "closing_ms"):
        op.drop_column("fund_period", column)


def _text(name: str, default: str | None = None) -> Any:
    return sa.Column(name, sa.String(), nullable=False, server_default=default)


def _number(name: str, *, null: bool = False, small: bool = False) -> Any:
    return sa.Column(name, sa.Integer() if small else sa.BigInteger(), nullable=null)


def _funders() -> None:
    """Every fund there is has its programme's own city as its funder."""
    op.create_table(
        "fund_funder",
        *map(_text, ("programme", "period", "funder")),
        _number("place", small=True),
        _text("account_id"),
        *map(_number, ("appropriated_fen", "reducing_fen")),
        sa.PrimaryKeyConstraint("programme", "period", "funder"),
        sa.ForeignKeyConstraint(["programme"], ["programme.code"]),
        sa.CheckConstraint("appropriated_fen >= 0 AND reducing_fen >= 0", name="not_negative"),
    )
    op.create_index("fund_funder_account", "fund_funder", ["account_id"], unique=True)
    _partial("fund_funder_reducing", "fund_funder", "account_id", "reducing_fen > 0")
    op.execute(
        "INSERT INTO fund_funder SELECT f.programme, f.period, p.city, 0, f.account_id,"
        " a.credits_posted, 0 FROM fund_period f"
        " JOIN programme p ON p.code = f.programme JOIN account a ON a.account_id = f.account_id"
    )
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "fund_reduction",
        sa.Column("number", serial, nullable=False, autoincrement=True),
        *map(_text, ("request_key", "programme", "period", "funder", "account_id")),
        *map(_number, ("amount_fen", "left_fen")),
        _number("parts", small=True),
        *map(_text, ("actor", "reason")),
        _number("created_ms"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("request_key"),
        sa.CheckConstraint("amount_fen > 0 AND left_fen BETWEEN 0 AND amount_fen", name="amount"),
        sqlite_autoincrement=True,
    )
    where = sa.text("left_fen > 0")
    op.create_index(
        "fund_reduction_left", "fund_reduction", ["account_id", "number"], sqlite_where=where,
        postgresql_where=where,
    )  # fmt: skip


def _vouchers() -> None:
    op.create_table(
        "voucher",
        *map(_text, ("voucher_no", "programme", "period", "enterprise", "city", "account_id")),
        *map(_number, ("face_fen", "valid_from_ms", "valid_to_ms", "end_ms")),
        _text("state"),
        _number("cap_year", null=True, small=True),
        _number("returned_fen"),
        _number("returns", small=True),
        sa.Column("drained", sa.Boolean(), nullable=False),
        _text("request_key"),
        _number("request_line", small=True),
        _text("request_sha256"),
        _number("issued_ms"),
        *map(_text, ("issued_by", "reason")),
        _number("ended_ms", null=True),
        *map(_text, ("ended_by", "end_reason")),
        sa.PrimaryKeyConstraint("voucher_no"),
        sa.ForeignKeyConstraint(["programme"], ["programme.code"]),
        sa.CheckConstraint("state IN ('EXPIRED', 'ISSUED', 'REVOKED')", name="state"),
        sa.CheckConstraint("face_fen > 0 AND returned_fen BETWEEN 0 AND face_fen", name="face"),
        sa.CheckConstraint("valid_to_ms > valid_from_ms AND end_ms <= valid_to_ms", name="span"),
    )
    op.create_index("voucher_enterprise", "voucher", ["enterprise", "end_ms"])
    op.create_index("voucher_fund", "voucher", ["programme", "period"])
    op.create_index("voucher_request", "voucher", ["request_key"])
    _partial("voucher_ending", "voucher", "end_ms", "NOT drained")
    op.create_table(
        "unit_grant",
        *map(_text, ("programme", "period", "enterprise", "account_id")),
        *map(_number, ("returned_unit_seconds", "created_ms")),
        sa.PrimaryKeyConstraint("programme", "period", "enterprise"),
        sa.ForeignKeyConstraint(["programme"], ["programme.code"]),
    )
    op.create_index("unit_grant_enterprise", "unit_grant", ["enterprise"])


def _partial(name: str, table: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)


def _closing() -> None:
    op.add_column("fund_period", _number("closing_ms", null=True))
    op.add_column("fund_period", _text("closing_by", ""))
    op.add_column("fund_period", _text("closing_reason", ""))
    op.create_table(
        "fund_close",
        *map(_text, ("programme", "period", "shard")),
        _number("seq"),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        *map(_number, ("lapsed_fen", "closed_ms")),
        sa.PrimaryKeyConstraint("programme", "period"),
    )
    op.create_index("fund_close_shard", "fund_close", ["shard"], unique=True)
    op.create_table(
        "book_month",
        _text("month"),
        *map(_number, ("start_ms", "end_ms")),
        _text("state"),
        _number("closed_ms", null=True),
        *map(_text, ("closed_by", "reason")),
        sa.PrimaryKeyConstraint("month"),
        sa.CheckConstraint("state IN ('CLOSED', 'CLOSING', 'OPEN')", name="state"),
        sa.CheckConstraint("end_ms > start_ms", name="span"),
    )
    op.create_table(
        "book_head",
        *map(_text, ("month", "shard")),
        _number("seq"),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("month", "shard"),
    )
    op.create_table(
        "books_closed",
        _number("one", small=True),
        _number("closed_until_ms"),
        sa.PrimaryKeyConstraint("one"),
        sa.CheckConstraint("one = 1", name="one"),
    )
    _first_month()
    _insert_only(_CLOSED)


def _guard() -> None:
    """Refuse entries before the instant up to which books are closed, and of closed funds.

    On PostgreSQL once for each statement. Whoever books shares a lock until the end of its
    transaction; whoever closes a month takes it alone (``book_months.close``), and so waits for
    those who book, and others wait for it.
    """
    closed = (
        "NEW.effective_ms < (SELECT closed_until_ms FROM books_closed) OR (NEW.ref_period = ''"
        " AND EXISTS (SELECT 1 FROM fund_close WHERE shard = NEW.shard))"
    )
    told = "the books are closed for what is to be booked there"
    if not _postgresql():
        op.execute(
            f"CREATE TRIGGER transfer_open_books BEFORE INSERT ON transfer WHEN {closed}"
            f" BEGIN SELECT RAISE(ABORT, '{told}'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION corridor_open_books() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock_shared({_BOOKS});"
        f" IF EXISTS (SELECT 1 FROM added WHERE {closed.replace('NEW.', 'added.')}) THEN"
        f" RAISE EXCEPTION '{told}' USING ERRCODE = 'integrity_constraint_violation'; END IF;"
        " RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER transfer_open_books AFTER INSERT ON transfer"
        " REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION corridor_open_books()"
    )


def _first_month() -> None:
    """Open the month of the first entry there is: the service opens those after it."""
    found = op.get_bind().exec_driver_sql("SELECT min(effective_ms) FROM transfer").scalar()
    if found is None:
        return
    at = datetime.fromtimestamp(found // 1000, UTC) + timedelta(seconds=_SHANGHAI_S)
    first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = (first + timedelta(days=31)).replace(day=1)
    start_ms, end_ms = ((int(one.timestamp()) - _SHANGHAI_S) * 1000 for one in (first, after))
    op.execute(
        "INSERT INTO book_month (month, start_ms, end_ms, state, closed_by, reason)"
        f" VALUES ('{first:%Y-%m}', {start_ms}, {end_ms}, 'OPEN', '', '')"
    )


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _insert_only(names: tuple[str, ...]) -> None:
    for name in names:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name}"
                + (
                    " FOR EACH ROW EXECUTE FUNCTION corridor_insert_only()"
                    if _postgresql()
                    else f" BEGIN SELECT RAISE(ABORT, '{name} is insert-only'); END"
                )
            )
