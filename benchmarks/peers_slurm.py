"""Slurm's side of the comparison: both of its doors, and what it says of itself.

slurmrestd is called over connections that stay, by the cheapest client that there is: messages
made beforehand, answers read and looked at for an id. ``sbatch`` and ``squeue`` are processes of
their own, as people start them.
"""

import asyncio
import itertools
import json
import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.peers_processes import cpu_s, memory_mb, tree
from tests.testbed.slurm_testbed import CONTROLLER, DATABASE, REST, SlurmTestbed

_API: Final = "/slurm/v0.0.38"
NODES: Final = 8
NODE_CPUS: Final = 64
#: As the jobs of ``benchmarks.load``: CPUs and minutes.
_SHAPES: Final = tuple(itertools.product((1, 2, 4, 8), (10, 60, 240)))
_ACCOUNTS: Final = ("wuhan", "ezhou", "huanggang", "huangshi", "xianning")
_LISTEN_S: Final = 240.0
_SCHEDULING: Final = "SchedulerParameters="
#: Variables of up.sh. The guide wants MaxJobCount to have room; slurmctld's own default is 10,000.
SETTINGS: Final = {
    "PROFILE": "tuned", "CPU_NODES": str(NODES), "GPU_NODES": "0", "NODE_CPUS": str(NODE_CPUS),
    "MAX_JOBS": "200000",
}  # fmt: skip
#: Nothing is put off: a job is looked at when it comes.
PROMPT: Final = "batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2"
#: As tuned, but backfill looks at all that wait, and goes on until it has.
DEEP: Final = (
    "defer,batch_sched_delay=1,sched_min_interval=200000,default_queue_depth=1000,bf_continue,"
    "bf_interval=5,bf_max_time=300,bf_max_job_test=200000,bf_resolution=600"
)


