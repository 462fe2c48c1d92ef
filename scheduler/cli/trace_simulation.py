"""Scenarios over a workload in a file, played on this machine without a service."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scheduler import cli
from scheduler.cli.replay_cmd import parse_capacity
from scheduler.placement.model import CORRIDOR
from scheduler.replay.corridor_csv import read_corridor_csv
from scheduler.replay.faults import lives_of
from scheduler.replay.measures import usual_window
from scheduler.replay.quotas import Quotas, read_quotas
from scheduler.replay.reading import is_swf
from scheduler.replay.setup import CITY_WEIGHTS, corridor
from scheduler.replay.trace import ReplayError
from scheduler.whatif.answers import Answer, SimulationFailed, Where
from scheduler.whatif.figures import Asker
from scheduler.whatif.history import History
from scheduler.whatif.playing import Task, pack_history
from scheduler.whatif.processes import OnProgress, ScenarioFailed, play_all
from scheduler.whatif.scenarios import TODAY, BadScenario, Scenario, apply
from scheduler.whatif.worker import HISTORY_FILE

_CITIES: Final = Path(cli.__file__).parent.parent / "data" / "cities.yaml"


def city_names() -> dict[str, str]:
    """Return the Chinese names of the five cities by code."""
    import yaml

    content = yaml.safe_load(_CITIES.read_text(encoding="utf-8"))
    return {city["city"]: city["name_zh"] for city in content["cities"]}


def history_of(path: Path, capacity: str, quotas: Path | None) -> History:
    """Return a workload as a history; what could never start today is left out.

    The first days that only fill an empty machine do not count. Raises ``ReplayError``.
    """
    if is_swf(path):
        raise ReplayError(f"{path}: scenarios are about cities; a SWF log has none")
    wanted = Quotas({}, {}) if quotas is None else read_quotas(quotas)
    weights = dict(CITY_WEIGHTS) | dict(wanted.weights)
    setup = corridor(parse_capacity(capacity), weights, wanted.limits)
    trace = read_corridor_csv(path)
    jobs, dropped = setup.placeable(trace.jobs)
    window = usual_window(trace)
    if not jobs or window is None:
        raise ReplayError(f"{path}: no job to play")
    left_out = trace.skipped | {
        why: count + trace.skipped.get(why, 0) for why, count in dropped.items()
    }
    return History(
        tuple(setup.deltas(jobs)),
        lives_of(jobs),
        round(window.from_s * 1000),
        round(window.to_s * 1000),
        CORRIDOR,
        left_out=left_out,
    )


def check(history: History, scenarios: Sequence[Scenario]) -> None:
    """Raise ``BadScenario`` for the first that cannot be played; its field begins with its name."""
    for scenario in scenarios:
        try:
            apply(history.settings, scenario)
        except BadScenario as error:
            raise BadScenario(f"{scenario.name}: {error.where}", error.what) from error


def play(history: History, scenarios: Sequence[Scenario], on_progress: OnProgress) -> Answer:
    """Play today and the scenarios side by side; raises ``SimulationFailed``."""
    tasks = [Task(scenario, Asker()) for scenario in (Scenario(TODAY), *scenarios)]
    with tempfile.TemporaryDirectory(prefix="corridor-simulation-") as name:
        folder = Path(name)
        (folder / HISTORY_FILE).write_bytes(pack_history(history))
        try:
            found = asyncio.run(play_all(folder, tasks, on_progress))
        except ScenarioFailed as error:
            raise SimulationFailed(str(error)) from error
    return Answer(
        history.from_ms, history.to_ms, len(history.lives), 0, Where.PROCESSES, "",
        tuple(found), history.left_out,
    )  # fmt: skip
