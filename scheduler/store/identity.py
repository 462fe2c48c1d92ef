"""Enterprises and tokens, shown and made within the caller's scope."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row, text

from scheduler.domain.events import EventKind
from scheduler.domain.principal import Principal, Role, Scope
from scheduler.errors import AlreadyThere, NotFound
from scheduler.store import audit_trail, catalog, feed, funds, scoping
from scheduler.store.bulk import bulk_update
from scheduler.store.tables import Enterprise, EnterpriseCity, Token, table

# --- enterprises ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewEnterprise:
    """An enterprise to add; ``uscc`` empty if it is not known, ``credit_limit_fen`` in fen."""

    enterprise: str
    city: str
    name: str
    uscc: str
    startup: bool
    size_class: str
    sector: str
    blocked: bool
    credit_limit_fen: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class EnterpriseRow:
    """An enterprise with its wallet: what it may owe, and what it owes and has held now."""

    enterprise: str
    city: str
    name: str
    uscc: str
    startup: bool
    size_class: str
    sector: str
    blocked: bool
    credit_limit_fen: int
    credit_used_fen: int


_ENTERPRISES = (
    "SELECT e.code, e.city, e.name, coalesce(e.uscc, '') AS uscc, e.startup, e.size_class,"
    " e.sector, e.blocked, coalesce(a.credit_limit_fen, 0) AS credit_limit_fen,"
    " coalesce(a.debits_posted + a.debits_pending - a.credits_posted, 0) AS used_fen"
    " FROM enterprise e LEFT JOIN account a ON a.kind = 'WALLET' AND a.owner = e.code"
)


def list_enterprises(
    connection: Connection, scope: Scope, city: str = "", limit: int = 1000, after: str = ""
) -> list[EnterpriseRow]:
    """Return at most ``limit`` enterprises by code after ``after``."""
    rows = connection.execute(
        text(
            f"{_ENTERPRISES} WHERE {scoping.enterprises(scope, 'e.city', 'e.code')}"
            " AND (:city = '' OR e.city = :city) AND e.code > :after"
            " ORDER BY e.code LIMIT :limit"
        ),
        {"city": city, "after": after, "limit": limit, **scoping.values(scope)},
    )
    return [_enterprise_row(row) for row in rows]


def get_enterprise(connection: Connection, scope: Scope, enterprise: str) -> EnterpriseRow:
    """Return one enterprise; ``NotFound`` if there is none within the scope."""
    row = connection.execute(
        text(
            f"{_ENTERPRISES} WHERE e.code = :enterprise"
            f" AND {scoping.enterprises(scope, 'e.city', 'e.code')}"
        ),
        {"enterprise": enterprise, **scoping.values(scope)},
    ).first()
    if row is None:
        raise NotFound(f"no enterprise {enterprise!r} that you may see")
    return _enterprise_row(row)


def create_enterprise(
    connection: Connection, actor: Principal, new: NewEnterprise, *, now_ms: int, wall_ms: int
) -> EnterpriseRow:
    """Add an enterprise to a city of the caller's scope and open its wallet.

    Raises ``NotFound`` for a city outside the scope, ``AlreadyThere`` if the code or the unified
    social credit code is taken.
    """
    if not actor.scope.covers(new.city, "") or not catalog.has_city(connection, new.city):
        raise NotFound(f"no city {new.city!r} that you may manage; `corridor city list` shows all")
    _check_free(connection, new)
    insert_enterprises(connection, [new], now_ms)
    row = feed.EventRow(EventKind.ENTERPRISE_CHANGED, 0, 0, new.enterprise, new.city, "", now_ms)
    feed.append(connection, [row])
    audit_trail.record(
        connection,
        actor,
        "ENTERPRISE_CREATED",
        f"enterprises/{new.enterprise}",
        at_ms=wall_ms,
        after={
            "name": new.name,
            "uscc": new.uscc,
            "credit_limit_fen": new.credit_limit_fen,
            "blocked": new.blocked,
        },
        city=new.city,
        enterprise=new.enterprise,
    )
    return get_enterprise(connection, actor.scope, new.enterprise)


def insert_enterprises(connection: Connection, new: list[NewEnterprise], now_ms: int) -> None:
    """Insert enterprises, their dated city and their wallets; tells and notes nothing."""
    if not new:
        return
    connection.execute(
        sa.insert(table(Enterprise)),
        [
            {
                "code": one.enterprise,
                "name": one.name,
                "city": one.city,
                "uscc": one.uscc or None,
                "size_class": one.size_class,
                "sector": one.sector,
                "startup": one.startup,
                "blocked": one.blocked,
                "weight": one.weight,
                "created_ms": now_ms,
            }
            for one in new
        ],
    )
    connection.execute(
        sa.insert(table(EnterpriseCity)),
        [{"enterprise": one.enterprise, "valid_from_ms": now_ms, "city": one.city} for one in new],
    )
    for one in new:
        funds.open_wallet(connection, one.enterprise, one.city, one.credit_limit_fen)


def _check_free(connection: Connection, new: NewEnterprise) -> None:
    taken = connection.execute(
        text(
            "SELECT code FROM enterprise WHERE code = :code OR (uscc IS NOT NULL AND uscc = :uscc)"
        ),
        {"code": new.enterprise, "uscc": new.uscc},
    ).scalar()
    if taken == new.enterprise:
        raise AlreadyThere(f"there is an enterprise {taken!r} already; choose another code")
    if taken is not None:
        raise AlreadyThere(
            f"the credit code {new.uscc} belongs to an enterprise that is there already",
            reason="USCC_TAKEN",
        )


def _enterprise_row(row: Row[Any]) -> EnterpriseRow:
    return EnterpriseRow(
        row.code,
        row.city,
        row.name,
        row.uscc,
        bool(row.startup),
        row.size_class,
        row.sector,
        bool(row.blocked),
        int(row.credit_limit_fen),
        max(0, int(row.used_fen)),
    )


# --- tokens ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token without its secret; times are wall-clock. ``city`` of an enterprise's token is
    where the enterprise belongs now."""

    token_id: str
    subject: str
    role: Role
    city: str | None
    enterprise: str | None
    center: str | None
    created_ms: int
    expire_ms: int
    revoked_ms: int | None
    last_used_ms: int | None = None

    @property
    def principal(self) -> Principal:
        """Who presents this token."""
        return Principal(
            self.subject,
            self.role,
            self.city,
            self.enterprise,
            self.center,
            self.token_id,
            self.expire_ms,
        )


