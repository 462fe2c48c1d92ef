"""Makes callers of an issuer's tokens: verified once, scoped by what the store knows of them.

A verified token is remembered by the SHA-256 of its text until it ends, for a signature costs a
third of a call; where its bearer belongs is asked of the store at most every few seconds, as that
of a token of ours is.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from scheduler.auth.issuer_keys import IssuerKeys
from scheduler.auth.oidc import Login, OidcRules, header_of, login_of
from scheduler.domain.principal import Principal
from scheduler.errors import Forbidden

_PROVED_MAX: Final = 50_000
#: Returns the city of an enterprise or a city itself as the store has it; None if it has none.
HomeOf = Callable[[str, str], Awaitable[str | None]]


class Logins:
    """Verifies tokens of one issuer."""

    def __init__(
        self, rules: OidcRules, keys: IssuerKeys, home_of: HomeOf, wall_ms: Callable[[], int]
    ) -> None:
        self._rules, self.keys, self._home_of, self._wall_ms = rules, keys, home_of, wall_ms
        self._proved: dict[str, Login] = {}
        self._generation = keys.generation

    @property
    def generation(self) -> int:
        """Changes when what was verified before counts no more; old keys are looked after too."""
        self.keys.keep_fresh()
        return self.keys.generation

    async def principal(self, token: str, fingerprint: str) -> Principal:
        """Return whose token this is. Raises ``Unauthenticated``, ``Forbidden``."""
        login = await self._login(token, fingerprint)
        city: str | None = None
        if login.city or login.enterprise:
            city = await self._home_of(login.city, login.enterprise)
            if city is None:
                what = login.enterprise or login.city
                raise Forbidden(
                    f"the token is of {what!r}, which is not known here; the operator can add it",
                    reason="HOME_NOT_KNOWN",
                )
        return Principal(
            login.subject, login.role, city, login.enterprise or None, None, "",
            login.expire_ms, login.issuer,
        )  # fmt: skip

    async def _login(self, token: str, fingerprint: str) -> Login:
        if self._generation != self.generation or len(self._proved) >= _PROVED_MAX:
            self._generation = self.keys.generation
            self._proved.clear()
        proved = self._proved.get(fingerprint)
        if proved is None:
            key_id, algorithm = header_of(token, self._rules)
            key = await self.keys.key(key_id, algorithm)
            proved = login_of(token, key, algorithm, self._rules, self._wall_ms())
            self._proved[fingerprint] = proved
        return proved
