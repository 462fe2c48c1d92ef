"""What jobs can say: users, arrays, dependencies, times, and lines for their inputs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("user_name", sa.String(), "''"),
    ("finish_by_ms", sa.BigInteger(), None),
    ("notice_s", sa.Integer(), "0"),
    ("gated", sa.Boolean(), "false"),
    ("array_uid", sa.BigInteger(), None),
    ("array_index", sa.Integer(), None),
)
_ELEMENT = "array_uid IS NOT NULL"
_OPEN = "state NOT IN ('CANCELLED', 'EXPIRED', 'FAILED', 'REJECTED', 'SUCCEEDED')"


def upgrade() -> None:
    """Add the columns and tables; jobs of before have no user, no array and wait for nobody."""
    for name, kind, default in _COLUMNS:
        # Both databases take a column with a constant default without writing the table anew.
        shown = sa.false() if default == "false" else sa.text(default or "NULL")
        op.add_column(
            "job",
            sa.Column(
                name, kind, nullable=default is None, server_default=shown if default else None
            ),
        )
    _index("job_element", ["array_uid", "array_index"], _ELEMENT)
    _index("job_element_open", ["array_uid", "state", "gated"], f"{_ELEMENT} AND {_OPEN}")
    op.create_table(
        "job_array",
        _big("array_uid"),
        _int("replica"),
        _big("first_tick"),
        _int("size"),
        _int("concurrency_max", null=True),
        _int("opened"),
        _int("made"),
        _int("ahead"),
        _text("rest_state"),
        sa.PrimaryKeyConstraint("array_uid"),
        sa.CheckConstraint(
            "opened BETWEEN 0 AND size AND made BETWEEN 0 AND size AND ahead BETWEEN 0 AND made",
            name="counts",
        ),
        sa.CheckConstraint(
            "rest_state IN ('CANCELLED', 'EXPIRED', 'HELD', 'QUEUED')", name="rest_state"
        ),
    )
    op.create_index("job_array_block", "job_array", ["replica", "first_tick"], unique=True)
    op.create_table(
        "job_dependency",
        _big("job_uid"),
        _big("on_uid"),
        _text("condition"),
        sa.PrimaryKeyConstraint("job_uid", "on_uid"),
        sa.CheckConstraint("condition IN ('AFTER_ANY_END', 'AFTER_SUCCESS')", name="condition"),
        sa.CheckConstraint("on_uid <> job_uid", name="other"),
    )
    op.create_index("job_dependency_on", "job_dependency", ["on_uid"])
    op.create_table(
        "link",
        _text("one"),
        _text("other"),
        _big("mbit_s"),
        sa.PrimaryKeyConstraint("one", "other"),
        sa.CheckConstraint("mbit_s > 0", name="speed"),
    )


def downgrade() -> None:
    """Forget it all."""
    for table in ("link", "job_dependency", "job_array"):
        op.drop_table(table)
    for index in ("job_element_open", "job_element"):
        op.drop_index(index, "job")
    for name, _, _ in reversed(_COLUMNS):
        op.drop_column("job", name)


def _index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "job", columns, sqlite_where=where, postgresql_where=where)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.String(), nullable=False)


def _big(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _int(name: str, *, null: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), nullable=null)
