"""What is read of files, sockets and the running service; judged elsewhere."""

from collections.abc import Mapping
from typing import NamedTuple


class CertificateFacts(NamedTuple):
    """Certificates of a PEM file, ``name`` what it is for; ``problem`` why it cannot be used.

    Instants in epoch ms: from when all of them hold, and until when. ``names`` are those of the
    first.
    """

    name: str
    file: str
    problem: str = ""
    begins_ms: int = 0
    ends_ms: int = 0
    names: tuple[str, ...] = ()


class SecretFacts(NamedTuple):
    """A file that holds a secret; ``mode`` None: it is not there, ``problem`` why not to be read.

    ``is_needed`` says that the service does not run without it.
    """

    name: str
    file: str
    mode: int | None
    problem: str
    is_needed: bool


class SpaceFacts(NamedTuple):
    """A disk by what lies on it; inodes 0 where there is no such limit. ``problem`` if unread."""

    name: str
    path: str
    free_bytes: int = 0
    size_bytes: int = 0
    free_inodes: int = 0
    inodes: int = 0
    problem: str = ""


class FileSizes(NamedTuple):
    """An SQLite file and its write-ahead log."""

    path: str
    size_bytes: int
    wal_bytes: int


class KeyFacts(NamedTuple):
    """The key that signs digests: its file and id; ``problem`` why it cannot be used, "" if it can.

    ``is_there`` False: the service would make a new one. ``is_filed`` says whether the newest
    digest lies in ``directory``.
    """

    file: str
    is_there: bool
    key_id: str
    problem: str
    directory: str
    is_filed: bool


class VerifiedBooks(NamedTuple):
    """What the service last found when its books were verified."""

    books: str
    at_ms: int
    problems: int


class ServiceFacts(NamedTuple):
    """What a running service says of itself by its metrics; ``problem`` if they cannot be had.

    ``centers`` and ``breakers`` are 1 or 0 by center, ``agents`` whether connected, ``backend``
    where the planner lives ("" if unknown: it does not lead).
    """

    address: str
    problem: str = ""
    leads: bool = False
    backend: str = ""
    centers: Mapping[str, bool] = {}
    breakers: Mapping[str, bool] = {}
    agents: Mapping[str, bool] = {}
    verified: tuple[VerifiedBooks, ...] = ()
    open_files: int = 0
    files_max: int = 0


class SeenCenter(NamedTuple):
    """A center as the running service sees it, by its API; ``silent_ms`` None: never heard of."""

    center: str
    kind: str
    state: str
    reachable: bool
    detail: str
    silent_ms: int | None
    gate_passes: bool
    unanswered: int


class Probed(NamedTuple):
    """One finding of a center's own check: OK, NOTE, WARNING or ERROR, and the adapter's words."""

    center: str
    level: str
    what: str
    to_do: str


class RayFacts(NamedTuple):
    """The Ray of the planner: ``mode`` off, local or cluster; ``problem`` why it cannot be used."""

    mode: str
    address: str
    release: str
    problem: str = ""


class SettingsFacts(NamedTuple):
    """What was read of the settings: their file, how many are no defaults, and what refuses them.

    ``refusals`` are what a service would end with.
    """

    file: str
    given: int
    refusals: tuple[str, ...]
