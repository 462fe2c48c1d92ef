"""The token by which a center knows us, renewed before it ends.

Slurm answers an expired token exactly like a dying controller (error 5005 or -1), so that an end is
read from the token itself and never inferred from an answer.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from adapters.errors import Unauthorized
from adapters.secrets import BadSecret, SecretRef

#: A token is replaced when so little of its life is left, but not before that share of it is.
_RENEW_LEFT_S: Final = 300.0
_RENEW_SHARE: Final = 0.2
#: Clocks differ: a token is not used in its last seconds.
_MARGIN_S: Final = 5.0
_AGAIN_S: Final = 5.0
#: A file may be replaced at any time, by a token for other rights.
_REREAD_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token and what it says of itself; times are epoch seconds, 0.0 if it does not say."""

    text: str
    user: str
    issued_s: float
    expires_s: float

    def renew_s(self) -> float:
        """From when on a new one is looked for."""
        if not self.expires_s:
            return 0.0
        life_s = max(self.expires_s - self.issued_s, 0.0) if self.issued_s else _RENEW_LEFT_S
        return self.expires_s - _MARGIN_S - min(_RENEW_LEFT_S, _RENEW_SHARE * life_s)


def read_token(text: str) -> Token:
    """Read what a JSON Web Token claims; it is not verified, the center does so.

    Raises ``ValueError`` for what is no such token; the message does not repeat it.
    """
    parts = text.removeprefix("SLURM_JWT=").split(".")
    if len(parts) != 3 or not all(parts):
        raise ValueError("it is no JSON Web Token (three parts with dots between)")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        raise ValueError("its claims cannot be read") from None
    if not isinstance(claims, dict):
        raise ValueError("its claims are no mapping")
    numbers = [claims.get(key, 0) for key in ("iat", "exp")]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        raise ValueError("its times are no numbers")
    user = claims.get("sun", claims.get("username", ""))
    return Token(".".join(parts), str(user), float(numbers[0]), float(numbers[1]))


class TokenSource:
    """Gives a token that has not ended. ``now_s`` is real time in epoch seconds."""

    def __init__(self, reference: SecretRef, now_s: Callable[[], float]) -> None:
        self._reference, self._now_s = reference, now_s
        self._token: Token | None = None
        self._look_s = 0.0

    async def current(self) -> Token:
        """The newest token. Raises ``Unauthorized`` if there is none that lasts."""
        now_s = self._now_s()
        if self._token is not None and now_s < self._look_s:
            return self._token
        problem = ""
        try:
            self._token = await self._newer()
        except (BadSecret, ValueError) as error:
            problem = f"token: {error}"
        token = self._token
        if token is None:
            raise Unauthorized(problem)
        if token.expires_s and token.expires_s - _MARGIN_S <= now_s:
            ended = f"the token of {self._reference} ended {now_s - token.expires_s:.0f} s ago"
            raise Unauthorized(f"{ended}; {problem}" if problem else ended)
        self._look_s = self._next_look_s(token, now_s)
        return token

    async def _newer(self) -> Token:
        found = read_token(await self._reference.read())
        had = self._token
        if had is not None and had.expires_s > found.expires_s > 0:
            return had
        return found

    def _next_look_s(self, token: Token, now_s: float) -> float:
        if token.expires_s and token.renew_s() <= now_s:
            return now_s + _AGAIN_S
        if self._reference.kind == "command":
            return token.renew_s() if token.expires_s else now_s + _REREAD_S
        due_s = now_s + _REREAD_S
        return min(due_s, token.renew_s()) if token.expires_s else due_s
