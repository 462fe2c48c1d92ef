"""One whole site in namespaces: PostgreSQL, two services, two agents, a real Slurm; all over TLS.

Places of the network are ``db``, ``r1`` and ``r2`` (the services), ``a1`` (the agent of the center
behind Slurm), ``a2`` (the agent in which the simulated center is) and the host, where Slurm and the
clients are. The database's own folder lies on the disk, with fsync on.
"""

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import psycopg
import yaml
from corridor.v1 import center_service_pb2 as center_pb
from corridor.v1 import identity_service_pb2 as identity_pb

from scheduler import bootstrap
from scheduler.client import Client
from scheduler.config import load_settings
from scheduler.store import seed
from tests import postgres
from tests.authority import Authority
from tests.chaos.patience import PATIENCE_S, until
from tests.chaos.shim import Shim, compile_shim
from tests.namespaces import Network
from tests.postgres import Elsewhere, Postgres
from tests.processes import Process
from tests.testbed import slurm_testbed as slurm
from tests.testbed.slurm_testbed import SlurmTestbed

SLURM, SIMULATED = "wuhan-sc", "wuhan-ai"
CORES, CARDS, NPUS = "wuhan-sc/kunpeng-920", "wuhan-sc/accelerator", "wuhan-ai/ascend-910b"
DATABASE, HOST = "db", Network.HOST
_PORT: Final = 7443
#: Not where tests have their files: that may be memory, which is no disk.
_HOME: Final = Path("/var/tmp")
_PREFIX: Final = "corridor-chaos-"
#: File in a site's folder: the process that made it.
_OWNER: Final = "owner"
#: Tight, so that jobs wait for them; what Xianning has is lent to nobody.
_QUOTAS: Final = [
    {
        "city": city, "flavor": flavor, "nominal_units": nominal, "borrow_limit_units": borrow,
        "lend_limit_units": 0 if city == "xianning" else nominal,
    }
    for flavor in (CORES, NPUS)
    for city, nominal, borrow in (
        ("wuhan", 6, 2), ("ezhou", 4, 2), ("huanggang", 0, 0), ("huangshi", 4, 1),
        ("xianning", 4, 0),
    )
]  # fmt: skip
_AWAY: Final = (
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED,
)  # fmt: skip


@dataclass
class Member:
    """A process of the site, the place where it is, and its clock."""

    place: str
    process: Process
    shim: Shim

    @property
    def name(self) -> str:
        return self.place


