"""API tokens: random secrets, shown once, known to the store only by their hash.

A secret has 40 base62 characters (238 bits), so one round of SHA-256 is enough: there is nothing
to guess that a slow hash would protect.
"""

import hashlib
import re
import secrets
import string
from typing import Final

from scheduler.auth.oidc import TOKEN_MAX_CHARS
from scheduler.errors import Unauthenticated

PREFIX: Final = "cor_"
SECRET_CHARS: Final = 40
LIFETIME_MAX_MS: Final = 400 * 86_400_000
_ALPHABET: Final = string.digits + string.ascii_letters
_SHAPE: Final = re.compile(r"cor_[0-9A-Za-z]{32,128}")
_JWT: Final = re.compile(r"[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*")


def new_secret() -> str:
    """Return a fresh secret, such as ``cor_4Gk...``."""
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARS))


def new_token_id() -> str:
    """Return a fresh id by which a token is listed and revoked; it gives no access."""
    return "tok-" + "".join(secrets.choice(_ALPHABET[:36]) for _ in range(16))


def fingerprint(secret: str) -> str:
    """Return the SHA-256 of a secret in hexadecimal, as it is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_ours(secret: str) -> bool:
    """Whether a secret is a token of ours, not one of an issuer of logins."""
    return secret.startswith(PREFIX)


def bearer(authorization: str | bytes | None, *, logins: bool = False) -> str:
    """Return the secret in an ``authorization`` value; ``Unauthenticated`` says what is wrong.

    With ``logins`` it may also be a JWT.
    """
    if not authorization:
        raise Unauthenticated(
            "no token: send metadata `authorization: Bearer <token>` (set CORRIDOR_TOKEN or a"
            " profile for the command line)",
            reason="TOKEN_MISSING",
        )
    text = authorization.decode("latin-1") if isinstance(authorization, bytes) else authorization
    scheme, _, secret = text.partition(" ")
    secret = secret.strip()
    is_jwt = logins and len(secret) <= TOKEN_MAX_CHARS and _JWT.fullmatch(secret) is not None
    if scheme.lower() != "bearer" or not (is_jwt or _SHAPE.fullmatch(secret)):
        or_jwt = ", or have a JWT of the issuer of logins" if logins else ""
        raise Unauthenticated(
            f"the authorization metadata must read `Bearer cor_...`{or_jwt}",
            reason="TOKEN_MALFORMED",
        )
    return secret
