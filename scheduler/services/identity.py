"""Use cases of enterprises and tokens: who may give whom which right."""

import re
from collections.abc import Mapping
from typing import Final

from scheduler.auth import tokens
from scheduler.auth.logins import HomeOf
from scheduler.auth.verifier import Lookup, Verified
from scheduler.domain import uscc
from scheduler.domain.principal import Principal, Role
from scheduler.errors import FieldViolation, Forbidden, InvalidRequest
from scheduler.services import checks
from scheduler.services.context import Context
from scheduler.store import catalog, identity
from scheduler.store.catalog import CityRow
from scheduler.store.database import Database
from scheduler.store.identity import EnterpriseRow, NewEnterprise, TokenRow

SIZE_CLASSES: Final = ("MICRO", "SMALL", "MEDIUM", "LARGE")
_CODE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OF_ENTERPRISE: Final = frozenset({Role.ENTERPRISE_MEMBER, Role.ENTERPRISE_ADMIN})
#: Which roles a role may give. Nobody gives a right that goes beyond the own ones.
_MAY_GIVE: Final = {
    Role.OPERATOR: frozenset(Role),
    Role.CITY_ADMIN: _OF_ENTERPRISE | {Role.CITY_ADMIN},
    Role.ENTERPRISE_ADMIN: _OF_ENTERPRISE,
}
#: Who acts when the service is set up on its own machine: whoever can write its database.
_INIT: Final = Principal("corridor init", Role.OPERATOR, None, None, None, "", 0)


def token_lookup(context: Context) -> Lookup:
    """Return how the verifier finds a token by the hash of its secret."""

    async def look(secret_sha256: str) -> Verified | None:
        row = await context.db.read(
            lambda connection: identity.find_token(connection, secret_sha256)
        )
        return None if row is None else Verified(row.principal, row.revoked_ms)

    return look


def home_of(context: Context) -> HomeOf:
    """Return how logins find out where somebody belongs."""

    async def look(city: str, enterprise: str) -> str | None:
        return await context.db.read(lambda connection: identity.home(connection, city, enterprise))

    return look


async def note_uses(context: Context, uses: Mapping[str, int]) -> None:
    """Keep when tokens were last used: wall-clock time by id."""
    await context.db.write(lambda connection: identity.note_uses(connection, uses))


async def list_cities(context: Context) -> list[CityRow]:
    """Return all cities by code."""
    return await context.db.read(catalog.cities)


# --- enterprises ----------------------------------------------------------------------------------


async def list_enterprises(
    context: Context, caller: Principal, city: str, limit: int, after: str
) -> list[EnterpriseRow]:
    """Return at most ``limit`` enterprises by code after a code."""
    return await context.db.read(
        lambda connection: identity.list_enterprises(connection, caller.scope, city, limit, after)
    )


async def create_enterprise(
    context: Context, caller: Principal, new: NewEnterprise
) -> EnterpriseRow:
    """Add an enterprise and open its wallet.

    Raises ``InvalidRequest``, ``NotFound`` for a city that the caller does not manage,
    ``AlreadyThere``, and ``Forbidden`` if another than an operator grants credit.
    """
    wrong = checks.given("enterprise.city", new.city)
    wrong += checks.given("enterprise.display_name", new.name)
    if _CODE.fullmatch(new.enterprise) is None:
        wrong.append(
            FieldViolation(
                "enterprise.enterprise",
                "must be 1 to 63 lower-case letters, digits and inner dashes, such as e000",
            )
        )
    problem = uscc.problem(new.uscc) if new.uscc else None
    if problem is not None:
        wrong.append(FieldViolation("enterprise.uscc", problem))
    if new.size_class not in SIZE_CLASSES:
        known = ", ".join(SIZE_CLASSES)
        wrong.append(FieldViolation("enterprise.size_class", f"must be one of {known}"))
    if len(new.sector) > 128:
        wrong.append(FieldViolation("enterprise.sector", "must not be above 128 characters"))
    wrong += checks.whole("enterprise.credit_limit_fen", new.credit_limit_fen, checks.MONEY_MAX_FEN)
    if wrong:
        raise InvalidRequest(wrong)
    if new.credit_limit_fen and caller.role != Role.OPERATOR:
        raise Forbidden(
            "only an operator grants credit; leave credit_limit_fen at 0",
            reason="CREDIT_BY_OPERATOR_ONLY",
        )
    return await context.db.write(
        lambda connection: identity.create_enterprise(
            connection,
            caller,
            new,
            now_ms=context.clock.now_ms(),
            wall_ms=context.wall_ms(),
        )
    )


