"""Thousands of real jobs through a real Slurm, while something is killed every few seconds.

    .venv/bin/python -m tests.centers.soak [--jobs 2000] [--seed 1] [--every 6]

The service, slurmctld, slurmrestd and slurmdbd die by SIGKILL in an order that the seed gives, and
come back. In the end every job has succeeded, its program ended once, and what was billed is what
``sacct`` says.
"""

import argparse
import contextlib
import json
import random
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.domain.ids import center_name, run_id
from tests.centers.matrix import ENTERPRISE, PROGRAM, Row, Story
from tests.e2e.conftest import Zygote
from tests.testbed import slurm_testbed as slurm
from tests.testbed.slurm_testbed import CONTROLLER, DATABASE, REST, Accounted, SlurmTestbed

_BATCH: Final = 100
_PEACE_PART: Final = 20
_SERVICE: Final = "service"
VICTIMS: Final = (_SERVICE, CONTROLLER, REST, DATABASE)
#: Without the controller, whose file is seconds old when it is killed: jobs that ended since then
#: come back to life in it, and end anew when their nodes register.
GENTLE: Final = (_SERVICE, REST, DATABASE)
#: Far above what it takes; only a defect is waited for so long.
_PATIENCE_S: Final = 400.0
#: Runs that ended so were no fault of the job's and cost nothing.
_NOT_BILLED: Final = frozenset({"NODE", "CENTER", "PREEMPTED", "LOST", "REJECTED_BY_CENTER"})