@dataclass
class Site:
    """See the module; ``sites`` makes one. ``token`` is an operator's."""

    folder: Path
    network: Network
    server: Postgres
    slurm: SlurmTestbed
    database: str
    database_shim: Shim
    ca: Path
    replicas: list[Member] = field(default_factory=list)
    agents: dict[str, Member] = field(default_factory=dict)
    token: str = ""

    # --- who is where ---------------------------------------------------------------------------

    def address(self, replica: Member) -> str:
        return f"{self.network.address(replica.place)}:{_PORT}"

    @property
    def addresses(self) -> str:
        """Of all services, as a client takes them."""
        return ",".join(self.address(one) for one in self.replicas)

    @property
    def members(self) -> list[Member]:
        return [*self.replicas, *self.agents.values()]

    def client(self, token: str = "", replica: Member | None = None, **how: Any) -> Client:
        """A client of one service, or of all."""
        where = self.addresses if replica is None else self.address(replica)
        return Client(where, token or self.token, tls_ca=self.ca, **how)

    def call(self, what: Callable[[Client], Any], token: str = "", timeout_s: float = 5.0) -> Any:
        """Call one service after another, as often as it takes until one answers."""
        end_s = time.monotonic() + PATIENCE_S
        for one in itertools.cycle(self.replicas):
            try:
                with self.client(token, one, timeout_s=timeout_s, options=_ONCE) as client:
                    return what(client)
            except grpc.RpcError as error:
                if error.code() not in _AWAY or time.monotonic() > end_s:
                    raise
                time.sleep(0.05)
        raise AssertionError("there is no service")

    # --- what is so -----------------------------------------------------------------------------

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows from the database by its socket, which no network and no service stands before.

        Raises ``psycopg.OperationalError`` while it is away.
        """
        with self.server.session(self.database) as connection:
            return connection.execute(sql.encode()).fetchall()

    def lease(self) -> tuple[str, int]:
        """Who leads by the lease, and under which epoch; nobody while the database is away."""
        with contextlib.suppress(psycopg.OperationalError):
            [(name, epoch)] = self.rows(
                "SELECT CASE WHEN renewed_ms + lasts_ms > extract(epoch FROM clock_timestamp())"
                " * 1000 THEN name ELSE '' END, epoch FROM leader_lease"
            ) or [("", 0)]
            return name, epoch
        return "", 0

    def leader(self) -> Member:
        """Who leads; waits until somebody does."""
        found: list[Member] = []

        def is_led() -> bool:
            name, _ = self.lease()
            found[:] = [one for one in self.replicas if one.name == name]
            return bool(found)

        until(is_led, "a leader")
        return found[0]

    def follower(self) -> Member:
        """Who does not lead."""
        leader = self.leader()
        return next(one for one in self.replicas if one is not leader)

    def serves(self, replica: Member) -> bool:
        """Whether a service answers with what the database has."""
        with contextlib.suppress(grpc.RpcError):
            with self.client(replica=replica, timeout_s=2.0, options=_ONCE) as client:
                client.identity.ListCities(identity_pb.ListCitiesRequest())
            return True
        return False

    def reaches(self, center: str) -> bool:
        """Whether whoever leads says that it reaches a center."""
        request = center_pb.GetCenterRequest(center=center)
        with contextlib.suppress(grpc.RpcError), self.client(timeout_s=2.0) as client:
            return bool(client.centers.GetCenter(request).center.reachable)
        return False

    @property
    def journal(self) -> Path:
        """The simulated center's own."""
        return self.folder / "a2" / f"{SIMULATED}.journal"

    @property
    def lines(self) -> Path:
        """What programs wrote that Slurm ran."""
        return self.slurm.work_dir / "lines"

    # --- life -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start all; the agents' tokens are made on the way."""
        for one in self.replicas:
            one.process.start()
        for center, agent in self.agents.items():
            secret = self.make_token("agent", identity_pb.ROLE_AGENT, center=center)
            token = self.folder / f"{agent.place}.token"
            token.touch(mode=0o600)
            token.write_text(secret)
            agent.process.start()
        for center in self.agents:
            until(lambda center=center: self.reaches(center), f"{center} is reached")  # type: ignore[misc]
        self.slurm.wait_saved()  # a controller that never saved anything loses all, once

    def make_token(self, subject: str, role: "identity_pb.Role.ValueType", **scope: Any) -> str:
        """Make a token; returns its secret."""
        token = identity_pb.Token(subject=subject, role=role, **scope)
        token.expire_time.FromSeconds(int(time.time()) + 7 * 86_400)
        request = identity_pb.CreateTokenRequest(token=token)
        secret: str = self.call(lambda client: client.identity.CreateToken(request)).secret
        return secret

    def close(self) -> None:
        """End whatever still runs."""
        for one in self.members:
            with contextlib.suppress(AssertionError, ProcessLookupError):
                one.process.send(signal.SIGCONT)
            one.process.kill()


_ONCE: Final = (("grpc.enable_retries", 0),)


@contextlib.contextmanager
def sites() -> Iterator[Site]:
    """Make a site and take it away in the end. Raises ``NoSlurm``, ``NoServer`` or ``NoShim``."""
    for left in _HOME.glob(f"{_PREFIX}*/{_OWNER}"):
        if not Path("/proc", left.read_text("ascii")).exists():
            shutil.rmtree(left.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_HOME))
    (folder / _OWNER).write_text(str(os.getpid()), "ascii")
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        library = compile_shim(folder)
        network = stack.enter_context(contextlib.closing(Network()))
        for place in (DATABASE, "r1", "r2", "a1", "a2"):
            network.add(place)
        shim = Shim(library, folder / "db.shim")
        elsewhere = Elsewhere(
            network.within(DATABASE), network.address(DATABASE), f"{network.net}.0/24",
            shim.environment,
        )  # fmt: skip
        server = stack.enter_context(postgres.running(_HOME, elsewhere))
        cluster = stack.enter_context(slurm.running(REST_ALSO=network.address(HOST)))
        site = Site(folder, network, server, cluster, server.migrated(), shim, folder / "ca.pem")
        _furnish(site, library)
        stack.callback(site.close)
        yield site


