"""Where a service is: one address, or several of replicas that are each as good as any other.

``a.example:7443,b.example:7443`` are several, and so is one name with several records, such as that
of a headless service of Kubernetes. One name is looked up again whenever a connection is lost. A
list is looked up when the channel is opened, for gRPC takes no list of names.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

DEFAULT_PORT: Final = 7443

#: Returns the numeric addresses of a name; raises ``OSError`` if there is none.
LookUp = Callable[[str], list[str]]


class Target(NamedTuple):
    """What gRPC is told: where to connect, and which name certificates must have ("" for its own).

    ``is_shared`` says that there may be several replicas; ``is_loopback`` that all are here.
    """

    target: str
    tls_name: str
    is_shared: bool
    is_loopback: bool


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_number(host) and ipaddress.ip_address(host).is_loopback


def split_address(address: str) -> tuple[str, int]:
    """Return (host, port) of ``host``, ``host:port`` or ``[v6]:port``; raises ``ValueError``."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]") or (":" in host and not host.endswith("]")):
        host, port = address, str(DEFAULT_PORT)
    host = host.strip("[]")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{address!r} is not an address; give HOST or HOST:PORT")
    return host, int(port)


def split_addresses(addresses: str) -> list[tuple[str, int]]:
    """Return (host, port) of each of one or more addresses with commas between; each once.

    Raises ``ValueError``.
    """
    return list(dict.fromkeys(split_address(one.strip()) for one in addresses.split(",")))


def look_up(host: str) -> list[str]:
    """Return the numeric addresses of a host, each once; raises ``OSError`` if it has none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def each_given(given: Iterable[str]) -> tuple[str, ...]:
    """Return addresses one by one that were given one by one or with commas between."""
    return tuple(one.strip() for many in given for one in many.split(","))


def target_of(addresses: str, tls_name: str | None = None, look_up: LookUp = look_up) -> Target:
    """Return where a channel to one or more addresses leads; raises ``ValueError``.

    Names of a list of which nothing is known are left out, unless that leaves none. Certificates
    must have ``tls_name``; by default the host of the first address, where there are several.
    """
    known = split_addresses(addresses)
    here = all(is_loopback(host) for host, _ in known)
    if len(known) == 1:
        [(host, port)] = known
        return Target(joined(host, port), tls_name or "", not (here or _is_number(host)), here)
    return Target(_listed(known, look_up), tls_name or known[0][0], True, here)


def each_record(address: str, look_up: LookUp = look_up) -> list[tuple[str, str]]:
    """Return (address, name that its certificate has) of each record of a name; ("" for its own).

    For who must speak with one of them after the other. A name with one record stays as it is, and
    so does one of which nothing is known: to dial it says what is wrong.
    """
    host, port = split_address(address)
    if _is_number(host) or is_loopback(host):
        return [(address, "")]
    try:
        found = look_up(host)
    except OSError:
        return [(address, "")]
    return [(joined(one, port), host) for one in found] if len(found) > 1 else [(address, "")]


def joined(host: str, port: int) -> str:
    """Return ``host:port``, or ``[v6]:port``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listed(known: list[tuple[str, int]], look_up: LookUp) -> str:
    """Return all numeric addresses as gRPC takes them: of one version of the protocol."""
    by_scheme: dict[str, dict[str, None]] = {"ipv4": {}, "ipv6": {}}
    unknown: list[str] = []
    for host, port in known:
        try:
            found = [host] if _is_number(host) else look_up(host)
        except OSError as error:
            unknown.append(f"{host} ({error.strerror or error})")
            continue
        for one in found:
            by_scheme["ipv6" if ":" in one else "ipv4"][joined(one, port)] = None
    scheme = max(by_scheme, key=lambda name: len(by_scheme[name]))
    if not by_scheme[scheme]:
        raise ValueError(f"no address of these is known: {', '.join(unknown)}")
    return f"{scheme}:{','.join(by_scheme[scheme])}"


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
