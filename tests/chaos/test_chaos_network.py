"""Ways between namespaces are cut, one way and both, and connections reset."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import namespaces
from tests.namespaces import Network
from tests.processes import until

pytestmark = pytest.mark.centers

#: Says when it listens; answers each line with itself, and says when a connection ended.
_ECHO = """
import socket
with socket.create_server(("", 7000)) as server:
    print("listens", flush=True)
    while True:
        one, _ = server.accept()
        try:
            while data := one.recv(100):
                one.sendall(data)
                print("told", flush=True)
        except ConnectionError:
            print("reset", flush=True)
"""
_ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), 0.5) as one:
    one.sendall(b"x")
    one.settimeout(0.5)
    assert one.recv(1) == b"x"
    if sys.argv[2] == "stay":
        print("heard", flush=True)
        one.settimeout(None)
        one.recv(1)
"""


@pytest.fixture
def network() -> Iterator[Network]:
    if not namespaces.can_have():
        pytest.skip("network namespaces need root and ip")
    with contextlib.closing(Network()) as network:
        yield network


def heard(network: Network, place: str, other: str) -> bool:
    words = [*network.within(place), sys.executable, "-c", _ASK, network.address(other), "go"]
    return subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_what_is_cut_is_silent_and_all_else_goes_on(network: Network) -> None:
    for place in ("a", "b"):
        network.add(place)
    asking = subprocess.Popen(
        [*network.within("a"), sys.executable, "-c", _ECHO], stdout=subprocess.PIPE, text=True
    )
    assert asking.stdout is not None
    try:
        assert asking.stdout.readline() == "listens\n"
        assert heard(network, "b", "a")
        assert heard(network, Network.HOST, "a")
        network.cut("b", "a")
        assert not heard(network, "b", "a")
        assert heard(network, Network.HOST, "a")
        network.mend("a", "b")
        network.cut("a", "b", both=False)
        assert not heard(network, "b", "a")
        network.mend("a", "b")
        words = [*network.within("b"), sys.executable, "-c", _ASK, network.address("a"), "stay"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as staying:
            assert staying.stdout is not None
            assert staying.stdout.readline() == b"heard\n"
            assert network.hang_up("b", "a") >= 1
            until(lambda: staying.poll() is not None, "that it hears of it")
            assert staying.returncode != 0
        until(lambda: asking.stdout is not None and asking.stdout.readline() == "reset\n", "reset")
    finally:
        asking.kill()
        asking.wait()
        asking.stdout.close()
