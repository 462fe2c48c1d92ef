"""Who calls, and what of the corridor that caller may see.

``Scope`` is what the store puts into every query: a caller sees rows of its scope and no others,
whatever a handler forgets (DESIGN.md 11).
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a caller may do; ``scheduler.auth.roles`` says which calls each may make."""

    ENTERPRISE_MEMBER = "ENTERPRISE_MEMBER"
    ENTERPRISE_ADMIN = "ENTERPRISE_ADMIN"
    CITY_ADMIN = "CITY_ADMIN"
    OPERATOR = "OPERATOR"
    AUDITOR = "AUDITOR"
    AGENT = "AGENT"


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows a caller may see: of one enterprise, of one city, or (both None) of all."""

    city: str | None = None
    enterprise: str | None = None

    def covers(self, city: str, enterprise: str) -> bool:
        """Whether a row of this city and enterprise lies within the scope."""
        return self.city in (None, city) and self.enterprise in (None, enterprise)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose token was verified; ``expire_ms`` is wall-clock time.

    ``issuer`` is the URL of who gave the token, "" for one of ours, whose id is ``token_id``.
    """

    subject: str
    role: Role
    city: str | None
    enterprise: str | None
    center: str | None
    token_id: str
    expire_ms: int
    issuer: str = ""

    @property
    def scope(self) -> Scope:
        """What the caller may see; a role without a scope of its own sees nothing by default."""
        match self.role:
            case Role.OPERATOR | Role.AUDITOR:
                return EVERYTHING
            case Role.CITY_ADMIN:
                return Scope(city=self.city or "")
            case Role.ENTERPRISE_MEMBER | Role.ENTERPRISE_ADMIN:
                return Scope(enterprise=self.enterprise or "")
            case Role.AGENT:
                return Scope(city="", enterprise="")
