"""Tables of funders, vouchers, grants of unit-seconds, and of what was closed; see ``tables``.

Balances stand in ``account`` alone. What stands here beside them are sums of entries by their
code, which a balance does not tell apart.
"""

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from scheduler.store.budget_tables import _serial as serial
from scheduler.store.tables import _big as big

PERIOD_STATES = ("CLOSED", "CLOSING", "OPEN")
VOUCHER_STATES = ("EXPIRED", "ISSUED", "REVOKED")


class FundFunder(SQLModel, table=True):
    """One funder of a programme's fund in a period, and the account of its money.

    The first one (``place`` 0) is the programme's own city. ``appropriated_fen`` is what was put
    in less what was taken out again; payments go out of the same account, so no balance says it.
    ``reducing_fen`` is what is left of pending reductions: what comes free is taken out until
    they are met.
    """

    __tablename__ = "fund_funder"
    __table_args__ = (
        CheckConstraint("appropriated_fen >= 0 AND reducing_fen >= 0", name="not_negative"),
        Index("fund_funder_account", "account_id", unique=True),
        Index(
            "fund_funder_reducing",
            "account_id",
            sqlite_where=text("reducing_fen > 0"),
            postgresql_where=text("reducing_fen > 0"),
        ),
    )
    programme: str = Field(primary_key=True, foreign_key="programme.code")
    period: str = Field(primary_key=True)
    funder: str = Field(primary_key=True)
    place: int
    account_id: str
    appropriated_fen: int = big(0)
    reducing_fen: int = big(0)


class FundReduction(SQLModel, table=True):
    """An order to take money out of a fund, by the caller's key; ``left_fen`` waits for releases.

    ``parts`` counts the entries by which it was taken out until now.
    """

    __tablename__ = "fund_reduction"
    __table_args__ = (
        CheckConstraint("amount_fen > 0 AND left_fen BETWEEN 0 AND amount_fen", name="amount"),
        Index(
            "fund_reduction_left",
            "account_id",
            "number",
            sqlite_where=text("left_fen > 0"),
            postgresql_where=text("left_fen > 0"),
        ),
        {"sqlite_autoincrement": True},
    )
    number: int | None = serial()
    request_key: str = Field(unique=True)
    programme: str
    period: str
    funder: str
    account_id: str
    amount_fen: int = big()
    left_fen: int = big()
    parts: int
    actor: str
    reason: str
    created_ms: int = big()


class Voucher(SQLModel, table=True):
    """A right issued to one enterprise; its money is in ``account_id``, out of the city's own fund.

    It gives from ``valid_from_ms`` until ``end_ms``, which is ``valid_to_ms`` unless it was
    revoked before. ``cap_year`` is the natural year whose cap its face counts against from its
    issue on (pending until it is spent or comes back), NULL if only its use counts.
    ``returned_fen`` went back to the fund in ``returns`` entries, and ``drained`` says that nothing
    is left to go back. One that is used up is still ISSUED here. ``request_key`` and
    ``request_line`` say in which call it was issued, and the digest what that call said.
    """

    __table_args__ = (
        CheckConstraint(
            f"state IN ({', '.join(repr(state) for state in VOUCHER_STATES)})", name="state"
        ),
        CheckConstraint("face_fen > 0 AND returned_fen BETWEEN 0 AND face_fen", name="face"),
        CheckConstraint("valid_to_ms > valid_from_ms AND end_ms <= valid_to_ms", name="span"),
        Index("voucher_enterprise", "enterprise", "end_ms"),
        Index("voucher_fund", "programme", "period"),
        Index("voucher_request", "request_key"),
        Index(
            "voucher_ending",
            "end_ms",
            sqlite_where=text("NOT drained"),
            postgresql_where=text("NOT drained"),
        ),
    )
    voucher_no: str = Field(primary_key=True)
    programme: str = Field(foreign_key="programme.code")
    period: str
    enterprise: str
    city: str
    account_id: str
    face_fen: int = big()
    valid_from_ms: int = big()
    valid_to_ms: int = big()
    end_ms: int = big()
    state: str
    cap_year: int | None = None
    returned_fen: int = big(0)
    returns: int = 0
    drained: bool = False
    request_key: str
    request_line: int
    request_sha256: str
    issued_ms: int = big()
    issued_by: str
    reason: str
    ended_ms: int | None = big(null=True)
    ended_by: str = ""
    end_reason: str = ""


class UnitGrant(SQLModel, table=True):
    """Unit-seconds that a programme gives an enterprise free of charge in a period.

    The account is in the ledger ``UNIT_S``, and what it was given and used of it stands there.
    ``returned_unit_seconds`` was taken back when the period closed.
    """

    __tablename__ = "unit_grant"
    __table_args__ = (Index("unit_grant_enterprise", "enterprise"),)
    programme: str = Field(primary_key=True, foreign_key="programme.code")
    period: str = Field(primary_key=True)
    enterprise: str = Field(primary_key=True)
    account_id: str
    returned_unit_seconds: int = big(0)
    created_ms: int = big()


# --- what was closed ------------------------------------------------------------------------------


class FundClose(SQLModel, table=True):
    """The head of a closed fund's shard as it was when it closed, and what lapsed. Insert-only."""

    __tablename__ = "fund_close"
    __table_args__ = (Index("fund_close_shard", "shard", unique=True),)
    programme: str = Field(primary_key=True)
    period: str = Field(primary_key=True)
    shard: str
    seq: int = big()
    hash: bytes = Field(sa_type=LargeBinary)
    lapsed_fen: int = big()
    closed_ms: int = big()


class BookMonth(SQLModel, table=True):
    """One month of the books, such as 2026-03, half-open, cut at midnight of Asia/Shanghai.

    OPEN while it runs, CLOSING once it is over, CLOSED when nothing can be booked in it any more.
    """

    __tablename__ = "book_month"
    __table_args__ = (
        CheckConstraint(
            f"state IN ({', '.join(repr(state) for state in PERIOD_STATES)})", name="state"
        ),
        CheckConstraint("end_ms > start_ms", name="span"),
    )
    month: str = Field(primary_key=True)
    start_ms: int = big()
    end_ms: int = big()
    state: str
    closed_ms: int | None = big(null=True)
    closed_by: str = ""
    reason: str = ""


class BookHead(SQLModel, table=True):
    """The last entry of a shard in or before a closed month, frozen. Insert-only."""

    __tablename__ = "book_head"
    month: str = Field(primary_key=True)
    shard: str = Field(primary_key=True)
    seq: int = big()
    hash: bytes = Field(sa_type=LargeBinary)


class BooksClosed(SQLModel, table=True):
    """Up to which instant the books are closed: a trigger refuses entries before it.

    One row, once a month was closed.
    """

    __tablename__ = "books_closed"
    __table_args__ = (CheckConstraint("one = 1", name="one"),)
    one: int = Field(default=1, sa_column=sa.Column(sa.Integer, primary_key=True))
    closed_until_ms: int = big(0)


class MoneyTerms(SQLModel, table=True):
    """A stamp that triggers change with any price, rule, programme, fund or flavor.

    It never comes again: what was read of them under a stamp holds wherever that stamp is seen.
    """

    __tablename__ = "money_terms"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)
    id: int = Field(primary_key=True)
    stamp: str
