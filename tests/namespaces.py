"""Network namespaces of this machine for tests, with wires between them that can be cut.

Names begin with two letters and the process's own id, so that nobody else's are touched, and what a
killed run left is found.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

#: Networks of /24 are looked for within these two bytes.
_NET: Final = 10, 232
#: Rules of the router that lose what they match come before all of the system's own.
_FIRST: Final = 100


def ip(*words: str) -> str:
    """Run ``ip``; returns what it says. Raises ``CalledProcessError``."""
    done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    return done.stdout


def can_have() -> bool:
    """Whether this process may make network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"crt{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode == 0:
        ip("netns", "del", name)
    return made.returncode == 0


def sweep(prefix: str) -> None:
    """Take away namespaces and bridges of runs that were killed, and what still runs in them."""
    ours = re.compile(rf"{prefix}(\d+)")
    left = [("netns", "del", path.name) for path in Path("/run/netns").glob(f"{prefix}[0-9]*")]
    left += [
        ("link", "del", path.parent.name)
        for path in Path("/sys/class/net").glob(f"{prefix}[0-9]*/bridge")
    ]
    for *verb, name in left:
        if (found := ours.match(name)) and not Path("/proc", found[1]).exists():
            with contextlib.suppress(subprocess.CalledProcessError):  # another one did it
                for pid in ip("netns", "pids", name).split() if verb[0] == "netns" else ():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                ip(*verb, name)


class Network:
    """Places, each with a namespace and a wire of its own to a router between them.

    What goes between any two of them, both ways or one, is lost without a word while they are cut
    off from each other; all their other ways stay as they are. ``HOST`` is this machine's own
    namespace. Close it in the end.
    """

    HOST: Final = "host"
    PREFIX: Final = "cc"

    def __init__(self) -> None:
        sweep(self.PREFIX)
        self._name = f"{self.PREFIX}{os.getpid()}"
        self._router = f"{self._name}r"
        self._addresses: dict[str, str] = {}
        self._cuts: dict[tuple[str, str], int] = {}
        self._rules = _FIRST
        self.net = _free_net()
        ip("netns", "add", self._router)
        self._in_router("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self._wire(self.HOST, "")
        ip("route", "add", f"{self.net}.0/24", "via", f"{self.net}.1")

    def add(self, place: str) -> str:
        """Make a namespace; returns its address."""
        space = self.space(place)
        ip("netns", "add", space)
        ip("-n", space, "link", "set", "lo", "up")
        return self._wire(place, space)

    def _wire(self, place: str, space: str) -> str:
        number = 4 * len(self._addresses)
        near, far = f"{self.net}.{number + 2}", f"{self.net}.{number + 1}"
        end, within = ("eth0", ("-n", space)) if space else (f"{self._name}h", ())
        port = f"{self._name}w{number}"
        ip("-n", self._router, "link", "add", port, "type", "veth", "peer", "name", f"{port}p")
        where = space or str(os.getpid())
        ip("-n", self._router, "link", "set", f"{port}p", "name", end, "netns", where)
        ip("-n", self._router, "addr", "add", f"{far}/30", "dev", port)
        ip("-n", self._router, "link", "set", port, "up")
        ip(*within, "addr", "add", f"{near}/30", "dev", end)
        ip(*within, "link", "set", end, "up")
        if space:
            ip("-n", space, "route", "add", "default", "via", far)
        self._addresses[place] = near
        return near

    def space(self, place: str) -> str:
        """Name of a place's namespace."""
        return f"{self._name}{place}"

    def address(self, place: str) -> str:
        """Address of a place."""
        return self._addresses[place]

    def within(self, place: str) -> Sequence[str]:
        """Words before a command that is to run there, in its own process."""
        return () if place == self.HOST else ("ip", "netns", "exec", self.space(place))

    def cut(self, one: str, other: str, *, both: bool = True) -> None:
        """Lose all that goes from one place to the other, and back unless told otherwise."""
        for source, sink in ((one, other), (other, one))[: 2 if both else 1]:
            if (source, sink) not in self._cuts:
                self._rules += 1
                self._cuts[source, sink] = self._rules
                self._rule("add", source, sink)

    def mend(self, one: str, other: str) -> None:
        """Let all pass between them again."""
        for source, sink in ((one, other), (other, one)):
            if (source, sink) in self._cuts:
                self._rule("del", source, sink)
                del self._cuts[source, sink]

    def _rule(self, verb: str, source: str, sink: str) -> None:
        ip(
            "-n", self._router, "rule", verb, "blackhole", "from", self.address(source),
            "to", self.address(sink), "pref", str(self._cuts[source, sink]),
        )  # fmt: skip

    def hang_up(self, place: str, other: str) -> int:
        """Reset all connections between two places, at both ends; returns how many there were."""
        done = subprocess.run(
            [*self.within(place), "ss", "-KHtn", "dst", self.address(other)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return len(done.stdout.splitlines())

    def _in_router(self, *words: str) -> None:
        subprocess.run(["ip", "netns", "exec", self._router, *words], check=True)

    def close(self) -> None:
        """Take all of it away; wires go with the router.

        A namespace goes only some time after its name, so the end that lies in our own is taken
        first: the next network of this process has the same name for it.
        """
        if Path("/sys/class/net", f"{self._name}h").exists():
            ip("link", "del", f"{self._name}h")
        for place in [*self._addresses, ""]:
            space = self.space(place) if place else self._router
            if place != self.HOST and Path("/run/netns", space).exists():
                ip("netns", "del", space)


def _free_net() -> str:
    """First three bytes of a network of which this machine knows nothing."""
    first, second = _NET
    for number in range(os.getpid(), os.getpid() + 250):
        net = f"{first}.{second}.{number % 250 + 2}"
        if not ip("route", "show", f"{net}.0/24") and not ip(
            "route", "show", "root", f"{net}.0/24"
        ):
            return net
    raise AssertionError("there is no free network")
