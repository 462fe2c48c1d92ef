"""Takes secrets out of lines of the log: a second wall, for nobody is to write one there at all.

What looks like a token, a login of an issuer, a password in an address or a private key is
replaced, wherever in a line it stands: in a field, in a message of a library, in a traceback.
"""

import re
from typing import Final

from structlog.typing import EventDict, WrappedLogger

_SECRETS: Final = (
    (re.compile(r"cor_[0-9A-Za-z]{16,}"), "cor_***"),
    (re.compile(r"eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*"), "eyJ***"),
    (re.compile(r"(?i)(bearer|basic)( +|%20)[0-9A-Za-z._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"(?<=://)([^/@\s:\"']*):[^/@\s\"']+@"), r"\1:***@"),
    (
        re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(-----END [A-Z ]*KEY-----|$)", re.S),
        r"-----\1PRIVATE KEY ***-----",
    ),
)


def redacted(line: str) -> str:
    """Return a line without the secrets in it."""
    for pattern, instead in _SECRETS:
        line = pattern.sub(instead, line)
    return line


def redact(_logger: WrappedLogger, _method: str, rendered: str | bytes | EventDict) -> str:
    """Be the last processor of structlog: what it gets is the line as it will be written."""
    return redacted(rendered if isinstance(rendered, str) else str(rendered))
