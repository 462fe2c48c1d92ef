"""Several services as processes on one PostgreSQL, a simulated center behind an agent, and load.

Each service reaches the database through a wire of its own, which can be held without a word, as a
network is that is cut: nobody hangs up.
"""

import contextlib
import itertools
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
import yaml
from corridor.v1 import identity_service_pb2 as identity_pb
from corridor.v1 import job_service_pb2 as pb

from adapters.simulated.journal import accepted_names
from scheduler import bootstrap
from scheduler.client import Client
from scheduler.config import load_settings
from scheduler.domain.leases import Lease
from scheduler.store import funds, leader, seed
from scheduler.store.database import Database
from scheduler.store.lease_line import application_of
from tests.postgres import Postgres
from tests.processes import PATIENCE_S, Process, free_port
from tests.processes import until as until

CENTER: Final = "wuhan-sc"
FLAVOR: Final = "wuhan-sc/kunpeng-920"
ENTERPRISE: Final = "sample-wuhan-1"
_SOCKET: Final = ".s.PGSQL.5432"
_PAUSE_S: Final = 0.01


class Wire:
    """A way to the database's socket from a folder of its own; while it is held, nothing passes."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder, self._server = folder, server
        folder.mkdir()
        self._passing = threading.Event()
        self._passing.set()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / _SOCKET))
        self._listening.listen(64)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def hold(self) -> None:
        """Let nothing pass from now on."""
        self._passing.clear()

    def release(self) -> None:
        """Let all pass again, also what was held."""
        self._passing.set()

    def close(self) -> None:
        """Hang up on all."""
        self._passing.set()
        for one in (self._listening, *self._open):
            _hang_up(one)
        for thread in self._threads:
            thread.join()
        for one in (self._listening, *self._open):
            one.close()

    def _begin(self, body: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=body, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.socket(socket.AF_UNIX)
                self._open |= {near, far}
                far.connect(str(self._server / _SOCKET))
                self._begin(self._carry, near, far)
                self._begin(self._carry, far, near)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._passing.wait()
                sink.sendall(data)
        self._passing.wait()
        for one in (source, sink):
            _hang_up(one)


def _hang_up(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


class Replica(Process):
    """One service; ``name`` is how it calls itself."""

    def __init__(self, name: str, address: str, wire: Wire, log: Path, *arguments: str) -> None:
        super().__init__(log, *arguments)
        self.name, self.address, self.wire = name, address, wire


class ReplicaSite:
    """See the module. ``token`` is an operator's."""

    def __init__(self, folder: Path, server: Postgres, count: int = 3) -> None:
        self.folder, self._server = folder, server
        self._database = server.lend()
        data = folder / "seed"
        data.mkdir()
        for path in seed.DATA.glob("*.yaml"):
            (data / path.name).write_bytes(path.read_bytes())
        own = self._centers(data)
        common = {
            "metrics.listen": "", "planner.ray": "off", "log.format": "json", "log.level": "info",
            "loop.follow_s": 0.2, "loop.tick_s": 0.1,
            "ledger.key_file": str(folder / "key.pem"),
            "ledger.digest_dir": str(folder / "digests"),
        }  # fmt: skip
        first = {
            **common, "store.url": server.url(self._database), "store.data_dir": str(folder / "0")
        }  # fmt: skip
        self.token = bootstrap.initialize(load_settings(None, {}, first), data=data).token
        self.replicas = [self._replica(number, common) for number in range(1, count + 1)]
        servers = [f"--server={one.address}" for one in self.replicas]
        self.agent = Process(
            folder / "agent.log", "agent", "--json", "--center", CENTER, "--centers", str(own),
            "--token-file", str(folder / "token"), "--state-dir", str(folder / "agent"), *servers,
        )  # fmt: skip
        self.db = Database(server.url(self._database))
        self.acknowledged: list[str] = []
        self._requests = itertools.count()
        self._loading = threading.Event()
        self._load: threading.Thread | None = None
        self._failure: BaseException | None = None

    def _centers(self, data: Path) -> Path:
        """Have all centers reached through agents; returns the file of the agent of one."""
        document = yaml.safe_load((data / "centers.yaml").read_text("utf-8"))
        own = self.folder / "own.yaml"
        for one in document["centers"]:
            if one["center"] == CENTER:
                quick = {"settle_s": 0.2, "usage_delay_s": 0.1, "lost_answer_rate": 0.1, "seed": 3}
                own.write_text(yaml.safe_dump({"centers": [{**one, "settings": quick}]}), "utf-8")
            one.update(kind="agent", simulated=True, settings={"heartbeat_s": 1})
        (data / "centers.yaml").write_text(yaml.safe_dump(document), "utf-8")
        return own

    def _replica(self, number: int, common: dict[str, object]) -> Replica:
        name, address = f"replica-{number}", f"127.0.0.1:{free_port()}"
        wire = Wire(self.folder / f"wire-{number}", self._server.folder)
        url = f"postgresql://corridor@/{self._database}?host={wire.folder}"
        flags = {
            **common, "store.url": url, "store.data_dir": str(self.folder / name),
            "server.listen": address, "server.name": name,
        }  # fmt: skip
        sets = [f"--set={key}={value}" for key, value in flags.items()]
        return Replica(name, address, wire, self.folder / f"{name}.log", "serve", *sets)

    @property
    def journal(self) -> Path:
        """The center's own."""
        return self.folder / "agent" / f"{CENTER}.journal"

    # --- life -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start all; the agent's token is made on the way."""
        for one in self.replicas:
            one.start()
        token = identity_pb.Token(subject="agent", role=identity_pb.ROLE_AGENT, center=CENTER)
        token.expire_time.FromSeconds(int(time.time()) + 86_400)
        request = identity_pb.CreateTokenRequest(token=token)
        secret = self.call(lambda client: client.identity.CreateToken(request)).secret
        (self.folder / "token").write_text(secret)
        self.agent.start()
        until(lambda: self.lease() is not None, "somebody leads")

    def close(self) -> None:
        """End whatever still runs."""
        self._loading.clear()
        for one in self.replicas:
            one.wire.release()
            one.kill()
        self.agent.kill()
        if self._load is not None:
            self._load.join()
        for one in self.replicas:
            one.wire.close()
        self.db.close()

    def call(self, what: Callable[[Client], Any], among: Sequence[Replica] | None = None) -> Any:
        """Call one of the services, as often as it takes until one answers."""
        end_s = time.monotonic() + PATIENCE_S
        for one in itertools.cycle(among or self.replicas):
            try:
                with Client(
                    one.address, self.token, options=(("grpc.enable_retries", 0),)
                ) as client:
                    return what(client)
            except grpc.RpcError as error:
                away = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                if error.code() not in away or time.monotonic() > end_s:
                    raise
                time.sleep(_PAUSE_S)
        raise AssertionError("there is no replica")

    # --- load -------------------------------------------------------------------------------------

    def submit(self, jobs: int, rng: random.Random) -> None:
        """Submit some jobs, at any replica, until that is acknowledged."""
        request = pb.SubmitJobsRequest(request_id=f"r{next(self._requests)}", enterprise=ENTERPRISE)
        for number in range(jobs):
            job = request.jobs.add(display_name=f"job-{number}", image="image", command=["run"])
            job.options.add(flavor=FLAVOR, units_per_node=1)
            job.wall_limit.seconds = 3600
            job.labels["corridor.simulated/runtime-s"] = str(1 + rng.randrange(3))
        order = rng.sample(self.replicas, len(self.replicas))
        answer = self.call(lambda client: client.jobs.SubmitJobs(request, timeout=2.0), order)
        self.acknowledged += [result.job_id for result in answer.results]

    def begin_load(self, jobs: int = 2, pause_s: float = 0.1) -> None:
        """Submit without end, beside."""
        rng = random.Random(1)

        def load() -> None:
            try:
                while self._loading.is_set():
                    self.submit(jobs, rng)
                    time.sleep(pause_s)
            except BaseException as error:
                self._failure = error

        self._loading.set()
        self._load = threading.Thread(target=load, daemon=True)
        self._load.start()

    def end_load(self) -> None:
        """Submit no more; raises what kept the load from going on."""
        self._loading.clear()
        assert self._load is not None
        self._load.join()
        if self._failure is not None:
            raise self._failure

    # --- what is so -------------------------------------------------------------------------------

    def lease(self) -> Lease | None:
        """The lease as it is stored."""
        return self.db.read_sync(leader.read_lease)

    def leader(self) -> tuple[Replica, int]:
        """Who leads by the lease, and under which epoch."""
        lease = self.lease()
        assert lease is not None
        return next(one for one in self.replicas if one.name == lease.name), lease.epoch

    def wait_for_another(self, epoch: int) -> float:
        """Wait until somebody leads under a later epoch; returns for how long, in seconds."""

        def is_led() -> bool:
            lease = self.lease()
            return lease is not None and lease.epoch > epoch

        return until(is_led, f"a leader after epoch {epoch}")

    def wait_for_more_runs(self, more: int) -> float:
        """Wait until the center has taken so many more; returns for how long, in seconds."""
        enough = self.taken() + more
        return until(lambda: self.taken() >= enough, f"{more} more runs")

    def writes_as_leader(self) -> bool:
        """Whether the leader is in the middle of a write, with its epoch locked."""
        lease = self.lease()
        assert lease is not None
        with self._server.session(self._database) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " WHERE l.relation = 'leader'::regclass AND l.mode = 'RowShareLock' AND l.granted"
                " AND a.application_name = %s",
                (application_of(lease.holder),),
            ).fetchone()
        return bool(row and row[0])

    @contextlib.contextmanager
    def events_locked(self) -> Iterator[None]:
        """Nobody can add to the feed meanwhile: whoever writes waits in the middle of it."""
        with self._server.session(self._database) as connection, connection.transaction():
            connection.execute("LOCK TABLE event IN SHARE MODE")
            yield

    def serves(self, replica: Replica) -> bool:
        """Whether a service answers."""
        try:
            with Client(replica.address, self.token, timeout_s=2.0) as client:
                client.identity.WhoAmI(identity_pb.WhoAmIRequest())
        except grpc.RpcError:
            return False
        return True

    def taken(self) -> int:
        """How many runs the center has taken."""
        return len(accepted_names(self.journal)) if self.journal.exists() else 0

    def settled(self) -> bool:
        """Whether all jobs have ended and are settled."""
        open_jobs = "SELECT count(*) FROM job WHERE NOT settled"
        return not self.db.read_sync(lambda c: c.exec_driver_sql(open_jobs).scalar_one())

    def wrong(self) -> list[str]:
        """All that is wrong once everything is settled."""
        taken = accepted_names(self.journal)
        found = [f"{name} was taken {times} times" for name, times in taken.items() if times != 1]
        run = self.db.read_sync

        def rows(sql: str) -> list[Any]:
            return run(lambda c: [tuple(row) for row in c.exec_driver_sql(sql)])

        states = Counter(state for (state,) in rows("SELECT state FROM job"))
        metered = rows("SELECT count(DISTINCT job_uid), count(*) FROM usage_record")[0]
        found += [f"{number} jobs ended {state}" for state, number in states.items()
                  if state != "SUCCEEDED"]  # fmt: skip
        sent, stored = len(self.acknowledged), sum(states.values())
        if len(set(self.acknowledged)) != sent:
            found.append("an id was given twice")
        if not sent == stored == len(taken) == metered[0] == metered[1]:
            found.append(f"{sent} acknowledged, {stored} stored, {len(taken)} taken, {metered}")
        if run(lambda c: c.exec_driver_sql("SELECT count(*) FROM run").scalar_one()) != stored:
            found.append("a job has more than one run")
        found += [f"ledger: {one}" for one in run(funds.verify).problems]
        return found
