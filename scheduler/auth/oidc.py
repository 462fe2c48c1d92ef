"""Tokens of people from an OpenID Connect issuer: what is asked of one, and whose it is.

A token is a JWT that the issuer signed with one of its published keys (``auth.issuer_keys``). What
counts is fixed here and in the settings, never by the token: which algorithms (never ``none``,
never one with a shared secret), which issuer, for whom, and which claims say who somebody is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from scheduler.domain.principal import Role
from scheduler.errors import Forbidden, Unauthenticated

#: What may be allowed: signatures that are checked with a key that everybody may know.
ALGORITHMS: Final[Mapping[str, str]] = {
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
    "ES256": "EC", "ES384": "EC", "ES512": "EC", "EdDSA": "OKP",
}  # fmt: skip
#: A token says no more than fits a header of a call.
TOKEN_MAX_CHARS: Final = 8_192
SUBJECT_MAX: Final = 256
_OF_ENTERPRISE: Final = frozenset({Role.ENTERPRISE_MEMBER, Role.ENTERPRISE_ADMIN})
#: Agents show tokens of ours, bound to a center, and certificates; nobody's login is an agent.
_MAY_MAP: Final = tuple(role for role in Role if role is not Role.AGENT)


class BadRules(ValueError):
    """The settings say what cannot be; ``setting`` is the name of the wrong one."""

    def __init__(self, setting: str, what: str) -> None:
        super().__init__(f"oidc.{setting}: {what}")


@dataclass(frozen=True, slots=True)
class OidcRules:
    """What is asked of a token; ``roles`` gives roles by value of the role claim, first one first.

    ``lifetime_max_s`` bounds how far ahead a token may end: nobody can revoke it here before that.
    """

    issuer: str
    audience: str
    roles: tuple[tuple[str, Role], ...]
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    subject_claim: str = "sub"
    role_claim: str = "corridor_role"
    city_claim: str = "corridor_city"
    enterprise_claim: str = "corridor_enterprise"
    leeway_s: float = 30.0
    lifetime_max_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Login:
    """Who a verified token says its bearer is; ``expire_ms`` is wall-clock time."""

    issuer: str
    subject: str
    role: Role
    city: str
    enterprise: str
    expire_ms: int


def roles_of(text: str) -> tuple[tuple[str, Role], ...]:
    """Return ``value=role, value=role`` in order; raises ``BadRules``."""
    found: list[tuple[str, Role]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        value, equals, name = part.rpartition("=")
        role = name.strip().upper().replace("-", "_")
        if not equals or not value.strip() or role not in _MAY_MAP:
            known = ", ".join(one.lower() for one in _MAY_MAP)
            raise BadRules("roles", f"{part!r} must be VALUE=ROLE with a role of: {known}")
        found.append((value.strip(), Role(role)))
    if not found:
        raise BadRules("roles", "name at least one VALUE=ROLE, or nobody of the issuer may call")
    return tuple(found)


def algorithms_of(text: str) -> tuple[str, ...]:
    """Return the algorithms of a list with commas; raises ``BadRules``."""
    found = tuple(filter(None, (part.strip() for part in text.split(","))))
    for one in found:
        if one not in ALGORITHMS:
            raise BadRules("algorithms", f"{one!r} is none of: {', '.join(ALGORITHMS)}")
    if not found:
        raise BadRules("algorithms", f"name at least one of: {', '.join(ALGORITHMS)}")
    return found


def header_of(token: str, rules: OidcRules) -> tuple[str | None, str]:
    """Return (key id, algorithm) that a token names, nothing of which is verified yet.

    Raises ``Unauthenticated`` unless it can be read and the algorithm is allowed.
    """
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError as error:
        raise _wrong("TOKEN_MALFORMED", "the token is no JWT") from error
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in rules.algorithms:
        allowed = ", ".join(rules.algorithms)
        raise _wrong("TOKEN_ALGORITHM", f"the token must be signed with one of: {allowed}")
    return key_id if isinstance(key_id, str) else None, algorithm


def login_of(token: str, key: jwt.PyJWK, algorithm: str, rules: OidcRules, wall_ms: int) -> Login:
    """Verify a token by the key that it names; returns who its bearer is.

    Raises ``Unauthenticated``, and ``Forbidden`` for somebody whom no role is for.
    """
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=rules.audience,
            issuer=rules.issuer,
            options={
                "require": ["exp", "iss", "aud"],
                # By our clock and leeway, below.
                "verify_exp": False, "verify_nbf": False, "verify_iat": False,
            },
        )  # fmt: skip
    except jwt.InvalidIssuerError as error:
        raise _wrong("TOKEN_ISSUER", f"the token must be of the issuer {rules.issuer}") from error
    except jwt.InvalidAudienceError as error:
        raise _wrong("TOKEN_AUDIENCE", f"the token must be for {rules.audience}") from error
    except jwt.MissingRequiredClaimError as error:
        raise _wrong("TOKEN_CLAIM_MISSING", f"the token lacks the claim {error.claim}") from error
    except jwt.InvalidTokenError as error:
        raise _wrong("TOKEN_SIGNATURE", "the token is not signed by its issuer") from error
    expire_ms = _check_times(claims, rules, wall_ms)
    subject = _text(claims, rules.subject_claim)
    if not subject or len(subject) > SUBJECT_MAX:
        raise _wrong(
            "TOKEN_CLAIM_MISSING",
            f"the claim {rules.subject_claim} must be a text of 1 to {SUBJECT_MAX} characters",
        )
    role = _role(claims, rules)
    city = enterprise = ""
    if role is Role.CITY_ADMIN:
        city = _needed(claims, rules.city_claim, role)
    if role in _OF_ENTERPRISE:
        enterprise = _needed(claims, rules.enterprise_claim, role)
    return Login(rules.issuer, subject, role, city, enterprise, expire_ms)


def _check_times(claims: Mapping[str, Any], rules: OidcRules, wall_ms: int) -> int:
    """Return until when a token counts, the leeway for its clock included."""
    now_s = wall_ms / 1000
    expire_s = _number(claims, "exp")
    if now_s >= expire_s + rules.leeway_s:
        raise _wrong("TOKEN_EXPIRED", "the token has expired; get a new one from its issuer")
    for name in ("nbf", "iat"):
        if name in claims and _number(claims, name) > now_s + rules.leeway_s:
            raise _wrong("TOKEN_NOT_YET_VALID", f"the token counts only later, by its {name}")
    if expire_s > now_s + rules.lifetime_max_s + rules.leeway_s:
        raise _wrong(
            "TOKEN_LIFETIME",
            f"the token ends more than {rules.lifetime_max_s:g} s from now, and nobody could revoke"
            " it: let its issuer give shorter ones",
        )
    return int((expire_s + rules.leeway_s) * 1000)


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise _wrong("TOKEN_CLAIM_MISSING", f"the claim {name} must be seconds since 1970")
    return float(value)


def _role(claims: Mapping[str, Any], rules: OidcRules) -> Role:
    """Return the first role of the settings that one of the claim's values is mapped to."""
    value = _claim(claims, rules.role_claim)
    values = {
        one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)
    }
    for name, role in rules.roles:
        if name in values:
            return role
    raise Forbidden(
        f"no value of the claim {rules.role_claim} stands for a role here; ask who keeps the"
        " accounts of the issuer, or the operator for a mapping (oidc.roles)",
        reason="ROLE_NOT_MAPPED",
    )


def _needed(claims: Mapping[str, Any], name: str, role: Role) -> str:
    value = _text(claims, name)
    if not value or len(value) > SUBJECT_MAX:
        raise Forbidden(
            f"the role {role} is bound to what the claim {name} names, and the token lacks it",
            reason="TOKEN_CLAIM_MISSING",
        )
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = _claim(claims, name)
    return value if isinstance(value, str) and value.isprintable() else ""


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or by a path with dots into claims that are objects."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found


def _wrong(reason: str, what: str) -> Unauthenticated:
    return Unauthenticated(what, reason=reason)
