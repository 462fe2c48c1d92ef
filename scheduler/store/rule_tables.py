"""Tables of what subsidy rules ask about enterprises and their jobs; see ``tables``."""

from typing import Final

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from scheduler.store.tables import _big as big

_SPAN: Final = "valid_to_ms IS NULL OR valid_to_ms >= valid_from_ms"


class RelatedParty(SQLModel, table=True):
    """An enterprise and a center that are related, from an instant until another, half-open.

    ``source`` says where that is written. One that ends when it begins never was in force.
    """

    __tablename__ = "related_party"
    __table_args__ = (CheckConstraint(_SPAN, name="span"),)
    enterprise: str = Field(primary_key=True, foreign_key="enterprise.code")
    center: str = Field(primary_key=True, foreign_key="center.code")
    valid_from_ms: int = big(pk=True)
    valid_to_ms: int | None = big(null=True)
    source: str = ""


class ListedProject(SQLModel, table=True):
    """A project of an enterprise on a published list, from an instant until another, half-open."""

    __tablename__ = "listed_project"
    __table_args__ = (CheckConstraint(_SPAN, name="span"),)
    enterprise: str = Field(primary_key=True, foreign_key="enterprise.code")
    list_name: str = Field(primary_key=True)
    project: str = Field(primary_key=True)
    valid_from_ms: int = big(pk=True)
    valid_to_ms: int | None = big(null=True)
    source: str = ""


class EarlierSupport(SQLModel, table=True):
    """The first natural year in which a programme supported an enterprise outside these books.

    It counts from an instant until another, half-open; data files say it from instant 0 on.
    """

    __tablename__ = "earlier_support"
    __table_args__ = (CheckConstraint(_SPAN, name="span"),)
    enterprise: str = Field(primary_key=True, foreign_key="enterprise.code")
    programme: str = Field(primary_key=True)
    since_year: int
    valid_from_ms: int = big(pk=True)
    valid_to_ms: int | None = big(null=True)
    source: str = ""
