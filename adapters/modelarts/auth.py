"""Who we are to the center: an access key that signs each call, or a token of IAM.

Secrets are read where they are referred to, when the first call needs them and again when the
center refuses them; they are in no message, ``repr`` or log.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from adapters.modelarts.errors import Call, CallFailed, ErrorClass, classify, error_of
from adapters.modelarts.signing import DATE_HEADER, Query, authorization, sdk_date
from adapters.secrets import BadSecret, SecretRef
from adapters.wire import AnswerLost, NotSent, Wire

_TOKENS: Final = "/v3/auth/tokens"
_TOKEN_HEADER: Final = "X-Auth-Token"
_RENEW_BEFORE_MS: Final = 300_000
_NEVER_MS: Final = 1 << 62


class Auth(Protocol):
    """Adds to the headers of a call what proves who makes it. Raises ``CallFailed``."""

    async def authorize(
        self,
        method: str,
        path: str,
        query: Query,
        headers: dict[str, str],
        body: bytes,
        now_ms: int,
    ) -> None:
        """Add to ``headers``; ``now_ms`` is the center's time."""
        ...

    async def renewed(self, refused: Mapping[str, str]) -> bool:
        """Hear that a call with these headers was refused: whether others will be sent now."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class KeyAuth:
    """Signs with an access key and its secret key."""

    def __init__(self, access_key: SecretRef, secret_key: SecretRef) -> None:
        self._refs = (access_key, secret_key)
        self._keys: tuple[str, str] | None = None

    async def authorize(
        self,
        method: str,
        path: str,
        query: Query,
        headers: dict[str, str],
        body: bytes,
        now_ms: int,
    ) -> None:
        """See ``Auth``."""
        if self._keys is None:
            self._keys = await self._read()
        headers[DATE_HEADER] = sdk_date(now_ms)
        headers["Authorization"] = authorization(method, path, query, headers, body, *self._keys)

    async def renewed(self, refused: Mapping[str, str]) -> bool:
        """See ``Auth``: whether the keys were changed where they are kept."""
        before, self._keys = self._keys, await self._read()
        return self._keys != before

    async def close(self) -> None:
        """See ``Auth``."""

    async def _read(self) -> tuple[str, str]:
        access_key = await _secret(self._refs[0])
        if not _is_header(access_key):
            raise CallFailed(ErrorClass.AUTH, f"secret {self._refs[0]}: it is no access key")
        return access_key, await _secret(self._refs[1])


@dataclass(frozen=True, slots=True)
class TokenScope:
    """Whom a token is for: a user of a domain, and the project (at the center: its region)."""

    domain: str
    user: str
    project: str


class TokenAuth:
    """Sends a token of IAM, fetched with a password and renewed before it ends."""

    def __init__(
        self,
        wire: Wire,
        scope: TokenScope,
        password: SecretRef,
        now_ms: Callable[[], int],
        read_s: float,
    ) -> None:
        self._wire, self._scope, self._password = wire, scope, password
        self._now_ms, self._read_s = now_ms, read_s
        self._token, self._renew_ms = "", 0
        self._lock = asyncio.Lock()

    async def authorize(
        self,
        method: str,
        path: str,
        query: Query,
        headers: dict[str, str],
        body: bytes,
        now_ms: int,
    ) -> None:
        """See ``Auth``."""
        async with self._lock:  # one fetches, the others wait for it
            if not self._token or self._now_ms() >= self._renew_ms:
                await self._fetch()
        headers[_TOKEN_HEADER] = self._token

    async def renewed(self, refused: Mapping[str, str]) -> bool:
        """See ``Auth``: the next call fetches another token, if nobody has done so since."""
        if refused.get(_TOKEN_HEADER) == self._token:
            self._token = ""
        return True

    async def close(self) -> None:
        """See ``Auth``."""
        await self._wire.close()

    async def _fetch(self) -> None:
        asked_ms = self._now_ms()
        password = await _secret(self._password)
        body = json.dumps(self._asking(password)).encode()
        headers = {"Host": self._wire.host, "Content-Type": "application/json"}
        try:
            answer = await self._wire.request("POST", _TOKENS, headers, body, self._read_s)
        except NotSent as error:
            raise CallFailed(ErrorClass.NOT_SENT, f"IAM: {error}") from None
        except AnswerLost as error:  # a token nobody got harms nobody
            raise CallFailed(ErrorClass.RETRYABLE, f"IAM: {error}") from None
        parsed = _parsed(answer.body)
        token = answer.headers.get("x-subject-token", "")
        code, message = error_of(parsed)
        kind = classify(
            Call.READ, sent=True, status=answer.status, code=code, readable=_is_header(token)
        )
        if kind is not None:
            raise CallFailed(kind, f"IAM gave no token: {answer.status} {message}".rstrip())
        self._token, self._renew_ms = token, _renew_ms(asked_ms, parsed)

    def _asking(self, password: str) -> Mapping[str, Any]:
        scope = self._scope
        user = {"name": scope.user, "password": password, "domain": {"name": scope.domain}}
        return {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": scope.project}},
            }
        }


def _renew_ms(asked_ms: int, body: object) -> int:
    """When to fetch another token: five minutes before its end, or in half of a shorter life.

    By how long it lives as IAM states it, not by when it ends: our clock may be another. A token
    that does not tell is used until it is refused.
    """
    stated = body.get("token") if isinstance(body, Mapping) else None
    if not isinstance(stated, Mapping):
        return _NEVER_MS
    try:
        issued = datetime.fromisoformat(str(stated.get("issued_at")))
        expires = datetime.fromisoformat(str(stated.get("expires_at")))
    except ValueError:
        return _NEVER_MS
    life_ms = round((expires - issued).total_seconds() * 1000)
    return asked_ms + max(life_ms - _RENEW_BEFORE_MS, life_ms // 2)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _is_header(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable()


async def _secret(ref: SecretRef) -> str:
    try:
        return await ref.read()
    except BadSecret as error:
        raise CallFailed(ErrorClass.AUTH, f"secret {error}") from None
