"""Turns the ``authorization`` of a call into a principal, asking the store at most every 5 s.

What was verified is remembered by the SHA-256 of the secret for ``ttl_s`` of real time, so a
revoked token stops working within that; expiry is checked at every call.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from scheduler.auth import tokens
from scheduler.auth.logins import Logins
from scheduler.domain.principal import Principal
from scheduler.errors import Unauthenticated

CACHE_TTL_S: Final = 5.0
_CACHE_MAX: Final = 50_000


@dataclass(frozen=True, slots=True)
class Verified:
    """A token as the store knows it; ``revoked_ms`` None if it was not revoked."""

    principal: Principal
    revoked_ms: int | None


#: Finds a token by the SHA-256 of its secret; None if there is none.
Lookup = Callable[[str], Awaitable[Verified | None]]


class Verifier:
    """Verifies secrets through ``lookup``, and JWTs through ``logins`` if there are any.

    ``wall_ms`` is wall time, ``real_s`` monotonic; ``on_use`` is told of each use of a token of
    ours: its id and when.
    """

    def __init__(
        self,
        lookup: Lookup,
        wall_ms: Callable[[], int],
        real_s: Callable[[], float] = time.monotonic,
        ttl_s: float = CACHE_TTL_S,
        logins: Logins | None = None,
        on_use: Callable[[str, int], None] | None = None,
    ) -> None:
        self._lookup, self._wall_ms, self._real_s, self._ttl_s = lookup, wall_ms, real_s, ttl_s
        self._logins, self._on_use = logins, on_use
        self._generation = logins.generation if logins else 0
        self._known: dict[str, tuple[Principal, float]] = {}

    async def principal(self, authorization: str | bytes | None) -> Principal:
        """Return who presents this ``authorization`` value.

        Raises ``Unauthenticated`` if it is missing, malformed, unknown, expired or revoked, and
        ``Forbidden`` for a login that gives no role here.
        """
        secret = tokens.bearer(authorization, logins=self._logins is not None)
        key = tokens.fingerprint(secret)
        if self._logins is not None and self._logins.generation != self._generation:
            self._generation = self._logins.generation
            self._known.clear()
        known = self._known.get(key)
        if known is not None and known[1] > self._real_s():
            principal = known[0]
        elif self._logins is None or tokens.is_ours(secret):
            principal = self._remember(key, await self._ask(key))
        else:
            principal = self._remember(key, await self._logins.principal(secret, key))
        now_ms = self._wall_ms()
        if principal.expire_ms <= now_ms:
            raise _expired(principal)
        if self._on_use is not None and principal.token_id:
            self._on_use(principal.token_id, now_ms)
        return principal

    def forget(self) -> None:
        """Ask the store again for every token: after a revocation made in this process."""
        self._known.clear()

    async def _ask(self, key: str) -> Principal:
        verified = await self._lookup(key)
        if verified is None:
            self._known.pop(key, None)
            raise Unauthenticated(
                "the token is not known here; check that it belongs to this server",
                reason="TOKEN_UNKNOWN",
            )
        if verified.revoked_ms is not None:
            self._known.pop(key, None)
            raise Unauthenticated(
                f"the token {verified.principal.token_id} was revoked",
                reason="TOKEN_REVOKED",
                metadata={"token_id": verified.principal.token_id},
            )
        return verified.principal

    def _remember(self, key: str, principal: Principal) -> Principal:
        if len(self._known) >= _CACHE_MAX:
            self._known.clear()
        self._known[key] = (principal, self._real_s() + self._ttl_s)
        return principal


def _expired(principal: Principal) -> Unauthenticated:
    if principal.issuer:
        return Unauthenticated(
            "the token has expired; get a new one from its issuer", reason="TOKEN_EXPIRED"
        )
    return Unauthenticated(
        f"the token {principal.token_id} has expired; ask who gave it for a new one",
        reason="TOKEN_EXPIRED",
        metadata={"token_id": principal.token_id},
    )
