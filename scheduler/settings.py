"""What can be set, section by section, with its default; least and most of each number.

``scheduler.config`` reads them. A new setting is a field of its section here, and a line in
``RANGES`` if it is a number or in ``CHOICES`` if it is one of few words.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PASSWORD = re.compile(r"(?<=://)([^/@]*?):[^/@]*@")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the API listens. Outside loopback TLS is needed unless ``insecure`` is set.

    ``agents_listen`` is a further address, for callers with a certificate of ``agents_ca``; agents
    are taken only there, if it is given. ``name`` is how this replica is called (empty: its host),
    ``advertise`` the address at which other replicas reach it (empty: where it listens),
    ``peers_ca`` whose certificates they have (empty: the system's authorities), and ``peers_name``
    the name in these (empty: the host they are reached at).
    """

    listen: str = "127.0.0.1:7443"
    name: str = ""
    advertise: str = ""
    peers_ca: str = ""
    peers_name: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    agents_listen: str = ""
    agents_ca: str = ""
    insecure: bool = False
    drain_s: float = 5.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the truth is kept; ``url`` empty means SQLite in ``data_dir``.

    The password of the URL may be in ``password_file`` instead. The rest are limits: how many read
    at a time, and how long one may take (``StoreLimits``); 0 is no limit.
    """

    data_dir: str = "corridor-data"
    url: str = ""
    password_file: str = ""
    readers: int = 4
    connect_timeout_s: int = 10
    read_timeout_s: float = 600.0
    write_timeout_s: float = 60.0
    lock_timeout_s: float = 30.0
    idle_timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class LeaderSettings:
    """The lease by which one of several replicas leads: it lasts for ``lease_s`` real seconds, the
    leader renews it every ``renew_s``, and the others look at it every ``look_s``."""

    lease_s: float = 3.0
    renew_s: float = 1.0
    look_s: float = 0.5


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """Logins of people at an OpenID Connect issuer; without an ``issuer`` there are none.

    ``jwks_url`` empty: where the issuer says its keys are. ``roles`` is ``VALUE=ROLE, ...`` for
    values of ``role_claim``, the first that fits counts. ``ca_file`` is whom to trust for the
    issuer's certificate (empty: the system's authorities).
    """

    issuer: str = ""
    audience: str = ""
    jwks_url: str = ""
    ca_file: str = ""
    algorithms: str = "RS256,ES256"
    roles: str = ""
    subject_claim: str = "sub"
    role_claim: str = "corridor_role"
    city_claim: str = "corridor_city"
    enterprise_claim: str = "corridor_enterprise"
    leeway_s: float = 30.0
    lifetime_max_s: float = 86_400.0
    refresh_s: float = 600.0


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one caller may ask of this replica: so many a second, ``burst`` more after a rest.

    ``jobs_per_s`` counts jobs submitted (an array is one), ``streams`` calls that are open at a
    time. 0 is no limit.
    """

    calls_per_s: float = 2_000.0
    calls_burst: int = 20_000
    jobs_per_s: float = 20_000.0
    jobs_burst: int = 1_000_000
    streams: int = 5_000


@dataclass(frozen=True, slots=True)
class CentersSettings:
    """``file`` says what centers are made of, in the form of ``centers.yaml``; empty: the store."""

    file: str = ""


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where Prometheus scrapes; an empty ``listen`` serves no metrics."""

    listen: str = "127.0.0.1:9464"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """``format`` is console, json or auto (console on a terminal)."""

    format: str = "auto"
    level: str = "info"


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Where traces go (docs/tracing.md); an empty ``endpoint`` is tracing that is off.

    ``ratio`` of the calls are recorded, and of those whose caller records them up to
    ``callers_per_s``. ``headers_file`` has lines ``name: value`` that go with what is sent,
    ``ca_file`` is whom to trust for the collector's certificate (empty: the system's authorities).
    At most ``queue_max`` spans wait to be sent; a call to the collector may take ``timeout_s``.
    """

    endpoint: str = ""
    ratio: float = 0.01
    callers_per_s: float = 20.0
    headers_file: str = ""
    ca_file: str = ""
    service_name: str = "corridor"
    queue_max: int = 8_192
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """``speed`` above 1 scales time for demonstrations; 1 is the wall clock."""

    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class PlannerSettings:
    """Where the planner lives and how it orders; see ``LoopSettings`` and ``PolicySettings``.

    An empty ``ray_token_file`` means ``ray-token`` in ``store.data_dir``.
    """

    ray: str = "auto"
    ray_address: str = ""
    ray_token_file: str = ""
    ray_silence_s: float = 2.0
    shards: int = 2
    order: str = "corridor"
    backfill: bool = True
    usage_half_life_h: float = 168.0
    city_half_life_h: float = 48.0
    ageing_h: float = 36.0
    starving_h: float = 140.0
    start_weight: int = 1
    net_weight: int = 600
    stage_weight: int = 1
    patience_h: float = 0.0


