"""How a service itself is: its database, disk, certificates, clock, and how far its readers lag.

Every replica shows these, whether it leads or not.
"""

from typing import Final

from scheduler.metrics_making import Maker

_DATABASE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class HealthGauges:
    """Implements ``control.health.HealthMetrics``; seconds are real ones."""

    def __init__(self, make: Maker) -> None:
        gauge = make.gauge
        self._up = gauge("database_up", "1 if the database answers.")
        self._seconds = make.histogram(
            "database_seconds", "Time of a short look at the database.", _DATABASE_BUCKETS
        )
        self._skew = gauge(
            "database_clock_skew_seconds", "Clock of the database's machine minus that of this one."
        )
        self._behind = gauge(
            "reader_behind_seconds",
            "For how long a reader of the event feed has not reached what is committed.",
            "reader",
        )
        self._free = gauge("data_dir_free_bytes", "Free space where the data directory lies.")
        self._size = gauge("data_dir_size_bytes", "All space where the data directory lies.")
        self._expiry = gauge(
            "certificate_not_after_timestamp_seconds", "When a certificate ends.", "certificate"
        )
        self._unfiled = gauge(
            "ledger_digest_unfiled", "1 if the newest digest of the ledger lies in no file."
        )
        self._verified = gauge(
            "books_verified_timestamp_seconds", "When this process last verified books.", "books"
        )
        self._problems = gauge(
            "books_problems", "Problems that the last verification of books found.", "books"
        )
        self._events_keep = gauge(
            "events_keep_seconds", "For how long events are kept; 0: for ever."
        )
        self._ray_wanted = gauge("planner_ray_wanted", "1 if the planner is to live on Ray.")

    def database(self, seconds: float | None) -> None:
        """A look at the database took so long; None: it did not answer."""
        self._up.set(int(seconds is not None))
        if seconds is not None:
            self._seconds.observe(seconds)

    def clock_skew(self, skew_ms: int) -> None:
        """By how much the database's clock is ahead of ours."""
        self._skew.set(skew_ms / 1000)

    def behind(self, reader: str, seconds: float) -> None:
        """For how long a reader of the feed is behind; 0 if it is not."""
        self._behind.labels(reader).set(seconds)

    def no_reader(self, reader: str) -> None:
        """Nobody reads the feed so now."""
        self._behind.remove(reader)

    def disk(self, free_bytes: int, size_bytes: int) -> None:
        """Space where the data directory lies."""
        self._free.set(free_bytes)
        self._size.set(size_bytes)

    def certificate(self, name: str, not_after_s: float) -> None:
        """When the certificate in use ends, in epoch seconds."""
        self._expiry.labels(name).set(not_after_s)

    def digest_unfiled(self, unfiled: bool) -> None:
        """Whether the newest digest is in the store alone."""
        self._unfiled.set(int(unfiled))

    def verified(self, books: str, at_ms: int, problems: int) -> None:
        """Books (``ledger``, ``budgets``) were verified on demand."""
        self._verified.labels(books).set(at_ms / 1000)
        self._problems.labels(books).set(problems)

    def events_keep(self, days: float) -> None:
        """For how long settings keep events."""
        self._events_keep.set(days * 86_400)

    def ray_wanted(self, wanted: bool) -> None:
        """Whether settings ask for Ray."""
        self._ray_wanted.set(int(wanted))