class Slurm:
    """A cluster that runs; times are in s, latencies in ms."""

    def __init__(self, testbed: SlurmTestbed) -> None:
        self.testbed = testbed
        address = urlsplit(testbed.url)
        self._address = (address.hostname or "", address.port or 0)
        self._head = (
            f"Host: slurm\r\nX-SLURM-USER-NAME: {testbed.user}\r\n"
            f"X-SLURM-USER-TOKEN: {testbed.token(86_400)}\r\n"
        )
        self._file = testbed.folder / "etc" / "slurm.conf"
        self._tuned = self._file.read_text("utf-8")
        self._environment = {"PATH": os.environ["PATH"], "SLURM_CONF": str(self._file)}
        self._numbers = itertools.count()
        self.occupying = 0

    # --- submissions ----------------------------------------------------------------------------

    def message(self, number: int, script: str = "true", **more: object) -> bytes:
        """A submission of one job, whole."""
        cpus, minutes = _SHAPES[number % len(_SHAPES)]
        job = {
            "name": f"train-{number}", "account": _ACCOUNTS[number % len(_ACCOUNTS)],
            "partition": "cpu",
            "environment": {"PATH": "/usr/bin:/bin", "SEED": str(number % 1000)},
            "current_working_directory": str(self.testbed.work_dir), "time_limit": minutes,
            "standard_output": "/dev/null", "comment": "registry.example/team/train:2.4",
            "nodes": [1, 1], "tasks": 1, "cpus_per_task": cpus, **more,
        }  # fmt: skip
        body = json.dumps({"job": job, "script": f"#!/bin/sh\n{script}\n"}).encode()
        return (
            f"POST {_API}/job/submit HTTP/1.1\r\n{self._head}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    async def submit(self, count: int, callers: int, messages: Sequence[bytes] = ()) -> list[float]:
        """Submit jobs over ``callers`` connections; latencies."""
        made = messages or [self.message(next(self._numbers)) for _ in range(min(count, 240))]
        return await self._call(
            [made[at % len(made)] for at in range(count)], callers, b'"job_id": '
        )

    async def get(self, job: int, count: int) -> list[float]:
        """Get one job so many times, one after another; latencies."""
        head = f"GET {_API}/job/{job} HTTP/1.1\r\n{self._head}\r\n".encode()
        return await self._call([head] * count, 1, b'"job_id": ')

    async def _call(self, messages: Sequence[bytes], callers: int, wanted: bytes) -> list[float]:
        left, taken_ms = iter(messages), list[float]()

        async def caller() -> None:
            reader, writer = await asyncio.open_connection(*self._address)
            for message in left:
                began_s = perf_counter()
                writer.write(message)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                answer = await reader.readexactly(int(length))
                taken_ms.append((perf_counter() - began_s) * 1000)
                if wanted not in answer:
                    raise RuntimeError(f"Slurm refused: {answer[:500]!r}")
            writer.close()
            await writer.wait_closed()

        await asyncio.gather(*(caller() for _ in range(callers)))
        return taken_ms

    def sbatch(self, count: int, at_once: int = 1, *more: str) -> list[float]:
        """Submit by the command, a process for each job; latencies."""
        script = self.testbed.folder / "run" / "train.sh"
        if not script.exists():
            script.write_text("#!/bin/sh\ntrue\n", "ascii")

        def one(number: int) -> float:
            cpus, minutes = _SHAPES[number % len(_SHAPES)]
            account = _ACCOUNTS[number % len(_ACCOUNTS)]
            began_s = perf_counter()
            self.command(
                "sbatch", "--parsable", f"--uid={self.testbed.user}", "-A", account, "-p", "cpu",
                "-J", f"train-{number}", "-c", str(cpus), "-t", str(minutes), "-o", "/dev/null",
                "-D", str(self.testbed.work_dir), *more, str(script),
            )  # fmt: skip
            return (perf_counter() - began_s) * 1000

        numbers = [next(self._numbers) for _ in range(count)]
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(one, numbers))

    def occupy(self) -> None:
        """Take all nodes for longer than anything here takes; ``occupying`` is the job's id."""
        self.occupying = int(
            self.command(
                "sbatch", "--parsable", f"--uid={self.testbed.user}", "-A", "wuhan", "-p", "cpu",
                "-N", str(NODES), f"--ntasks-per-node={NODE_CPUS}", "-t", "600", "-o", "/dev/null",
                "-D", str(self.testbed.work_dir), "--wrap", "sleep 36000",
            )
        )  # fmt: skip

    def completed(self) -> int:
        """Jobs that ended well since sdiag was reset."""
        return self.diag()[""]["Jobs completed"]

    # --- lists ----------------------------------------------------------------------------------

    def squeue(self) -> tuple[float, int]:
        """List all jobs by the command: how long it takes, and how many there are."""
        began_s = perf_counter()
        text = self.command("squeue", "-h")
        return perf_counter() - began_s, text.count("\n")

    def rest_list(self) -> tuple[float, int]:
        """List all jobs by REST: until the last byte is here, unparsed; and how many there are."""
        connection = HTTPConnection(*self._address, timeout=_LISTEN_S)
        began_s = perf_counter()
        try:
            headers = dict(line.split(": ") for line in self._head.strip().split("\r\n"))
            connection.request("GET", f"{_API}/jobs", headers=headers)
            answer = connection.getresponse()
            text = answer.read()
            taken_s = perf_counter() - began_s
        finally:
            connection.close()
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"slurmrestd did not list jobs: {answer.status} {text[:300]!r}")
        return taken_s, text.count(b'"job_id": ')

    def restart_rest(self) -> None:
        """Start slurmrestd anew: it does not give back the memory that a list took."""
        self.testbed.kill(REST)
        self.testbed.start(REST)

    # --- scheduling -----------------------------------------------------------------------------

    def set_scheduling(self, parameters: str = "") -> None:
        """Schedule by these parameters; by those of the profile without any."""
        lines = [
            _SCHEDULING + parameters if parameters and line.startswith(_SCHEDULING) else line
            for line in self._tuned.splitlines()
        ]
        self._file.write_text("\n".join(lines) + "\n", "utf-8")
        self.command("scontrol", "reconfigure")

    def diag(self) -> dict[str, dict[str, int]]:
        """What sdiag counts since it was reset: by its sections, by its names."""
        found: dict[str, dict[str, int]] = {"": {}, "Main": {}, "Backfilling": {}}
        section = ""
        for line in self.command("sdiag").splitlines():
            if line and not line[0].isspace():
                section = next((name for name in found if name and line.startswith(name)), "")
            name, _, value = line.strip().partition(":")
            if value.strip().isdigit():
                found[section][name] = int(value)
        return found

    def reset_diag(self) -> None:
        """Let sdiag count from here on."""
        self.command("sdiag", "--reset")

    # --- what it takes --------------------------------------------------------------------------

    def pids(self) -> list[int]:
        """All of its processes."""
        return tree(*(int(path.read_text()) for path in self._run_files()))

    def _run_files(self) -> list[Path]:
        return list((self.testbed.folder / "run").glob("*.pid"))

    def cpu_s(self) -> float:
        """CPU seconds of all daemons so far."""
        return cpu_s(self.pids())

    def memory(self) -> dict[str, float]:
        """Resident memory in MB of its daemons that grow with jobs."""
        pid = self.testbed.pid
        return {
            "slurmctld": memory_mb([pid(CONTROLLER)]),
            "slurmdbd": memory_mb([pid(DATABASE), pid("mariadbd")]),
            "slurmrestd": memory_mb([pid(REST)]),
        }

    def command(self, *words: str) -> str:
        """Output of one of Slurm's programs. Raises ``RuntimeError`` with what it said instead."""
        done = subprocess.run(
            words, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def version(self) -> str:
        """As it says itself."""
        return self.command("sinfo", "--version").split()[-1]

    def tuning(self) -> Any:
        """The line of its configuration by which it schedules."""
        found = re.search(rf"^{_SCHEDULING}(.*)$", self._file.read_text("utf-8"), re.M)
        return found[1] if found else ""
