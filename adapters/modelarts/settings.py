"""Settings of a ModelArts center, read strictly; secrets only by reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from adapters.modelarts.auth import TokenScope
from adapters.reading import Fields
from adapters.secrets import SecretRef

ARCHITECTURES: Final = ("aarch64", "x86_64")
OFFSET_MODES: Final = ("auto", "record", "page")
PRIORITIES_MAX: Final = 3
RETRIES_MAX: Final = 128
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Volume:
    """A file system that every job of a flavor mounts."""

    server_path: str
    local_path: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How one flavor is had: a dedicated pool and its job flavors by cards of a node.

    ``units`` cards are the corridor's. Without a pool the center's public one is used.
    """

    flavor: str
    units: int
    units_per_node: int
    architecture: str
    flavor_ids: Mapping[int, str]
    pool_id: str = ""
    image: str = ""
    memory_mib_per_node: int = 0
    volumes: tuple[Volume, ...] = ()

    def cards_of(self, flavor_id: str) -> int:
        """Cards of a node that a job flavor has; 0 for a foreign one."""
        return next((cards for cards, one in self.flavor_ids.items() if one == flavor_id), 0)


@dataclass(frozen=True, slots=True)
class KeySettings:
    """An access key by reference."""

    access_key: SecretRef
    secret_key: SecretRef


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """An IAM user by reference."""

    endpoint: str
    scope: TokenScope
    password: SecretRef


@dataclass(frozen=True, slots=True)
class ModelArtsSettings:
    """One center. Durations ``_s`` are real seconds; ``calls_per_s`` 0 means no limit.

    ``job_retries`` is how often the center starts a job again by itself after a fault of a node.
    """

    center: str
    endpoint: str
    project_id: str
    auth: KeySettings | TokenSettings
    pools: Mapping[str, PoolSettings]
    workspace_id: str = "0"
    ca_file: Path | None = None
    log_url: str = ""
    priority: int = 1
    preemptible: bool = False
    job_retries: int = 0
    offset_mode: str = "auto"
    connect_s: float = 3.0
    read_s: float = 20.0
    create_s: float = 60.0
    calls_per_s: float = 20.0
    settle_s: float = 300.0
    queue_s: float = 30.0

    @classmethod
    def parse(cls, center: str, settings: Mapping[str, object]) -> "ModelArtsSettings":
        """Read a mapping as of a configuration file. Raises ``ValueError`` with the place."""
        fields = Fields(center, settings)
        region = fields.text("region", "")
        parsed = cls(
            center=center,
            endpoint=_endpoint(fields, "endpoint"),
            project_id=fields.text("project_id"),
            auth=_auth(fields, region),
            pools=fields.each("pools", _pool),
            workspace_id=fields.text("workspace_id", "0"),
            ca_file=_path(fields, "ca_file"),
            log_url=_obs(fields, "log_url"),
            priority=fields.whole("priority", 1, least=1, most=PRIORITIES_MAX),
            preemptible=fields.flag("preemptible", False),
            job_retries=fields.whole("job_retries", 0, most=RETRIES_MAX),
            offset_mode=fields.choice("offset_mode", OFFSET_MODES, "auto"),
            connect_s=fields.number("connect_s", 3.0, least=0.1),
            read_s=fields.number("read_s", 20.0, least=0.1),
            create_s=fields.number("create_s", 60.0, least=0.1),
            calls_per_s=fields.number("calls_per_s", 20.0),
            settle_s=fields.number("settle_s", 300.0),
            queue_s=fields.number("queue_s", 30.0, least=0.0),
        )
        fields.done()
        if not parsed.pools:
            raise fields.bad("pools", "is mandatory: at least one flavor and its pool")
        if not _is_plain(parsed.project_id):
            raise fields.bad("project_id", "must be letters, digits, hyphens and underscores")
        return parsed


def _auth(fields: Fields, region: str) -> KeySettings | TokenSettings:
    with fields.part("auth") as auth:
        if auth.has("iam_endpoint"):
            endpoint = _endpoint(auth, "iam_endpoint")
            user = auth.text("user")
            scope = TokenScope(auth.text("domain"), user, auth.text("project", region))
            if not scope.project:
                raise auth.bad("project", "is mandatory without 'region'")
            return TokenSettings(endpoint, scope, auth.secret("password"))
        return KeySettings(auth.secret("ak"), auth.secret("sk"))


def _pool(flavor: str, fields: Fields) -> PoolSettings:
    per_node = fields.whole("units_per_node", least=1)
    pool = PoolSettings(
        flavor=flavor,
        units=fields.whole("units", least=per_node),
        units_per_node=per_node,
        architecture=fields.choice("architecture", ARCHITECTURES, "aarch64"),
        flavor_ids=_flavor_ids(fields, per_node),
        pool_id=fields.text("pool_id", ""),
        image=fields.text("image", ""),
        memory_mib_per_node=fields.whole("memory_mib_per_node", 0),
        volumes=tuple(fields.each("volumes", _volume).values()),
    )
    if pool.units % per_node:
        raise fields.bad("units", f"must be whole nodes of {per_node}, not {pool.units}")
    return pool


def _flavor_ids(fields: Fields, per_node: int) -> dict[int, str]:
    found = {}
    with fields.part("flavor_ids") as part:
        for name in part.names():
            if not name.isascii() or not name.isdigit() or not 1 <= int(name) <= per_node:
                raise part.bad(name, f"must be cards of a node, 1 to {per_node}")
            found[int(name)] = part.text(name)
    if per_node not in found:
        raise fields.bad("flavor_ids", f"must have the flavor of a whole node, {per_node} cards")
    if len(set(found.values())) != len(found):
        raise fields.bad("flavor_ids", "must not name one flavor for two sizes")
    return found


def _volume(name: str, fields: Fields) -> Volume:
    return Volume(
        fields.text("nfs_server_path"), fields.text("local_path"), fields.flag("read_only", True)
    )


def _endpoint(fields: Fields, key: str) -> str:
    value = fields.text(key).rstrip("/")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise fields.bad(key, "must be https://HOST or https://HOST:PORT") from None
    plain = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in ("http", "https") or value != plain or "@" in value or port == 0:
        raise fields.bad(key, "must be https://HOST or https://HOST:PORT, without path or user")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise fields.bad(key, "must be https; http is for this machine alone")
    if not host or not value.isascii() or not value.isprintable():
        raise fields.bad(key, "must name a host")
    return value


def _path(fields: Fields, key: str) -> Path | None:
    value = fields.text(key, "")
    if value and not Path(value).is_file():
        raise fields.bad(key, f"there is no file {value}")
    return Path(value) if value else None


def _obs(fields: Fields, key: str) -> str:
    value = fields.text(key, "")
    if value and not value.startswith("obs://"):
        raise fields.bad(key, "must be obs://BUCKET/FOLDER/")
    return value.removeprefix("obs:/")


def _is_plain(text: str) -> bool:
    return text.isascii() and text.replace("-", "").replace("_", "").isalnum()
