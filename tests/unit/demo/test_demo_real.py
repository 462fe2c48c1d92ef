"""The demonstration with real centers: its workload, what centers state, and what it needs."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from scheduler.cli import demo_cmd, exits, main
from scheduler.demo import real_centers, real_workload
from scheduler.demo.checks import Seen, ended_as_meant
from scheduler.demo.real_records import COLUMNS, SACCT, in_cities, of_modelarts, of_slurm
from scheduler.demo.real_workload import CARD, CPU, NPU
from scheduler.domain.ids import center_name, run_id
from scheduler.domain.spec import FlavorLimits, validate
from scheduler.rpc.job_spec import spec_of

PRICES = {CPU: 2_778, CARD: 166_667, NPU: 222_222}
#: As the real Slurm and the test server are configured.
FLAVORS = {
    flavor: FlavorLimits(flavor, flavor.partition("/")[0], "aarch64", units, per_node, 7 * 86_400)
    for flavor, units, per_node in ((CPU, 128, 64), (CARD, 8, 8), (NPU, 32, 8))
}
NAME = center_name(run_id(7 << 20, 1))
PARTITIONS = {"cpu": CPU, "gpu": CARD}


# --- the workload ---------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_workload_and_a_part_of_it() -> None:
    whole = real_workload.build(PRICES, seed=1)
    assert whole == real_workload.build(PRICES, seed=1)
    assert whole.jobs[:5] == real_workload.build(PRICES, seed=1, jobs=5).jobs
    assert whole.jobs != real_workload.build(PRICES, seed=2).jobs


def test_each_job_is_one_that_the_service_takes_and_that_a_program_runs() -> None:
    workload = real_workload.build(PRICES, seed=1)
    for job in workload.jobs:
        spec, wrong = spec_of(job.spec)
        assert [*wrong, *validate(spec, FLAVORS, now_ms=0)] == []
        first, *lines = job.spec.script.splitlines()
        assert first == "#!/bin/sh"
        assert ("exit 3" in lines) == (job.outcome == "FAILED")
        assert (job.cancel_after_ms is not None) == (job.outcome == "CANCELLED")
    ends = [job.outcome for job in workload.jobs]
    assert {end: ends.count(end) for end in set(ends)} == {
        "SUCCEEDED": 24, "FAILED": 6, "CANCELLED": 6
    }  # fmt: skip
    assert {option.flavor for job in workload.jobs for option in job.spec.options} == set(PRICES)


def test_one_that_is_given_up_would_outlast_the_demonstration() -> None:
    for job in real_workload.build(PRICES, seed=1).jobs:
        if job.cancel_after_ms is not None:
            seconds = int(job.spec.script.splitlines()[-1].removeprefix("sleep "))
            assert seconds * 1000 > 2 * job.cancel_after_ms
            assert seconds > job.spec.wall_limit.seconds


# --- what centers state ---------------------------------------------------------------------------


def accounted(**changes: str) -> str:
    row = {
        "JobName": NAME, "Account": "ezhou", "Partition": "cpu", "State": "COMPLETED",
        "Submit": "1000", "Start": "1002", "End": "1009", "ElapsedRaw": "7", "AllocCPUS": "4",
        "AllocTRES": "billing=4,cpu=4,mem=256M,node=1",
    }  # fmt: skip
    return "|".join((row | changes)[column] for column in COLUMNS)


def test_a_line_of_accounting_is_a_stay() -> None:
    [stay] = of_slurm("wuhan-sc", [accounted()], PARTITIONS)
    assert (stay.center, stay.name, stay.uid, stay.attempt) == ("wuhan-sc", NAME, 7 << 20, 1)
    assert (stay.city, stay.flavor, stay.units) == ("ezhou", CPU, 4)
    assert (stay.accept_ms, stay.start_ms, stay.end_ms) == (1_000_000, 1_002_000, 1_009_000)
    assert (stay.used_s, stay.outcome, stay.cancelled, stay.told) == (7, "SUCCEEDED", False, False)


def test_cards_are_counted_where_there_are_any() -> None:
    line = accounted(Partition="gpu", AllocCPUS="2", AllocTRES="billing=2,cpu=2,gres/gpu=6,node=1")
    [stay] = of_slurm("wuhan-sc", [line], PARTITIONS)
    assert (stay.flavor, stay.units) == (CARD, 6)


@pytest.mark.parametrize(
    ("changes", "outcome", "used_s"),
    [
        ({"State": "FAILED"}, "USER_CODE", 7),
        ({"State": "CANCELLED by 1000"}, "CANCELLED", 7),
        ({"State": "TIMEOUT"}, "TIME_LIMIT", 7),
        ({"State": "NODE_FAIL"}, "NODE", 7),
        ({"State": "CANCELLED by 1000", "Start": "None", "ElapsedRaw": "0"}, "CANCELLED", 0),
        ({"State": "RUNNING", "End": "Unknown"}, "RUNNING", 0),
    ],
)
def test_each_end_is_told_from_the_others(
    changes: dict[str, str], outcome: str, used_s: int
) -> None:
    [stay] = of_slurm("wuhan-sc", [accounted(**changes)], PARTITIONS)
    assert (stay.outcome, stay.used_s) == (outcome, used_s)
    assert stay.cancelled == (outcome == "CANCELLED")
    assert (stay.end_ms is None) == (outcome == "RUNNING")


def test_two_jobs_of_one_name_are_two_stays() -> None:
    lines = [accounted(), accounted(Submit="1020", Start="1021", End="1022", ElapsedRaw="1")]
    assert [stay.used_s for stay in of_slurm("wuhan-sc", lines, PARTITIONS)] == [7, 1]


def test_a_job_that_is_no_run_of_ours_is_told() -> None:
    with pytest.raises(ValueError, match="'mine', which is no run of ours"):
        of_slurm("wuhan-sc", [accounted(JobName="mine")], PARTITIONS)


def test_accounting_is_asked_for_every_stretch_of_every_job() -> None:
    assert SACCT[1] == "-nPXDa"
    assert SACCT[-1] == ",".join(COLUMNS)


def shown(phase: str = "Completed", **status: Any) -> dict[str, Any]:
    record = {"start_at": 1001, "xpu_start_at": 1002, "end_at": 1009}
    return {
        "metadata": {"name": NAME.replace(".", "_"), "create_time": 1_000_500},
        "status": {"phase": phase, "running_records": [record]} | status,
        "spec": {"resource": {"node_count": 2, "pool_info": {"accelerator_num": 8}}},
    }


def test_a_job_of_modelarts_is_a_stay() -> None:
    [stay] = of_modelarts("wuhan-ai", [shown()], NPU)
    assert (stay.center, stay.name, stay.uid, stay.attempt) == ("wuhan-ai", NAME, 7 << 20, 1)
    assert (stay.flavor, stay.units, stay.used_s) == (NPU, 16, 7)
    assert (stay.accept_ms, stay.start_ms, stay.end_ms) == (1_000_500, 1_002_000, 1_009_000)
    assert (stay.outcome, stay.cancelled) == ("SUCCEEDED", False)


def test_a_job_of_modelarts_that_never_began_used_nothing() -> None:
    [stay] = of_modelarts("wuhan-ai", [shown("Terminated", running_records=[])], NPU)
    assert (stay.used_s, stay.end_ms, stay.cancelled) == (0, 1_000_500, True)


def test_a_job_of_modelarts_that_runs_has_no_end() -> None:
    record = {"start_at": 1001, "xpu_start_at": 1002}
    [stay] = of_modelarts("wuhan-ai", [shown("Running", running_records=[record])], NPU)
    assert (stay.end_ms, stay.outcome) == (None, "Running")


def test_a_city_comes_from_the_run_where_the_center_does_not_know_it() -> None:
    stays = of_modelarts("wuhan-ai", [shown()], NPU)
    assert [stay.city for stay in in_cities(stays, {(7 << 20, 1): "huangshi"})] == ["huangshi"]


def test_a_job_that_ends_otherwise_than_its_program_is_told() -> None:
    meant = {"1": "SUCCEEDED", "2": "FAILED"}
    good = [Seen("a", "e", "1", "SUCCEEDED", True), Seen("b", "e", "2", "FAILED", True)]
    assert ended_as_meant(meant, good).ok
    [wrong] = ended_as_meant(meant, [good[0], good[1]._replace(state="CANCELLED")]).problems
    assert wrong == "b is CANCELLED, its program ends as FAILED"


# --- what it needs --------------------------------------------------------------------------------


def test_without_a_checkout_or_root_it_says_what_to_do(tmp_path: Path) -> None:
    assert real_centers.missing(real_centers.ROOT, 0) == ""
    assert "sudo make demo ARGS='--centers real'" in real_centers.missing(real_centers.ROOT, 1000)
    assert "clone the repository" in real_centers.missing(tmp_path, 0)


def test_what_is_missing_is_one_line_and_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def demonstration() -> int:
        raise real_centers.NoRealCenters("a real Slurm needs root")

    with pytest.raises(typer.Exit) as ended:
        demo_cmd.run(demonstration)
    assert ended.value.exit_code == exits.UNAVAILABLE
    assert capsys.readouterr().err == "corridor demo: a real Slurm needs root\n"


@pytest.mark.parametrize("option", ["--speed", "--days", "--serve-speed"])
def test_an_option_that_turns_time_is_refused_among_real_centers(option: str) -> None:
    done = CliRunner().invoke(main.app, ["demo", "--centers", "real", option, "2"])
    assert done.exit_code == exits.USAGE
    assert f"{option} is for simulated centers" in done.stderr


def test_a_simulated_center_of_the_file_becomes_the_real_one() -> None:
    sample = {
        "center": "wuhan-ai", "name_en": "Sample", "kind": "simulated", "simulated": True,
        "settings": {"seed": 1},
        "flavors": [
            {"flavor": NPU, "capacity_units": 632, "units_per_node": 8, "domestic": True},
            {"flavor": "wuhan-ai/other", "capacity_units": 8, "units_per_node": 8},
        ],
    }  # fmt: skip
    settings = {"pools": {NPU: {"units": 32, "units_per_node": 4}}}
    entry = {"center": "wuhan-ai", "name_en": "Real", "kind": "modelarts", "settings": settings}
    assert real_centers.configured(sample, entry) == {
        "center": "wuhan-ai", "name_en": "Real", "kind": "modelarts", "simulated": True,
        "settings": settings,
        "flavors": [{"flavor": NPU, "capacity_units": 32, "units_per_node": 4, "domestic": True}],
    }  # fmt: skip
    own = [{"flavor": NPU, "capacity_units": 1, "units_per_node": 1}]
    assert real_centers.configured(sample, entry | {"flavors": own})["flavors"] == own