# --- tokens ---------------------------------------------------------------------------------------


async def list_tokens(
    context: Context, caller: Principal, limit: int, before: tuple[int, str] | None
) -> list[TokenRow]:
    """Return at most ``limit`` tokens, newest first."""
    return await context.db.read(
        lambda connection: identity.list_tokens(connection, caller.scope, limit, before)
    )


async def create_token(
    context: Context,
    caller: Principal,
    *,
    subject: str,
    role: Role,
    city: str = "",
    enterprise: str = "",
    center: str = "",
    expire_ms: int,
) -> tuple[TokenRow, str]:
    """Make a token; returns it with its secret, which is kept nowhere.

    ``expire_ms`` is wall-clock time, at most 400 days ahead. Raises ``InvalidRequest``,
    ``Forbidden`` for a role that the caller may not give, ``NotFound`` for an enterprise, city or
    center that is not there or not the caller's.
    """
    now_ms = context.wall_ms()
    wrong = checks.given("token.subject", subject) + _wrong_scope(role, city, enterprise, center)
    if not now_ms < expire_ms <= now_ms + tokens.LIFETIME_MAX_MS:
        wrong.append(
            FieldViolation("token.expire_time", "is mandatory, ahead, and at most 400 days ahead")
        )
    if wrong:
        raise InvalidRequest(wrong)
    if role not in _MAY_GIVE.get(caller.role, frozenset()):
        raise Forbidden(f"a {caller.role} may not give the role {role}", reason="ROLE_TOO_HIGH")
    secret = tokens.new_secret()
    row = TokenRow(
        tokens.new_token_id(),
        subject,
        role,
        city or None,
        enterprise or None,
        center or None,
        now_ms,
        expire_ms,
        None,
    )
    made = await context.db.write(
        lambda connection: identity.create_token(
            connection, caller, row, tokens.fingerprint(secret)
        )
    )
    return made, secret


def bootstrap_operator(
    db: Database, subject: str, *, wall_ms: int, lifetime_ms: int = tokens.LIFETIME_MAX_MS
) -> tuple[TokenRow, str]:
    """Make an operator's token on the server's machine, where no token is known yet."""
    secret = tokens.new_secret()
    row = TokenRow(
        tokens.new_token_id(),
        subject,
        Role.OPERATOR,
        None,
        None,
        None,
        wall_ms,
        wall_ms + min(lifetime_ms, tokens.LIFETIME_MAX_MS),
        None,
    )
    future = db.write_future(
        lambda connection: identity.create_token(connection, _INIT, row, tokens.fingerprint(secret))
    )
    return future.result(), secret


async def revoke_token(context: Context, caller: Principal, token_id: str) -> TokenRow:
    """End a token; one that was revoked stays as it is. ``NotFound`` if it is not the caller's."""
    return await context.db.write(
        lambda connection: identity.revoke_token(connection, caller, token_id, context.wall_ms())
    )


def _wrong_scope(role: Role, city: str, enterprise: str, center: str) -> list[FieldViolation]:
    """Check that a token names what its role is bound to, and nothing else."""
    needed = (
        "enterprise"
        if role in _OF_ENTERPRISE
        else {Role.CITY_ADMIN: "city", Role.AGENT: "center"}.get(role, "")
    )
    wrong = []
    for field, value in (("city", city), ("enterprise", enterprise), ("center", center)):
        if field == needed and not value:
            wrong.append(FieldViolation(f"token.{field}", f"is mandatory for the role {role}"))
        if field != needed and value:
            wrong.append(FieldViolation(f"token.{field}", f"must be empty for the role {role}"))
    return wrong