@dataclass(frozen=True, slots=True)
class LoopTimes:
    """How often the control loop looks, in real seconds.

    ``drain_grace_s``, in which programs save their work, and ``top_up_s``, for which more is held,
    are seconds of scheduling time.
    """

    tick_s: float = 1.0
    gather_s: float = 0.004
    follow_s: float = 2.0
    unknown_after_s: float = 900.0
    unknown_alarm_s: float = 1_800.0
    top_up_after_s: float = 60.0
    top_up_s: int = 600
    start_timeout_s: float = 1_800.0
    drain_grace_s: float = 300.0
    metrics_s: float = 2.0
    reasons_s: float = 10.0
    reasons_keep_d: float = 14.0


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How many days what is over is kept: events of the feed, and jobs with all that is of them.

    0 keeps it for ever. What the books tell of is never let go of.
    """

    events_d: float = 90.0
    jobs_d: float = 400.0


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """What-ifs: so many may run at once, each over at most so many jobs of the history."""

    at_once: int = 2
    jobs_max: int = 200_000


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """What needs a second person: amounts from a threshold on, and changes of rules and prices.

    Amounts of one person on one target count together for ``window_days``.
    """

    threshold_fen: int = 100_000_000
    two_person: bool = True
    window_days: int = 30


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Daily digests: the key that signs them and the directory they are written to.

    Empty means ``ledger-key.pem`` and ``digests`` in ``store.data_dir``.
    """

    key_file: str = ""
    digest_dir: str = ""


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Alerts on funds, caps and vouchers: looked for so often, and posted to a webhook if given.

    The secret in ``webhook_secret_file`` signs what is posted.
    """

    every_s: float = 5.0
    webhook_url: str = ""
    webhook_secret_file: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; ``origin`` says where each that is not a default came from."""

    server: ServerSettings = field(default_factory=ServerSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    leader: LeaderSettings = field(default_factory=LeaderSettings)
    oidc: OidcSettings = field(default_factory=OidcSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    centers: CentersSettings = field(default_factory=CentersSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
    planner: PlannerSettings = field(default_factory=PlannerSettings)
    loop: LoopTimes = field(default_factory=LoopTimes)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    simulation: SimulationSettings = field(default_factory=SimulationSettings)
    approvals: ApprovalSettings = field(default_factory=ApprovalSettings)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        """The store's URL."""
        return self.store.url or f"sqlite:///{Path(self.store.data_dir) / 'corridor.db'}"

    def names(self) -> list[str]:
        """Return ``section.key`` of every setting."""
        return [name for name, _, _ in self.rows()]

    def rows(self) -> list[tuple[str, Any, str]]:
        """Return (name, value, origin) of every setting, secrets in URLs hidden."""
        rows = []
        for section in dataclasses.fields(self):
            if section.name == "origin":
                continue
            part = getattr(self, section.name)
            for key in dataclasses.fields(part):
                name = f"{section.name}.{key.name}"
                value = getattr(part, key.name)
                if name in ("store.url", "tracing.endpoint"):
                    value = _PASSWORD.sub(r"\1:***@", str(value))
                rows.append((name, value, self.origin.get(name, "default")))
        return rows


_YEAR_S = 366 * 86_400.0
#: Least and most of each number; seconds and hours as the name says.
RANGES = {
    "server.drain_s": (0, 3_600),
    "store.readers": (1, 64),
    "store.connect_timeout_s": (1, 600),
    "store.read_timeout_s": (0, 86_400),
    "store.write_timeout_s": (0, 86_400),
    "store.lock_timeout_s": (0, 86_400),
    "store.idle_timeout_s": (0, 86_400),
    "leader.lease_s": (0.5, 60),
    "leader.renew_s": (0.05, 30),
    "leader.look_s": (0.05, 30),
    "oidc.leeway_s": (0, 300),
    "oidc.lifetime_max_s": (60, _YEAR_S),
    "oidc.refresh_s": (10, 86_400),
    "limits.calls_per_s": (0, 1_000_000),
    "limits.calls_burst": (1, 10_000_000),
    "limits.jobs_per_s": (0, 10_000_000),
    "limits.jobs_burst": (1, 100_000_000),
    "limits.streams": (0, 1_000_000),
    "tracing.ratio": (0, 1),
    "tracing.callers_per_s": (0, 1_000_000),
    "tracing.queue_max": (1, 1_000_000),
    "tracing.timeout_s": (0.1, 60),
    "clock.speed": (0.001, 1_000_000),
    "planner.ray_silence_s": (0.5, 600),
    "planner.shards": (1, 64),
    "planner.usage_half_life_h": (0.01, _YEAR_S / 3_600),
    "planner.city_half_life_h": (0.01, _YEAR_S / 3_600),
    "planner.ageing_h": (0, _YEAR_S / 3_600),
    "planner.starving_h": (0, _YEAR_S / 3_600),
    "planner.start_weight": (0, 1_000_000),
    "planner.net_weight": (0, 1_000_000),
    "planner.stage_weight": (0, 1_000_000),
    "planner.patience_h": (0, _YEAR_S / 3_600),
    "loop.tick_s": (0.01, 60),
    "loop.gather_s": (0, 10),
    "loop.follow_s": (0.01, 600),
    "loop.unknown_after_s": (1, _YEAR_S),
    "loop.unknown_alarm_s": (1, _YEAR_S),
    "loop.top_up_after_s": (0, _YEAR_S),
    "loop.top_up_s": (1, _YEAR_S),
    "loop.start_timeout_s": (1, _YEAR_S),
    "loop.drain_grace_s": (0, _YEAR_S),
    "loop.metrics_s": (0.05, 600),
    "retention.events_d": (0, 36_600),
    "retention.jobs_d": (0, 36_600),
    "simulation.at_once": (1, 64),
    "simulation.jobs_max": (1, 10_000_000),
    "approvals.threshold_fen": (0, 10**15),
    "approvals.window_days": (0, 3_660),
    "alerts.every_s": (0.01, 3_600),
    "loop.reasons_s": (0.1, 3_600),
    "loop.reasons_keep_d": (0.01, 3_660),
}
#: What a text may be, where it may not be any.
CHOICES = {
    "log.format": ("auto", "console", "json"),
    "log.level": ("debug", "info", "warning", "error"),
    "planner.ray": ("auto", "off"),
    "planner.order": ("corridor", "fifo"),
}
