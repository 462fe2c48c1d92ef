"""Reads the service's metrics as Prometheus would, for the progress display."""

import re
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

_SAMPLE: Final = re.compile(r"^(corridor_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_TIMEOUT_S: Final = 5.0


@dataclass(slots=True)
class Scraped:
    """What the display shows of one scrape; units by flavor, money in fen."""

    backend: str = ""
    used_units: dict[str, int] = field(default_factory=dict)
    capacity_units: dict[str, int] = field(default_factory=dict)
    held_fen: int = 0
    posted_fen: int = 0
    #: Planned starts that lost a guard, by reason.
    refused: Counter[str] = field(default_factory=Counter)
    loop_errors: int = 0


def fetch(address: str) -> str:
    """The text of one scrape. Raises ``OSError``."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=_TIMEOUT_S) as answer:
        text: str = answer.read().decode()
    return text


def read(text: str) -> Scraped:
    """Pick out what the display shows."""
    found = Scraped()
    for name, labels, number in _SAMPLE.findall(text):
        of = dict(_LABEL.findall(labels))
        value = int(float(number))
        match name:
            case "corridor_planner_backend" if value:
                found.backend = of["backend"]
            case "corridor_pool_used_units":
                found.used_units[of["flavor"]] = value
            case "corridor_pool_capacity_units":
                found.capacity_units[of["flavor"]] = value
            case "corridor_fund_held_fen":
                found.held_fen += value
            case "corridor_fund_posted_fen":
                found.posted_fen += value
            case "corridor_admissions_refused_total":
                found.refused[of["reason"]] += value
            case "corridor_loop_errors_total":
                found.loop_errors = value
    return found
