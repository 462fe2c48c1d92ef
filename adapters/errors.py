"""What can go wrong between Corridor and a center, by class.

AdapterError
├── Unavailable        the center did not take the call: try again later
│   └── Throttled      ... after ``retry_after_s``
├── Rejected           the center will never take this run: permanent, with its reason
├── Unauthorized       our credentials are refused: an operator must act
└── OutcomeUnknown     the call may have taken effect: look it up by name before anything else

What a center says is told on: its text must fit into messages and databases (``plain``).
"""

import re
from typing import Final

#: NUL, which PostgreSQL keeps in no text, and halves of characters, which UTF-8 has not.
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")


def plain(text: str) -> str:
    """Return a text as it can be stored and sent: U+FFFD for what cannot."""
    return text if text.isprintable() else _NO_TEXT.sub("\ufffd", text)


class AdapterError(Exception):
    """Base of all errors an adapter raises."""

    def __init__(self, message: object = "") -> None:
        super().__init__(plain(str(message)))


class Unavailable(AdapterError):
    """The call certainly had no effect; the same call may succeed later."""


class Throttled(Unavailable):
    """The center asks for fewer calls; wait ``retry_after_s`` seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Rejected(AdapterError):
    """The center refuses this run for good; ``reason`` is its stable word for why."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = plain(reason)


class Unauthorized(AdapterError):
    """The center does not accept our identity."""


class OutcomeUnknown(AdapterError):
    """The answer was lost: the center may or may not have done what was asked."""
