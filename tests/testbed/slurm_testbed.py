"""A whole real Slurm for tests: started once, hurt at will, asked by Slurm's own programs.

Daemons are named ``slurmctld``, ``slurmdbd``, ``slurmrestd``, ``mariadbd`` and ``slurmd-NODE``
(nodes are ``cpu1``, ``cpu2`` and ``gpu1``). What tests check against comes from ``sacct`` and
``squeue``, never from the adapter that they test.
"""

import base64
import contextlib
import getpass
import hashlib
import hmac
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

SCRIPTS: Final = Path(__file__).parent / "slurm"
CONTROLLER, DATABASE, REST = "slurmctld", "slurmdbd", "slurmrestd"
NODES: Final = ("cpu1", "cpu2", "gpu1")
USER: Final = "corridor"
ACCOUNTS: Final = ("wuhan", "ezhou", "huanggang", "huangshi", "xianning", "corridor")
_PREFIX: Final = "corridor-slurm-"
#: Not where tests have their files: that may be memory from which no program may be run.
_HOME: Final = Path("/var/tmp")
_PORTS: Final = 40
#: Far above what anything here takes; only a defect is waited for so long.
_PATIENCE_S: Final = 60.0
_FIELDS: Final = (
    "JobIDRaw", "JobName", "Account", "Partition", "State", "Submit", "Start", "End", "ElapsedRaw",
    "AllocCPUS", "AllocTRES", "ExitCode",
)  # fmt: skip


