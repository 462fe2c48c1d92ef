"""Settings of a center behind Slurm, read strictly from a mapping (docs/slurm.md)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from adapters.reading import Fields
from adapters.secrets import SecretRef

ARCHITECTURES: Final = ("aarch64", "x86_64")
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]+")
#: slurmrestd answers for a controller that is gone only after 9 s; who hangs up earlier never
#: learns whether a submission was taken.
_ANSWER_LEAST_S: Final = 10.0
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Partition:
    """What one flavor is at this center.

    A unit is ``cpus_per_unit`` CPUs as Slurm counts them, together with one card of ``gres`` unless
    that is empty. ``units`` are what the center grants Corridor, at most ``units_per_node`` of them
    on one node.
    """

    flavor: str
    partition: str
    gres: str
    cpus_per_unit: int
    units: int
    units_per_node: int
    architecture: str
    constraint: str = ""
    qos: str = ""
    reservation: str = ""
    memory_mib_per_unit: int = 0

    @property
    def gres_type(self) -> str:
        """The kind of card as accounting counts it: ``gpu`` of ``gpu:ascend``."""
        return self.gres.partition(":")[0]


@dataclass(frozen=True, slots=True)
class SlurmSettings:
    """How a center is reached, what it offers, and how often it is asked. Seconds are real ones."""

    center: str
    endpoint: str
    user: str
    token: SecretRef
    partitions: Mapping[str, Partition]
    work_dir: str
    cluster: str = ""
    ca_file: Path | None = None
    accounts: Mapping[str, str] | None = None
    output: str = "corridor-%j.out"
    logs_directory: Path | None = None
    image_command: tuple[str, ...] = ()
    path: str = _PATH
    requeue: bool = False
    notice_signal: str = "SIGURG"
    connections_max: int = 8
    connect_s: float = 5.0
    answer_s: float = 30.0
    settle_s: float = 30.0
    provisional_s: float = 8.0
    polls_per_s: float = 10.0
    look_s: float = 10.0
    inventory_s: float = 600.0
    accounting_days: int = 366

    def account(self, city: str) -> str:
        """The account that a city's runs are booked on; without a word of it the city's code."""
        return (self.accounts or {}).get(city, city)

    @classmethod
    def parse(cls, center: str, settings: Mapping[str, object]) -> "SlurmSettings":
        """Settings from a configuration file. Raises ``ValueError`` that names the key."""
        fields = Fields(center, settings)
        read = cls(
            center=center,
            endpoint=_endpoint(fields),
            user=_word(fields, "user"),
            token=fields.secret("token"),
            cluster=fields.text("cluster", ""),
            ca_file=_path(fields, "ca_file"),
            accounts=fields.text_map("accounts"),
            partitions=fields.each("partitions", _partition),
            work_dir=_absolute(fields, "work_dir"),
            output=_output(fields),
            logs_directory=_logs(fields),
            image_command=_image_command(fields),
            path=fields.text("path", _PATH),
            requeue=fields.flag("requeue", False),
            notice_signal=_signal(fields),
            connections_max=fields.whole("connections_max", 8, least=1, most=64),
            connect_s=fields.number("connect_s", 5.0, least=0.1, most=60.0),
            answer_s=fields.number("answer_s", 30.0, least=_ANSWER_LEAST_S, most=600.0),
            settle_s=fields.number("settle_s", 30.0, least=15.0),
            provisional_s=fields.number("provisional_s", 8.0, least=6.0),
            polls_per_s=fields.number("polls_per_s", 10.0, least=0.1, most=200.0),
            look_s=fields.number("look_s", 10.0, least=1.0, most=60.0),
            inventory_s=fields.number("inventory_s", 600.0, least=30.0),
            accounting_days=fields.whole("accounting_days", 366, least=1),
        )
        fields.done()
        if not read.partitions:
            raise fields.bad("partitions", "is mandatory: flavors and what they are in Slurm")
        return read


def _endpoint(fields: Fields) -> str:
    endpoint = fields.text("endpoint").rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise fields.bad("endpoint", f"must be a URL of slurmrestd, not {endpoint!r}")
    if parts.username or parts.password:
        raise fields.bad("endpoint", "must not hold a user or password")
    if parts.path:
        raise fields.bad("endpoint", "must end with the host and port")
    return endpoint


def _word(fields: Fields, key: str) -> str:
    value = fields.text(key)
    if not _WORD.fullmatch(value):
        raise fields.bad(key, f"must be letters, digits, '_', '.' or '-', not {value!r}")
    return value


def _path(fields: Fields, key: str) -> Path | None:
    value = fields.text(key, "")
    return Path(value) if value else None


def _absolute(fields: Fields, key: str) -> str:
    value = fields.text(key)
    if not value.startswith("/") or "\n" in value:
        raise fields.bad(key, f"must be an absolute path at the center, not {value!r}")
    return value


def _output(fields: Fields) -> str:
    value = fields.text("output", "corridor-%j.out")
    if "%j" not in value:
        raise fields.bad("output", "must hold %j, else runs write over each other's log")
    if re.sub("%[jx%]", "", value).count("%"):
        raise fields.bad("output", "may hold %j (the job id) and %x (its name), no other %")
    return value


def _logs(fields: Fields) -> Path | None:
    with fields.part("logs") as logs:
        return _path(logs, "directory")


def _image_command(fields: Fields) -> tuple[str, ...]:
    command = fields.texts("image_command")
    if command and not any("{image}" in part for part in command):
        raise fields.bad("image_command", "must hold {image} in one of its parts")
    return command


def _signal(fields: Fields) -> str:
    value = fields.text("notice_signal", "SIGURG")
    if not re.fullmatch(r"SIG[A-Z0-9]{2,8}", value) or value in ("SIGKILL", "SIGSTOP"):
        raise fields.bad("notice_signal", f"must be a signal programs can heed, not {value!r}")
    return value


def _partition(flavor: str, fields: Fields) -> Partition:
    unit = fields.choice("unit", ("core", "gres"))
    per_node = fields.whole("units_per_node", least=1)
    partition = Partition(
        flavor=flavor,
        partition=_word(fields, "partition"),
        gres=_word_of_gres(fields) if unit == "gres" else "",
        cpus_per_unit=fields.whole("cpus_per_unit", 1, least=1),
        units=fields.whole("units", least=per_node),
        units_per_node=per_node,
        architecture=fields.choice("architecture", ARCHITECTURES),
        constraint=fields.text("constraint", ""),
        qos=fields.text("qos", ""),
        reservation=fields.text("reservation", ""),
        memory_mib_per_unit=fields.whole("memory_mib_per_unit", 0),
    )
    if unit == "core" and fields.has("gres"):
        raise fields.bad("gres", "is for flavors whose unit is gres")
    return partition


def _word_of_gres(fields: Fields) -> str:
    value = fields.text("gres")
    if not re.fullmatch(r"[A-Za-z0-9_]+(:[A-Za-z0-9_.-]+)?", value):
        raise fields.bad("gres", f"must be a name or name:type, as gpu:ascend, not {value!r}")
    return value
