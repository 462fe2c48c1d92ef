"""Tables of changes that wait for a second person, and of those made by one; see ``tables``."""

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from scheduler.domain.approving import ChangeKind, ChangeState
from scheduler.store.budget_tables import _serial as serial
from scheduler.store.tables import _big as big
from scheduler.store.tables import _states as words


class ChangeRequest(SQLModel, table=True):
    """A change that one person asked for and another decides; what it says never changes.

    ``city`` is whose change it is, ``corridor`` for programmes of the whole corridor and for
    prices. ``payload`` is the JSON object that the change is made from, ``before`` and ``after``
    are figures for people. ``request_key`` is NULL, or the caller's own key of the request.
    """

    __tablename__ = "change_request"
    __table_args__ = (
        CheckConstraint(f"kind IN ({words(ChangeKind)})", name="kind"),
        CheckConstraint(f"state IN ({words(ChangeState)})", name="state"),
        CheckConstraint("(state = 'PENDING') = (decided_ms IS NULL)", name="decided"),
        CheckConstraint("state <> 'APPROVED' OR decided_by <> requester", name="two_persons"),
        Index("change_request_key", "request_key", unique=True),
        Index("change_request_city", "city", "state"),
        {"sqlite_autoincrement": True},
    )
    number: int | None = serial()
    kind: str
    target: str
    city: str
    payload: str
    before: str = ""
    after: str = ""
    amount_fen: int = big(0)
    state: str = Field(default="PENDING", sa_column_kwargs={"server_default": text("'PENDING'")})
    requester: str
    role: str
    reason: str
    request_key: str | None = Field(default=None, sa_column=sa.Column(sa.String(), nullable=True))
    created_ms: int = big()
    decided_by: str = ""
    decision_reason: str = ""
    decided_ms: int | None = big(null=True)


class LoneChange(SQLModel, table=True):
    """A change of an amount that one person made without a second; insert-only.

    ``amount_fen`` is its size without its sign; ``made_ms`` scheduling time.
    """

    __tablename__ = "lone_change"
    __table_args__ = (
        CheckConstraint("amount_fen >= 0", name="amount"),
        Index("lone_change_of", "requester", "target", "made_ms"),
        {"sqlite_autoincrement": True},
    )
    number: int | None = serial()
    kind: str
    target: str
    amount_fen: int = big()
    requester: str
    made_ms: int = big()