_TOKENS = (
    "SELECT t.token_id, t.subject, t.role, coalesce(e.city, t.city) AS city, t.enterprise,"
    " t.center, t.created_ms, t.expire_ms, t.revoked_ms, t.last_used_ms"
    " FROM token t LEFT JOIN enterprise e ON e.code = t.enterprise"
)


def find_token(connection: Connection, secret_sha256: str) -> TokenRow | None:
    """Return the token of a secret by its hash, expired and revoked ones too."""
    row = connection.execute(
        text(f"{_TOKENS} WHERE t.secret_sha256 = :hash"), {"hash": secret_sha256}
    ).first()
    return None if row is None else _token_row(row)


def is_revoked(connection: Connection, token_id: str) -> bool:
    """Whether a token was revoked."""
    row = connection.execute(
        text("SELECT revoked_ms FROM token WHERE token_id = :id"), {"id": token_id}
    ).first()
    return row is not None and row.revoked_ms is not None


def list_tokens(
    connection: Connection,
    scope: Scope,
    limit: int = 1000,
    before: tuple[int, str] | None = None,
) -> list[TokenRow]:
    """Return at most ``limit`` tokens, newest first, from before (created_ms, token id)."""
    created_ms, token_id = before or (1 << 62, "")
    rows = connection.execute(
        text(
            f"{_TOKENS} WHERE {_in_scope(scope)} AND (t.created_ms < :created"
            " OR (t.created_ms = :created AND t.token_id < :token))"
            " ORDER BY t.created_ms DESC, t.token_id DESC LIMIT :limit"
        ),
        {"created": created_ms, "token": token_id, "limit": limit, **scoping.values(scope)},
    )
    return [_token_row(row) for row in rows]


