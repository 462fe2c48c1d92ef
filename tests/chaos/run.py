"""One run of chaos: rounds of faults under load, an audit after each, and one when all is over."""

import contextlib
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from adapters.simulated.journal import read_events
from scheduler.domain.ids import center_name, job_uid, run_id
from scheduler.store import funds
from scheduler.store.database import Database
from tests.chaos import auditing, facts
from tests.chaos.auditing_books import books_balance
from tests.chaos.facts import Facts
from tests.chaos.faults import FAULTS, Fault, rounds
from tests.chaos.load import PROBING, Load
from tests.chaos.notes import Feed, Probe
from tests.chaos.patience import until
from tests.chaos.planned import Planned
from tests.chaos.scene import Scene
from tests.chaos.site import CORES, NPUS, SIMULATED, Site
from tests.chaos.slurm_side import SlurmSide
from tests.chaos.watching import LeadWatch

#: All that is judged, by the numbers of the design.
INVARIANTS: Final[tuple[Callable[[Facts], list[str]], ...]] = (
    auditing.acknowledged_are_there, auditing.one_request_makes_one_set,
    auditing.one_run_one_native, auditing.final_states_stay, auditing.natives_are_known,
    auditing.nothing_is_overdrawn, books_balance, auditing.feeds_are_whole,
    auditing.silence_ends_nothing, auditing.plan_is_a_function, auditing.promises_are_kept,
    auditing.guaranteed_start, auditing.cities_see_their_own,
)  # fmt: skip
#: Until all has ended: Slurm, once killed, says late what it lost.
_END_S: Final = 900.0
_HOME: Final = Path("/var/tmp")
#: Of what has a figure of its own in the report.
_COUNTED: Final = (
    "invariant 1:", "invariant 2:", "invariant 3:", "invariant 7:", "Slurm:", "verify:",
)  # fmt: skip


@dataclass
class Report:
    """Figures of a run; ``wrong`` is empty if all invariants held throughout."""

    seed: int
    survived: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    slurm: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    kept: str = ""


