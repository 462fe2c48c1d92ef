"""A Ray cluster of several nodes on this machine, for tests and benchmarks.

Each node has a network namespace of its own where that can be had (root, and ``ip``), with a wire
to this machine that can be cut; else all share this machine's network. A node is a process in a
session of its own; all of the session ends with it, and it ends with whoever started it.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scheduler.control.ray_joining import OBJECT_STORE_BYTES, RUN_RAY, STARTED
from tests.namespaces import can_have, ip, sweep

#: Far above what a start takes; only a defect is waited for so long.
_PATIENCE_S: Final = 180.0
_HEAD: Final = 2
_PORT: Final = 6379
_PREFIX: Final = "cr"


def members(session: int) -> list[tuple[int, str]]:
    """Each process of a session that lives, with its command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append((int(folder.name), command))
    return found


@dataclass
class Node:
    """One node; ``wire`` is this machine's end of its network, empty without a namespace."""

    number: int
    address: str
    namespace: str
    wire: str
    folder: Path
    process: "subprocess.Popen[bytes]"
    was_cut: bool = False

    @property
    def session(self) -> int:
        """Of all its processes."""
        return self.process.pid

    def wait_started(self) -> None:
        """Wait until it has joined."""
        end_s = time.monotonic() + _PATIENCE_S
        log = self.folder / "said.log"
        while STARTED not in (said := log.read_text("utf-8", "replace")):
            assert self.process.poll() is None, said
            assert time.monotonic() < end_s, said
            time.sleep(0.05)

    def actors(self, kind: str) -> list[int]:
        """Processes of its actors whose class has this name."""
        return [pid for pid, command in members(self.session) if f"ray::{kind}" in command]

    def kill(self) -> None:
        """Kill all of it at once."""
        while members(self.session):
            self._signal(signal.SIGKILL)
            self.process.poll()
            time.sleep(0.01)
        self.process.wait()

    @property
    def lives(self) -> bool:
        """Whether it is still of the cluster, as far as it knows."""
        return any("raylet/raylet " in command for _, command in members(self.session))

    def cut(self) -> None:
        """Cut its wire; without one of its own it is stopped, which is as silent."""
        self.was_cut = True
        if self.wire:
            ip("link", "set", self.wire, "down")
        else:
            self._signal(signal.SIGSTOP)

    def mend(self) -> None:
        """Undo ``cut``."""
        if self.wire:
            ip("link", "set", self.wire, "up")
        else:
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for pid, _ in members(self.session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@dataclass
class Cluster:
    """The nodes, the head first, and the file of their token."""

    folder: Path
    namespaces: bool
    nodes: list[Node] = field(default_factory=list)
    name: str = field(default_factory=lambda: f"{_PREFIX}{os.getpid()}")
    net: str = field(default_factory=lambda: f"10.231.{os.getpid() % 240 + 8}")
    port: int = _PORT

    def __post_init__(self) -> None:
        self.token = self.folder / "token"
        self.token.write_text(secrets.token_hex(32))
        if self.namespaces:
            ip("link", "add", self.name, "type", "bridge")
            ip("addr", "add", f"{self.net}.1/24", "dev", self.name)
            ip("link", "set", self.name, "up")
        else:
            with socket.socket() as free:
                free.bind(("", 0))
                self.port = free.getsockname()[1]

    @property
    def address(self) -> str:
        """Of the head."""
        return f"{self._address(0)}:{self.port}"

    def _address(self, number: int) -> str:
        return f"{self.net}.{_HEAD + number}" if self.namespaces else "127.0.0.1"

    def add(self, number: int, cpus: int = 1) -> Node:
        """Start the head (0) or a worker; it takes seconds until ``wait_started`` returns."""
        space, wire = self._wired(number) if self.namespaces else ("", "")
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix=f"{number}-"))
        address = self._address(number)
        words = [
            sys.executable, "-c", RUN_RAY, "start", f"--node-ip-address={address}",
            f"--num-cpus={cpus}", f"--object-store-memory={OBJECT_STORE_BYTES}",
            f"--temp-dir={folder}", "--disable-usage-stats", "--block",
        ]  # fmt: skip
        if number == 0:
            words += ["--head", f"--port={self.port}", "--include-dashboard=false"]
        else:
            words.append(f"--address={self.address}")
        if space:
            words = ["ip", "netns", "exec", space, *words]
        with (folder / "said.log").open("wb") as said:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
                env={
                    **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token),
                    "RAY_worker_niceness": "0",
                },
            )  # fmt: skip
        node = Node(number, address, space, wire, folder, process)
        self.nodes = [one for one in self.nodes if one.number != number]
        self.nodes.insert(0 if number == 0 else len(self.nodes), node)
        return node

    def _wired(self, number: int) -> tuple[str, str]:
        """Give a node its namespace and wire, if it has none."""
        space, wire = f"{self.name}n{number}", f"{self.name}w{number}"
        if Path("/sys/class/net", wire).exists():
            return space, wire
        ip("netns", "add", space)
        ip("link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("-n", space, "addr", "add", f"{self._address(number)}/24", "dev", "eth0")
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "link", "set", "eth0", "up")
        ip("-n", space, "route", "add", "default", "via", f"{self.net}.1")
        ip("link", "set", wire, "master", self.name, "up")
        return space, wire

    def restore(self) -> float:
        """Bring back what is dead or was cut: Ray takes no node again that it gave up.

        Without its head all of it is dead, and the head is first. Returns when the first is up, in
        epoch seconds.
        """
        up_s = []
        lost = [node for node in self.nodes if node.was_cut or not node.lives]
        if self.nodes[0] in lost:
            lost = list(self.nodes)
        for node in lost:
            node.kill()
            node.mend()
            self.add(node.number).wait_started()
            up_s.append(time.time())
        return up_s[0] if up_s else time.time()

    def close(self) -> None:
        """End all nodes and take the network away."""
        for node in self.nodes:
            node.kill()
        for number in range(16) if self.namespaces else ():
            if Path("/run/netns", f"{self.name}n{number}").exists():
                ip("netns", "del", f"{self.name}n{number}")  # its wire goes with it
        if self.namespaces:
            ip("link", "del", self.name)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def running(workers: int, namespaces: bool | None = None) -> Iterator[Cluster]:
    """Give a cluster of a head and so many workers, each with one processor."""
    folder = Path(tempfile.mkdtemp(prefix="crn-"))  # short: names of sockets are in it
    has = can_have() if namespaces is None else namespaces
    if has:
        sweep(_PREFIX)
    with contextlib.closing(Cluster(folder, has)) as cluster:
        cluster.add(0).wait_started()
        for node in [cluster.add(one + 1) for one in range(workers)]:
            node.wait_started()
        yield cluster
