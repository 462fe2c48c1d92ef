"""Opens the parts of a service, each from its settings; a wrong setting is ``BadConfig``."""

import contextlib
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import prometheus_client
import structlog

from adapters import registry
from adapters.agent.remote import KIND as AGENT
from adapters.agent.remote import RemoteCenter
from adapters.contract import CenterAdapter
from adapters.gate import FAILURES_MAX, Gate, GateSettings
from adapters.simulated import journal
from scheduler.clock import Clock, ScaledClock, WallClock
from scheduler.config import BadConfig
from scheduler.control.bookkeeping import BookDesk
from scheduler.control.digesting import DigestDesk
from scheduler.control.settings import LoopSettings
from scheduler.control.settled_runs import SettledRuns
from scheduler.control.webhook import Webhook
from scheduler.domain.queue_depth import queue_max
from scheduler.metrics import Metrics
from scheduler.placement.model import PolicySettings
from scheduler.settings import Settings
from scheduler.signing import BadKey, Signer
from scheduler.store.centers import CenterRow
from scheduler.store.database import Database
from scheduler.store.lock import DataLock
from scheduler.store.seed_centers import SeedCenter
from scheduler.store.seed_centers import read_file as read_centers

log = structlog.get_logger()

_HOUR_MS: Final = 3_600_000
#: By so much the time of a real center may differ from ours.
_SKEW_MAX_MS: Final = 60_000


def wall_ms() -> int:
    """Return the wall clock in epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000


def loop_settings(settings: Settings) -> LoopSettings:
    """Return what the control loop is set to."""
    planner, times = settings.planner, settings.loop
    if planner.ray_address:
        split_address("planner.ray_address", planner.ray_address)
    return LoopSettings(
        ray=planner.ray,
        ray_address=planner.ray_address,
        ray_token_file=planner.ray_token_file or str(Path(settings.store.data_dir) / "ray-token"),
        ray_silence_s=planner.ray_silence_s,
        shards=planner.shards,
        policy=PolicySettings(
            order=planner.order,
            backfill=planner.backfill,
            usage_half_life_ms=round(planner.usage_half_life_h * _HOUR_MS),
            city_half_life_ms=round(planner.city_half_life_h * _HOUR_MS),
            ageing_ms=round(planner.ageing_h * _HOUR_MS),
            starving_ms=round(planner.starving_h * _HOUR_MS),
            start_weight=planner.start_weight,
            net_weight=planner.net_weight,
            stage_weight=planner.stage_weight,
            patience_ms=round(planner.patience_h * _HOUR_MS),
        ),
        tick_s=times.tick_s,
        gather_s=times.gather_s,
        follow_s=times.follow_s,
        unknown_after_s=times.unknown_after_s,
        unknown_alarm_s=times.unknown_alarm_s,
        top_up_after_s=times.top_up_after_s,
        top_up_s=times.top_up_s,
        start_timeout_s=times.start_timeout_s,
        drain_grace_s=times.drain_grace_s,
        metrics_s=times.metrics_s,
        reasons_s=times.reasons_s,
        reasons_keep_d=times.reasons_keep_d,
        events_keep_d=settings.retention.events_d,
        jobs_keep_d=settings.retention.jobs_d,
    )


def is_loopback(listen: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def data_lock(settings: Settings) -> DataLock:
    """Make the data directory and lock it. Raises ``DataInUse``."""
    directory = data_directory(settings)
    try:
        return DataLock(directory)
    except OSError as error:
        raise BadConfig(f"store.data_dir: cannot write {directory}: {error.strerror}") from error


def data_directory(settings: Settings) -> Path:
    """Return the data directory, made if it is not there yet; its owner's alone."""
    directory = Path(settings.store.data_dir)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadConfig(f"store.data_dir: cannot make {directory}: {error.strerror}") from error
    return directory


def book_desk(settings: Settings) -> BookDesk:
    """Return what keeps the books: the key of the digests, made if need be, and the webhook."""
    data_directory(settings)
    try:
        signer = Signer.of_file(ledger_key(settings))
    except BadKey as error:
        raise BadConfig(f"ledger.key_file: {error}") from error
    desk = DigestDesk(signer, digest_directory(settings))
    return BookDesk(desk, webhook(settings), settings.alerts.every_s)


def ledger_key(settings: Settings) -> Path:
    """Return the file of the key that signs digests."""
    return Path(settings.ledger.key_file or Path(settings.store.data_dir) / "ledger-key.pem")


def digest_directory(settings: Settings) -> Path:
    """Return where digests are written to."""
    return Path(settings.ledger.digest_dir or Path(settings.store.data_dir) / "digests")


