"""Tables of arrays, of what jobs wait for, of promises, and of lines for data; see ``tables``."""

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel

from scheduler.domain.states import JobState

#: States of elements that have no row: they wait, or ended together.
REST_STATES = (JobState.CANCELLED, JobState.EXPIRED, JobState.HELD, JobState.QUEUED)
_REST = ", ".join(f"'{state}'" for state in REST_STATES)


class JobArray(SQLModel, table=True):
    """What an array is beside its row in ``job``.

    Its elements have the ticks after ``first_tick`` of ``replica`` (``scheduler.domain.ids``).
    Elements below ``opened`` may be told to the planner. ``made`` elements have rows of their own,
    ``ahead`` of them at or above ``opened``; those without are in ``rest_state``.
    """

    __tablename__ = "job_array"
    __table_args__ = (
        CheckConstraint(
            "opened BETWEEN 0 AND size AND made BETWEEN 0 AND size AND ahead BETWEEN 0 AND made",
            name="counts",
        ),
        CheckConstraint(f"rest_state IN ({_REST})", name="rest_state"),
        Index("job_array_block", "replica", "first_tick", unique=True),
    )
    array_uid: int = Field(sa_type=BigInteger, primary_key=True)
    replica: int
    first_tick: int = Field(sa_type=BigInteger)
    size: int
    concurrency_max: int | None = None
    opened: int = 0
    made: int = 0
    ahead: int = 0
    rest_state: str = "QUEUED"


class JobDependency(SQLModel, table=True):
    """Job ``job_uid`` waits for the end of job ``on_uid``."""

    __tablename__ = "job_dependency"
    __table_args__ = (
        CheckConstraint("condition IN ('AFTER_ANY_END', 'AFTER_SUCCESS')", name="condition"),
        CheckConstraint("on_uid <> job_uid", name="other"),
        Index("job_dependency_on", "on_uid"),
    )
    job_uid: int = Field(sa_type=BigInteger, primary_key=True)
    on_uid: int = Field(sa_type=BigInteger, primary_key=True)
    condition: str


class Promise(SQLModel, table=True):
    """The job that a flavor's pool is promised to, on how many units; ``evicts`` if runs were
    evicted for it."""

    __table_args__ = (CheckConstraint("units > 0", name="units"),)
    flavor: str = Field(primary_key=True)
    job_uid: int = Field(sa_type=BigInteger)
    units: int = Field(sa_type=BigInteger)
    evicts: bool
    made_ms: int = Field(sa_type=BigInteger)


class Acknowledgement(SQLModel, table=True):
    """Up to which event of the feed a center was told of its runs that are over and settled."""

    center: str = Field(primary_key=True)
    upto_seq: int = Field(sa_type=BigInteger)


class Link(SQLModel, table=True):
    """A line for data between two cities or centers (``cities/wuhan``), the same both ways."""

    __table_args__ = (CheckConstraint("mbit_s > 0", name="speed"),)
    one: str = Field(primary_key=True)
    other: str = Field(primary_key=True)
    mbit_s: int = Field(sa_type=BigInteger)
