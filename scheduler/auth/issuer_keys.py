"""The keys that an issuer publishes, kept here: asked for seldom, and never by a stranger's whim.

Keys are fetched when none are known, when those known are old, and when a token names one that is
not among them; the last at most every ``RETRY_S``, however many such tokens come. While the issuer
does not answer, the keys known so far count on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import Any, Final

import jwt
import structlog

from scheduler.auth.oidc import ALGORITHMS
from scheduler.errors import TemporarilyAway, Unauthenticated

log = structlog.get_logger()

#: The least time between two questions to the issuer, in seconds.
RETRY_S: Final = 10.0
KEYS_MAX: Final = 64
#: Gets the issuer's key set (a JWKS) as JSON; raises ``IssuerAway``.
Fetch = Callable[[], Awaitable[Mapping[str, Any]]]


class IssuerAway(Exception):
    """The issuer did not answer, or not with keys."""


class IssuerKeys:
    """The keys of one issuer; ``real_s`` is monotonic, ``on_fetch`` told whether it answered."""

    def __init__(
        self,
        fetch: Fetch,
        refresh_s: float,
        real_s: Callable[[], float] = time.monotonic,
        on_fetch: Callable[[bool], None] = lambda _ok: None,
    ) -> None:
        self._fetch, self._refresh_s, self._real_s = fetch, refresh_s, real_s
        self._on_fetch = on_fetch
        self._keys: dict[str, Mapping[str, Any]] = {}
        self._parsed: dict[tuple[str, str], jwt.PyJWK] = {}
        self._asked_s: float | None = None
        self._fetched_s: float | None = None
        self._asking: asyncio.Task[None] | None = None
        #: Changes whenever a key was taken away or replaced: what was verified must be so again.
        self.generation = 0

    async def key(self, key_id: str | None, algorithm: str) -> jwt.PyJWK:
        """Return the key of an id for an algorithm; without an id the only one that fits.

        Raises ``Unauthenticated`` if there is none, ``TemporarilyAway`` if the issuer cannot be
        asked about it.
        """
        self.keep_fresh()
        found = self._find(key_id, algorithm)
        if found is not None:
            return found
        answered = await self._ask_again()
        found = self._find(key_id, algorithm)
        if found is not None:
            return found
        if not answered:
            raise TemporarilyAway(
                "the issuer of the token does not answer, and its key is not known here; try again",
                retry_after_s=RETRY_S,
            )
        raise Unauthenticated(
            "the token names no key of its issuer; get a new one", reason="TOKEN_KEY_UNKNOWN"
        )

    def keep_fresh(self) -> None:
        """Have keys that grew old fetched anew, without waiting for it."""
        if self._fetched_s is not None and self._real_s() >= self._fetched_s + self._refresh_s:
            self._begin()

    async def close(self) -> None:
        """End what is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask_again(self) -> bool:
        """Fetch unless that was done just now; returns whether the last answer was one."""
        asking = self._begin()
        if asking is not None:
            await asyncio.shield(asking)
        return self._fetched_s is not None and self._fetched_s == self._asked_s

    def _begin(self) -> asyncio.Task[None] | None:
        """Return the question under way, a new one if it is time for one."""
        if self._asking is not None and not self._asking.done():
            return self._asking
        now_s = self._real_s()
        if self._asked_s is not None and now_s < self._asked_s + RETRY_S:
            return None
        self._asked_s = now_s
        self._asking = asyncio.create_task(self._ask(now_s), name="issuer-keys", context=Context())
        return self._asking

    async def _ask(self, now_s: float) -> None:
        try:
            keys = _usable(await self._fetch())
        except IssuerAway as error:
            log.warning("issuer_away", why=str(error), keys_known=len(self._keys))
            self._on_fetch(False)
            return
        if any(keys.get(name) != known for name, known in self._keys.items()):
            self.generation += 1
        self._keys, self._parsed, self._fetched_s = keys, {}, now_s
        self._on_fetch(True)

    def _find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        if key_id is None:
            fitting = [name for name, one in self._keys.items() if _fits(one, algorithm)]
            if len(fitting) != 1:
                return None
            key_id = fitting[0]
        parsed = self._parsed.get((key_id, algorithm))
        if parsed is not None:
            return parsed
        data = self._keys.get(key_id)
        if data is None or not _fits(data, algorithm):
            return None
        try:
            parsed = jwt.PyJWK(dict(data), algorithm)
        except jwt.PyJWTError as error:
            log.warning("issuer_key_unusable", key_id=key_id, why=str(error))
            return None
        self._parsed[key_id, algorithm] = parsed
        return parsed


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a key is of the kind of an algorithm, and not published for another one."""
    return key.get("kty") == ALGORITHMS[algorithm] and key.get("alg", algorithm) == algorithm


def _usable(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the public keys for signatures in a key set, by id; raises ``IssuerAway`` for none."""
    keys = document.get("keys")
    if not isinstance(keys, list) or len(keys) > KEYS_MAX:
        raise IssuerAway(f"what it answered is no set of at most {KEYS_MAX} keys")
    found: dict[str, Mapping[str, Any]] = {
        str(one.get("kid", "")): one
        for one in keys
        if isinstance(one, dict)
        and one.get("kty") in ALGORITHMS.values()
        and one.get("use", "sig") == "sig"
    }
    if not found:
        raise IssuerAway("it publishes no key that could be used")
    return found
