"""SDK-HMAC-SHA256 as an API gateway checks it, written from the public rules of signing.

The client that is tested has its own code for this; the two share nothing.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from tests.modelarts_center.wire import Request

ALGORITHM = "SDK-HMAC-SHA256"
WINDOW_S = 15 * 60
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Access=([^,\s]+), SignedHeaders=([^,\s]+), Signature=([0-9a-f]{{64}})"
)
_DATE = "%Y%m%dT%H%M%SZ"
_UNSIGNED = "UNSIGNED-PAYLOAD"


class Refused(Exception):
    """A request that is not let in: an error code of the gateway and a text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Claim:
    access: str
    signed: tuple[str, ...]
    signature: str


def verify(request: Request, keys: Mapping[str, str], now_s: float) -> str:
    """The access key that signed a request; raises ``Refused``. ``now_s`` is epoch seconds."""
    claim = _claim(request.header("Authorization"))
    secret = keys.get(claim.access)
    if secret is None:
        raise _iam(f"the AK {claim.access} does not exist")
    stamp = request.header("X-Sdk-Date")
    if "host" not in claim.signed or "x-sdk-date" not in claim.signed:
        raise _iam("Host and X-Sdk-Date must be signed")
    _check_date(stamp, now_s)
    text = f"{ALGORITHM}\n{stamp}\n{_sha256(canonical_request(request, claim.signed).encode())}"
    expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, claim.signature):
        raise _iam("verify aksk signature fail")
    return claim.access


def canonical_request(request: Request, signed: tuple[str, ...]) -> str:
    """The text whose digest is signed."""
    headers = "".join(f"{name}:{request.header(name).strip()}\n" for name in signed)
    return "\n".join(
        (
            request.method,
            _canonical_path(request.raw_path),
            _canonical_query(request.query),
            headers,
            ";".join(signed),
            _payload_digest(request),
        )
    )


def _claim(header: str) -> _Claim:
    found = _AUTHORIZATION.fullmatch(header)
    if found is None:
        raise _iam("the Authorization header is not one of SDK-HMAC-SHA256")
    names = tuple(found[2].split(";"))
    if list(names) != sorted(name.lower() for name in names):
        raise _iam("SignedHeaders must be sorted and in lower case")
    return _Claim(found[1], names, found[3])


def _check_date(stamp: str, now_s: float) -> None:
    try:
        signed_s = datetime.strptime(stamp, _DATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _iam("X-Sdk-Date is not of the form 20260102T030405Z") from None
    if abs(now_s - signed_s) > WINDOW_S:
        server = datetime.fromtimestamp(now_s, UTC).strftime(_DATE)
        raise Refused(
            "APIGW.0303",
            "Incorrect app authentication information: signature expired, "
            f"signature time:{stamp}, server time:{server}",
        )


def _canonical_path(raw_path: str) -> str:
    path = "/".join(quote(part, safe="~") for part in unquote(raw_path).split("/"))
    return path if path.endswith("/") else path + "/"


def _canonical_query(pairs: list[tuple[str, str]]) -> str:
    return "&".join(
        f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in sorted(pairs)
    )


def _payload_digest(request: Request) -> str:
    """Digest of the body; only what is no JSON may be signed without its body."""
    unsigned = request.header("X-Sdk-Content-Sha256") == _UNSIGNED
    is_json = request.header("Content-Type").startswith("application/json")
    return _UNSIGNED if unsigned and request.body and not is_json else _sha256(request.body)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _iam(text: str) -> Refused:
    return Refused("APIGW.0301", f"Incorrect IAM authentication information: {text}")
