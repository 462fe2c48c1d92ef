"""API tokens: random secrets, shown once, known to the store only by their hash.

A secret has 40 base62 characters (238 bits), so one round of SHA-256 is enough: there is nothing
to guess that a slow hash would protect.
"""

import hashlib
import re
import secrets
import string
from typing import Final

from scheduler.errors import Unauthenticated

PREFIX: Final = "cor_"
SECRET_CHARS: Final = 40
LIFETIME_MAX_MS: Final = 400 * 86_400_000
_ALPHABET: Final = string.digits + string.ascii_letters
_SHAPE: Final = re.compile(r"cor_[0-9A-Za-z]{32,128}")


def new_secret() -> str:
    """Return a fresh secret, such as ``cor_4Gk...``."""
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARS))


def new_token_id() -> str:
    """Return a fresh id by which a token is listed and revoked; it gives no access."""
    return "tok-" + "".join(secrets.choice(_ALPHABET[:36]) for _ in range(16))


def fingerprint(secret: str) -> str:
    """Return the SHA-256 of a secret in hexadecimal, as it is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def bearer(authorization: str | bytes | None) -> str:
    """Return the secret in an ``authorization`` value; ``Unauthenticated`` says what is wrong."""
    if not authorization:
        raise Unauthenticated(
            "no token: send metadata `authorization: Bearer <token>` (set CORRIDOR_TOKEN or a"
            " profile for the command line)",
            reason="TOKEN_MISSING",
        )
    text = authorization.decode("latin-1") if isinstance(authorization, bytes) else authorization
    scheme, _, secret = text.partition(" ")
    if scheme.lower() != "bearer" or _SHAPE.fullmatch(secret.strip()) is None:
        raise Unauthenticated(
            "the authorization metadata must read `Bearer cor_...`", reason="TOKEN_MALFORMED"
        )
    return secret.strip()
