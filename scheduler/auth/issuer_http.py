"""Asks an issuer for its keys: discovery, then the key set; bounded in time and size."""

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from scheduler.auth.issuer_keys import Fetch, IssuerAway

ANSWER_MAX_BYTES: Final = 256 * 1024
_PATIENCE_S: Final = 5.0
_DISCOVERY: Final = "/.well-known/openid-configuration"


def fetcher(issuer: str, jwks_url: str, verify: Any) -> Fetch:
    """Return what gets an issuer's keys, from ``jwks_url`` or, if that is empty, where it says.

    ``verify`` is what httpx takes for the authorities to trust.
    """

    async def fetch() -> Mapping[str, Any]:
        async with httpx.AsyncClient(
            verify=verify, timeout=_PATIENCE_S, follow_redirects=False, trust_env=False
        ) as client:
            url = jwks_url or await _discovered(client, issuer)
            return await _json(client, url)

    return fetch


async def _discovered(client: httpx.AsyncClient, issuer: str) -> str:
    url = issuer.rstrip("/") + _DISCOVERY
    document = await _json(client, url)
    if document.get("issuer") != issuer:
        raise IssuerAway(f"{url} is of another issuer than {issuer}")
    found = document.get("jwks_uri")
    if not isinstance(found, str) or httpx.URL(found).scheme not in (
        "https", httpx.URL(issuer).scheme,
    ):  # fmt: skip
        raise IssuerAway(f"{url} names no jwks_uri that is safe")
    return found


async def _json(client: httpx.AsyncClient, url: str) -> Mapping[str, Any]:
    try:
        async with client.stream("GET", url, headers={"accept": "application/json"}) as answer:
            if answer.status_code != httpx.codes.OK:
                raise IssuerAway(f"{url} answered {answer.status_code}")
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > ANSWER_MAX_BYTES:
                    raise IssuerAway(f"{url} answered more than {ANSWER_MAX_BYTES} bytes")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerAway(f"{url} did not answer: {type(error).__name__} {error}") from error
    try:
        document = json.loads(body)
    except ValueError as error:
        raise IssuerAway(f"{url} answered no JSON") from error
    if not isinstance(document, dict):
        raise IssuerAway(f"{url} answered no JSON object")
    return document
