"""The signature ``SDK-HMAC-SHA256`` of a call with an access key; pure functions.

What is signed: the method, the path with a slash at its end, the sorted query, every header and
the digest of the body. Whatever rewrites a signed header on the way breaks the signature.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

ALGORITHM: Final = "SDK-HMAC-SHA256"
DATE_HEADER: Final = "X-Sdk-Date"
_NO_BODY: Final = hashlib.sha256(b"").hexdigest()

Query = Sequence[tuple[str, str]]


def sdk_date(now_ms: int) -> str:
    """Return an instant as ``X-Sdk-Date`` states it."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def encoded_query(query: Query) -> str:
    """Return the query as it is signed and as it is sent: sorted, percent-encoded."""
    return "&".join(f"{_encoded(key)}={_encoded(value)}" for key, value in sorted(query))


def canonical_request(
    method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes
) -> str:
    """Return the text whose digest is signed; ``headers`` are all that are signed."""
    signed = sorted((name.lower(), value.strip()) for name, value in headers.items())
    segments = "/".join(_encoded(one) for one in unquote(path).split("/"))
    digest = hashlib.sha256(body).hexdigest() if body else _NO_BODY
    lines = [
        method.upper(),
        segments if segments.endswith("/") else f"{segments}/",
        encoded_query(query),
        *(f"{name}:{value}" for name, value in signed),
        "",
        ";".join(name for name, _ in signed),
        digest,
    ]
    return "\n".join(lines)


def authorization(
    method: str,
    path: str,
    query: Query,
    headers: Mapping[str, str],
    body: bytes,
    access_key: str,
    secret_key: str,
) -> str:
    """Return the header ``Authorization``; ``headers`` must hold ``X-Sdk-Date`` and ``Host``."""
    canonical = canonical_request(method, path, query, headers, body)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{headers[DATE_HEADER]}\n{digest}"
    signature = hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
    names = ";".join(sorted(name.lower() for name in headers))
    return f"{ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}"


def _encoded(text: str) -> str:
    return quote(text, safe="~")
