"""The parts of a service, opened one by one: clock, centers, lock."""

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.gate import Gate, Verdict
from adapters.simulated import SimulatedCenter
from adapters.simulated.journal import Journal
from scheduler import openers
from scheduler.clock import ScaledClock, WallClock
from scheduler.config import BadConfig, load_settings
from scheduler.metrics import Metrics
from scheduler.openers import wall_ms
from scheduler.settings import Settings
from scheduler.store.centers import CenterRow
from scheduler.store.lock import DataInUse, DataLock

FLAVORS = '[{"flavor": "a/card", "units": 8, "units_per_node": 8, "architecture": "aarch64"}]'
CENTER = CenterRow("a", "甲", "A", "simulated", True, "OPEN", f'{{"flavors": {FLAVORS}}}', (), 0)


def settings(tmp_path: Path, **flags: object) -> Settings:
    given = {name.replace("__", "."): value for name, value in flags.items()}
    return load_settings(None, {}, {"store.data_dir": str(tmp_path), **given})


# --- the clock ------------------------------------------------------------------------------------


def test_the_wall_clock_serves_at_ordinary_speed(tmp_path: Path) -> None:
    for newest_ms in (None, wall_ms() - 5_000):
        assert isinstance(openers.clock(settings(tmp_path), newest_ms), WallClock)


def test_fast_time_goes_on_from_the_newest_instant(tmp_path: Path) -> None:
    fast = settings(tmp_path, clock__speed=100)
    for newest_ms in (wall_ms() - 10**12, wall_ms() + 10**12):
        clock = openers.clock(fast, newest_ms)
        assert newest_ms < clock.now_ms() < newest_ms + 3_600_000
    assert openers.clock(fast, None).now_ms() >= wall_ms() - 60_000


def test_time_that_ran_ahead_does_not_step_back(tmp_path: Path) -> None:
    ahead_ms = wall_ms() + 10**12
    clock = openers.clock(settings(tmp_path), ahead_ms)
    assert isinstance(clock, ScaledClock)
    assert clock.speed == 1
    assert clock.now_ms() > ahead_ms


def test_fast_time_goes_on_from_what_a_simulated_center_did_alone(tmp_path: Path) -> None:
    """A center's last act may have come after the last commit of a service that was killed."""
    fast = settings(tmp_path, clock__speed=100)
    ahead_ms = wall_ms() + 10**12
    path = tmp_path / "centers" / "c.journal"
    Journal(path).append([{"event": "open", "at_ms": 5}, {"event": "end", "at_ms": ahead_ms}])
    with path.open("a") as file:
        file.write('{"event": "torn", "at_ms": 9')
    assert openers.clock(fast, wall_ms()).now_ms() > ahead_ms


# --- centers --------------------------------------------------------------------------------------


def inner(gate: object) -> SimulatedCenter:
    assert isinstance(gate, Gate)
    assert isinstance(gate.inner, SimulatedCenter)
    return gate.inner


async def test_a_simulated_center_keeps_a_journal_and_is_measured(tmp_path: Path) -> None:
    metrics = Metrics()
    made = openers.adapters(settings(tmp_path), [CENTER], WallClock(), metrics)
    assert inner(made["a"]).settings.journal == tmp_path / "centers" / "a.journal"
    await made["a"].describe()
    calls = {"center": "a", "method": "describe"}
    assert metrics.registry.get_sample_value("corridor_adapter_calls_total", calls) == 1
    await made["a"].close()


async def test_a_center_may_be_without_journal_and_behind_a_gate(tmp_path: Path) -> None:
    row = replace(
        CENTER,
        settings=f'{{"flavors": {FLAVORS}, "journal": "", "gate": {{"failures_max": 2}}}}',
    )
    gate = openers.adapters(settings(tmp_path), [row], WallClock(), Metrics())["a"]
    assert inner(gate).settings.journal is None
    assert isinstance(gate, Gate)
    for _ in range(2):
        gate.breaker.end(Verdict.UNANSWERED, False, 0.0)
    assert not gate.breaker.is_closed
    await gate.close()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('{"flavors": [], "seed": 1}', "center a: its settings cannot be used: simulated center"),
        (f'{{"flavors": {FLAVORS}, "sede": 1}}', "unknown setting 'sede'"),
        (f'{{"flavors": {FLAVORS}, "gate": {{"calls": 1}}}}', "gate.calls: is not known here"),
        (
            f'{{"flavors": {FLAVORS}, "gate": {{"burst": 0}}}}',
            "gate.burst: must be a whole number from 1, not 0",
        ),
    ],
)
def test_wrong_settings_of_a_center_are_named(tmp_path: Path, given: str, told: str) -> None:
    with pytest.raises(BadConfig) as caught:
        openers.adapters(
            settings(tmp_path), [replace(CENTER, settings=given)], WallClock(), Metrics()
        )
    assert told in caught.value.message


def test_an_unknown_kind_of_center_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"unknown kind 'cloud'; known are .*simulated"):
        openers.adapters(
            settings(tmp_path), [replace(CENTER, kind="cloud")], WallClock(), Metrics()
        )


# --- the lock -------------------------------------------------------------------------------------


def test_one_holds_the_lock_at_a_time(tmp_path: Path) -> None:
    first = DataLock(tmp_path)
    with pytest.raises(DataInUse, match=r"process \d+"):
        DataLock(tmp_path)
    first.close()
    first.close()
    second = DataLock(tmp_path)
    first.close()  # of one that was let go nothing is left to close
    with pytest.raises(DataInUse):
        DataLock(tmp_path)
    second.close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(BadConfig, match=r"store\.data_dir: cannot make .*file/data"):
        openers.data_lock(settings(tmp_path / "file" / "data"))