def webhook(settings: Settings) -> Webhook | None:
    """Return what posts alerts, None if they are posted nowhere."""
    given = settings.alerts
    if not given.webhook_url:
        return None
    parts = urlsplit(given.webhook_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadConfig("alerts.webhook_url must be https://HOST/..., or http:// on this machine")
    if parts.scheme == "http" and not is_loopback(f"{parts.hostname}:0"):
        raise BadConfig(
            f"alerts.webhook_url: {parts.hostname} is another machine, and what is told of money"
            " would travel in plain text: give an https:// address"
        )
    secret = b""
    if given.webhook_secret_file:
        try:
            secret = Path(given.webhook_secret_file).read_bytes().strip()
        except OSError as error:
            raise BadConfig(
                f"alerts.webhook_secret_file: cannot read {given.webhook_secret_file}:"
                f" {error.strerror}"
            ) from error
        if not secret:
            raise BadConfig(f"alerts.webhook_secret_file: {given.webhook_secret_file} is empty")
    return Webhook(given.webhook_url, secret)


def clock(settings: Settings, newest_ms: int | None) -> Clock:
    """Return the wall clock, or one that goes on from the newest instant stored or journaled.

    Time that ran ahead stays ahead: what is known, here or at a simulated center, must not lie in
    the future.
    """
    told = [newest_ms] if newest_ms is not None else []
    for path in (Path(settings.store.data_dir) / "centers").glob("*.journal"):
        if (at_ms := journal.newest_ms(path)) is not None:
            told.append(at_ms)
    newest_ms = max(told, default=None)
    now_ms, speed = wall_ms(), settings.clock.speed
    if speed != 1:
        return ScaledClock(now_ms if newest_ms is None else newest_ms + 1, speed)
    if newest_ms is not None and newest_ms > now_ms:
        log.warning(
            "clock_ahead",
            by_s=(newest_ms - now_ms) // 1000,
            hint="what is stored is of later than now: clock.speed was above 1, or this machine's"
            " clock is behind (corridor doctor compares them); time goes on from what is stored",
        )
        return ScaledClock(newest_ms + 1, 1)
    return WallClock()


def centers_of_file(settings: Settings) -> list[SeedCenter]:
    """Return the centers that ``centers.file`` names, none without one. Raises ``BadSeed``."""
    name = settings.centers.file
    return read_centers(Path(name)) if name else []


def _check_clock(row: CenterRow, time_of: Clock) -> None:
    """Raise ``BadConfig`` if a real center would be given a time that is not real."""
    if row.simulated:
        return
    if isinstance(time_of, ScaledClock) and time_of.speed != 1:
        raise BadConfig(
            f"center {row.center} is real (kind {row.kind}), and clock.speed is"
            f" {time_of.speed:g}: real centers need clock.speed 1"
        )
    ahead_ms = time_of.now_ms() - wall_ms()
    if ahead_ms > _SKEW_MAX_MS:
        raise BadConfig(
            f"center {row.center} is real (kind {row.kind}), and the time of this database is"
            f" {ahead_ms // 1000} s ahead of the clock, for faster time was used on it: begin with"
            " a new store.data_dir or store.url for real centers"
        )


def adapters(
    settings: Settings,
    rows: Sequence[CenterRow],
    time_of: Clock,
    metrics: Metrics,
    of_file: Collection[str] = (),
) -> dict[str, Gate]:
    """Open the adapter of each center behind a gate of its own.

    Errors in settings of the centers ``of_file`` name ``centers.file``.

    ``gate`` among a center's settings sets its gate, ``queue`` how many runs may wait there. A
    simulated center keeps a journal, unless its settings say otherwise, so that its runs survive
    the service as those of a real one would.
    """
    opened: dict[str, Gate] = {}
    for row in rows:
        _check_clock(row, time_of)
        given: dict[str, Any] = json.loads(row.settings)
        gate, queue = given.pop("gate", {}), given.pop("queue", None)
        if row.kind == "simulated":
            path = Path(settings.store.data_dir) / "centers" / f"{row.center}.journal"
            given.setdefault("journal", str(path))
        # Only its agent calls a center that has one, through a gate of its own.
        failures_max = 0 if row.kind == AGENT else FAILURES_MAX
        try:
            limits = GateSettings.of(gate, failures_max)
            queue_max(queue, "", simulated=row.simulated)
            adapter = registry.open_adapter(
                row.kind, row.center, given, time_of.now_ms, time_of.real_s
            )
        except (ValueError, TypeError) as error:
            where = f" in {settings.centers.file}" if row.center in of_file else ""
            raise BadConfig(
                f"center {row.center}: its settings{where} cannot be used: {error}"
            ) from error

        def on_call(
            method: str, error: str, seconds: float, center: str = row.center,
            adapter: CenterAdapter = adapter,
        ) -> None:  # fmt: skip
            metrics.adapter_call(center, method, error, seconds)
            metrics.duplicates(center, getattr(adapter, "duplicates", 0))
            metrics.breaker(center, not opened[center].breaker.is_closed)

        opened[row.center] = Gate(adapter, limits, time.monotonic, on_call)
    return opened


def remote_centers(
    opened: Mapping[str, CenterAdapter], db: Database, metrics: Metrics
) -> dict[str, RemoteCenter]:
    """Return the centers that are reached through their agents, for who serves those; the agents
    are told what the store is done with."""
    found: dict[str, RemoteCenter] = {}
    for center, adapter in opened.items():
        while isinstance(adapter, Gate):
            adapter = adapter.inner
        if isinstance(adapter, RemoteCenter):
            adapter.settled = SettledRuns(db)
            adapter.on_event = partial(metrics.agent, center)
            metrics.agent(center, "known", 1)
            found[center] = adapter
    return found


def metrics_endpoint(listen: str, metrics: Metrics) -> tuple[str, Callable[[], None]]:
    """Serve metrics over HTTP in a thread; returns the bound ``host:port`` and how to end it."""
    host, port = split_address("metrics.listen", listen)
    try:
        http, thread = prometheus_client.start_http_server(port, host, metrics.registry)
    except OSError as error:
        raise BadConfig(
            f"metrics.listen: cannot listen on {listen}: {error.strerror}; give another address,"
            " or an empty one to serve no metrics"
        ) from error

    def close() -> None:
        ending = threading.Thread(target=http.shutdown)
        ending.start()
        with contextlib.suppress(OSError):  # it looks up only twice a second, or when called
            socket.create_connection((host, http.server_port), 1.0).close()
        ending.join()
        http.server_close()
        thread.join()

    return f"{host}:{http.server_port}", close


def split_address(name: str, listen: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; ``BadConfig`` names the setting."""
    host, _, port = listen.rpartition(":")
    if not host or "/" in host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise BadConfig(f"{name} must be host:port, such as 127.0.0.1:7443, not {listen!r}")
    return host.strip("[]"), int(port)
