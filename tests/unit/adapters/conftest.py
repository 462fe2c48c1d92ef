"""A hand-moved clock and short ways to make a simulated center and its runs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.contract import RunRequest
from adapters.simulated import SimulatedCenter, SimulatedSettings

FLAVOR = "wuhan-ai/ascend-910b"


class World:
    """One simulated center at a time, on a clock that moves only when told."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.opened: list[SimulatedCenter] = []

    def open(self, units: int = 16, **settings: object) -> SimulatedCenter:
        """A center with one flavor of ``units`` cards, 8 to a node."""
        flavor = {
            "flavor": FLAVOR,
            "units": units,
            "units_per_node": 8,
            "architecture": "aarch64",
        }
        parsed = SimulatedSettings.parse("wuhan-ai", {"flavors": [flavor], **settings})
        center = SimulatedCenter(parsed, lambda: self.now_ms, lambda ms: ms / 1000)
        self.opened.append(center)
        return center

    def let_pass(self, seconds: float) -> None:
        """Move the clock on."""
        self.now_ms += round(seconds * 1000)


def make_request(
    job: str = "j1",
    attempt: int = 1,
    units: int = 8,
    runtime_s: float | None = 10,
    outcome: str = "",
    wall_limit_s: int = 100,
    nodes: int = 1,
) -> RunRequest:
    """A run of ``nodes`` times ``units`` cards."""
    labels = {}
    if runtime_s is not None:
        labels["corridor.simulated/runtime-s"] = str(runtime_s)
    if outcome:
        labels["corridor.simulated/outcome"] = outcome
    return RunRequest(
        run_id=f"{job}.{attempt}",
        name=f"corridor-{job}.{attempt}",
        epoch=1,
        city="ezhou",
        enterprise="e1",
        flavor=FLAVOR,
        units_per_node=units,
        nodes=nodes,
        wall_limit_s=wall_limit_s,
        labels=labels,
    )


@pytest.fixture
def world() -> World:
    """A fresh world."""
    return World()


@pytest.fixture(autouse=True)
def _closed(world: World) -> Iterator[None]:
    """Close whatever journals a test opened."""
    yield
    for center in world.opened:
        if center._journal is not None:
            center._journal.close()


@pytest.fixture
def run() -> Callable[..., RunRequest]:
    """Makes run requests, see ``make_request``."""
    return make_request


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "wuhan-ai.jsonl"
