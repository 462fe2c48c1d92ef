"""What can go wrong between Corridor and a center, by class.

AdapterError
├── Unavailable        the center did not take the call: try again later
│   └── Throttled      ... after ``retry_after_s``
├── Rejected           the center will never take this run: permanent, with its reason
├── Unauthorized       our credentials are refused: an operator must act
└── OutcomeUnknown     the call may have taken effect: look it up by name before anything else
"""


class AdapterError(Exception):
    """Base of all errors an adapter raises."""


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
        self.reason = reason


class Unauthorized(AdapterError):
    """The center does not accept our identity."""


class OutcomeUnknown(AdapterError):
    """The answer was lost: the center may or may not have done what was asked."""
