"""The first schema: every table of the service, and the guards of what is only ever added to.

Frozen: later changes are later revisions. A column is written ``name kind``, with ``?`` if it may
be NULL; kinds are text, int (32 bit), big (64 bit), bool, bytes, and serial (64 bit, counted by
the database, never reused).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KINDS: Final[Mapping[str, Any]] = {
    "text": sa.String(),
    "int": sa.Integer(),
    "big": sa.BigInteger(),
    "bool": sa.Boolean(),
    "bytes": sa.LargeBinary(),
    "serial": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
}
#: Tables of facts: rows are added and never changed or deleted.
INSERT_ONLY: Final = ("transfer", "audit_event", "usage_record", "rated_line", "subsidy_line")


@dataclass(frozen=True)
class _Table:
    name: str
    columns: str
    primary: tuple[str, ...]
    checks: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    unique: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Index:
    table: str
    name: str
    columns: tuple[str, ...]
    unique: bool = False
    where: str | None = None


_TABLES: Final = (
    _Table(
        "account",
        "account_id text, ledger text, kind text, owner text, city text, limited bool, "
        "credit_limit_fen big, debits_pending big, debits_posted big, credits_pending big, "
        "credits_posted big",
        primary=("account_id",),
        checks={
            "covered": (
                "NOT limited OR debits_posted + debits_pending <= credits_posted + credit_limit_fen"
            ),
            "not_negative": (
                "debits_pending >= 0 AND debits_posted >= 0 AND credits_pending >= 0 AND "
                "credits_posted >= 0"
            ),
        },
    ),
    _Table(
        "audit_event",
        "seq serial, at_ms big, actor text, role text, action text, target text, city text, "
        "enterprise text, before text, after text, reason text",
        primary=("seq",),
    ),
    _Table(
        "cap_counter",
        "programme text, enterprise text, year int, pending_fen big, posted_fen big, "
        "limit_fen big?",
        primary=("programme", "enterprise", "year"),
        checks={
            "capped": "limit_fen IS NULL OR pending_fen + posted_fen <= limit_fen",
            "not_negative": "pending_fen >= 0 AND posted_fen >= 0",
        },
    ),
    _Table(
        "center",
        "code text, name_zh text, name_en text, kind text, simulated bool, state text, "
        "settings text",
        primary=("code",),
    ),
    _Table(
        "city",
        "code text, name_zh text, name_en text, weight big",
        primary=("code",),
    ),
    _Table(
        "enterprise_usage",
        "enterprise text, flavor text, day big, unit_seconds big",
        primary=("enterprise", "flavor", "day"),
    ),
    _Table(
        "event",
        "seq serial, kind text, job_uid big, attempt int, enterprise text, city text, state text, "
        "at_ms big, detail text",
        primary=("seq",),
    ),
    _Table(
        "hold",
        "job_uid big, attempt int, rev int, state text, price_id text, price_ufen big, "
        "frozen text, units big, wall_limit_s big, gross_fen big, posted_fen big, created_ms big, "
        "resolved_ms big?",
        primary=("job_uid", "attempt", "rev"),
        checks={
            "not_negative": "gross_fen >= 0 AND posted_fen >= 0",
            "state": "state IN ('HELD', 'SETTLED', 'VOIDED')",
        },
    ),
    _Table(
        "hold_leg",
        "job_uid big, attempt int, rev int, leg int, kind text, debit_account text, "
        "credit_account text, amount_fen big, posted_fen big, programme text?, rule_version int?, "
        "cap_year int?",
        primary=("job_uid", "attempt", "rev", "leg"),
        checks={
            "amount": "amount_fen > 0 AND posted_fen BETWEEN 0 AND amount_fen",
        },
    ),
    _Table(
        "job",
        "uid serial, enterprise text, city text, state text, version big, priority int, "
        "submit_ms big, not_before_ms big, deadline_ms big?, display_name text, options text, "
        "labels text, spec bytes, subsidy text, self_pay_max_fen big?, attempts_max int, "
        "retry_on text, attempt int, cancel_requested bool, start_ms big?, end_ms big?, "
        "failure_class text?, message text, gross_fen big, subsidy_fen big, self_pay_fen big, "
        "settled bool",
        primary=("uid",),
        checks={
            "state": (
                "state IN ('ADMITTED', 'CANCELLED', 'EXPIRED', 'FAILED', 'HELD', 'QUEUED', "
                "'REJECTED', 'RUNNING', 'SUCCEEDED')"
            ),
        },
    ),
    _Table(
        "leader",
        "one int, epoch big, holder text, renewed_ms big",
        primary=("one",),
    ),
    _Table(
        "ledger_shard",
        "shard text, seq big, hash bytes",
        primary=("shard",),
    ),
    _Table(
        "price_version",
        "price_id text, center text, flavor text, unit text, price_ufen big, "
        "effective_from_ms big, effective_to_ms big?, created_by text",
        primary=("price_id",),
    ),
    _Table(
        "programme",
        "code text, city text, name text, document_ref text, sample bool, mode text, issue text, "
        "priority int, exclusive_group text?, status text",
        primary=("code",),
    ),
    _Table(
        "rated_line",
        "job_uid big, attempt int, line int, segment int, price_id text, seconds big, units big, "
        "gross_fen big, billed bool",
        primary=("job_uid", "attempt", "line"),
    ),
    _Table(
        "request_key",
        "enterprise text, request_id text, payload_sha256 bytes, answer bytes, created_ms big",
        primary=("enterprise", "request_id"),
    ),
    _Table(
        "run",
        "job_uid big, attempt int, city text, enterprise text, center text, flavor text, "
        "option_index int, units big, nodes int, wall_limit_s big, state text, epoch big, "
        "sequence big, native_id text, admit_ms big, submitting_ms big?, accept_ms big?, "
        "start_ms big?, end_ms big?, failure_class text?, exit_code int?, message text, "
        "settled_ms big?",
        primary=("job_uid", "attempt"),
        checks={
            "size": "units > 0 AND nodes > 0 AND wall_limit_s > 0",
            "state": (
                "state IN ('ACCEPTED', 'CANCELLED', 'FAILED', 'LOST', 'PENDING', 'PREEMPTED', "
                "'RUNNING', 'SUBMITTING', 'SUCCEEDED', 'UNKNOWN')"
            ),
        },
    ),
    _Table(
        "subsidy_line",
        "job_uid big, attempt int, programme text, rule_version int, account_id text, "
        "amount_fen big, binding text",
        primary=("job_uid", "attempt", "programme"),
    ),
    _Table(
        "token",
        "token_id text, secret_sha256 text, subject text, role text, city text?, enterprise text?, "
        "center text?, created_ms big, expire_ms big, revoked_ms big?, created_by text",
        primary=("token_id",),
        unique={"secret_sha256": None},
    ),
    _Table(
        "transfer",
        "shard text, seq big, ledger text, kind text, code text, debit_account text, "
        "credit_account text, amount_fen big, job_uid big, attempt int, leg_id text, "
        "reverses text, effective_ms big, ref_period text, idem_key text, actor text, reason text, "
        "prev_hash bytes, hash bytes",
        primary=("shard", "seq"),
        checks={
            "amount": "amount_fen >= 0",
        },
        unique={"idem_key": "transfer_idem_key"},
    ),
    _Table(
        "usage_record",
        "center text, native_id text, submit_ms big, segment int, revision int, job_uid big, "
        "attempt int, start_ms big, end_ms big, units big, raw_sha256 text, source text",
        primary=("center", "native_id", "submit_ms", "segment", "revision"),
        checks={
            "span": "end_ms >= start_ms AND units > 0",
        },
    ),
    _Table(
        "enterprise",
        "code text, name text, city text, uscc text?, size_class text, sector text, startup bool, "
        "blocked bool, weight big, created_ms big",
        primary=("code",),
        foreign={"city": "city.code"},
        unique={"uscc": None},
    ),
    _Table(
        "flavor",
        "code text, center text, name_zh text, name_en text, unit text, architecture text, "
        "capacity_units big, units_per_node big, wall_limit_max_s big, memory_mib_per_node big",
        primary=("code",),
        foreign={"center": "center.code"},
    ),
    _Table(
        "fund_period",
        "programme text, period text, start_ms big, end_ms big, state text, account_id text",
        primary=("programme", "period"),
        checks={
            "span": "end_ms > start_ms",
        },
        foreign={"programme": "programme.code"},
    ),
    _Table(
        "rule_version",
        "programme text, version int, effective_from_ms big, effective_to_ms big?, body text, "
        "sha256 text",
        primary=("programme", "version"),
        foreign={"programme": "programme.code"},
    ),
    _Table(
        "city_quota",
        "city text, flavor text, nominal_units big, borrow_limit_units big?, "
        "lend_limit_units big?, used_units big, version big, updated_ms big",
        primary=("city", "flavor"),
        checks={
            "borrow": "borrow_limit_units IS NULL OR borrow_limit_units >= 0",
            "lend": "lend_limit_units IS NULL OR lend_limit_units BETWEEN 0 AND nominal_units",
            "units_not_negative": "nominal_units >= 0 AND used_units >= 0",
        },
        foreign={"city": "city.code", "flavor": "flavor.code"},
    ),
    _Table(
        "enterprise_city",
        "enterprise text, valid_from_ms big, city text, valid_to_ms big?",
        primary=("enterprise", "valid_from_ms"),
        foreign={"city": "city.code", "enterprise": "enterprise.code"},
    ),
    _Table(
        "enterprise_quota",
        "enterprise text, flavor text, cap_units big?, used_units big, version big, updated_ms big",
        primary=("enterprise", "flavor"),
        checks={
            "cap": "cap_units IS NULL OR cap_units >= 0",
            "units_not_negative": "used_units >= 0",
        },
        foreign={"enterprise": "enterprise.code", "flavor": "flavor.code"},
    ),
)

_INDEXES: Final = (
    _Index("account", "ix_account_city", ("city",)),
    _Index("event", "event_job", ("job_uid", "seq")),
    _Index("job", "job_city_uid", ("city", "uid")),
    _Index(
        "job",
        "job_deadline",
        ("deadline_ms",),
        where="deadline_ms IS NOT NULL AND state IN ('QUEUED', 'HELD')",
    ),
    _Index("job", "job_enterprise_uid", ("enterprise", "uid")),
    _Index(
        "job",
        "job_open",
        ("uid",),
        where="state NOT IN ('CANCELLED', 'EXPIRED', 'FAILED', 'REJECTED', 'SUCCEEDED')",
    ),
    _Index("price_version", "ix_price_version_flavor", ("flavor",)),
    _Index("programme", "ix_programme_city", ("city",)),
    _Index(
        "run",
        "run_one_active",
        ("job_uid",),
        unique=True,
        where="state NOT IN ('CANCELLED', 'FAILED', 'LOST', 'PREEMPTED', 'SUCCEEDED')",
    ),
    _Index("run", "run_unsettled", ("center",), where="settled_ms IS NULL"),
    _Index("transfer", "transfer_job", ("job_uid",)),
    _Index("usage_record", "usage_job", ("job_uid", "attempt")),
    _Index("enterprise", "ix_enterprise_city", ("city",)),
)


def upgrade() -> None:
    """Make the tables, their indexes and the guards."""
    for table in _TABLES:
        _create(table)
    for index in _INDEXES:
        where = None if index.where is None else sa.text(index.where)
        op.create_index(
            index.name,
            index.table,
            list(index.columns),
            unique=index.unique,
            sqlite_where=where,
            postgresql_where=where,
        )
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute(
            "CREATE FUNCTION corridor_insert_only() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION '% is insert-only', TG_TABLE_NAME; END $$"
        )
    for name in INSERT_ONLY:
        for verb in ("UPDATE", "DELETE"):
            trigger = f"{name}_no_{verb.lower()}"
            op.execute(
                f"CREATE TRIGGER {trigger} BEFORE {verb} ON {name}"
                " FOR EACH ROW EXECUTE FUNCTION corridor_insert_only()"
                if postgresql
                else f"CREATE TRIGGER {trigger} BEFORE {verb} ON {name}"
                f" BEGIN SELECT RAISE(ABORT, '{name} is insert-only'); END"
            )


def downgrade() -> None:
    """Drop everything: there is no schema before the first."""
    for table in reversed(_TABLES):
        op.drop_table(table.name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION corridor_insert_only()")


def _create(table: _Table) -> None:
    columns: list[Any] = []
    options: dict[str, Any] = {}
    for text in table.columns.split(", "):
        name, _, kind = text.partition(" ")
        serial = kind == "serial"
        columns.append(
            sa.Column(
                name,
                _KINDS[kind.rstrip("?")],
                nullable=kind.endswith("?"),
                autoincrement=True if serial else "auto",
            )
        )
        if serial:
            options["sqlite_autoincrement"] = True
    op.create_table(
        table.name,
        *columns,
        sa.PrimaryKeyConstraint(*table.primary),
        *(sa.CheckConstraint(check, name=name) for name, check in table.checks.items()),
        *(sa.ForeignKeyConstraint([name], [to]) for name, to in table.foreign.items()),
        *(sa.UniqueConstraint(column, name=name) for column, name in table.unique.items()),
        **options,
    )
