"""Slurm's side of a site: what it says while it says it, its upkeep, and what its logs prove."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tests.centers import soak_log, soak_store
from tests.centers.soak_books import Books, Told
from tests.centers.soak_books import Run as SoakRun
from tests.chaos.site import SLURM, Site
from tests.testbed.slurm_testbed import Accounted

#: As in ``soak``: a controller hears of its nodes' jobs some time after its start.
_REGISTER_S: Final = 22.0
CONTROLLER_LIFE_S: Final = 30.0
_PEACE_S: Final = 20.0
_RUN: Final = (
    "SELECT r.job_uid, r.attempt, r.state, r.failure_class, (SELECT coalesce(sum(l.seconds *"
    " l.units), 0)::bigint FROM rated_line l WHERE l.billed AND l.job_uid = r.job_uid"
    " AND l.attempt = r.attempt), CASE WHEN r.native_id ~ '^[0-9]+$' THEN r.native_id::bigint"
    " ELSE 0 END, coalesce(r.accept_ms, 0) / 1000, coalesce(r.end_ms, 0) / 1000 FROM run r"
    f" WHERE r.center = '{SLURM}'"
)


@dataclass
class SlurmSide:
    """See the module. ``counts`` say what Slurm itself lost, by its own logs."""

    site: Site
    told: Told = field(default_factory=Told)
    counts: Counter[str] = field(default_factory=Counter)
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _controller_s: float = 0.0
    _registered: bool = True
    _closed_s: float = 0.0

    def begin(self) -> None:
        """Listen from now on."""
        self.told.since_s = time.time()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._done.wait(1.0):
            self.note()

    def note(self) -> None:
        """Take what accounting says now; of cards it counts cards."""
        self.told.note(_as_billed(row) for row in self.site.slurm.sacct())

    def close(self) -> None:
        """Listen no more."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def trouble(self) -> None:
        """Something was struck, or came back, just now."""
        self.told.trouble.append(time.time())

    def controller_killed(self) -> None:
        """A new controller has begun, with an old file."""
        self._controller_s, self._registered = time.monotonic(), False

    @property
    def controller_is_old(self) -> bool:
        """Whether the controller may be killed again (see ``soak``)."""
        return time.monotonic() > self._controller_s + CONTROLLER_LIFE_S

    def look_after(self, last: bool = False) -> None:
        """Do what an operator does after a crash; with ``last`` also what needs peace."""
        self.site.slurm.open_nodes()
        if not self._registered and time.monotonic() > self._controller_s + _REGISTER_S:
            self.site.slurm.run("scontrol", "reconfigure")
            self._registered = True
        if last and self._registered and time.monotonic() > self._closed_s + _PEACE_S:
            if self._closed_s:
                before = self.site.slurm.sacct()
                self.site.slurm.close_runaways()
                self.told.close(map(_as_billed, before), map(_as_billed, self.site.slurm.sacct()))
            self._closed_s = time.monotonic()

    def there(self) -> dict[str, int]:
        """Our jobs that Slurm has and that have not ended: how many of each name run."""
        found: Counter[str] = Counter()
        for line in self.site.slurm.run(
            "squeue", "-h", "-u", "corridor", "-o", "%j %T"
        ).splitlines():
            name, _, state = line.partition(" ")
            found[name] += state == "RUNNING"
        return {name: max(1, running) for name, running in found.items()}

    def judge(self, cut: Sequence[int], name_of: "dict[tuple[int, int], str]") -> list[str]:
        """What is wrong by Slurm's own logs, ``sacct``, the programs' lines and the store.

        Jobs that were ``cut`` by their users have no end to hold against the others'.
        """
        self.note()
        spared = set(cut)
        runs = {}
        for uid, attempt, *more in self.site.rows(_RUN):
            if uid not in spared:
                name = name_of[uid, attempt]
                runs[name] = SoakRun(name, uid, attempt, *more)
        log = soak_log.read(self.site.slurm.folder / "log", self.told.since_s)
        lines = soak_store.read_lines(self.site.lines) if self.site.lines.exists() else []
        books = Books(self.told, log, runs, lines)
        books.hold()
        self.counts = books.counts
        return books.wrong


def _as_billed(row: Accounted) -> Accounted:
    return replace(row, cpus=row.cards) if row.partition == "gpu" else row
