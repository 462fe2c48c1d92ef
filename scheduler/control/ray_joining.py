"""How the planner's child comes to a Ray: its token, a look at the head, a node of its own.

Imports no Ray. Ray waits long and says little when a head is away or does not know the token, so
both are looked at before Ray is asked. A process may only join from a machine on which a node of
the cluster runs: the child brings one, which has no processors and ends with it.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import grpc

from scheduler.control.settings import LoopSettings

#: Of the service by which a Ray's head says that it is there.
_CHECK: Final = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_NODE_TIMEOUT_S: Final = 90.0
_LOOK_S: Final = 0.05
#: What ``ray start`` says when its node has joined.
STARTED: Final = "Ray runtime started"
#: A resource that the head alone has.
_IS_HEAD: Final = "node:__internal_head__"
#: Of shared memory that Ray takes on each node: what goes through it is small.
OBJECT_STORE_BYTES: Final = 128 << 20
#: Ray's own program, which ends with who started it, however that ends (PR_SET_PDEATHSIG, SIGKILL).
RUN_RAY: Final = """
import ctypes
ctypes.CDLL(None).prctl(1, 9)
from ray.scripts.scripts import main
main()
"""


class CannotJoin(Exception):
    """A Ray cannot be joined; the message says what is wrong, and where it is set."""


def token(settings: LoopSettings) -> str:
    """Return the token that all processes of the Ray have to show; raises ``CannotJoin``.

    A local Ray's file is made if it is not there; that of a cluster is the cluster's.
    """
    name = settings.ray_token_file
    if not settings.ray_address:
        if not name:
            return secrets.token_hex(32)
        _make(Path(name))
    elif not name:
        raise CannotJoin("a Ray cluster wants a token, and planner.ray_token_file names no file")
    try:
        found = Path(name).read_text("ascii").strip()
    except OSError as error:
        raise CannotJoin(f"planner.ray_token_file: cannot read {name}: {error.strerror}") from error
    except UnicodeError as error:
        raise CannotJoin(f"planner.ray_token_file: {name} is no text") from error
    if not found:
        raise CannotJoin(f"planner.ray_token_file: {name} is empty")
    return found


def _make(path: Path) -> None:
    """Make the file with a new token, whole or not at all, for its owner alone."""
    if path.exists():
        return
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    except OSError as error:
        raise CannotJoin(f"planner.ray_token_file: cannot make {path}: {error.strerror}") from error


def set_token(settings: LoopSettings, shown: str) -> None:
    """Have Ray in this process and below it show the token, whatever it would do by itself."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        os.environ.pop(name, None)
    os.environ["RAY_AUTH_MODE"] = "token"
    if settings.ray_token_file:
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(Path(settings.ray_token_file).absolute())
    else:
        os.environ["RAY_AUTH_TOKEN"] = shown


class Head:
    """A Ray's head, as far as it says that it is there."""

    def __init__(self, address: str, shown: str) -> None:
        self._address, self._shown = address, shown
        options = (("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0))
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._call = self._channel.unary_unary(_CHECK, bytes, bytes)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._channel.close(None)

    async def check(self, timeout_s: float) -> None:
        """Return if it answers and takes the token; raises ``CannotJoin``."""
        try:
            await self._call(
                b"", timeout=timeout_s, metadata=(("authorization", f"Bearer {self._shown}"),)
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise CannotJoin(
                    f"the Ray cluster at {self._address} does not know the token of"
                    " planner.ray_token_file; give the file that its nodes were started with"
                ) from error
            raise CannotJoin(
                f"the head of the Ray cluster at {self._address} is away:"
                f" {error.code().name}: {error.details()}"
            ) from error


def own_address(cluster: str) -> str:
    """Return this machine's address, as a cluster at ``host:port`` reaches it."""
    host, _, port = cluster.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        family, kind, protocol, _, there = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(there)  # sends nothing
            return str(probe.getsockname()[0])
    except OSError as error:
        raise CannotJoin(f"planner.ray_address: no way to {cluster}: {error}") from error


def start_node(cluster: str, address: str, folder: str) -> None:
    """Start a node of the cluster without processors, with all its files in ``folder``.

    Returns when it has joined; it ends with this process. Raises ``CannotJoin``.
    """
    said = Path(folder) / "node.log"
    with said.open("wb") as output:
        node = subprocess.Popen(
            [
                sys.executable, "-P", "-c", RUN_RAY, "start", f"--address={cluster}",
                f"--node-ip-address={address}", "--num-cpus=0", "--num-gpus=0",
                f"--object-store-memory={OBJECT_STORE_BYTES}", f"--temp-dir={folder}",
                "--disable-usage-stats", "--block",
            ],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    end_s = time.monotonic() + _NODE_TIMEOUT_S
    while STARTED not in (told := said.read_text("utf-8", "replace")):
        if node.poll() is not None or time.monotonic() > end_s:
            node.kill()
            last = " ".join(told.split())[-200:]
            raise CannotJoin(f"this machine could not join the Ray cluster at {cluster}: {last}")
        time.sleep(_LOOK_S)


def places(nodes: Sequence[Mapping[str, Any]], count: int) -> list[str]:
    """Return the nodes for so many actors, by id; ``nodes`` are as ``ray.nodes()`` gives them.

    Workers come before the head; a node without processors, as ours, is for none. Raises
    ``CannotJoin`` if there is no other.
    """
    found = sorted(
        (_IS_HEAD in node["Resources"], str(node["NodeID"]))
        for node in nodes
        if node["Alive"] and node["Resources"].get("CPU", 0) > 0
    )
    if not found:
        raise CannotJoin("no node of the Ray cluster has a processor")
    return [found[number % len(found)][1] for number in range(count)]
