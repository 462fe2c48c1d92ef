"""What is read of the database when somebody asks whether all is well; judged elsewhere.

Ages and lengths are in milliseconds. What a database does not tell, or not to this role, is None.
"""

from typing import NamedTuple


class Transaction(NamedTuple):
    """A transaction of somebody else at the server: its process, program, state and age."""

    pid: int
    program: str
    state: str
    age_ms: int


class ServerFacts(NamedTuple):
    """A PostgreSQL server; ``version`` as its number (150008), ``release`` as its text.

    ``spare`` of ``connections_max`` are kept for superusers. ``unsafe`` are settings by which what
    it acknowledged may be lost. ``oldest`` and ``idle`` are the oldest transaction, and the oldest
    that waits for its client. ``frozen_age`` are transactions since the oldest that is not frozen,
    ``wal_bytes`` what its log takes, ``kept_bytes`` what is kept of it for a slot nobody reads.
    """

    version: int
    release: str
    connections: int
    connections_max: int
    spare: int
    unsafe: tuple[str, ...]
    is_standby: bool
    by_code_point: bool
    oldest: Transaction | None
    idle: Transaction | None
    frozen_age: int
    prepared: int
    size_bytes: int
    wal_bytes: int | None
    kept_bytes: int


class FileFacts(NamedTuple):
    """A database of SQLite: its library's release, and the size of its pages in all."""

    release: str
    size_bytes: int


class SchemaFacts(NamedTuple):
    """The revision found (None: none), the one this version needs, and all that it knows of."""

    found: str | None
    head: str
    known: tuple[str, ...]
    tables: int


class Replica(NamedTuple):
    """A replica that did not end in order, and for how long it was not seen."""

    name: str
    address: str
    version: str
    silent_ms: int


class LeadFacts(NamedTuple):
    """Who leads by the lease: "" for nobody; renewed so long ago, and lasting for so long.

    ``epoch`` 0: nobody ever led. ``replicas`` are those that were seen within an hour.
    """

    holder: str
    epoch: int
    renewed_ms: int
    lasts_ms: int
    replicas: tuple[Replica, ...]


class FeedFacts(NamedTuple):
    """The last number of the feed, up to where it is whole, and the writer that is behind most.

    ``oldest_ms`` is the age of the oldest event that is to be let go of.
    """

    last: int
    horizon: int
    writer: Transaction | None
    oldest_ms: int


class TimeFacts(NamedTuple):
    """The database's clock (None: it is this machine's), and the newest instant in the feed."""

    clock_ms: int | None
    newest_ms: int | None


class BookFacts(NamedTuple):
    """Digests of the ledger: the newest day and its key, all keys ever used, for how long one is
    due."""

    day: str
    key_id: str
    key_ids: tuple[str, ...]
    due_ms: int


class AlertFacts(NamedTuple):
    """Alerts on money that the webhook did not take, and the age of the oldest."""

    undelivered: int
    oldest_ms: int


class RunFacts(NamedTuple):
    """Runs that are UNKNOWN, that wait to be sent, and that ended and are not settled: how many,
    and for how long the oldest is so."""

    unknown: int
    unknown_ms: int
    unsent: int
    unsent_ms: int
    unsettled: int
    unsettled_ms: int


class QueueFacts(NamedTuple):
    """Jobs that are queued or held, the age of the oldest queued one, and of the last admission.

    ``admitted_ms`` None: no run was ever admitted.
    """

    queued: int
    held: int
    oldest_ms: int
    admitted_ms: int | None


class CenterFacts(NamedTuple):
    """A center as the database has it; ``state`` is OPEN, CORDONED or DRAINING."""

    center: str
    kind: str
    simulated: bool
    state: str
    active_runs: int
