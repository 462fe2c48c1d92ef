"""What the checks of one run share: settings, the database, the service; each is asked once.

Several threads use a case. What cannot be had keeps the checks that need it from judging: they say
why, and go on without it (``Skip``).
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import grpc

from scheduler import databases, openers
from scheduler.client import Client
from scheduler.config import BadConfig
from scheduler.doctor import read_service
from scheduler.doctor.facts import SeenCenter, ServiceFacts
from scheduler.doctor.findings import Finding, skipped
from scheduler.doctor.read_files import AgentFiles
from scheduler.doctor.read_service import Door
from scheduler.errors import CorridorError
from scheduler.settings import Settings
from scheduler.store import centers, checkup
from scheduler.store.centers import CenterRow
from scheduler.store.database import Connection
from scheduler.store.engine import BadDatabase
from scheduler.store.looking import Away, Looker
from scheduler.store.seed_centers import SeedCenter

T = TypeVar("T")

#: How long a check may take, in real seconds, that says nothing else.
LIMIT_S: Final = 10.0
#: Of a check's time, what one call to somebody else may take: what it says is told in time then.
PART: Final = 0.5


class Skip(Exception):
    """A check cannot judge; the finding says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.key)
        self.finding = finding


class Once(Generic[T]):
    """Something that is got when first asked for, by whichever thread; so is what it raises."""

    def __init__(self, get: Callable[[], T]) -> None:
        self._get, self._lock = get, threading.Lock()
        self._got: list[T] = []
        self._raised: Exception | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._raised is not None:
                raise self._raised
            if not self._got:
                try:
                    self._got.append(self._get())
                except Exception as error:
                    self._raised = error
                    raise
            return self._got[0]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of the doctor.

    ``settings`` are None if they cannot be read, ``refusals`` say why, or what else is wrong with
    the environment. ``door`` is where the service is, "" for where it says; ``client`` gives one
    with a token, None without. A check may take ``timeout_s`` real seconds, None: each its own.
    ``wall_ms`` is this machine's clock. ``deep`` also verifies the whole ledger.
    """

    settings: Settings | None
    settings_file: str
    refusals: tuple[str, ...]
    door: Door
    client: Callable[[], Client] | None
    agent: AgentFiles
    timeout_s: float | None
    deep: bool
    wall_ms: Callable[[], int] = openers.wall_ms


@dataclass
class Case:
    """One run of the doctor. Close it."""

    ask: Ask
    _looker: Once[Looker] = field(init=False)
    _reached: Once[None] = field(init=False)
    _fitting: Once[None] = field(init=False)
    service: Once[ServiceFacts] = field(init=False)
    _own_centers: Once[list[SeedCenter]] = field(init=False)

    def __post_init__(self) -> None:
        self._looker = Once(self._open)
        self._reached = Once(self._reach)
        self._fitting = Once(self._fit)
        self.service = Once(lambda: read_service.metrics(self.settings.metrics.listen, self.call_s))
        self._own_centers = Once(self._read_centers)

    @property
    def settings(self) -> Settings:
        """The settings; raises ``Skip`` if they cannot be read."""
        if self.ask.settings is None:
            raise Skip(skipped("doctor.no_settings"))
        return self.ask.settings

    @property
    def call_s(self) -> float:
        """How long one call to somebody else may take, in real seconds."""
        return (self.ask.timeout_s or LIMIT_S) * PART

    # --- the database -----------------------------------------------------------------------------

    @property
    def looker(self) -> Looker:
        """What looks at the database. Raises ``BadDatabase``, ``BadConfig``, ``Skip``."""
        return self._looker()

    def _open(self) -> Looker:
        return Looker(databases.url(self.settings), self.call_s)

    def _reach(self) -> None:
        try:
            self.looker.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        except (Away, BadDatabase, BadConfig) as error:
            raise Skip(skipped("doctor.no_database")) from error

    def _fit(self) -> None:
        self._reached()
        facts = self.looker.read(checkup.schema)
        if facts.found != facts.head:
            raise Skip(skipped("doctor.no_schema"))

    def read_any(self, call: Callable[[Connection], T]) -> T:
        """Run ``call`` on the database, whatever its schema. Raises ``Skip`` if it is away."""
        self._reached()
        return self.looker.read(call)

    def read(self, call: Callable[[Connection], T]) -> T:
        """Run ``call`` on the database, if it has this version's schema. Raises ``Skip``."""
        self._fitting()
        return self.looker.read(call)

    def snapshot(self, call: Callable[[Connection], T]) -> T:
        """As ``read``, on one snapshot and for as long as it takes."""
        self._fitting()
        return self.looker.snapshot(call)

    def now_ms(self, connection: Connection) -> int:
        """Return scheduling time: the wall clock's, or what is newest where time ran faster."""
        newest_ms = checkup.time(connection).newest_ms
        return max(self.ask.wall_ms(), newest_ms or 0)

    # --- centers ----------------------------------------------------------------------------------

    def own_centers(self) -> list[SeedCenter]:
        """Return the centers with their settings: of the file if one is set, else of the database.

        None where neither can be read.
        """
        return self._own_centers()

    def _read_centers(self) -> list[SeedCenter]:
        try:
            if self.settings.centers.file:
                return openers.centers_of_file(self.settings)
            return [_seed(row) for row in self.read(lambda c: centers.list_centers(c, 0))]
        except (Skip, CorridorError):
            return []

    def seen_centers(self) -> dict[str, SeenCenter] | None:
        """Return the centers as the running service sees them; None without a token.

        Raises ``Skip`` if it does not answer.
        """
        if self.ask.client is None:
            return None
        try:
            return read_service.centers(self.ask.client(), self.ask.wall_ms(), self.call_s)
        except grpc.RpcError as error:
            raise Skip(skipped("doctor.not_answered", why=read_service.why(error))) from error

    def doors(self, addresses: Sequence[str]) -> list[Door]:
        """Return how to reach the services: as told, else those listed, else where one listens."""
        if self.ask.door.address:
            return [self.ask.door]
        given = [one for one in addresses if one]
        own = read_service.reached_at(self.settings.server.listen)
        return [self.ask.door._replace(address=one) for one in given or [own] if one]

    def close(self) -> None:
        """Let go of the database."""
        try:
            self._looker().close()
        except Exception:  # it was never opened
            return


def _seed(row: CenterRow) -> SeedCenter:
    flavors = tuple(one.flavor for one in row.flavors)
    given = json.loads(row.settings)
    return SeedCenter(row.center, row.name_zh, row.name_en, row.kind, row.simulated, given, flavors)
