"""The part of revision 0010 about charges: top-ups, corrections, and lines with revisions."""

import sqlalchemy as sa
from alembic import op

_RATED = "job_uid, attempt, line, segment, price_id, seconds, units, gross_fen, billed"
_SUBSIDY = "job_uid, attempt, programme, rule_version, account_id, amount_fen, binding"

_SUBSIDY_OLD = (
    "job_uid, attempt, programme, min(rule_version), min(account_id), sum(amount_fen), min(binding)"
)


def _insert_only(table: str) -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
            + (
                " FOR EACH ROW EXECUTE FUNCTION corridor_insert_only()"
                if postgresql
                else f" BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
            )
        )


def _bigs(*names: str, null: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=null) for name in names]


def _ints(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def upgrade() -> None:
    """Add revisions to lines, and what corrects a charge."""
    op.add_column("hold", sa.Column("from_s", sa.BigInteger(), nullable=False, server_default="0"))
    for column in (
        sa.Column("funder", sa.String(), nullable=False, server_default=sa.text("''")),
        sa.Column("from_ms", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("to_ms", sa.BigInteger(), nullable=False, server_default=str(1 << 62)),
        sa.Column("cap_reserved", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("shard", sa.String(), nullable=False, server_default=sa.text("''")),
    ):
        op.add_column("hold_leg", column)
    op.add_column(
        "usage_record",
        sa.Column("charge_revision", sa.Integer(), nullable=False, server_default="0"),
    )
    _lines_with_revisions()
    op.create_table(
        "correction",
        *_bigs("job_uid"),
        *_ints("attempt", "revision"),
        *_texts("kind", "code"),
        *_bigs("gross_fen", "subsidy_fen", "self_pay_fen", "receivable_fen"),
        *_texts("basis", "ref_period", "idem_key", "actor", "role", "reason"),
        *_bigs("booked_ms"),
        sa.PrimaryKeyConstraint("job_uid", "attempt", "revision"),
        sa.CheckConstraint("kind IN ('DECIDED', 'USAGE')", name="kind"),
        sa.CheckConstraint(
            "gross_fen >= 0 AND gross_fen = subsidy_fen + self_pay_fen + receivable_fen",
            name="sums",
        ),
        sa.UniqueConstraint("idem_key", name="correction_idem_key"),
    )
    _insert_only("correction")
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "recon_diff",
        sa.Column("diff_id", serial, nullable=False, autoincrement=True),
        *_texts("center", "kind", "native_id"),
        *_bigs("submit_ms"),
        *_ints("segment"),
        *_bigs("job_uid"),
        *_ints("attempt"),
        *_bigs("use_ms"),
        *_texts("here", "there", "state"),
        *_bigs("found_ms"),
        *_texts("idem_key"),
        *_bigs("resolved_ms", null=True),
        *_texts("resolved_by", "resolution"),
        sa.PrimaryKeyConstraint("diff_id"),
        sa.CheckConstraint(
            "kind IN ('AMOUNT', 'MISSING_HERE', 'MISSING_THERE', 'RECORD', 'SECONDS', 'UNITS')",
            name="kind",
        ),
        sa.CheckConstraint("state IN ('OPEN', 'RESOLVED')", name="state"),
        sa.UniqueConstraint("idem_key", name="recon_diff_idem_key"),
        sqlite_autoincrement=True,
    )
    where = sa.text("state = 'OPEN'")
    op.create_index(
        "recon_diff_open", "recon_diff", ["center"], sqlite_where=where, postgresql_where=where
    )


def _lines_with_revisions() -> None:
    """Lines of charges get revisions; what was settled until now is revision 0 of each run."""
    op.create_table(
        "rated_line_new",
        *_bigs("job_uid"),
        *_ints("attempt", "revision", "line", "segment"),
        *_texts("price_id"),
        *_bigs("seconds", "units", "free", "gross_fen"),
        sa.Column("billed", sa.Boolean(), nullable=False),
        *_bigs("start_ms", "end_ms", "booked_ms"),
        sa.PrimaryKeyConstraint("job_uid", "attempt", "revision", "line"),
    )
    op.create_table(
        "subsidy_line_new",
        *_bigs("job_uid"),
        *_ints("attempt", "revision", "line"),
        *_texts("programme"),
        *_ints("rule_version"),
        *_texts("account_id"),
        *_bigs("amount_fen"),
        *_texts("binding"),
        sa.Column("cap_year", sa.Integer(), nullable=True),
        *_texts("ledger"),
        *_bigs("start_ms", "booked_ms"),
        sa.PrimaryKeyConstraint("job_uid", "attempt", "revision", "line"),
    )
    rated = ", ".join(f"l.{name}" for name in _RATED.split(", "))
    op.execute(
        f"INSERT INTO rated_line_new ({_RATED}, revision, free, start_ms, end_ms, booked_ms)"
        f" SELECT {rated}, 0, 0, u.start_ms, u.end_ms, r.settled_ms FROM rated_line l"
        " JOIN usage_record u ON u.job_uid = l.job_uid AND u.attempt = l.attempt"
        " AND u.segment = l.segment"
        " JOIN run r ON r.job_uid = l.job_uid AND r.attempt = l.attempt"
    )
    # The legs of a hold are numbered in the order in which their programmes gave.
    subsidy = ", ".join(f"l.{name}" for name in _SUBSIDY.split(", "))
    op.execute(
        f"INSERT INTO subsidy_line_new ({_SUBSIDY}, revision, line, cap_year, ledger, start_ms,"
        f" booked_ms) SELECT {subsidy}, 0, g.leg, g.cap_year, 'CNY',"
        " (SELECT min(u.start_ms) FROM usage_record u WHERE u.job_uid = l.job_uid"
        " AND u.attempt = l.attempt), r.settled_ms FROM subsidy_line l"
        " JOIN hold_leg g ON g.job_uid = l.job_uid AND g.attempt = l.attempt AND g.rev = 0"
        " AND g.programme = l.programme"
        " JOIN run r ON r.job_uid = l.job_uid AND r.attempt = l.attempt"
    )
    for table in ("rated_line", "subsidy_line"):
        op.drop_table(table)
        op.rename_table(f"{table}_new", table)
        _insert_only(table)


def downgrade() -> None:
    """Take it back; what was corrected is forgotten."""
    op.drop_table("recon_diff")
    op.drop_table("correction")
    for table, columns, drop in (
        ("rated_line", _RATED, ("revision", "free", "start_ms", "end_ms", "booked_ms")),
        (
            "subsidy_line",
            _SUBSIDY,
            ("revision", "line", "cap_year", "ledger", "start_ms", "booked_ms"),
        ),
    ):
        key = "programme" if table == "subsidy_line" else "line"
        found = sa.inspect(op.get_bind()).get_columns(table)
        op.create_table(
            f"{table}_old",
            *(
                sa.Column(one["name"], one["type"], nullable=one["nullable"])
                for one in found
                if one["name"] not in drop
            ),
            sa.PrimaryKeyConstraint("job_uid", "attempt", key),
        )
        kept = columns if key == "line" else _SUBSIDY_OLD
        op.execute(
            f"INSERT INTO {table}_old ({columns}) SELECT {kept} FROM {table} WHERE revision = 0"
            + (" GROUP BY job_uid, attempt, programme" if key == "programme" else "")
        )
        op.drop_table(table)
        op.rename_table(f"{table}_old", table)
        _insert_only(table)
    op.drop_column("usage_record", "charge_revision")
    with op.batch_alter_table("hold") as batch:
        batch.drop_column("from_s")
    with op.batch_alter_table("hold_leg") as batch:
        for name in ("funder", "from_ms", "to_ms", "cap_reserved", "shard"):
            batch.drop_column(name)
