"""Alerts handed over to a city's or an operator's own system by HTTP, signed, at least once.

The body is JSON; ``X-Corridor-Alert`` has the alert's number, by which a receiver drops what it got
before, and ``X-Corridor-Signature`` is ``sha256=`` and the HMAC-SHA256 of the body in hexadecimal
under the shared secret. Any answer of 2xx takes the alert; redirects are not followed.
"""

import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import httpx

from scheduler.store.alerts import AlertRow

TIMEOUT_S: Final = 10.0


def body_of(alert: AlertRow) -> bytes:
    """Return what is sent of an alert: names, its threshold and figures, as UTF-8 JSON."""
    return json.dumps(
        {
            "number": alert.number,
            "kind": alert.kind,
            "name": alert.name,
            "threshold": alert.threshold,
            "city": alert.city,
            "enterprise": alert.enterprise,
            "figures": alert.figures,
            "raised_time": datetime.fromtimestamp(alert.raised_ms / 1000, UTC).isoformat(),
        },
        ensure_ascii=False,
    ).encode()


@dataclass(frozen=True, slots=True)
class Webhook:
    """Posts alerts to ``url``. ``secret`` signs them; without one they are not signed."""

    url: str
    secret: bytes

    async def send(self, alert: AlertRow) -> str:
        """Hand over an alert; returns "" once it was taken, else why it was not."""
        body = body_of(alert)
        headers = {"Content-Type": "application/json", "X-Corridor-Alert": str(alert.number)}
        if self.secret:
            digest = hmac.new(self.secret, body, "sha256").hexdigest()
            headers["X-Corridor-Signature"] = f"sha256={digest}"
        try:
            # Alerts are rare: no connection is kept for the next one.
            async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
                answer = await client.post(self.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        return "" if answer.is_success else f"HTTP {answer.status_code}"
