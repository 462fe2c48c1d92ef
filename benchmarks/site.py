"""Data directories for benchmarks: a corridor of five cities, 500 enterprises and 20 flavors.

They are made by the data files and by ``initialize`` as any service's are, with prices and
programmes, so that every job is held and settled with two subsidies and a wallet.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks import workload
from scheduler import bootstrap
from scheduler.config import load_settings
from scheduler.settings import Settings
from scheduler.store import seed

CENTERS: Final = 4
#: What the agents of a site have for a file of their centers.
OWN: Final = "own.yaml"
_RICH_FEN: Final = 10**15
_PRICE_UFEN: Final = 200_000
_UNITS_PER_NODE: Final = 8


@dataclass(frozen=True, slots=True)
class Site:
    """A data directory; ``flags`` are its settings, ``token`` is an operator's."""

    directory: Path
    flags: Mapping[str, object]
    token: str

    @property
    def settings(self) -> Settings:
        """What a service on it is set to."""
        return load_settings(None, {}, self.flags)


#: Where sites have their databases: a server's next URL, None for SQLite in the site's directory.
_next_url: Callable[[], str] | None = None


@contextmanager
def stored_at(next_url: Callable[[], str]) -> Iterator[None]:
    """Give each site that is made from here on a database of its own, by its URL."""
    global _next_url
    before, _next_url = _next_url, next_url
    try:
        yield
    finally:
        _next_url = before


@contextmanager
def new_site(
    *,
    units: int = workload.POOL_UNITS,
    shared: bool = True,
    agents: bool = False,
    **more: object,
) -> Iterator[Site]:
    """Make a site whose flavors have ``units`` each; it is removed in the end.

    Jobs are subsidized by their city, and if ``shared`` also by a programme of all cities. If
    ``agents``, centers are reached through agents, and ``own.yaml`` says what these need to know.
    ``more`` are further settings, with ``__`` for the point: ``planner__ray="off"``.
    """
    found = data_files(units, shared)
    own = yaml.safe_dump({"centers": found["centers"]}, allow_unicode=True)
    if agents:
        far = {"kind": "agent", "settings": {"heartbeat_s": 1}}
        found["centers"] = [{**row, **far} for row in found["centers"]]
    with site_of(found, **more) as site:
        if agents:
            (site.directory / OWN).write_text(own, encoding="utf-8")
        yield site


@contextmanager
def site_of(found: Mapping[str, Sequence[Mapping[str, Any]]], **more: object) -> Iterator[Site]:
    """Make a site of rows of data files, by the files' names; see ``new_site``."""
    directory = Path(tempfile.mkdtemp(prefix="corridor-bench-"))
    try:
        data = directory / "files"
        data.mkdir()
        for name, rows in found.items():
            content = yaml.safe_dump({"sample": True, name: rows}, allow_unicode=True)
            (data / f"{name}.yaml").write_text(content, encoding="utf-8")
        shutil.copy(seed.DATA / "cities.yaml", data)
        flags: dict[str, object] = {
            "store.data_dir": str(directory / "data"),
            "log.format": "json",
            # One caller makes all of the load here: counted, and never held back.
            "limits.calls_per_s": 1_000_000,
            "limits.jobs_per_s": 10_000_000,
            **({} if _next_url is None else {"store.url": _next_url()}),
            **{name.replace("__", "."): value for name, value in more.items()},
        }
        made = bootstrap.initialize(load_settings(None, {}, flags), data=data, subject="benchmark")
        yield Site(directory, flags, made.token)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def data_files(units: int, shared: bool) -> dict[str, list[dict[str, Any]]]:
    """The rows of a site's data files, by name."""
    flavors = [workload.flavor(number) for number in range(workload.POOLS)]
    cities = sorted({city for _, city in workload.members()})
    return {
        "centers": [_center(f"center-{number}", flavors, units) for number in range(CENTERS)],
        "prices": [
            {"flavor": name, "price_ufen": _PRICE_UFEN, "effective_from": date(2024, 1, 1)}
            for name in flavors
        ],
        "programmes": [_programme(f"{city}-voucher", city, 3_000, 0) for city in cities]
        + ([_programme("corridor-shared", "corridor", 1_000, 10)] if shared else []),
        "enterprises": [
            {
                "enterprise": name,
                "city": city,
                "name": f"企业 {name}",
                "credit_limit_fen": _RICH_FEN,
            }
            for name, city in workload.members()
        ],
    }


def _center(center: str, flavors: list[str], units: int) -> dict[str, Any]:
    return {
        "center": center,
        "name_zh": f"算力中心 {center}",
        "name_en": f"Center {center}",
        "kind": "simulated",
        "simulated": True,
        "settings": {"seed": 1},
        "flavors": [
            {
                "flavor": name,
                "name_zh": f"规格 {name}",
                "name_en": f"Device {name}",
                "unit": "card",
                "architecture": "aarch64",
                "capacity_units": units,
                "units_per_node": _UNITS_PER_NODE,
                "wall_limit_max_days": 14,
            }
            for name in flavors
            if name.startswith(f"{center}/")
        ],
    }


def _programme(name: str, city: str, rate_bp: int, priority: int) -> dict[str, Any]:
    return {
        "programme": name,
        "city": city,
        "name": f"算力券 {name}",
        "document_ref": "made up for benchmarks",
        "rate_bp": rate_bp,
        "priority": priority,
        "enterprise_year_cap_fen": _RICH_FEN,
        "fund_fen": _RICH_FEN,
    }
