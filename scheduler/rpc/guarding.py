"""The door of the API: who callers are, how much they may ask, and what is kept of it.

When a token was used is kept in memory and written now and then, many at once: a call waits for
none of it.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from scheduler.auth.issuer_keys import IssuerKeys
from scheduler.auth.logins import Logins
from scheduler.auth.oidc import OidcRules
from scheduler.auth.rates import Rates
from scheduler.auth.verifier import Verifier
from scheduler.services import identity
from scheduler.services.context import Context
from scheduler.store import outages

log = structlog.get_logger()

#: Uses of tokens are written so often, in real seconds.
NOTED_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Guard:
    """What is asked of callers: ``issuer`` gives logins of people, ``rates`` what each may ask."""

    issuer: tuple[OidcRules, IssuerKeys] | None = None
    rates: Rates = field(default_factory=Rates)


class Guarding:
    """A guard at work for one server."""

    def __init__(self, context: Context, guard: Guard) -> None:
        self._context, self.rates = context, guard.rates
        self._uses: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        logins = None
        if guard.issuer is not None:
            rules, keys = guard.issuer
            logins = Logins(rules, keys, identity.home_of(context), context.wall_ms)
        self._logins = logins
        self.verifier = Verifier(
            identity.token_lookup(context),
            context.wall_ms,
            logins=logins,
            on_use=self._uses.__setitem__,
        )

    def start(self) -> None:
        """Begin to write uses of tokens."""
        self._task = asyncio.create_task(self._note_for_ever(), name="token-uses")

    async def stop(self) -> None:
        """Write what is left and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._logins is not None:
            await self._logins.keys.close()
        await self.note()

    async def note(self) -> None:
        """Write when tokens were used since the last time."""
        uses = dict(self._uses)
        self._uses.clear()
        if not uses:
            return
        try:
            await identity.note_uses(self._context, uses)
        except Exception as error:
            away = outages.told(error)
            if away is None:
                raise
            # They are kept for the next time.
            log.warning("token_uses_not_written", why=away.message, tokens=len(uses))
            self._uses.update({**uses, **self._uses})

    async def _note_for_ever(self) -> None:
        while True:
            await asyncio.sleep(NOTED_S)
            try:
                await self.note()
            except Exception as error:
                log.error("token_uses_lost", exc_info=error)
