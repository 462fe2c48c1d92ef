"""The table of up to where what is old was let go of; see ``tables``."""

import sqlalchemy as sa
from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from scheduler.store.tables import _big as big


class Retention(SQLModel, table=True):
    """Up to where what is old was let go of; one row.

    Of the events up to ``events_upto_seq``, the last of which was of ``events_upto_ms``, only those
    of jobs are left that were not over, and some that what-ifs need. ``jobs_upto_uid`` is the
    highest uid of a pruned job; all that were pruned had ended before ``jobs_upto_ms``.
    """

    __table_args__ = (CheckConstraint("one = 1", name="one"),)
    one: int = Field(default=1, sa_column=sa.Column(sa.Integer, primary_key=True))
    events_upto_seq: int = big(0)
    events_upto_ms: int = big(0)
    jobs_upto_uid: int = big(0)
    jobs_upto_ms: int = big(0)
