"""One scenario of a what-if, from its history to its figures: pure, the same wherever it runs."""

import pickle
import zlib
from collections.abc import Generator
from typing import NamedTuple

from scheduler.placement.core import PlanningCore
from scheduler.replay.lives import SUCCEEDED, WAITING
from scheduler.replay.world import World
from scheduler.whatif.figures import Asker, Course, Figures, figures
from scheduler.whatif.history import History
from scheduler.whatif.scenarios import HISTORY, Scenario, apply, policy_of


class Task(NamedTuple):
    """What is to be played for whom; the scenario named ``history`` is what really happened."""

    scenario: Scenario
    asker: Asker


def play(history: History, task: Task) -> Figures:
    """Play a scenario through; raises ``BadScenario`` if it cannot be played on this history."""
    steps = play_in_steps(history, task)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Figures = done.value
            return found


def play_in_steps(history: History, task: Task) -> Generator[int, None, Figures]:
    """As ``play``, and say now and then how many jobs have ended."""
    scenario = task.scenario
    settings = apply(history.settings, scenario)
    if scenario.name == HISTORY:
        return figures(scenario.name, history, settings, really(history), task.asker)
    policy = policy_of(history.policy, scenario.policy)
    world = World(history.lives, settings, PlanningCore(policy))
    yield from world.steps()
    lived = world.lived()
    course = Course(lived.stays, lived.states, lived.evictions)
    return figures(scenario.name, history, settings, course, task.asker)


def really(history: History) -> Course:
    """Return what really happened; a job that has not started yet is not said never to start."""
    evicted = sum(stay.ending == "PREEMPTED" for stay in history.real)
    started = {stay.place for stay in history.real}
    states = [
        SUCCEEDED if place in started or life.cancel_ms is not None else WAITING
        for place, life in enumerate(history.lives)
    ]
    return Course(history.real, states, evicted)


# --- for other processes of this program ----------------------------------------------------------


def pack_history(history: History) -> bytes:
    """Return a history as bytes; it repeats itself much, so it is compressed."""
    return zlib.compress(pickle.dumps(history, pickle.HIGHEST_PROTOCOL), 1)


def unpack_history(data: bytes) -> History:
    """Return the history of ``pack_history``."""
    found = pickle.loads(zlib.decompress(data))
    assert isinstance(found, History), "our own file"
    return found


def pack(value: Task | Figures) -> bytes:
    """Return a value as bytes."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpack_task(data: bytes) -> Task:
    """Return the task of ``pack``."""
    found = pickle.loads(data)
    assert isinstance(found, Task), "our own file"
    return found


def unpack_figures(data: bytes) -> Figures:
    """Return the figures of ``pack``."""
    found = pickle.loads(data)
    assert isinstance(found, Figures), "our own file"
    return found
