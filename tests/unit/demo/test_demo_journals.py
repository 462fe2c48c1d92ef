"""What the checks read from a center's journal, beside what the center itself says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.contract import FlavorCapacity, RunRequest
from adapters.simulated.center import SimulatedCenter
from adapters.simulated.fate import OUTCOME_LABEL, RUNTIME_LABEL
from adapters.simulated.journal import Event, read_events
from adapters.simulated.settings import SimulatedSettings
from scheduler.demo.journals import Stay, stays
from scheduler.domain.ids import center_name, run_id
from tests.refs import ref


def request(uid: int, runtime_s: int, outcome: str = "SUCCEEDED") -> RunRequest:
    text = run_id(uid, 1)
    return RunRequest(
        text, center_name(text), 1, "wuhan", "e1", "c/card", 2, 1, 100,
        labels={RUNTIME_LABEL: str(runtime_s), OUTCOME_LABEL: outcome},
    )  # fmt: skip


async def test_a_journal_read_from_outside_says_what_the_center_metered(tmp_path: Path) -> None:
    now_ms = 1_000
    settings = SimulatedSettings(
        "c", (FlavorCapacity("c/card", 4, 4, "aarch64"),), journal=tmp_path / "c.journal"
    )
    center = SimulatedCenter(settings, lambda: now_ms, lambda ms: ms / 1000)
    for uid, runtime_s, outcome in ((1, 10, "SUCCEEDED"), (2, 20, "NODE"), (3, 30, "SUCCEEDED")):
        await center.submit(request(uid, runtime_s, outcome))
    await center.cancel(ref(run_id(3, 1)))  # it waits: two cards are free for nobody
    now_ms = 6_500
    await center.notify(ref(run_id(1, 1)), 60)
    await center.cancel(ref(run_id(1, 1)))  # it runs
    now_ms = 60_000
    metered = await center.usage([ref(run_id(uid, 1)) for uid in (1, 2, 3)])
    await center.close()

    found = {stay.uid: stay for stay in stays("c", read_events(tmp_path / "c.journal"))}
    for uid, stay in found.items():
        segments = metered[run_id(uid, 1)]
        assert stay.used_s == sum((one.end_ms - one.start_ms) // 1000 for one in segments)
        assert stay.name == center_name(run_id(uid, 1))
    assert [(s.used_s, s.told, s.cancelled, s.outcome) for s in found.values()] == [
        (5, True, True, "SUCCEEDED"),
        (20, False, False, "NODE"),
        (0, False, True, "SUCCEEDED"),
    ]


def accept(name: str) -> Event:
    return {
        "event": "accept", "name": name, "run_id": run_id(1, 1), "city": "wuhan",
        "enterprise": "e1", "flavor": "c/card", "units": 2, "submit_ms": 5, "runtime_ms": 10,
        "outcome": "SUCCEEDED",
    }  # fmt: skip


def test_a_name_that_was_accepted_twice_has_two_stays() -> None:
    found = stays("c", [accept("a"), accept("a")])
    assert [stay.name for stay in found] == ["a", "a"]


@pytest.mark.parametrize(
    ("at_ms", "read"),
    [(15, lambda stay: stay.cancelled), (20, lambda stay: not stay.cancelled)],
)
def test_a_cancellation_that_came_too_late_is_none(
    at_ms: int, read: Callable[[Stay], bool]
) -> None:
    events: list[Event] = [
        accept("a"),
        {"event": "start", "name": "a", "at_ms": 10},
        {"event": "cancel", "name": "a", "at_ms": at_ms},
        {"event": "end", "name": "a", "at_ms": at_ms},
    ]
    assert read(stays("c", events)[0])


def test_an_event_of_a_run_that_was_never_accepted_is_an_error() -> None:
    with pytest.raises(ValueError, match="end of b, which it never accepted"):
        stays("c", [accept("a"), {"event": "end", "name": "b", "at_ms": 7}])
