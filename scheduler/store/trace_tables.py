"""Tables of jobs that are followed in traces, and up to where it was told; see ``tables``."""

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from scheduler.store.tables import _big as big


class JobTrace(SQLModel, table=True):
    """A job, or an element that may have no row yet, that is followed until all is told of it.

    ``trace_id`` and ``span_id`` are those of the call that submitted it.
    """

    __tablename__ = "job_trace"
    job_uid: int = Field(sa_column=sa.Column(BigInteger, primary_key=True, autoincrement=False))
    trace_id: str
    span_id: str


class TraceMark(SQLModel, table=True):
    """The last event of the feed up to which spans were told; one row."""

    __tablename__ = "trace_mark"
    __table_args__ = (CheckConstraint("one = 1", name="one"),)
    one: int = Field(default=1, sa_column=sa.Column(sa.Integer, primary_key=True))
    upto_seq: int = big()
