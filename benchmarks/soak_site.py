"""What the soak runs: two services on one PostgreSQL, and an agent before each simulated center."""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corridor.v1 import identity_service_pb2 as identity_pb
from corridor.v1.replica_pb2 import ListReplicasRequest

from benchmarks.serving import Process, Served, running
from benchmarks.site import CENTERS, OWN, Site, new_site
from benchmarks.soak_sampling import Held, backends, below, held, of_database, together
from scheduler.client import Client
from tests.postgres import Postgres

_PAUSE_S: Final = 0.1
_UNITS: Final = 4_096
#: What is over is let go of soon, so that the soak sees a store that is as full as it gets.
_EVENTS_D: Final = 0.002
_JOBS_D: Final = 0.003
#: What is over is let go of by at most 200 jobs a tick, and it shall not pile up.
_TICK_S: Final = 0.4


#: What is sampled together.
GROUPS: Final = ("leader", "replica", "planner", "Ray", "agents", "PostgreSQL")
#: Has a service tell what is in it: quickly, or with its objects by kind.
_LOOK: Final = {False: signal.SIGUSR1, True: signal.SIGUSR2}


@dataclass(frozen=True, slots=True)
class Soaked:
    """All that runs. The first service leads, at first."""

    services: tuple[Process, Process]
    agents: tuple[Process, ...]
    served: Served
    server: Postgres
    database: str

    def sample(self) -> dict[str, Any]:
        """Return what all hold now."""
        first, second = (one.popen.pid for one in self.services)
        ray = [*below(first), *below(second)]  # where the lead is, it is
        shards = [pid for pid, said in ray if said.startswith("ray::")]
        with self.server.session(self.database) as connection:
            serving = backends(connection)
            told = dict(of_database(connection))
        groups: dict[str, Held] = {
            "leader": held(first),
            "replica": held(second),
            "planner": together(shards),
            "Ray": together(pid for pid, _ in ray if pid not in shards),
            "agents": together(one.popen.pid for one in self.agents),
            "PostgreSQL": together(serving),
        }
        leads = leading(self.served)
        return {
            "held": groups,
            "leads": leads,
            "tasks": [self.look(one)["tasks"] for one in self.services],
            **told,
        }

    def wait_settled(self, patience_s: float) -> int:
        """Wait until all jobs are over and settled; returns how many are not in the end."""
        until_s = time.monotonic() + patience_s
        with self.server.session(self.database) as connection:
            while (left := of_database(connection)["open"]) and time.monotonic() < until_s:
                time.sleep(_PAUSE_S)
        return left

    def look(self, service: Process, thoroughly: bool = False) -> dict[str, Any]:
        """Return what a service says is in it."""
        service.popen.send_signal(_LOOK[thoroughly])
        return service.hear("looked_into")


@contextmanager
def soaked(server: Postgres, ray: str) -> Iterator[Soaked]:
    """Start all; it is ended and removed in the end. ``ray`` is ``planner.ray``."""
    database = server.create()
    with ExitStack() as stack:
        site = stack.enter_context(
            new_site(
                units=_UNITS,
                agents=True,
                store__url=server.url(database),
                planner__ray=ray,
                loop__tick_s=_TICK_S,
                retention__events_d=_EVENTS_D,
                retention__jobs_d=_JOBS_D,
            )
        )
        services, addresses = [], []
        for number in (1, 2):
            services.append(stack.enter_context(running(_command(site, number))))
            addresses.append(str(services[-1].hear("can_be_looked_into")["address"]))
            while not leading(Served(services[0], addresses[0], site.token)):
                time.sleep(_PAUSE_S)
        served = Served(services[0], ",".join(addresses), site.token)
        agents = []
        for number in range(CENTERS):
            token = _agents_token(served, f"center-{number}", site.directory / f"token-{number}")
            agents.append(stack.enter_context(running(_agent(site, number, addresses, token))))
        for one in agents:
            one.hear("connected")
        if ray != "off":
            services[0].hear("planner_moved")
        yield Soaked((services[0], services[1]), tuple(agents), served, server, database)


def leading(served: Served) -> str:
    """Return the name of the service that leads, empty if none does."""
    with Client(served.address, served.token) as client:
        replicas = client.identity.ListReplicas(ListReplicasRequest()).replicas
    return next((one.name for one in replicas if one.leads), "")


def _command(site: Site, number: int) -> list[str]:
    own = site.directory / f"service-{number}"
    shared = Path(str(site.flags["store.data_dir"]))
    flags = {
        "server.listen": "127.0.0.1:0", "metrics.listen": "127.0.0.1:0", **site.flags,
        "server.name": f"replica-{number}", "store.data_dir": str(own),
        "ledger.key_file": str(shared / "ledger-key.pem"),
        "ledger.digest_dir": str(shared / "digests"),
    }  # fmt: skip
    return [sys.executable, "-m", "benchmarks.soak_service", json.dumps(flags)]


def _agent(site: Site, number: int, addresses: list[str], token: Path) -> list[str]:
    center = f"center-{number}"
    corridor = str(Path(sys.executable).with_name("corridor"))
    servers = [f"--server={one}" for one in addresses]
    return [
        corridor, "agent", "--json", "--center", center, "--centers", str(site.directory / OWN),
        "--token-file", str(token), "--state-dir", str(site.directory / center), *servers,
    ]  # fmt: skip


def _agents_token(served: Served, center: str, file: Path) -> Path:
    token = identity_pb.Token(subject=center, role=identity_pb.ROLE_AGENT, center=center)
    token.expire_time.FromSeconds(int(time.time()) + 86_400)
    with Client(served.address, served.token) as client:
        made = client.identity.CreateToken(identity_pb.CreateTokenRequest(token=token))
    file.write_text(made.secret, encoding="utf-8")
    file.chmod(0o600)
    return file
