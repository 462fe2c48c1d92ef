"""``corridor replay`` from its arguments to what it prints and writes."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from scheduler.cli.replay_cmd import replay

THREE_DAYS = str(
    Path(__file__).parents[2] / "scheduler" / "data" / "traces" / "corridor_open_3days.csv.gz"
)
CAPACITY = "cpu=3328,npu=632,gpu=24"
PROOF = (
    "; MaxProcs: 10\n"
    "4 0 -1 100 8 -1 -1 8 100 -1 1 1 1 -1 -1 -1 -1 -1\n"
    "3 1 -1 10 10 -1 -1 10 10 -1 1 1 1 -1 -1 -1 -1 -1\n"
    "2 2 -1 1000 2 -1 -1 2 1000 -1 1 1 1 -1 -1 -1 -1 -1\n"
    "1 3.5 -1 50 2 -1 -1 2 50 -1 1 1 1 -1 -1 -1 -1 -1\n"
)


def run(*args: object) -> Result:
    app = typer.Typer()
    app.command()(replay)
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    path = tmp_path / "proof.swf"
    path.write_text(PROOF, encoding="utf-8")
    return path


def test_starts_are_written_by_job_id(proof: Path, tmp_path: Path) -> None:
    out = tmp_path / "starts.csv"
    result = run(proof, "--policy", "easy", "--out", out)
    assert result.exit_code == 0, result.output
    assert out.read_text(encoding="utf-8") == (
        "job_id,submit_s,start_s,end_s,city,kind,units\n"
        "1,3.5,3.5,53.5,replay,cpu,2\n"
        "2,2,110,1110,replay,cpu,2\n"
        "3,1,100,110,replay,cpu,10\n"
        "4,0,0,100,replay,cpu,8\n"
    )
    assert "4 jobs replayed" in result.output


def test_json_has_the_figures_of_every_kind_and_city(tmp_path: Path) -> None:
    out = tmp_path / "starts.csv"
    result = run(THREE_DAYS, "--capacity", CAPACITY, "--json", "--shards", 3, "--out", out)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["policy"], found["shards"], found["jobs_replayed"]) == ("corridor", 3, 9446)
    assert sorted(found["kinds"]) == ["cpu", "gpu", "npu"]
    cpu = found["kinds"]["cpu"]
    assert set(cpu["by_city"]) == {"wuhan", "huanggang", "xianning", "huangshi", "ezhou"}
    assert 0 <= cpu["enterprises_slower_than_alone"] <= 1
    assert 0 < cpu["utilization"] < 1
    assert cpu["over_quota"] == cpu["promises_broken"] == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 9447


def test_tables_show_kinds_sizes_and_cities() -> None:
    result = run(THREE_DAYS, "--capacity", CAPACITY, "--no-alone")
    assert result.exit_code == 0, result.output
    for text in ("share shortfall", "65-512", "huanggang", "all", "jobs/s"):
        assert text in result.output


def test_quotas_bound_what_a_city_holds(tmp_path: Path) -> None:
    quotas = tmp_path / "quotas.yaml"
    quotas.write_text("wuhan: {cpu: {nominal: 900, borrow_limit: 100}}", encoding="utf-8")
    result = run(THREE_DAYS, "--capacity", CAPACITY, "--quotas", quotas, "--json", "--no-alone")
    assert result.exit_code == 0, result.output
    cpu = json.loads(result.stdout)["kinds"]["cpu"]
    assert 900 < cpu["by_city"]["wuhan"]["peak_units"] <= 1000
    assert cpu["over_quota"] == 0


def test_the_same_command_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    for out, shards in ((first, 1), (second, 5)):
        run(THREE_DAYS, "--capacity", CAPACITY, "--shards", shards, "--out", out, "--no-alone")
    assert first.read_bytes() == second.read_bytes()


def test_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    with gzip.open(THREE_DAYS, "rt", encoding="utf-8") as file:
        header, *lines = file.read().splitlines()[:1_500]
    written = []
    for name, rows in (("there", lines), ("back", lines[::-1])):
        workload, out = tmp_path / f"{name}.csv", tmp_path / f"{name}-starts.csv"
        workload.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        result = run(workload, "--capacity", "cpu=1344,npu=100,gpu=8", "--out", out, "--no-alone")
        assert result.exit_code == 0, result.output
        written.append(out.read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("none.swf",), "cannot read none.swf: No such file"),
        (("notes.txt",), "a workload is named *.swf or *.csv"),
        ((THREE_DAYS,), "a workload in CSV needs --capacity"),
        ((THREE_DAYS, "--capacity", "cpu"), "'cpu' is not KIND=UNITS"),
        ((THREE_DAYS, "--capacity", "cpu=0"), "'cpu=0' is not KIND=UNITS"),
        ((THREE_DAYS, "--capacity", "cpu=1,cpu=2"), "cpu is there twice"),
        (
            (THREE_DAYS, "--capacity", "tpu=1"),
            "no job to replay (left out: 2,814 no capacity for cpu",
        ),
        ((THREE_DAYS, "--procs", "3"), "--procs is for SWF logs"),
        ((THREE_DAYS, "--capacity", CAPACITY, "--quotas", "none"), "cannot read none"),
        ((THREE_DAYS, "--capacity", CAPACITY, "--out", "no/x.csv"), "cannot write no/x.csv"),
    ],
)
def test_errors_are_one_line_and_exit_with_2(args: tuple[str, ...], message: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_quota_of_an_unknown_city_is_refused(proof: Path, tmp_path: Path) -> None:
    quotas = tmp_path / "quotas.json"
    quotas.write_text('{"macheng": {"cpu": {"nominal": 1}}}', encoding="utf-8")
    result = run(proof, "--quotas", quotas)
    assert (result.exit_code, "macheng: not one of replay" in result.stderr) == (2, True)


def test_a_swf_log_takes_no_capacity(proof: Path) -> None:
    result = run(proof, "--capacity", "cpu=3")
    assert (result.exit_code, "a SWF log takes --procs" in result.stderr) == (2, True)


def test_the_command_needs_neither_grpc_nor_sql_nor_ray() -> None:
    code = (
        "import sys, scheduler.cli.replay_cmd\n"
        "print({'grpc', 'sqlalchemy', 'sqlmodel', 'ray', 'corridor'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
