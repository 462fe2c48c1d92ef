"""Sets up a data directory for the demonstration: data files, settings, database, first token."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from quota.amounts import split
from quota.calendar import SHANGHAI
from scheduler import bootstrap
from scheduler.config import load_settings
from scheduler.domain.spec import FlavorLimits
from scheduler.errors import CorridorError
from scheduler.replay.reading import read_trace
from scheduler.replay.trace import TraceJob
from scheduler.store import seed, seed_files

#: Monday 00:00 in Wuhan: the workload's first day is a Monday, and its year has room after it.
START_MS: Final = int(datetime(2026, 3, 2, tzinfo=SHANGHAI).timestamp()) * 1000
TRACE: Final = seed.DATA / "traces" / "corridor_open_3days.csv.gz"
#: How the two centers misbehave, as settings of a simulated center.
FAULTS: Final[Mapping[str, float]] = {
    "lost_answer_rate": 0.005,
    "lost_call_rate": 0.002,
    "unavailable_rate": 0.003,
}
#: The flavor on which cities have limits: each may borrow so many times its own share, and keeps
#: one in so many of its own units for itself.
LIMITED: Final = "wuhan-ai/ascend-910b"
BORROWED_OF_NOMINAL: Final = 4
KEPT_ONE_IN: Final = 4
#: Real seconds after which a call that was not taken may be sent again.
_SETTLE_S: Final = 0.3

_SETTINGS: Final = """\
# Settings of this demonstration; go on with: corridor serve --config {config}
[server]
listen = "127.0.0.1:0"
drain_s = 1.0

[store]
data_dir = {data_dir}

[metrics]
listen = "127.0.0.1:0"

[log]
format = "json"

[clock]
speed = {speed}

[planner]
ray = "{ray}"

[loop]
tick_s = 0.2
follow_s = 1.0
metrics_s = 1.0
"""


class DirectoryInUse(CorridorError):
    """The chosen directory holds something already."""

    reason = "DIRECTORY_IN_USE"


@dataclass(frozen=True, slots=True)
class Site:
    """A directory that was set up; ``token`` is an operator's."""

    directory: Path
    config: Path
    token: str
    database_url: str
    centers: tuple[str, ...]
    flavors: Mapping[str, FlavorLimits]
    prices_ufen: Mapping[str, int]

    @property
    def log(self) -> Path:
        """Log of the service."""
        return self.directory / "service.log"

    @property
    def metrics(self) -> Path:
        """The last scrape of its metrics."""
        return self.directory / "metrics.prom"

    @property
    def database(self) -> Path:
        """The database with the ledger in it."""
        return self.directory / "corridor.db"

    @property
    def records(self) -> Path:
        """Folder of what the centers themselves wrote down."""
        return records_of(self.directory)

    def journal(self, center: str) -> Path:
        """Where a simulated center writes down what it does."""
        return self.records / f"{center}.journal"

    def places(self) -> Iterator[tuple[str, Path]]:
        """What is where, for people; the files of ``deploy`` only in a checkout."""
        yield "metrics", self.metrics
        yield "database", self.database
        yield "journals", self.records
        yield "log", self.log
        yield "settings", self.config
        deploy = Path(__file__).parents[2] / "deploy"
        for folder in ("grafana", "prometheus"):
            if (deploy / folder).is_dir():
                yield "dashboard", deploy / folder


def records_of(directory: Path) -> Path:
    """Folder of what the centers of a site write down."""
    return directory / "centers"


def make_room(directory: Path) -> Path:
    """Make ``directory``, which must be empty or not there yet; returns its absolute path.

    Raises ``DirectoryInUse``, ``OSError``.
    """
    if directory.exists() and any(directory.iterdir()):
        raise DirectoryInUse(f"{directory} is not empty; give a new one with --dir")
    directory.mkdir(parents=True, exist_ok=True)
    return directory.resolve()


def set_up(
    directory: Path, *, ray: str, start_ms: int, speed: float, change: Callable[[Path], None]
) -> Site:
    """Make a new site in ``directory``, for which ``make_room`` was called.

    ``change`` may change the file of the centers; the clock starts at ``start_ms``, ``speed`` is
    the one that the settings say. Raises ``OSError``.
    """
    data, config = directory / "data", directory / "corridor.toml"
    data.mkdir()
    for file in sorted(seed.DATA.glob("*.yaml")):
        shutil.copy(file, data)
    change(data / "centers.yaml")
    _limit(data)
    config.write_text(
        _SETTINGS.format(config=config, data_dir=json.dumps(str(directory)), ray=ray, speed=speed),
        encoding="utf-8",
    )
    settings = load_settings(config, {}, {})
    made = bootstrap.initialize(settings, data=data, now_ms=start_ms, subject="demonstration")
    files = seed_files.read(data)
    flavors = [flavor for center in files.centers for flavor in center.flavors]
    return Site(
        directory,
        config,
        made.token,
        settings.database_url,
        tuple(center.center for center in files.centers),
        {
            one.flavor: FlavorLimits(
                one.flavor, one.center, one.architecture, one.capacity_units, one.units_per_node,
                one.wall_limit_max_s, one.memory_mib_per_node,
            )
            for one in flavors
        },
        {price.flavor: price.price_ufen for price in files.prices},
    )  # fmt: skip


def misbehave(file: Path, seed_number: int) -> None:
    """Let the simulated centers of a data file lose calls and answers."""
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    for index, center in enumerate(content["centers"]):
        center["settings"] = {"seed": seed_number + index, "settle_s": _SETTLE_S, **FAULTS}
    file.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _limit(data: Path) -> None:
    """Give the cities limits on one flavor; the other two keep the default, without limits."""
    files = seed_files.read(data)
    capacity = next(
        flavor.capacity_units
        for center in files.centers
        for flavor in center.flavors
        if flavor.flavor == LIMITED
    )
    shares = split(capacity, [city.weight for city in files.cities])
    quotas = [
        {
            "city": city.city,
            "flavor": LIMITED,
            "nominal_units": nominal,
            "borrow_limit_units": nominal * BORROWED_OF_NOMINAL,
            "lend_limit_units": nominal - nominal // KEPT_ONE_IN,
        }
        for city, nominal in zip(files.cities, shares, strict=True)
    ]
    content = yaml.safe_dump({"sample": True, "quotas": quotas}, sort_keys=False)
    (data / "quotas.yaml").write_text(content, encoding="utf-8")


def trace_jobs() -> tuple[TraceJob, ...]:
    """The three-day workload."""
    return read_trace(TRACE).jobs