class NoSlurm(Exception):
    """No Slurm can be started here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Accounted:
    """One row of sacct: one stretch of a job on its nodes (a requeued job has several).

    Times are epoch seconds, None if they are not known; ``exit_code`` is ``code:signal``;
    ``by_uid`` is who cancelled it.
    """

    job_id: int
    name: str
    account: str
    partition: str
    state: str
    submit_s: int
    start_s: int | None
    end_s: int | None
    elapsed_s: int
    cpus: int
    cards: int
    exit_code: str
    by_uid: int | None


class SlurmTestbed:
    """A running cluster; its files lie under ``folder``."""

    def __init__(self, folder: Path, base_port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{base_port + 12}"
        self.user = USER
        self.cluster = "lab"
        self.token_file = folder / "run" / "token"
        self.work_dir = folder / "work"
        self._environment = {**os.environ, "SLURM_CONF": str(folder / "etc" / "slurm.conf")}

    # --- identity -------------------------------------------------------------------------------

    def token(self, life_s: int = 3600, user: str = USER) -> str:
        """A token of our own making, of any life (also one that is over)."""
        now_s = int(time.time())
        claims = {"sun": user, "iat": now_s + min(0, life_s), "exp": now_s + life_s}
        parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims)]
        key = (self.folder / "etc" / "jwt.key").read_bytes()
        signed = hmac.new(key, ".".join(parts).encode(), hashlib.sha256).digest()
        return ".".join([*parts, _base64(signed)])

    def headers(self, life_s: int = 3600) -> dict[str, str]:
        """What a call of REST needs."""
        return {"X-SLURM-USER-NAME": self.user, "X-SLURM-USER-TOKEN": self.token(life_s)}

    def center(self, endpoint: str = "") -> dict[str, Any]:
        """The entry of this cluster in a centers.yaml, reached through another URL if given."""
        document = yaml.safe_load((self.folder / "centers.yaml").read_text("utf-8"))
        [entry] = document["centers"]
        assert isinstance(entry, dict)
        if endpoint:
            entry["settings"]["endpoint"] = endpoint
        return entry

    # --- harm -----------------------------------------------------------------------------------

    def pid(self, daemon: str) -> int:
        """Its process; raises ``LookupError`` if it does not run."""
        path = self.folder / "run" / f"{daemon}.pid"
        try:
            pid = int(path.read_text())
            program = os.readlink(f"/proc/{pid}/exe")
        except (OSError, ValueError):
            raise LookupError(f"{daemon} does not run") from None
        if not Path(program).name.startswith(daemon.partition("-")[0]):
            raise LookupError(f"{daemon} does not run")
        return pid

    def kill(self, daemon: str, number: int = signal.SIGKILL) -> None:
        """Send it a signal (SIGKILL, SIGTERM) that ends it, and wait until it has ended."""
        pid = self.pid(daemon)
        handle = os.pidfd_open(pid)
        try:
            os.kill(pid, number)
            if not select.select([handle], [], [], _PATIENCE_S)[0]:
                raise AssertionError(f"{daemon} ({pid}) outlives signal {number}")
        finally:
            os.close(handle)

    def start(self, daemon: str) -> None:
        """Start it if it does not run, and wait until it answers."""
        subprocess.run(
            [SCRIPTS / "daemon.sh", self.folder, daemon], check=True, env=self._environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        match daemon:
            case "slurmctld":
                _wait(lambda: "is UP" in self.run("scontrol", "ping"), daemon)
            case "slurmdbd":
                _wait(lambda: self.cluster in self.run("sacctmgr", "-n", "list", "cluster"), daemon)
            case "slurmrestd":
                _wait(self._listens, daemon)
            case _ if daemon.startswith("slurmd-"):
                node = daemon.removeprefix("slurmd-")
                _wait(lambda: self.node_state(node) in {"idle", "mixed", "allocated"}, daemon)

    def wait_saved(self) -> None:
        """Wait until the controller's file has all that it knows now: a kill loses none of it.

        It writes some seconds after a submission: ours, whose name is in the file then.
        """
        name = f"state-{time.time_ns()}"
        made = self.run(
            "sbatch", "--parsable", "--hold", "-A", "root", "-J", name, "-D", str(self.work_dir),
            "--wrap", "true",
        )  # fmt: skip
        state = self.folder / "state" / "job_state"
        _wait(
            lambda: state.exists() and name.encode() in state.read_bytes(), "the controller's file"
        )
        self.run("scancel", made)

    def freeze(self, daemon: str) -> None:
        """Let it hold what it has and answer nothing, until ``thaw``."""
        os.kill(self.pid(daemon), signal.SIGSTOP)

    def thaw(self, daemon: str) -> None:
        """Let it go on."""
        os.kill(self.pid(daemon), signal.SIGCONT)

    def _listens(self) -> bool:
        port = int(self.url.rpartition(":")[2])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return True
        return False

    def requeue(self, job_id: int) -> None:
        """Put a running job back into the queue, and let it start without Slurm's two minutes."""
        self.run("scontrol", "requeue", str(job_id))
        shown = ("squeue", "-h", "-j", str(job_id), "-o", "%T")
        _wait(lambda: self.run(*shown) == "PENDING", f"job {job_id} in the queue")
        # A node launches nothing of a job within the second in which it was killed there.
        self.run("scontrol", "update", f"JobId={job_id}", "StartTime=now+2")

    def drain(self, node: str) -> None:
        """Give the node nothing new."""
        self.run("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")

    def resume(self, node: str) -> None:
        """Take back ``drain``, or that the node was down."""
        self.run("scontrol", "update", f"NodeName={node}", "State=RESUME")

    def open_nodes(self) -> None:
        """Resume all nodes that take no jobs: what an operator does after a crash."""
        for node in NODES:
            if self.node_state(node) not in {"idle", "mixed", "allocated"}:
                self.resume(node)

    def close_runaways(self) -> None:
        """End jobs in accounting whose end it was never told, as an operator does after a crash.

        They end there when they began: with 0 s.
        """
        self.run("sacctmgr", "-i", "show", "runawayjobs")

    def node_state(self, node: str) -> str:
        """As sinfo says it: idle, mixed, allocated, draining, drained, down; * = not responding."""
        return self.run("sinfo", "-hN", "-n", node, "-o", "%T").split("\n")[0]

    # --- what Slurm says ------------------------------------------------------------------------

    def run(self, *command: str) -> str:
        """Output of one of Slurm's own programs; empty if it failed."""
        done = subprocess.run(
            command, env={**self._environment, "SLURM_TIME_FORMAT": "%s"}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return done.stdout.strip() if done.returncode == 0 else ""

    def queue(self) -> dict[str, list[int]]:
        """Ids of the jobs that have not ended, by name."""
        found: dict[str, list[int]] = {}
        for line in self.run("squeue", "-h", "-u", USER, "-o", "%A %j").splitlines():
            job_id, _, name = line.partition(" ")
            found.setdefault(name, []).append(int(job_id))
        return found

    def sacct(self, names: Sequence[str] = ()) -> list[Accounted]:
        """All that accounting has of jobs with these names (all jobs if none is given)."""
        chosen = ["--name", ",".join(names)] if names else []
        text = self.run(
            "sacct", "-nPXD", "-u", USER, "-S", "1970-01-02", "-o", ",".join(_FIELDS), *chosen
        )
        return [_accounted(line.split("|")) for line in text.splitlines()]

    def native_jobs(self, prefix: str = "") -> dict[str, set[tuple[int, int]]]:
        """Jobs that ever were, by name: their ids with the second of submission.

        Slurm gives ids out again after a crash of its controller, so that an id alone is no job.
        """
        found: dict[str, set[tuple[int, int]]] = {}
        for row in self.sacct():
            if row.name.startswith(prefix):
                found.setdefault(row.name, set()).add((row.job_id, row.submit_s))
        return found

    def wait_idle(self, patience_s: float = _PATIENCE_S) -> None:
        """Wait until no job is queued or runs, and accounting knows the end of each.

        Accounting learns of a job seconds after the controller.
        """
        self.wait_drained(patience_s)
        _wait(self._all_accounted, "accounting", patience_s)

    def wait_drained(self, patience_s: float = _PATIENCE_S) -> None:
        """Wait until no job is queued or runs."""
        _wait(lambda: not self.queue(), "the end of all jobs", patience_s)

    def _all_accounted(self) -> bool:
        lines = self.run("squeue", "-h", "-u", USER, "-t", "all", "-o", "%A %V").splitlines()
        known = {(row.job_id, row.submit_s) for row in self.sacct() if row.end_s is not None}
        return {tuple(map(int, line.split())) for line in lines} <= known

    def clear(self) -> None:
        """End all jobs, bring all daemons and nodes back: as a test wants to find it."""
        for daemon in (DATABASE, CONTROLLER, REST, *(f"slurmd-{node}" for node in NODES)):
            with contextlib.suppress(LookupError):
                self.thaw(daemon)
                continue
            self.start(daemon)
        self.open_nodes()
        if self.queue():
            self.run("scancel", "-u", USER)
            _wait(lambda: not self.queue(), "the queue")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _accounted(cells: Sequence[str]) -> Accounted:
    row: Mapping[str, str] = dict(zip(_FIELDS, cells, strict=True))
    cards = [
        int(part.partition("=")[2])
        for part in row["AllocTRES"].split(",")
        if part.startswith("gres/gpu=")
    ]
    return Accounted(
        int(row["JobIDRaw"]), row["JobName"], row["Account"], row["Partition"],
        row["State"].split(" ")[0], int(row["Submit"]), _instant(row["Start"]),
        _instant(row["End"]), int(row["ElapsedRaw"]), int(row["AllocCPUS"]), sum(cards),
        row["ExitCode"], _instant(row["State"].rpartition("CANCELLED by ")[2]),
    )  # fmt: skip


def _instant(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _wait(holds: Any, what: str, patience_s: float = _PATIENCE_S) -> None:
    end_s = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > end_s:
            raise AssertionError(f"{what} did not come within {patience_s:g} s")
        time.sleep(0.02)


def _free_ports(count: int) -> int:
    """First of so many ports that nobody uses, below those that systems give out by themselves."""
    rng = random.SystemRandom()
    while True:
        base = rng.randrange(20_000, 32_000 - count)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(base, base + count):
                one = stack.enter_context(socket.socket())
                one.bind(("127.0.0.1", port))
            return base


def _forsaken() -> Iterator[Path]:
    """Folders of clusters whose tests were killed before they could stop them."""
    for path in _HOME.glob(f"{_PREFIX}*/owner"):
        with contextlib.suppress(OSError, ValueError):
            if not Path(f"/proc/{int(path.read_text())}").exists():
                yield path.parent


@contextlib.contextmanager
def running(base_port: int = 0, **settings: str) -> Iterator[SlurmTestbed]:
    """Start a cluster of one's own and stop it at the end. Raises ``NoSlurm``.

    ``settings`` are the variables of up.sh (``PROFILE="tuned"``); without ``base_port`` free ports
    are taken.
    """
    missing = [name for name in ("slurmctld", "slurmrestd", "mariadbd") if not shutil.which(name)]
    if os.geteuid() != 0:
        raise NoSlurm(f"a real Slurm needs root, and the tests run as {getpass.getuser()}")
    if missing:
        raise NoSlurm(f"{', '.join(missing)} missing: run tests/testbed/install.sh as root")
    for left in _forsaken():
        subprocess.run([SCRIPTS / "down.sh", left, "--purge"], capture_output=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_HOME))
    (folder / "owner").write_text(str(os.getpid()))
    base = base_port or _free_ports(_PORTS)
    try:
        up = subprocess.run(
            [SCRIPTS / "up.sh", folder, str(base)], env={**os.environ, **settings}, text=True,
            stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip
        if up.returncode:
            raise RuntimeError(f"Slurm does not start:\n{up.stderr}")
        yield SlurmTestbed(folder, base)
    finally:
        subprocess.run([SCRIPTS / "down.sh", folder, "--purge"], capture_output=True)