def _furnish(site: Site, library: Path) -> None:
    folder, network = site.folder, site.network
    authority = Authority(folder, "chaos")
    site.ca.write_bytes(authority.pem)
    places = [network.address(place) for place in ("r1", "r2")]
    cert, key = authority.pair(places[0], also=places)
    owns = _centers(site)
    common: Mapping[str, object] = {
        "metrics.listen": "", "planner.ray": "off", "log.format": "json", "log.level": "info",
        "loop.follow_s": 0.5, "loop.tick_s": 0.2, "server.tls_cert": str(cert),
        "server.tls_key": str(key), "server.peers_ca": str(site.ca),
        "ledger.key_file": str(folder / "key.pem"), "ledger.digest_dir": str(folder / "digests"),
    }  # fmt: skip
    first = {
        **common, "store.url": site.server.url(site.database), "store.data_dir": str(folder / "0")
    }  # fmt: skip
    site.token = bootstrap.initialize(load_settings(None, {}, first), data=folder / "seed").token
    url = f"postgresql://corridor@{network.address(DATABASE)}/{site.database}"
    for place in ("r1", "r2"):
        flags = {
            **common, "store.url": url, "store.data_dir": str(folder / place),
            "server.listen": f"{network.address(place)}:{_PORT}", "server.name": place,
        }  # fmt: skip
        sets = [f"--set={name}={value}" for name, value in flags.items()]
        site.replicas.append(_member(site, library, place, "serve", *sets))
    servers = [f"--server={address}:{_PORT}" for address in places]
    for place, (center, own) in zip(("a1", "a2"), owns.items(), strict=True):
        site.agents[center] = _member(
            site, library, place, "agent", "--json", "--center", center, "--centers", str(own),
            "--token-file", str(folder / f"{place}.token"), "--state-dir", str(folder / place),
            "--ca", str(site.ca), *servers,
        )  # fmt: skip


def _member(site: Site, library: Path, place: str, *words: str) -> Member:
    shim = Shim(library, site.folder / f"{place}.shim")
    process = Process(
        site.folder / f"{place}.log", *words, before=site.network.within(place),
        more=shim.environment,
    )  # fmt: skip
    return Member(place, process, shim)


def _centers(site: Site) -> dict[str, Path]:
    """Have both centers reached through agents; returns the file of each agent."""
    data = site.folder / "seed"
    data.mkdir()
    for path in seed.DATA.glob("*.yaml"):
        (data / path.name).write_bytes(path.read_bytes())
    document = yaml.safe_load((data / "centers.yaml").read_text("utf-8"))
    [simulated] = [one for one in document["centers"] if one["center"] == SIMULATED]
    simulated["settings"] = {
        "settle_s": 0.5, "usage_delay_s": 0.2, "lost_answer_rate": 0.05, "seed": 3,
    }  # fmt: skip
    port = site.slurm.url.rpartition(":")[2]
    real = site.slurm.center(f"http://{site.network.address(HOST)}:{port}")
    real["settings"] |= {
        "settle_s": 15.0, "answer_s": 10.0, "polls_per_s": 200.0, "look_s": 1.0, "queue": 500,
        "gate": {"failures_max": 5, "pause_s": 1.0},
    }  # fmt: skip
    owns = {}
    for center, entry in ((SLURM, real), (SIMULATED, simulated)):
        owns[center] = site.folder / f"{center}.yaml"
        owns[center].write_text(yaml.safe_dump({"centers": [entry]}), "utf-8")
    told = [
        {**one, "kind": "agent", "settings": {"heartbeat_s": 1, "settle_s": settle_s}}
        for one, settle_s in ((real, 15.0), (simulated, 0.5))
    ]
    (data / "centers.yaml").write_text(
        yaml.safe_dump({"sample": True, "centers": told}, allow_unicode=True), "utf-8"
    )
    (data / "quotas.yaml").write_text(yaml.safe_dump({"sample": True, "quotas": _QUOTAS}), "utf-8")
    return owns
