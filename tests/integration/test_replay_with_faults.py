"""``corridor replay --faults``: the price is told, and nothing that must hold is broken."""

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from scheduler.cli.replay_cmd import replay
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import CityQuotaSet
from scheduler.replay.corridor_csv import read_corridor_csv
from scheduler.replay.faults import DEFAULT, lives_of, outside_of
from scheduler.replay.setup import CITY_WEIGHTS, corridor
from scheduler.replay.simulate import POLICIES
from scheduler.replay.world import World
from tests.property.fault_checker import Limits, check

THREE_DAYS = Path(__file__).parents[2] / "scheduler/data/traces/corridor_open_3days.csv.gz"
TIGHT = {"cpu": 3328, "npu": 632, "gpu": 24}


def run(*args: object) -> Result:
    app = typer.Typer()
    app.command()(replay)
    return CliRunner().invoke(app, [str(arg) for arg in args])


HEADER = "submit_s,city,enterprise,kind,units,walltime_req_s,runtime_s,job_id\n"


@pytest.fixture
def week(tmp_path: Path) -> Path:
    """A workload of some hundred equal jobs."""
    path = tmp_path / "week.csv"
    rows = [f"{number * 600},wuhan,E,npu,4,7200,3600,{number}\n" for number in range(600)]
    path.write_text(HEADER + "".join(rows), encoding="utf-8")
    return path


def test_the_price_of_faults_is_printed_beside_the_replay_without(week: Path) -> None:
    asked = (week, "--capacity", "npu=30", "--no-alone")
    plain = json.loads(run(*asked, "--json").stdout)
    told = json.loads(run(*asked, "--json", "--faults", "default").stdout)
    price = told.pop("faults")
    assert told["kinds"] == plain["kinds"]
    npu = price["kinds"]["npu"]
    assert npu["mean_wait_without_s"] == pytest.approx(plain["kinds"]["npu"]["mean_wait_s"])
    assert npu["mean_wait_s"] > npu["mean_wait_without_s"]
    assert (npu["promises_broken"], sum(npu["ended"].values())) == (0, 600)
    table = run(*asked, "--faults", "default").stdout
    assert "lost unit-hours" in table
    assert "npu was away from 143,760 s to 165,360 s" in table


def test_a_wrong_file_of_faults_is_wrong_use(week: Path, tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("sed: 1\n", encoding="utf-8")
    result = run(week, "--capacity", "npu=30", "--faults", path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"corridor replay: {path}: sed: unknown")


def holds(path: Path, policy: str) -> None:
    """Replay a workload of the corridor with faults and look at every instant of it."""
    quotas = {
        (city, kind): CityQuotaSet(city, kind, units * weight // sum(CITY_WEIGHTS.values()),
                                   units // 2, units * weight // sum(CITY_WEIGHTS.values()) // 2)
        for kind, units in TIGHT.items()
        for city, weight in CITY_WEIGHTS.items()
    }  # fmt: skip
    setup = corridor(TIGHT, CITY_WEIGHTS, quotas)
    jobs, _ = setup.placeable(read_corridor_csv(path).jobs)
    outside = outside_of(DEFAULT, TIGHT, jobs[0].submit_ms, jobs[-1].submit_ms)
    core = PlanningCore(POLICIES[policy])
    lived = World(lives_of(jobs, DEFAULT), setup.deltas(jobs), core, outside).run()
    limits = {
        key: Limits(
            quota.nominal_units,
            quota.nominal_units + (quota.borrow_limit_units or 0),
            quota.nominal_units - (quota.lend_limit_units or 0),
        )
        for key, quota in quotas.items()
    }
    assert check(lived, TIGHT, limits, outside) == []
    failed = sum(state == "FAILED" for state in lived.states)
    assert 0.05 < failed / len(jobs) < 0.43


@pytest.mark.slow
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_three_days_with_faults_hold_at_every_instant(policy: str) -> None:
    holds(THREE_DAYS, policy)


@pytest.mark.slow
def test_four_weeks_with_faults_hold_at_every_instant() -> None:
    folder = os.environ.get("CORRIDOR_TRACES")
    path = next(Path(folder).rglob("corridor_open.csv.gz"), None) if folder else None
    if path is None:
        pytest.skip("needs corridor_open.csv.gz in the folder that CORRIDOR_TRACES names")
    holds(path, "corridor")
