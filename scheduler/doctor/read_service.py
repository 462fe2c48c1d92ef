"""Asks the running service: its health without a token, its metrics, its centers with a token."""

import asyncio
import urllib.request
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple
from urllib.error import URLError

import grpc
from corridor.v1 import center_service_pb2 as pb

from scheduler.addresses import is_loopback, joined, split_address
from scheduler.client import Client
from scheduler.control import ray_joining
from scheduler.control.ray_joining import CannotJoin
from scheduler.doctor.facts import RayFacts, SeenCenter, ServiceFacts, VerifiedBooks
from scheduler.openers import loop_settings
from scheduler.probing import probe
from scheduler.settings import Settings

_ANSWER_BYTES: Final = 32 << 20


class Door(NamedTuple):
    """How a service is reached: plain text to this machine or if ``insecure``, else TLS.

    ``own_name`` is a name of its certificate, for who asks it by a bare address.
    """

    address: str
    tls_ca: Path | None = None
    tls_name: str | None = None
    insecure: bool = False
    speaks_tls: bool = False
    own_name: str = ""


def reached_at(listen: str) -> str:
    """Return where this machine reaches a service that listens; "" if its port is not known."""
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) == 0:
        return ""
    bare = host.strip("[]")
    own = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(bare, bare)
    return joined(own, int(port))


def health(door: Door, timeout_s: float) -> tuple[str, str]:
    """Return what the service says of its health, and why if nothing."""
    try:
        host = split_address(door.address)[0]
        here = is_loopback(host)
        bare = here or host.replace(".", "").isdigit() or ":" in host
        name = door.tls_name or (door.own_name if bare else "") or None
        plain = door.insecure or (here and not door.speaks_tls and door.tls_ca is None)
        said, why = probe(
            door.address, tls_ca=door.tls_ca, tls_name=name, insecure=plain,
            timeout_s=timeout_s,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        return "UNREACHABLE", str(error)
    return str(said), why


def centers(client: Client, now_ms: int, timeout_s: float) -> dict[str, SeenCenter]:
    """Return the centers as the service sees them, by code. Raises ``grpc.RpcError``.

    ``now_ms`` is scheduling time.
    """
    answer = client.centers.ListCenters(pb.ListCentersRequest(), timeout=timeout_s)
    return {one.center: _center(one, now_ms) for one in answer.centers}


def _center(one: pb.Center, now_ms: int) -> SeenCenter:
    heard_ms = one.last_answer_time.ToMilliseconds() if one.HasField("last_answer_time") else 0
    gated = one.HasField("gate")
    return SeenCenter(
        one.center,
        one.kind,
        pb.CenterState.Name(one.state).removeprefix("CENTER_STATE_"),
        one.reachable,
        one.last_error or one.health_detail,
        max(0, now_ms - heard_ms) if heard_ms else None,
        one.gate.passes if gated else True,
        one.gate.unanswered_calls if gated else 0,
    )


def why(error: grpc.RpcError) -> str:
    """Return what a failed call says, in one line."""
    said: object = error
    code, details = getattr(said, "code", None), getattr(said, "details", None)
    return f"{code().name}: {details()}" if code and details else str(error)


# --- metrics --------------------------------------------------------------------------------------


def metrics(listen: str, timeout_s: float) -> ServiceFacts:
    """Return what the service on this machine says of itself by its metrics."""
    address = reached_at(listen) if listen else ""
    if not address:
        return ServiceFacts("", "metrics.listen is empty" if not listen else f"{listen}?")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{address}/metrics", timeout=timeout_s) as answer:
            text = answer.read(_ANSWER_BYTES).decode("utf-8", "replace")
    except (URLError, OSError, ValueError) as error:
        return ServiceFacts(address, " ".join(str(getattr(error, "reason", error)).split()))
    return told(address, text)


def told(address: str, text: str) -> ServiceFacts:
    """Return what the text of metrics says."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))

    def one(name: str) -> float:
        return next((value for _, value in found.get(name, ())), 0.0)

    def by(name: str, label: str) -> dict[str, float]:
        return {labels[label]: value for labels, value in found.get(name, ())}

    problems = by("corridor_books_problems", "books")
    at_s = by("corridor_books_verified_timestamp_seconds", "books")
    backends = by("corridor_planner_backend", "backend")
    return ServiceFacts(
        address,
        "" if "corridor_build_info" in found else "these are no metrics of Corridor",
        bool(one("corridor_leader")),
        next((name for name, value in backends.items() if value), ""),
        {name: bool(value) for name, value in by("corridor_center_reachable", "center").items()},
        {name: bool(value) for name, value in by("corridor_center_breaker_open", "center").items()},
        {name: bool(value) for name, value in by("corridor_agent_connected", "center").items()},
        tuple(
            VerifiedBooks(books, round(at * 1000), round(problems.get(books, 0)))
            for books, at in at_s.items() if at
        ),
        round(one("process_open_fds")),
        round(one("process_max_fds")),
    )  # fmt: skip


# --- Ray ------------------------------------------------------------------------------------------


def ray(settings: Settings, timeout_s: float) -> RayFacts:
    """Look whether the planner's Ray can be had; a cluster is asked whether it takes the token."""
    planner = settings.planner
    if planner.ray == "off":
        return RayFacts("off", "", "")
    try:
        release = metadata.version("ray")
    except metadata.PackageNotFoundError:
        return RayFacts("local", "", "", "Ray is not installed")
    if not planner.ray_address:
        return RayFacts("local", "", release)

    async def ask() -> None:
        loop = loop_settings(settings)
        head = ray_joining.Head(planner.ray_address, ray_joining.token(loop))
        try:
            await head.check(timeout_s)
        finally:
            await head.close()

    try:
        asyncio.run(ask())
    except CannotJoin as error:
        return RayFacts("cluster", planner.ray_address, release, str(error))
    return RayFacts("cluster", planner.ray_address, release)


def doors(door: Door, addresses: Sequence[str]) -> list[Door]:
    """Return the same way in to each of several addresses."""
    return [door._replace(address=one) for one in addresses]