class SoakBench:
    """A real Slurm, not struck on the wire."""

    kind = "slurm"
    center = "wuhan-sc"
    flavor = "wuhan-sc/kunpeng-920"
    flags: Mapping[str, object] = {"loop.tick_s": 0.2}
    waves: Sequence[Sequence[Row]] = ()

    def __init__(self, testbed: SlurmTestbed) -> None:
        self._testbed = testbed
        self.ends = testbed.work_dir / "ends"

    def entry(self) -> Mapping[str, Any]:
        """See ``Bench``."""
        entry = self._testbed.center()
        entry["settings"] |= {
            "settle_s": 15.0, "answer_s": 10.0, "connections_max": 8, "polls_per_s": 200.0,
            "look_s": 1.0, "gate": {"failures_max": 5, "pause_s": 1.0},
        }  # fmt: skip
        return entry

    def job(self, fate: str) -> job_pb2.JobSpec:
        """A program of up to two seconds that tells of its end; ``fate`` is its name."""
        pause_s = (0, 0, 1, 2)[int(fate.rpartition("-")[2]) % 4]
        script = f"#!/bin/sh\nsleep {pause_s}\necho {fate} >>{self.ends}\n"
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
    """One soak; ``kills`` counts who died, ``problems`` tells what was wrong after it."""

    testbed: SlurmTestbed
    zygote: Zygote
    folder: Path
    jobs: int
    seed: int
    every_s: float
    victims: Sequence[str] = VICTIMS
    kills: Counter[str] = field(default_factory=Counter)
    figures: dict[str, float] = field(default_factory=dict)

    def run(self) -> list[str]:
        """Do it; returns what was wrong."""
        bench = SoakBench(self.testbed)
        story = Story(bench, self.zygote, self.folder)
        with contextlib.closing(story):
            story.prepare()
            began_s = time.monotonic()
            over = threading.Event()
            killer = threading.Thread(target=self._kill_forever, args=(story, over))
            killer.start()
            try:
                self._submit(story, bench)
                self._wait(story, began_s, over)
            finally:
                over.set()
                killer.join()
            self.figures["seconds"] = round(time.monotonic() - began_s, 1)
            story.stop()
        self.testbed.wait_idle(_PATIENCE_S)
        return self._problems(bench)

    def _submit(self, story: Story, bench: SoakBench) -> None:
        for first in range(0, self.jobs, _BATCH):
            specs = [bench.job(f"soak-{at}") for at in range(first, min(first + _BATCH, self.jobs))]
            request = pb.SubmitJobsRequest(
                request_id=f"soak-{first}", enterprise=ENTERPRISE, jobs=specs
            )
            answer = story.call(lambda client, request=request: client.jobs.SubmitJobs(request))  # type: ignore[misc]
            assert all(one.job_id for one in answer.results)

    def _wait(self, story: Story, began_s: float, over: threading.Event) -> None:
        """Keep the service alive until everything is settled; the last jobs are left in peace.

        What a killed controller forgot is believed to be over only after a while without trouble.
        """
        ask = pb.ListJobsRequest(page_size=1)
        while left := self._open_jobs():
            if left <= self.jobs // _PEACE_PART and not over.is_set():
                over.set()
                self.testbed.open_nodes()
                self.testbed.run("scontrol", "reconfigure")  # nodes register, and tell what runs
            if time.monotonic() - began_s > _PATIENCE_S:
                shown = self._rows(
                    "SELECT state, failure_class, message, count(*) FROM run"
                    " WHERE settled_ms IS NULL GROUP BY 1, 2, 3 LIMIT 10"
                )
                raise AssertionError(f"{self._open_jobs()} jobs are open: runs {shown}")
            story.call(lambda client: client.jobs.ListJobs(ask))
            time.sleep(0.5)

    def _kill_forever(self, story: Story, over: threading.Event) -> None:
        rng = random.Random(self.seed)
        deck: list[str] = []
        while not over.wait(rng.uniform(0.5, 1.5) * self.every_s):
            deck = deck or rng.sample(self.victims, len(self.victims))
            victim = deck.pop()
            self.testbed.open_nodes()  # Slurm drains nodes on which ids that were given again clash
            self.kills[victim] += 1
            if victim == _SERVICE:
                with contextlib.suppress(LookupError, ProcessLookupError):
                    story.kill()
                continue
            with contextlib.suppress(LookupError):
                self.testbed.kill(victim)
            self.testbed.start(victim)

    # --- what became of it ----------------------------------------------------------------------

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        path = self.folder / "data" / "corridor.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return db.execute(statement).fetchall()

    def _open_jobs(self) -> int:
        return int(self._rows("SELECT count(*) FROM job WHERE NOT settled")[0][0])

    def _problems(self, bench: SoakBench) -> list[str]:
        wrong: list[str] = []
        states = Counter(state for (state,) in self._rows("SELECT state FROM job"))
        if states != {"SUCCEEDED": self.jobs}:
            wrong.append(f"jobs ended {dict(states)}")
        ends = Counter(bench.ends.read_text().split())
        wrong += [f"{name} ended {times} times" for name, times in ends.items() if times > 1]
        if len(ends) != self.jobs:
            wrong.append(f"{len(ends)} programs ended")
        return wrong + self._wrong_bills()

    def _wrong_bills(self) -> list[str]:
        """Hold each run's rated seconds against the rows of sacct under its name."""
        used: dict[str, list[Accounted]] = {}
        for row in self.testbed.sacct():
            if row.start_s is not None:
                used.setdefault(row.name, []).append(row)
        rated = {
            (uid, attempt): seconds
            for uid, attempt, seconds in self._rows(
                "SELECT job_uid, attempt, sum(seconds * units) FROM rated_line WHERE billed"
                " GROUP BY job_uid, attempt"
            )
        }
        runs = self._rows("SELECT job_uid, attempt, state, failure_class FROM run")
        self.figures |= {
            "runs": len(runs),
            "native jobs": len({(row.job_id, row.submit_s) for of in used.values() for row in of}),
            "billed seconds": sum(rated.values()),
        }
        wrong = []
        for uid, attempt, state, failure in runs:
            if failure in _NOT_BILLED:
                continue
            of_run = used.get(center_name(run_id(uid, attempt)), [])
            stated = sum(row.elapsed_s * row.cpus for row in of_run if row.state != "NODE_FAIL")
            if stated != rated.get((uid, attempt), 0):
                told = [(r.job_id, r.state, r.start_s, r.end_s, r.elapsed_s) for r in of_run]
                wrong.append(
                    f"run {run_id(uid, attempt)} ({state}): billed"
                    f" {rated.get((uid, attempt), 0)} s, sacct says {told}"
                )
        return wrong


def main() -> int:
    """Run one soak on a cluster of its own; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.centers.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=6.0, help="seconds between kills")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        testbed = stack.enter_context(slurm.running())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corridor-soak-")))
        zygote = stack.enter_context(contextlib.closing(Zygote(folder / "errors.log", PROGRAM)))
        soak = Soak(testbed, zygote, folder, given.jobs, given.seed, given.every)
        problems = soak.run()
    print(json.dumps({"kills": soak.kills, **soak.figures}, indent=1))
    for problem in problems[:20]:
        print(problem)
    if len(problems) > 20:
        print(f"and {len(problems) - 20} more")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
