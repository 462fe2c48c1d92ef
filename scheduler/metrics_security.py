"""What happens at the doors: certificates taken up, callers refused, the issuer asked for keys."""

from scheduler.auth.rates import KINDS
from scheduler.certificates import OUTCOMES
from scheduler.metrics_making import Maker


class SecurityCounters:
    """All of one service; counters begin at 0, so that an alert sees the first one."""

    def __init__(self, make: Maker) -> None:
        self._certificates = make.counter(
            "certificate_changes_total",
            "Changed certificate files, taken up or refused.",
            "outcome",
        )
        self._limited = make.counter(
            "rate_limited_total", "Calls refused as their caller asked too much.", "kind"
        )
        self._unknown = make.counter(
            "authentication_failures_total", "Calls refused as nobody is known by their token.",
            "reason",
        )  # fmt: skip
        self._keys = make.counter(
            "issuer_questions_total", "Questions for keys to the issuer of logins.", "answered"
        )
        for outcome in OUTCOMES:
            self._certificates.labels(outcome)
        for kind in KINDS:
            self._limited.labels(kind)
        for answered in ("yes", "no"):
            self._keys.labels(answered)

    def certificates(self, outcome: str) -> None:
        """Changed files were taken up or refused."""
        self._certificates.labels(outcome).inc()

    def limited(self, kind: str) -> None:
        """A caller asked too much of a kind."""
        self._limited.labels(kind).inc()

    def not_known(self, reason: str) -> None:
        """A call's token says nobody."""
        self._unknown.labels(reason).inc()

    def keys(self, answered: bool) -> None:
        """The issuer was asked for its keys."""
        self._keys.labels("yes" if answered else "no").inc()
