"""Thousands of real jobs through a real Slurm, while something is killed every few seconds.

    .venv/bin/python -m tests.centers.soak [--jobs 2000] [--seed 1] [--every 5] [--once]

The service, slurmctld, slurmrestd and slurmdbd die by SIGKILL in an order that the seed gives, and
come back. In the end every job has succeeded, each run is one native job whose program was started
once, and what was billed is what ``sacct`` says, once the service has asked it again. What departs
from that must be proven from Slurm's own logs, job by job; see ``soak_books``.
"""

import argparse
import contextlib
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corridor.v1 import job_pb2, reconciliation_pb2
from corridor.v1 import job_service_pb2 as pb

from tests.centers import soak_books, soak_kept, soak_log, soak_store
from tests.centers.matrix import ENTERPRISE, PROGRAM, Row, Story
from tests.centers.soak_books import Books, Told
from tests.e2e.conftest import Zygote
from tests.testbed import slurm_testbed as slurm
from tests.testbed.slurm_testbed import CONTROLLER, DATABASE, REST, SlurmTestbed

_PEACE_PART: Final = 20
_SERVICE: Final = "service"
VICTIMS: Final = (_SERVICE, CONTROLLER, REST, DATABASE)
#: Far above what it takes; only a defect is waited for so long.
_PATIENCE_S: Final = 1_200.0
#: A controller misses no job in the first 20 s of its life (BatchStartTimeout + MessageTimeout):
#: killed more often than that, it would hold for ever that jobs run which ended long ago.
_CONTROLLER_LIFE_S: Final = 30.0
_REGISTER_S: Final = 22.0
_ANY_JOB: Final = pb.ListJobsRequest(page_size=1)
#: What a program can begin with that must not run twice (docs/slurm.md): what Slurm starts again
#: ends as it ended the first time, or fails if that is not known.
ONCE: Final = """once={folder}/$CORRIDOR_RUN.${{SLURM_RESTART_COUNT:-0}}
mkdir "$once" || exit "$(cat "$once/exit" || echo 1)"
trap 'echo $? >"$once/exit"' EXIT
"""
_Kind: Final = reconciliation_pb2.DifferenceKind


class SoakBench:
    """A real Slurm, not struck on the wire."""

    kind = "slurm"
    center = "wuhan-sc"
    flavor = "wuhan-sc/kunpeng-920"
    flags: Mapping[str, object] = {"loop.tick_s": 0.2, "log.level": "info"}
    waves: Sequence[Sequence[Row]] = ()

    def __init__(self, testbed: SlurmTestbed, once: bool) -> None:
        self._testbed = testbed
        self._head = "#!/bin/sh\n" + (ONCE.format(folder=testbed.work_dir) if once else "")
        self.lines = testbed.work_dir / "lines"

    def entry(self) -> Mapping[str, Any]:
        """See ``Bench``."""
        entry = self._testbed.center()
        entry["settings"] |= {
            "settle_s": 15.0, "answer_s": 10.0, "connections_max": 8, "polls_per_s": 200.0,
            "look_s": 1.0, "queue": 500, "gate": {"failures_max": 5, "pause_s": 1.0},
        }  # fmt: skip
        return entry

    def job(self, fate: str) -> job_pb2.JobSpec:
        """A program of up to two seconds that tells what it does; ``fate`` is its name."""
        pause_s = (0, 0, 1, 2)[int(fate.rpartition("-")[2]) % 4]
        told = f"{fate} $SLURM_JOB_ID $SLURM_JOB_NAME ${{SLURM_RESTART_COUNT:-0}} $(date +%s%3N)"
        told += f" >>{self.lines}"
        script = f"{self._head}echo begins {told}\nsleep {pause_s}\necho ends {told}\n"
        spec = job_pb2.JobSpec(display_name=fate, script=script)
        spec.options.add(flavor=self.flavor, units_per_node=1)
        spec.wall_limit.seconds = 1_800
        spec.retry_policy.attempts_max = 20
        return spec

    def arm(self, rows: Sequence[Row]) -> None:
        """See ``Bench``."""

    def cut_after_s(self, row: Row) -> float:
        """See ``Bench``."""
        return 0.0

    def struck(self, row: Row) -> int:
        """See ``Bench``."""
        return 0

    def native(self) -> Mapping[str, Any]:
        """See ``Bench``."""
        return {}


