"""All tables, as SQLModel classes: the schema's one definition.

Rare paths may use the classes; hot paths use ``Class.__table__`` in set-based statements. Money is
int fen in BIGINT, instants are epoch milliseconds UTC in BIGINT (``_ms``), ids of jobs are 63-bit
(``scheduler.domain.ids``). A plain ``int`` of SQLModel would be a 32-bit INTEGER on PostgreSQL,
so every such column says BigInteger.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from quota.charges import FOREVER_MS
from scheduler.domain.states import JOB_TERMINAL, RUN_TERMINAL, JobState, RunState


def _big(default: int | None = None, *, pk: bool = False, null: bool = False) -> Any:
    if pk:
        return Field(sa_type=BigInteger, primary_key=True)
    if null:
        return Field(default=None, sa_type=BigInteger, nullable=True)
    if default is None:
        return Field(sa_type=BigInteger)
    return Field(default=default, sa_type=BigInteger)


def _count() -> Any:
    """A small number that begins at 0, also for rows of before the column was there."""
    return Field(default=0, sa_column_kwargs={"server_default": text("0")})


def _since() -> Any:
    """An instant or size that is 0 for rows of before the column was there."""
    return Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})


def _words() -> Any:
    """A text that is empty for rows of before the column was there."""
    return Field(default="", sa_column_kwargs={"server_default": text("''")})


def _flag() -> Any:
    """A yes or no that begins as no, also for rows of before the column was there."""
    return Field(default=False, sa_column_kwargs={"server_default": sa.false()})


def _states(states: Any) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


#: Word for word what queries for open elements of arrays say: only so is their index used.
APART = "state = 'HELD' OR (state = 'QUEUED' AND gated)"
_OPEN_ELEMENT = f"array_uid IS NOT NULL AND state NOT IN ({_states(JOB_TERMINAL)})"


class City(SQLModel, table=True):
    """A city of the corridor: data, a sixth can join."""

    code: str = Field(primary_key=True)
    name_zh: str
    name_en: str
    weight: int = _big()


class Enterprise(SQLModel, table=True):
    """A tenant. ``city`` repeats the open row of ``enterprise_city`` for scoping."""

    code: str = Field(primary_key=True)
    name: str
    city: str = Field(foreign_key="city.code", index=True)
    uscc: str | None = Field(default=None, unique=True)
    size_class: str = "SMALL"
    sector: str = ""
    startup: bool = False
    blocked: bool = False
    weight: int = _big(1)
    created_ms: int = _big()


class EnterpriseCity(SQLModel, table=True):
    """Which city an enterprise belongs to, dated; at most one row is open."""

    __tablename__ = "enterprise_city"
    enterprise: str = Field(primary_key=True, foreign_key="enterprise.code")
    valid_from_ms: int = _big(pk=True)
    city: str = Field(foreign_key="city.code")
    valid_to_ms: int | None = _big(null=True)


class Token(SQLModel, table=True):
    """An API token; only the SHA-256 of its secret is kept. Times are wall-clock."""

    token_id: str = Field(primary_key=True)
    secret_sha256: str = Field(unique=True)
    subject: str
    role: str
    city: str | None = None
    enterprise: str | None = None
    center: str | None = None
    created_ms: int = _big()
    expire_ms: int = _big()
    revoked_ms: int | None = _big(null=True)
    created_by: str = ""
    #: Within some minutes; None if it never was.
    last_used_ms: int | None = _big(null=True)


class Center(SQLModel, table=True):
    """A compute center; ``settings`` is the JSON its adapter is built from."""

    code: str = Field(primary_key=True)
    name_zh: str
    name_en: str
    kind: str
    simulated: bool
    state: str = "OPEN"
    settings: str = "{}"
    #: Until when one that is drained is to be empty; None for at once.
    drain_deadline_ms: int | None = _big(null=True)


class Flavor(SQLModel, table=True):
    """A device kind at a center and the pool of it granted to the corridor."""

    code: str = Field(primary_key=True)
    center: str = Field(foreign_key="center.code")
    name_zh: str
    name_en: str
    unit: str
    architecture: str
    capacity_units: int = _big()
    units_per_node: int = _big()
    wall_limit_max_s: int = _big()
    memory_mib_per_node: int = _big(0)
    domestic: bool = _flag()


class CityQuota(SQLModel, table=True):
    """Instant quota of (city, flavor) and the units its runs hold now."""

    __tablename__ = "city_quota"
    __table_args__ = (
        CheckConstraint("nominal_units >= 0 AND used_units >= 0", name="units_not_negative"),
        CheckConstraint("borrow_limit_units IS NULL OR borrow_limit_units >= 0", name="borrow"),
        CheckConstraint(
            "lend_limit_units IS NULL OR lend_limit_units BETWEEN 0 AND nominal_units", name="lend"
        ),
    )
    city: str = Field(primary_key=True, foreign_key="city.code")
    flavor: str = Field(primary_key=True, foreign_key="flavor.code")
    nominal_units: int = _big()
    borrow_limit_units: int | None = _big(null=True)
    lend_limit_units: int | None = _big(null=True)
    used_units: int = _big(0)
    version: int = _big(1)
    updated_ms: int = _big()


class EnterpriseQuota(SQLModel, table=True):
    """Cap and guarantee of (enterprise, flavor) and the units its runs hold now; made when first
    used."""

    __tablename__ = "enterprise_quota"
    __table_args__ = (
        CheckConstraint("used_units >= 0", name="units_not_negative"),
        CheckConstraint("cap_units IS NULL OR cap_units >= 0", name="cap"),
        CheckConstraint("guarantee_units >= 0", name="guarantee"),
        Index(
            "enterprise_quota_guaranteed",
            "flavor",
            sqlite_where=text("guarantee_units > 0"),
            postgresql_where=text("guarantee_units > 0"),
        ),
    )
    enterprise: str = Field(primary_key=True, foreign_key="enterprise.code")
    flavor: str = Field(primary_key=True, foreign_key="flavor.code")
    cap_units: int | None = _big(null=True)
    used_units: int = _big(0)
    version: int = _big(1)
    updated_ms: int = _big()
    guarantee_units: int = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"}
    )


class EnterpriseUsage(SQLModel, table=True):
    """Unit-seconds used per enterprise, flavor and UTC day: what decayed use is rebuilt from."""

    __tablename__ = "enterprise_usage"
    enterprise: str = Field(primary_key=True)
    flavor: str = Field(primary_key=True)
    day: int = _big(pk=True)
    unit_seconds: int = _big()


class RequestKey(SQLModel, table=True):
    """A caller's request id with the digest of its payload and the answer that was given."""

    __tablename__ = "request_key"
    enterprise: str = Field(primary_key=True)
    request_id: str = Field(primary_key=True)
    payload_sha256: bytes = Field(sa_type=LargeBinary)
    answer: bytes = Field(sa_type=LargeBinary)
    created_ms: int = _big()