def create_token(
    connection: Connection, actor: Principal, token: TokenRow, secret_sha256: str
) -> TokenRow:
    """Add a token whose scope lies within the caller's.

    Raises ``NotFound`` for an enterprise, city or center that is not there or not the caller's.
    """
    home = _check_scope(connection, actor.scope, token)
    connection.execute(
        sa.insert(table(Token)),
        {
            "token_id": token.token_id,
            "secret_sha256": secret_sha256,
            "subject": token.subject,
            "role": str(token.role),
            "city": token.city,
            "enterprise": token.enterprise,
            "center": token.center,
            "created_ms": token.created_ms,
            "expire_ms": token.expire_ms,
            "created_by": actor.subject,
        },
    )
    audit_trail.record(
        connection,
        actor,
        "TOKEN_CREATED",
        f"tokens/{token.token_id}",
        at_ms=token.created_ms,
        after={"subject": token.subject, "role": str(token.role), "expire_ms": token.expire_ms},
        city=home,
        enterprise=token.enterprise or "",
    )
    return _get_token(connection, actor.scope, token.token_id)


def revoke_token(connection: Connection, actor: Principal, token_id: str, wall_ms: int) -> TokenRow:
    """End a token of the caller's scope; one that was revoked keeps its time.

    Raises ``NotFound`` if there is none within the scope.
    """
    token = _get_token(connection, actor.scope, token_id)
    if token.revoked_ms is not None:
        return token
    connection.execute(
        text("UPDATE token SET revoked_ms = :now WHERE token_id = :id AND revoked_ms IS NULL"),
        {"now": wall_ms, "id": token_id},
    )
    audit_trail.record(
        connection,
        actor,
        "TOKEN_REVOKED",
        f"tokens/{token_id}",
        at_ms=wall_ms,
        before={"subject": token.subject, "role": str(token.role)},
        city=token.city or "",
        enterprise=token.enterprise or "",
    )
    return _get_token(connection, actor.scope, token_id)


def note_uses(connection: Connection, uses: Mapping[str, int]) -> None:
    """Keep when tokens were last used, by their ids, unless a later use is known."""
    bulk_update(
        connection,
        "UPDATE token SET last_used_ms = v.column2 FROM {values} WHERE token.token_id = v.column1"
        " AND coalesce(token.last_used_ms, 0) < v.column2",
        sorted(uses.items()),
    )


def home(connection: Connection, city: str, enterprise: str) -> str | None:
    """Return the city of an enterprise, or of a name of a city itself; None if it is not there."""
    if not enterprise:
        return city if catalog.has_city(connection, city) else None
    row = connection.execute(
        text("SELECT city FROM enterprise WHERE code = :code"), {"code": enterprise}
    ).first()
    return None if row is None else str(row.city)


def _get_token(connection: Connection, scope: Scope, token_id: str) -> TokenRow:
    row = connection.execute(
        text(f"{_TOKENS} WHERE t.token_id = :id AND {_in_scope(scope)}"),
        {"id": token_id, **scoping.values(scope)},
    ).first()
    if row is None:
        raise NotFound(f"no token {token_id!r} that you may manage; `corridor token list` shows")
    return _token_row(row)


def _in_scope(scope: Scope) -> str:
    return scoping.enterprises(scope, "coalesce(e.city, t.city)", "t.enterprise")


def _check_scope(connection: Connection, scope: Scope, token: TokenRow) -> str:
    """Return the city of the token, "" if it has none; ``NotFound`` if it lies outside."""
    if token.enterprise is not None:
        return get_enterprise(connection, scope, token.enterprise).city
    if token.city is not None and not catalog.has_city(connection, token.city):
        raise NotFound(f"there is no city {token.city!r}; `corridor city list` shows all")
    if not scope.covers(token.city or "", ""):
        raise NotFound("the token's scope is not within yours")
    if token.center is not None:
        found = connection.execute(
            text("SELECT 1 FROM center WHERE code = :center"), {"center": token.center}
        ).first()
        if found is None:
            raise NotFound(f"there is no center {token.center!r}")
    return token.city or ""


def _token_row(row: Row[Any]) -> TokenRow:
    return TokenRow(
        row.token_id,
        row.subject,
        Role(row.role),
        row.city,
        row.enterprise,
        row.center,
        row.created_ms,
        row.expire_ms,
        row.revoked_ms,
        row.last_used_ms,
    )
