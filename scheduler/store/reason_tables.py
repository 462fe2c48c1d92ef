"""Table of why jobs waited when, by what jobs have in common; see ``tables``."""

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field, SQLModel

from scheduler.store.tables import _big as big


class ReasonSpell(SQLModel, table=True):
    """From ``from_ms`` to ``to_ms`` (NULL: still) jobs of a kind waited for the reason ``code``.

    ``subject`` is the digest of a kind (city, enterprise if it is told apart, what is asked for)
    or ``j<uid>`` of a single job. Rows are by kind, so that a reason that changes for a thousand
    jobs costs one.
    """

    __tablename__ = "reason_spell"
    __table_args__ = (
        CheckConstraint("to_ms IS NULL OR to_ms >= from_ms", name="span"),
        Index("reason_spell_to", "to_ms"),
    )
    subject: str = Field(primary_key=True)
    from_ms: int = big(pk=True)
    to_ms: int | None = big(null=True)
    code: str