class Job(SQLModel, table=True):
    """A job. ``options`` is the planner's compact JSON of its options; ``spec`` the whole request.

    ``attempt`` is the number of runs made so far; ``attempts_free`` of them cost none of
    ``attempts_max``, for the platform or the center ended them or never took them. ``evictions``
    counts runs that gave lent units back, ``start_tries`` those in a row that no center began;
    after too many the job is ``deactivated``: HELD by policy, not by its user. ``failures`` counts
    the runs after which it was tried again, by class (``domain.retries``). ``deadline_ms`` is when
    it is too late to start it; once a run began only its ``finish_by_ms`` makes it so, and what was
    the deadline until then is ``met_deadline_ms``. ``gross_fen`` and the
    two parts of it are what its settled runs cost in sum.

    A ``gated`` job waits for other jobs, or an element for room in its array: the planner is not
    told of it. ``array_uid`` is an element's array; an array is its own. The spec of an element
    is empty: it is its array's.

    Of one that is ``pruned`` only what the books tell of is left: whose runs they were, under which
    contract, and what they cost. Nobody is shown it as a job any more.
    """

    __table_args__ = (
        CheckConstraint(f"state IN ({_states(JobState)})", name="state"),
        Index("job_enterprise_uid", "enterprise", "uid"),
        Index("job_city_uid", "city", "uid"),
        Index(
            "job_open",
            "uid",
            sqlite_where=text(f"state NOT IN ({_states(JOB_TERMINAL)})"),
            postgresql_where=text(f"state NOT IN ({_states(JOB_TERMINAL)})"),
        ),
        Index("job_apart", "uid", sqlite_where=text(APART), postgresql_where=text(APART)),
        Index(
            "job_deadline",
            "deadline_ms",
            sqlite_where=text("deadline_ms IS NOT NULL AND state IN ('QUEUED', 'HELD')"),
            postgresql_where=text("deadline_ms IS NOT NULL AND state IN ('QUEUED', 'HELD')"),
        ),
        Index(
            "job_element",
            "array_uid",
            "array_index",
            sqlite_where=text("array_uid IS NOT NULL"),
            postgresql_where=text("array_uid IS NOT NULL"),
        ),
        Index(
            "job_element_open",
            "array_uid",
            "state",
            "gated",
            sqlite_where=text(_OPEN_ELEMENT),
            postgresql_where=text(_OPEN_ELEMENT),
        ),
        Index(
            "job_over",
            "end_ms",
            sqlite_where=text("settled AND NOT pruned"),
            postgresql_where=text("settled AND NOT pruned"),
        ),
        Index(
            "job_contract",
            "enterprise",
            "contract",
            sqlite_where=text("contract <> ''"),
            postgresql_where=text("contract <> ''"),
        ),
    )
    # INTEGER on SQLite makes the uid the row's own number there: one index less to write and read.
    uid: int = Field(
        sa_column=sa.Column(
            BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
    )
    enterprise: str
    city: str
    state: str
    version: int = _big(1)
    priority: int
    submit_ms: int = _big()
    not_before_ms: int = _big(0)
    deadline_ms: int | None = _big(null=True)
    display_name: str = ""
    options: str
    labels: str = "{}"
    spec: bytes = Field(sa_type=LargeBinary)
    subsidy: str = "PREFERRED"
    self_pay_max_fen: int | None = _big(null=True)
    attempts_max: int = 3
    retry_on: str = ""
    attempt: int = 0
    cancel_requested: bool = False
    start_ms: int | None = _big(null=True)
    end_ms: int | None = _big(null=True)
    failure_class: str | None = None
    message: str = ""
    gross_fen: int = _big(0)
    subsidy_fen: int = _big(0)
    self_pay_fen: int = _big(0)
    settled: bool = False
    user_name: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    finish_by_ms: int | None = _big(null=True)
    notice_s: int = _count()
    gated: bool = _flag()
    array_uid: int | None = _big(null=True)
    array_index: int | None = None
    interruptible: bool = _flag()
    emergency: bool = _flag()
    deactivated: bool = _flag()
    evictions: int = _count()
    attempts_free: int = _count()
    start_tries: int = _count()
    failures: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    met_deadline_ms: int | None = _big(null=True)
    contract: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    project: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    pruned: bool = _flag()


#: Runs that ended by themselves, or by the word of their user: they tell how long runs take.
RUN_TOOK: Final = (
    "start_ms IS NOT NULL AND end_ms IS NOT NULL AND state IN ('CANCELLED', 'FAILED', 'SUCCEEDED')"
)


class Run(SQLModel, table=True):
    """One attempt of a job at one center; at most one per job is active.

    A run that the platform ends has an ``evict_cause`` (``scheduler.domain.evicting``) from
    ``evict_ms`` on, so that job ``evict_for`` can start if that is why. Its program was told at
    ``notice_ms``, and is ended at ``evict_deadline_ms`` unless it ends before.
    """

    __table_args__ = (
        CheckConstraint(f"state IN ({_states(RunState)})", name="state"),
        CheckConstraint("units > 0 AND nodes > 0 AND wall_limit_s > 0", name="size"),
        Index(
            "run_one_active",
            "job_uid",
            unique=True,
            sqlite_where=text(f"state NOT IN ({_states(RUN_TERMINAL)})"),
            postgresql_where=text(f"state NOT IN ({_states(RUN_TERMINAL)})"),
        ),
        Index(
            "run_unsettled",
            "center",
            sqlite_where=text("settled_ms IS NULL"),
            postgresql_where=text("settled_ms IS NULL"),
        ),
        Index(
            "run_reclaimed",
            "evict_ms",
            sqlite_where=text("evict_cause = 'RECLAIM'"),
            postgresql_where=text("evict_cause = 'RECLAIM'"),
        ),
        Index("run_ended", "end_ms", sqlite_where=text(RUN_TOOK), postgresql_where=text(RUN_TOOK)),
    )
    job_uid: int = _big(pk=True)
    attempt: int = Field(primary_key=True)
    city: str
    enterprise: str
    center: str
    flavor: str
    option_index: int
    units: int = _big()
    nodes: int
    wall_limit_s: int = _big()
    state: str
    epoch: int = _big()
    sequence: int = _big(0)
    native_id: str = ""
    admit_ms: int = _big()
    submitting_ms: int | None = _big(null=True)
    accept_ms: int | None = _big(null=True)
    start_ms: int | None = _big(null=True)
    end_ms: int | None = _big(null=True)
    failure_class: str | None = None
    exit_code: int | None = None
    message: str = ""
    settled_ms: int | None = _big(null=True)
    evict_cause: str | None = None
    evict_ms: int | None = _big(null=True)
    evict_for: int | None = _big(null=True)
    evict_grace_ms: int | None = _big(null=True)
    notice_ms: int | None = _big(null=True)
    evict_deadline_ms: int | None = _big(null=True)
    #: An operator's word on how it ended; empty if its center said so.
    resolution: str = ""
    #: When its center began it anew, having queued it again; -1 while it has not.
    restart_ms: int | None = _big(null=True)


class Event(SQLModel, table=True):
    """The feed: what happened, in commit order. ``job_uid`` 0 for what is about no job."""

    __table_args__ = (
        Index("event_job", "job_uid", "seq"),
        {"sqlite_autoincrement": True},
    )
    seq: int | None = Field(
        default=None,
        sa_column=sa.Column(
            BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
    )
    kind: str
    job_uid: int = _big(0)
    attempt: int = 0
    enterprise: str = ""
    city: str = ""
    state: str = ""
    at_ms: int = _big()
    detail: str = ""


class AuditEvent(SQLModel, table=True):
    """What a person changed: who, what before and after, and why. Insert-only."""

    __tablename__ = "audit_event"
    __table_args__ = ({"sqlite_autoincrement": True},)
    seq: int | None = Field(
        default=None,
        sa_column=sa.Column(
            BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
    )
    at_ms: int = _big()
    actor: str
    role: str
    action: str
    target: str
    city: str = ""
    enterprise: str = ""
    before: str = ""
    after: str = ""
    reason: str = ""
    #: Who gave the actor's token, as a URL; "" for one of ours.
    issuer: str = ""


class Leader(SQLModel, table=True):
    """The one leader of the control loop; ``epoch`` fences what an earlier one still writes."""

    one: int = Field(default=1, primary_key=True)
    epoch: int = _big(0)
    holder: str = ""
    renewed_ms: int = _big(0)


class LeaderLease(SQLModel, table=True):
    """By when the leader must have said again that it lives (``scheduler.domain.leases``)."""

    __tablename__ = "leader_lease"

    one: int = Field(default=1, primary_key=True)
    epoch: int = _big(0)
    holder: str = ""
    name: str = ""
    address: str = ""
    beat: int = _big(0)
    renewed_ms: int = _big(0)
    lasts_ms: int = _big(0)


class Replica(SQLModel, table=True):
    """One number of a replica and who has it, or had it last.

    ``instance`` is one start of a process; instants are those of the database's clock.
    """

    number: int = Field(primary_key=True)
    instance: str = ""
    name: str = ""
    address: str = ""
    version: str = ""
    started_ms: int = _big(0)
    seen_ms: int = _big(0)
    left_ms: int | None = _big(null=True)


# --- money --------------------------------------------------------------------------------------


class PriceVersion(SQLModel, table=True):
    """Price of a flavor from ``effective_from_ms`` on.

    Nothing of it changes but ``effective_to_ms``, which is set and only ever comes nearer.
    """

    __tablename__ = "price_version"
    __table_args__ = (
        Index(
            "price_version_open",
            "flavor",
            unique=True,
            sqlite_where=text("effective_to_ms IS NULL"),
            postgresql_where=text("effective_to_ms IS NULL"),
        ),
    )
    price_id: str = Field(primary_key=True)
    center: str
    flavor: str = Field(index=True)
    unit: str
    price_ufen: int = _big()
    effective_from_ms: int = _big()
    effective_to_ms: int | None = _big(null=True)
    created_by: str = ""
    approved_by: str = _words()
    created_ms: int = _since()


class Programme(SQLModel, table=True):
    """A subsidy programme of a city, or of the whole corridor (city ``corridor``)."""

    code: str = Field(primary_key=True)
    city: str = Field(index=True)
    name: str
    document_ref: str = ""
    sample: bool = True
    mode: str = "DEDUCT"
    issue: str = "POOL"
    priority: int = 0
    exclusive_group: str | None = None
    status: str = "ACTIVE"


class RuleVersion(SQLModel, table=True):
    """One immutable version of a programme's rule: canonical JSON and its SHA-256.

    Nothing of it changes but ``effective_to_ms``, which is set and only ever comes nearer.
    """

    __tablename__ = "rule_version"
    __table_args__ = (
        Index(
            "rule_version_open",
            "programme",
            unique=True,
            sqlite_where=text("effective_to_ms IS NULL"),
            postgresql_where=text("effective_to_ms IS NULL"),
        ),
    )
    programme: str = Field(primary_key=True, foreign_key="programme.code")
    version: int = Field(primary_key=True)
    effective_from_ms: int = _big()
    effective_to_ms: int | None = _big(null=True)
    body: str
    sha256: str
    document_ref: str = _words()
    created_by: str = _words()
    approved_by: str = _words()
    created_ms: int = _since()


class FundPeriod(SQLModel, table=True):
    """The period of a programme's fund, half-open; its money is in ``account_id``.

    OPEN; CLOSING since ``closing_ms``, when nothing more may be held of it; CLOSED for good.
    """

    __tablename__ = "fund_period"
    __table_args__ = (CheckConstraint("end_ms > start_ms", name="span"),)
    programme: str = Field(primary_key=True, foreign_key="programme.code")
    period: str = Field(primary_key=True)
    start_ms: int = _big()
    end_ms: int = _big()
    state: str = "OPEN"
    account_id: str
    closing_ms: int | None = _big(null=True)
    closing_by: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    closing_reason: str = Field(default="", sa_column_kwargs={"server_default": text("''")})


class Account(SQLModel, table=True):
    """A ledger account; a limited one never owes more than it was given plus its credit."""

    __table_args__ = (
        CheckConstraint(
            "NOT limited OR debits_posted + debits_pending <= credits_posted + credit_limit_fen",
            name="covered",
        ),
        CheckConstraint(
            "debits_pending >= 0 AND debits_posted >= 0"
            " AND credits_pending >= 0 AND credits_posted >= 0",
            name="not_negative",
        ),
    )
    account_id: str = Field(primary_key=True)
    ledger: str = "CNY"
    kind: str
    owner: str = ""
    city: str = Field(default="", index=True)
    limited: bool = False
    credit_limit_fen: int = _big(0)
    debits_pending: int = _big(0)
    debits_posted: int = _big(0)
    credits_pending: int = _big(0)
    credits_posted: int = _big(0)


class CapCounter(SQLModel, table=True):
    """What a programme gave and has held for an enterprise in a natural year."""

    __tablename__ = "cap_counter"
    __table_args__ = (
        CheckConstraint("pending_fen >= 0 AND posted_fen >= 0", name="not_negative"),
        CheckConstraint(
            "limit_fen IS NULL OR pending_fen + posted_fen <= limit_fen", name="capped"
        ),
    )
    programme: str = Field(primary_key=True)
    enterprise: str = Field(primary_key=True)
    year: int = Field(primary_key=True)
    pending_fen: int = _big(0)
    posted_fen: int = _big(0)
    limit_fen: int | None = _big(null=True)


class Hold(SQLModel, table=True):
    """Money reserved for one run, with the price and rules frozen at admission.

    ``rev`` 0 is made at admission, for the first ``wall_limit_s`` seconds; each later one is a
    top-up, for ``wall_limit_s`` more from second ``from_s`` on. All of a run are resolved at once:
    then ``posted_fen`` of them in sum is what the run was charged.
    """

    __table_args__ = (
        CheckConstraint("state IN ('HELD', 'SETTLED', 'VOIDED')", name="state"),
        CheckConstraint("gross_fen >= 0 AND posted_fen >= 0", name="not_negative"),
    )
    job_uid: int = _big(pk=True)
    attempt: int = Field(primary_key=True)
    rev: int = Field(default=0, primary_key=True)
    state: str
    price_id: str
    price_ufen: int = _big()
    frozen: str
    units: int = _big()
    wall_limit_s: int = _big()
    gross_fen: int = _big()
    posted_fen: int = _big(0)
    created_ms: int = _big()
    resolved_ms: int | None = _big(null=True)
    from_s: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class HoldLeg(SQLModel, table=True):
    """One payer's part of a hold: ``kind`` FUND, VOUCHER, GRANT (in unit-seconds) or WALLET.

    It is for what of the run lies in [from_ms, to_ms). A credit to a ``claim:`` account is a claim
    of the enterprise, beside what its wallet pays. ``cap_reserved`` says that the counter of
    ``cap_year`` has held the amount since a voucher was issued. ``shard`` is that of its entries;
    legs of before it was kept have none: it is their fund's or their city's wallets'.
    """

    __tablename__ = "hold_leg"
    __table_args__ = (
        CheckConstraint("amount_fen > 0 AND posted_fen BETWEEN 0 AND amount_fen", name="amount"),
    )
    job_uid: int = _big(pk=True)
    attempt: int = Field(primary_key=True)
    rev: int = Field(default=0, primary_key=True)
    leg: int = Field(primary_key=True)
    kind: str
    debit_account: str
    credit_account: str
    amount_fen: int = _big()
    posted_fen: int = _big(0)
    programme: str | None = None
    rule_version: int | None = None
    cap_year: int | None = None
    funder: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    from_ms: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    to_ms: int = Field(
        default=FOREVER_MS, sa_type=BigInteger, sa_column_kwargs={"server_default": str(FOREVER_MS)}
    )
    cap_reserved: bool = _flag()
    shard: str = Field(default="", sa_column_kwargs={"server_default": text("''")})


class LedgerShard(SQLModel, table=True):
    """Head of one hash chain."""

    __tablename__ = "ledger_shard"
    shard: str = Field(primary_key=True)
    seq: int = _big(0)
    hash: bytes = Field(sa_type=LargeBinary)


#: Entries that say what runs cost. Word for word what queries for them say, for the index's sake.
BOOKED: Final = "job_uid <> 0 AND kind IN ('POST', 'DIRECT')"


class Transfer(SQLModel, table=True):
    """One ledger entry; insert-only (triggers refuse UPDATE and DELETE)."""

    __table_args__ = (
        CheckConstraint("amount_fen >= 0", name="amount"),
        UniqueConstraint("idem_key", name="transfer_idem_key"),
        Index("transfer_job", "job_uid"),
        Index("transfer_debit", "debit_account", "effective_ms"),
        Index("transfer_credit", "credit_account", "effective_ms"),
        Index("transfer_time", "effective_ms"),
        Index(
            "transfer_booked",
            "effective_ms",
            "job_uid",
            "attempt",
            sqlite_where=text(BOOKED),
            postgresql_where=text(BOOKED),
        ),
    )
    shard: str = Field(primary_key=True)
    seq: int = _big(pk=True)
    ledger: str
    kind: str
    code: str
    debit_account: str
    credit_account: str
    amount_fen: int = _big()
    job_uid: int = _big(0)
    attempt: int = 0
    leg_id: str = ""
    reverses: str = ""
    effective_ms: int = _big()
    ref_period: str = ""
    idem_key: str
    actor: str = ""
    reason: str = ""
    prev_hash: bytes = Field(sa_type=LargeBinary)
    hash: bytes = Field(sa_type=LargeBinary)


class UsageRecord(SQLModel, table=True):
    """Metered use as the center stated it; a correction is a new revision.

    ``charge_revision`` is the revision of the run's charge that first rests on it.
    """

    __tablename__ = "usage_record"
    __table_args__ = (
        Index("usage_job", "job_uid", "attempt"),
        CheckConstraint("end_ms >= start_ms AND units > 0", name="span"),
    )
    center: str = Field(primary_key=True)
    native_id: str = Field(primary_key=True)
    submit_ms: int = _big(pk=True)
    segment: int = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    job_uid: int = _big()
    attempt: int
    start_ms: int = _big()
    end_ms: int = _big()
    units: int = _big()
    raw_sha256: str
    source: str
    charge_revision: int = _count()


class RatedLine(SQLModel, table=True):
    """What one stretch of use costs at the frozen price; gross 0 if it is not billed.

    Revision 0 is the settlement. Each correction is a later revision, of lines that take back what
    stood until then (seconds and fen below 0) and lines of what stands instead: so the sum over
    all revisions is what the run costs now; line -1 takes back line 0 of the revision before, and
    so on. ``free`` are unit-seconds of grants. ``booked_ms`` is when its entries were booked.
    """

    __tablename__ = "rated_line"
    job_uid: int = _big(pk=True)
    attempt: int = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    line: int = Field(primary_key=True)
    segment: int
    price_id: str
    seconds: int = _big()
    units: int = _big()
    free: int = _big()
    gross_fen: int = _big()
    billed: bool = True
    start_ms: int = _big()
    end_ms: int = _big()
    booked_ms: int = _big()


class SubsidyLine(SQLModel, table=True):
    """What one account of a programme gave a run, and which limit bound it.

    Revisions as in ``RatedLine``. ``account_id`` is the fund, voucher or grant that gave it;
    ``start_ms`` begins the stretch of the run that it is for. Of a grant, whose ``ledger`` is
    UNIT_S, ``amount_fen`` counts unit-seconds.
    """

    __tablename__ = "subsidy_line"
    job_uid: int = _big(pk=True)
    attempt: int = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    line: int = Field(primary_key=True)
    programme: str
    rule_version: int
    account_id: str
    amount_fen: int = _big()
    binding: str
    cap_year: int | None = None
    ledger: str = "CNY"
    start_ms: int = _big()
    booked_ms: int = _big()


def table(model: type[SQLModel]) -> sa.Table:
    """Return the Core table of a model, for set-based statements."""
    found: sa.Table = model.__table__  # type: ignore[attr-defined]
    return found