class Chaos:
    """See the module. ``tell`` is told of progress, a line each."""

    def __init__(
        self, site: Site, seed: int, tell: Callable[[str], None], jobs_per_s: float = 3.0
    ) -> None:
        self.site, self._tell = site, tell
        self._rng = random.Random(seed)
        self.slurm = SlurmSide(site)
        self.load = Load(site, seed, jobs_per_s)
        self.scene = Scene(site, self.load, self.slurm)
        self._planned = Planned(site.server.url(site.database), seed)
        self.report = Report(seed)
        self._trouble: list[tuple[int, int]] = []
        self._before: dict[tuple[int, int], str] = {}
        self._last = Facts()
        self._audits = 0

    # --- the run --------------------------------------------------------------------------------

    def run(self, deck: Sequence[Fault], until_s: float = 0.0) -> Report:
        """Strike with all of the deck, and with all faults again until ``until_s`` (monotonic)."""
        began_s = time.monotonic()
        self.slurm.begin()
        watch = LeadWatch(self.site)
        try:
            self.load.begin()
            for center in self.site.agents:
                self.scene.wait_for_starts(center)
            self._strike_all(deck)
            while time.monotonic() < until_s and not self.report.wrong:
                self._strike_all(self._rng.sample(FAULTS, len(FAULTS)), until_s)
            if not self.report.wrong:
                self._conclude()
        except BaseException as error:
            self.report.wrong += [repr(error), *self.load.notes.wrong, *self._behind()]
            with contextlib.suppress(Exception):  # what was collected before is better than nothing
                self._last = self.collect()
            self._keep()
            raise
        finally:
            self.load.close()
            watch.close()
            self.slurm.close()
        self._sum_up(time.monotonic() - began_s, watch)
        if self.report.wrong:
            self._keep()
        return self.report

    def _strike_all(self, deck: Sequence[Fault], until_s: float = 0.0) -> None:
        for faults in rounds(deck):
            if self.report.wrong or 0 < until_s < time.monotonic():
                return
            self._round(faults)

    def _round(self, faults: Sequence[Fault]) -> None:
        """Do some at once, wait until all is well again, and audit."""
        what = " + ".join(f"{one.kind}: {one.name}" for one in faults)
        self._tell(f"{len(self.load.notes.acknowledged)} requests; {what}")
        since_ms = _now_ms()
        self.slurm.trouble()
        going = [one.does(self.scene) for one in faults]
        with _told_what(what):
            for steps in reversed(going):  # who leads is asked while the database is there
                next(steps)
            for steps in going:
                next(steps)
            for steps in going:
                next(steps, None)
            self.slurm.trouble()
            self._recover(what)
        self._trouble.append((since_ms, _now_ms()))
        self.slurm.look_after()
        self._audit()
        for one in faults:
            self.report.survived[one.kind] = self.report.survived.get(one.kind, 0) + 1

    def _recover(self, what: str) -> None:
        """Wait until every way works again; a city below its guarantee tries each center."""
        began_s = time.monotonic()
        for one in self.site.replicas:
            until(lambda one=one: self.site.serves(one), f"{one.name} after {what}")  # type: ignore[misc]
        for center in self.site.agents:
            until(lambda center=center: self.site.reaches(center), f"{center} after {what}")  # type: ignore[misc]
        number = len(self.load.notes.probes)
        name = f"probe{number}"
        flavors = (NPUS, CORES)
        jobs = [self.load.job(f"{name}-{at}", one, 1, 0) for at, one in enumerate(flavors)]
        ids = self.load.submit(name, PROBING, jobs)
        accepted_s = time.monotonic() - began_s
        probes = [Probe(f"{name}-{at}", job, accepted_s) for at, job in enumerate(ids)]
        uids = ", ".join(str(job_uid(one.job)) for one in probes)
        started = f"SELECT count(*) FROM run WHERE start_ms IS NOT NULL AND job_uid IN ({uids})"
        until(lambda: self.site.rows(started)[0][0] >= len(probes), f"the probes after {what}")
        for probe in probes:
            probe.began_s = time.monotonic() - began_s
        self.load.notes.probes += probes

    def _conclude(self) -> None:
        """Submit nothing more, wait until all has ended, and judge everything once more."""
        self._tell("no more is submitted; all that there is ends")
        self.load.pause()

        def settled() -> bool:
            self.slurm.look_after(last=True)
            time.sleep(0.5)
            return not self.site.rows("SELECT 1 FROM job WHERE NOT settled LIMIT 1")

        until(settled, "the end of all jobs", _END_S)
        self.site.slurm.wait_drained(_END_S)
        until(self._all_told, "that watchers were told all")
        self._audit(over=True)
        cut = [job_uid(job) for job in self.load.notes.cut]
        wrong = self.slurm.judge(cut, {key: name for name, key in self._last.names.items()})
        self.report.wrong += [f"Slurm: {one}" for one in wrong]
        self.report.wrong += [f"verify: {one}" for one in self._verify()]

    def _all_told(self) -> bool:
        rows = dict(
            self.site.rows("SELECT city, max(seq) FROM event WHERE job_uid <> 0 GROUP BY city")
        )
        return all(
            feed.told
            and feed.told[-1].seq == (rows[feed.city] if feed.city else max(rows.values()))
            for feed in self.load.notes.feeds
        )

    def _behind(self) -> list[str]:
        """Where each watcher stands: one may have been told nothing for long."""
        return [
            f"{feed.name} was told up to {feed.told[-1] if feed.told else None}"
            for feed in self.load.notes.feeds
        ]

    def _verify(self) -> Sequence[str]:
        """The service's own verification of its ledger."""
        db = Database(self.site.server.url(self.site.database))
        try:
            return db.read_sync(funds.verify).problems
        finally:
            db.close()

    # --- the audit ------------------------------------------------------------------------------

    def _audit(self, over: bool = False) -> None:
        self._last = found = self.collect(over)
        self._audits += 1
        for number, judge in enumerate(INVARIANTS, 1):
            self.report.wrong += [f"invariant {number}: {one}" for one in judge(found)[:20]]
        self.report.wrong += self.load.notes.wrong
        self._before = auditing.finals(found)

    def collect(self, over: bool = False) -> Facts:
        """What there is now."""
        found, notes = Facts(over=over, simulated=SIMULATED, before=self._before), self.load.notes
        with notes.lock:
            found.acknowledged = {
                name: [job_uid(job) for job in jobs] for name, jobs in notes.acknowledged.items()
            }
        found.feeds = [Feed(one.name, one.city, list(one.told)) for one in notes.feeds]
        found.probes, found.leaks = list(notes.probes), list(notes.leaks)
        found.there = self.slurm.there()
        found.taken = frozenset(facts.stays_of(read_events(self.site.journal)))
        with self.site.server.session(self.site.database) as connection:
            facts.read_tables(connection, found)
        # What was sent, and cut, by then: noted before it is done.
        found.sent, found.cut = frozenset(notes.sent), frozenset(map(job_uid, set(notes.cut)))
        found.stays = facts.stays_of(read_events(self.site.journal))
        found.names = {
            center_name(run_id(run.uid, run.attempt)): (run.uid, run.attempt) for run in found.runs
        }
        waiting = {job.uid for job in found.jobs if job.state == "QUEUED"} - found.cut
        found.promised = self._planned.late(found.runs, waiting, _now_ms(), self._trouble)
        found.plans = self._planned.look(_now_ms())
        return found

    # --- what is left of it ---------------------------------------------------------------------

    def _sum_up(self, seconds: float, watch: LeadWatch) -> None:
        notes, last = self.load.notes, self._last
        self.report.slurm = dict(self.slurm.counts)
        self.report.figures = {
            "seconds": round(seconds, 1),
            "faults": sum(self.report.survived.values()),
            "audits": self._audits,
            "requests acknowledged": len(notes.acknowledged),
            "jobs acknowledged": sum(map(len, notes.acknowledged.values())),
            "jobs driven": sum(job.settled for job in last.jobs),
            "lost": self._broken("invariant 1:"),
            "doubled": self._broken("invariant 2:", "invariant 3:"),
            "billed wrongly": self._broken("invariant 7:", "Slurm:", "verify:"),
            "broken otherwise": len(self.report.wrong) - self._broken(*_COUNTED),
            "jobs cancelled by their users": sum(job.state == "CANCELLED" for job in last.jobs),
            "runs": len(last.runs),
            "requests repeated": notes.repeated,
            "reads": notes.reads,
            "events told to watchers": sum(len(feed.told) for feed in notes.feeds),
            "streams of watchers lost": sum(feed.losses for feed in notes.feeds),
            "ledger entries": len(last.entries),
            "terms of leaders": watch.leads,
            "longest without a leader, s": round(watch.longest_s, 1),
            "longest until a submission was accepted, s": round(notes.longest_submit_s, 1),
            "longest until a probe ran after a fault, s": round(
                max((one.began_s for one in notes.probes), default=0.0), 1
            ),
        }

    def _broken(self, *beginnings: str) -> int:
        """How much is wrong of some invariants."""
        return sum(one.startswith(beginnings) for one in self.report.wrong)

    def _keep(self) -> None:
        """Leave all that was seen in a folder, and say which."""
        folder = Path(tempfile.mkdtemp(prefix="corridor-chaos-kept-", dir=_HOME))
        for path in (*self.site.folder.glob("*.log"), self.site.server.folder / "server.log"):
            if path.exists():
                shutil.copy(path, folder / path.name)
        shutil.copytree(
            self.site.slurm.folder / "log", folder / "slurm-log", ignore_dangling_symlinks=True
        )
        for path in (self.site.lines, self.site.journal):
            if path.exists():
                shutil.copy(path, folder / path.name)
        found = {name: value for name, value in vars(self._last).items() if name != "before"}
        (folder / "facts.json").write_text(json.dumps(found, default=_plain), "utf-8")
        said = self.slurm.told
        told = {
            **vars(said), "first": [*said.first.values()], "seen": [*said.seen.values()],
            "begun_s": [*said.begun_s.items()],
        }  # fmt: skip
        (folder / "told.json").write_text(json.dumps(told, default=_plain), "utf-8")
        (folder / "wrong").write_text("\n".join(self.report.wrong), "utf-8")
        self.report.kept = str(folder)
        self._tell(f"what there is of it is kept in {folder}")


def _plain(value: Any) -> Any:
    """Of what JSON has no word for."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    return vars(value) if isinstance(value, Feed | Probe) else str(value)


def _now_ms() -> int:
    return int(time.time() * 1000)


@contextlib.contextmanager
def _told_what(what: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the round {what}")
        raise