@dataclass
class Soak:
    """One soak; ``kills`` counts who died. ``run`` tells what was wrong after it.

    ``deaths_at`` says when (epoch seconds) who was killed.

    The controller dies ``deaths`` times at least, and jobs are submitted over so many of its lives.
    Killing ends when few jobs are left, or ``killing_s`` after the first submission.
    With ``once`` each program makes sure by itself that it is not started a second time.
    """

    testbed: SlurmTestbed
    zygote: Zygote
    folder: Path
    jobs: int
    seed: int
    every_s: float
    deaths: int = 0
    batch: int = 100
    once: bool = False
    killing_s: float = _PATIENCE_S
    kills: Counter[str] = field(default_factory=Counter)
    figures: dict[str, float] = field(default_factory=dict)
    deaths_at: list[tuple[float, str]] = field(default_factory=list)
    told: Told = field(default_factory=Told)
    _controller_s: float = 0.0
    _registered: bool = True
    _peace_s: float = 0.0
    _differences: list[tuple[str, str]] = field(default_factory=list)

    def run(self) -> list[str]:
        """Do it; returns what was wrong, and keeps all that tells of it."""
        bench = SoakBench(self.testbed, self.once)
        try:
            wrong = self._run(bench)
        except BaseException as error:
            self._keep(bench, [repr(error)])
            raise
        if wrong:
            self._keep(bench, wrong)
        return wrong

    def _keep(self, bench: SoakBench, wrong: Sequence[str]) -> None:
        soak_kept.keep(
            self.testbed.folder / "log", self._path, bench.lines, self.folder / "errors.log",
            self.told, self.once, self.deaths_at, wrong,
        )  # fmt: skip

    def _run(self, bench: SoakBench) -> list[str]:
        story = Story(bench, self.zygote, self.folder)
        with contextlib.closing(story):
            story.prepare()
            self.testbed.wait_saved()  # a cluster that never saved anything loses all, once
            began_s, self.told.since_s = time.monotonic(), time.time()
            over = threading.Event()
            killer = threading.Thread(target=self._kill_forever, args=(story, over))
            done = threading.Event()
            listener = threading.Thread(target=self._listen, args=(done,))
            killer.start()
            listener.start()
            try:
                self._submit(story, bench)
                self._wait(story, began_s, over)
            finally:
                over.set()
                done.set()
                killer.join()
                listener.join()
            self.figures["seconds"] = round(time.monotonic() - began_s, 1)
            self.testbed.wait_drained(_PATIENCE_S)
            wrong = self._problems(bench)
            story.stop()  # the next one has the use from Slurm, not from memory
            self._reconcile(story)
            story.stop()
        return wrong + self._unproven(bench)

    def _submit(self, story: Story, bench: SoakBench) -> None:
        for first in range(0, self.jobs, self.batch):
            while self._passed() < first / self.jobs:
                self._keep_alive(story)
                time.sleep(0.5)
            last = min(first + self.batch, self.jobs)
            request = pb.SubmitJobsRequest(
                request_id=f"soak-{first}", enterprise=ENTERPRISE,
                jobs=[bench.job(f"soak-{at}") for at in range(first, last)],
            )  # fmt: skip
            answer = story.call(lambda client, request=request: client.jobs.SubmitJobs(request))  # type: ignore[misc]
            assert all(one.job_id for one in answer.results)

    def _passed(self) -> float:
        """How much of the controller's lives has passed, of 1: what of the jobs may be there."""
        if not self.deaths:
            return 1.0
        lived_s = time.monotonic() - self._controller_s
        life = min(lived_s / _CONTROLLER_LIFE_S, 1.0)
        return (self.kills[CONTROLLER] + life) / (self.deaths + 1)

    def _wait(self, story: Story, began_s: float, over: threading.Event) -> None:
        """Keep the service alive until everything is settled; the last jobs are left in peace.

        What a killed controller forgot is believed to be over only after a while without trouble.
        """
        while self._count("NOT settled") or not over.is_set():
            left = self._count("state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')")
            few = left <= self.jobs // _PEACE_PART or time.monotonic() > began_s + self.killing_s
            enough = few and self.kills[CONTROLLER] >= self.deaths
            if enough and not over.is_set():
                over.set()
                self._peace_s = time.monotonic()
                self.testbed.open_nodes()
            if over.is_set():
                self._register()
                self._tend()
            if time.monotonic() - began_s > _PATIENCE_S:
                shown = soak_store.rows(
                    self._path,
                    "SELECT state, failure_class, message, count(*) FROM run"
                    " WHERE settled_ms IS NULL GROUP BY 1, 2, 3 LIMIT 10",
                )
                raise AssertionError(f"jobs are open after {_PATIENCE_S:g} s: runs {shown}")
            self._keep_alive(story)
            time.sleep(0.5)

    def _keep_alive(self, story: Story) -> None:
        """Let the service be born again if it died."""
        died = story.deaths
        story.call(lambda client: client.jobs.ListJobs(_ANY_JOB))
        if story.deaths > died:
            self.told.trouble.append(time.time())

    def _kill_forever(self, story: Story, over: threading.Event) -> None:
        """Kill at random, now at once and now after a while.

        Were there never 8 s without a death, no absence would ever be proven, and nothing be sent
        again.
        """
        rng = random.Random(self.seed)
        deck: list[str] = []
        while not over.wait(rng.expovariate(1 / self.every_s)):
            self._register()
            if set(deck) <= {CONTROLLER}:
                deck = rng.sample(VICTIMS, len(VICTIMS))
            young = time.monotonic() < self._controller_s + _CONTROLLER_LIFE_S
            victim = next(one for one in deck if not (young and one == CONTROLLER))
            deck.remove(victim)
            self.testbed.open_nodes()  # Slurm drains nodes on which ids that were given again clash
            self.kills[victim] += 1
            self.deaths_at.append((time.time(), victim))
            self.told.trouble.append(time.time())
            if victim == _SERVICE:
                with contextlib.suppress(LookupError, ProcessLookupError):
                    story.kill()
                continue
            with contextlib.suppress(LookupError):
                self.testbed.kill(victim)
            self.testbed.start(victim)
            self.told.trouble.append(time.time())
            if victim == CONTROLLER:
                self._controller_s, self._registered = time.monotonic(), False

    def _register(self) -> None:
        """Let nodes tell a controller that is old enough what runs, as an operator does.

        By itself each does so at every twentieth ping.
        """
        if not self._registered and time.monotonic() > self._controller_s + _REGISTER_S:
            self.testbed.run("scontrol", "reconfigure")
            self._registered = True

    def _tend(self) -> None:
        """Open nodes that were drained since, and close what accounting waits for in vain, once it
        was told all that it will be told.

        An id that was given again may clash on its node for a while after the last death.
        """
        if time.monotonic() > self._peace_s + soak_books.PEACE_S:
            self.testbed.open_nodes()
            before = self.testbed.sacct()
            self.testbed.close_runaways()
            self.told.close(before, self.testbed.sacct())
            self._peace_s = time.monotonic()

    def _listen(self, done: threading.Event) -> None:
        """Note what sacct says while it says it."""
        while not done.wait(1.0):
            self.told.note(self.testbed.sacct())

    def _reconcile(self, story: Story) -> None:
        """Have the service ask Slurm again for the use of all runs, and note what differs."""
        request = reconciliation_pb2.ReconcileCenterRequest(
            center=SoakBench.center, ask_adapter=True, reason="soak"
        )
        request.from_time.FromSeconds(int(time.time()) - 7_200)
        request.to_time.FromSeconds(int(time.time()) - 1)
        request.submit_tolerance.FromSeconds(60)
        answer = story.call(lambda client: client.centers.ReconcileCenter(request, timeout=120))
        self.figures["agreed"] = answer.reconciliation.agreed_count
        for one in answer.differences:
            self._differences.append((_Kind.Name(one.kind)[16:], f"corridor-{one.run_id}"))

    # --- what became of it ----------------------------------------------------------------------

    @property
    def _path(self) -> Path:
        return self.folder / "data" / "corridor.db"

    def _count(self, condition: str) -> int:
        found = soak_store.rows(self._path, f"SELECT count(*) FROM job WHERE {condition}")
        return int(found[0][0])

    def _problems(self, bench: SoakBench) -> list[str]:
        """What is wrong before the service asked for anything again."""
        self.told.note(self.testbed.sacct())
        wrong: list[str] = []
        states = Counter(state for (state,) in soak_store.rows(self._path, "SELECT state FROM job"))
        books = self._books(bench)
        books.hold()
        denied = books.counts[soak_books.DENIED]
        if states != Counter(SUCCEEDED=self.jobs - denied, FAILED=denied):
            wrong.append(f"jobs ended {dict(states)}")
        self.figures |= {
            "runs": len(books.runs),
            "native jobs in sacct": len(self.told.seen),
            "native jobs in Slurm's log": sum(1 for _ in books.log.all()),
            "programs begun": sum(one.what == "begins" for one in books.lines),
            "billed seconds": sum(run.billed_s for run in books.runs.values()),
            **books.counts,
        }
        return wrong + books.wrong

    def _unproven(self, bench: SoakBench) -> list[str]:
        """What differed must be what Slurm said anew of jobs that it took up again."""
        books = self._books(bench)
        books.hold_differences(self._differences)
        self.figures |= books.counts
        return books.wrong

    def _books(self, bench: SoakBench) -> Books:
        log = soak_log.read(self.testbed.folder / "log", self.told.since_s)
        runs = soak_store.read_runs(self._path)
        return Books(self.told, log, runs, soak_store.read_lines(bench.lines), self.once)


def main() -> int:
    """Run one soak on a cluster of its own; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.centers.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between kills")
    parser.add_argument("--deaths", type=int, default=3, help="of the controller, at least")
    parser.add_argument("--once", action="store_true", help="programs refuse a second start")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        testbed = stack.enter_context(slurm.running())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corridor-soak-")))
        zygote = stack.enter_context(contextlib.closing(Zygote(folder / "errors.log", PROGRAM)))
        soak = Soak(
            testbed, zygote, folder, given.jobs, given.seed, given.every, given.deaths,
            once=given.once,
        )  # fmt: skip
        problems = soak.run()
    print(json.dumps({"kills": soak.kills, **soak.figures}, indent=1))
    for problem in problems[:20]:
        print(problem)
    if len(problems) > 20:
        print(f"and {len(problems) - 20} more")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
