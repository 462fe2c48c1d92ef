"""The cluster of the tests is a real Slurm that can be hurt, and that tells of itself."""

import time
from pathlib import Path

import httpx
import pytest

from tests.testbed.slurm_testbed import CONTROLLER, DATABASE, REST, SlurmTestbed

pytestmark = pytest.mark.centers
API = "/slurm/v0.0.38"


def submit(testbed: SlurmTestbed, name: str, script: str, **more: object) -> int:
    """Submit a job by REST; returns its id."""
    job = {
        "name": name, "partition": "cpu", "account": "wuhan",
        "current_working_directory": str(testbed.work_dir),
        "environment": {"PATH": "/usr/bin:/bin"},
        "standard_output": str(testbed.work_dir / f"{name}.out"), **more,
    }  # fmt: skip
    answer = httpx.post(
        f"{testbed.url}{API}/job/submit", headers=testbed.headers(), timeout=20.0,
        json={"script": f"#!/bin/sh\n{script}\n", "job": job},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return int(answer.json()["job_id"])


def test_a_job_runs_and_is_accounted(slurm_testbed: SlurmTestbed) -> None:
    job_id = submit(
        slurm_testbed, "tb-runs", "id -un; exit 3", gres="gpu:ascend:2", partition="gpu"
    )
    slurm_testbed.wait_idle()
    [row] = slurm_testbed.sacct(["tb-runs"])
    assert (row.job_id, row.state, row.exit_code) == (job_id, "FAILED", "3:0")
    assert (row.account, row.cards) == ("wuhan", 2)
    assert row.start_s is not None
    assert row.end_s == row.start_s + row.elapsed_s
    assert Path(slurm_testbed.work_dir, "tb-runs.out").read_text() == "corridor\n"
    assert slurm_testbed.native_jobs("tb-r") == {"tb-runs": {(job_id, row.submit_s)}}


def test_a_killed_controller_comes_back(slurm_testbed: SlurmTestbed) -> None:
    job_id = submit(slurm_testbed, "tb-long", "sleep 600")
    assert slurm_testbed.queue() == {"tb-long": [job_id]}
    slurm_testbed.kill(CONTROLLER)
    with pytest.raises(LookupError):
        slurm_testbed.pid(CONTROLLER)
    slurm_testbed.start(CONTROLLER)
    submit(slurm_testbed, "tb-after", "true")
    assert "tb-after" in slurm_testbed.queue() | slurm_testbed.native_jobs("tb-after")


@pytest.mark.parametrize("daemon", [REST, DATABASE, "slurmd-cpu1"])
def test_each_daemon_can_be_killed_and_started(slurm_testbed: SlurmTestbed, daemon: str) -> None:
    slurm_testbed.kill(daemon)
    slurm_testbed.start(daemon)
    submit(slurm_testbed, f"tb-{daemon}", "true")
    slurm_testbed.wait_idle()
    assert [row.state for row in slurm_testbed.sacct([f"tb-{daemon}"])] == ["COMPLETED"]


def test_a_frozen_server_is_silent_until_thawed(slurm_testbed: SlurmTestbed) -> None:
    slurm_testbed.freeze(REST)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{slurm_testbed.url}{API}/ping", headers=slurm_testbed.headers(), timeout=0.3)
    slurm_testbed.thaw(REST)
    answer = httpx.get(f"{slurm_testbed.url}{API}/ping", headers=slurm_testbed.headers())
    assert answer.status_code == 200


def test_tokens_end_when_they_say(slurm_testbed: SlurmTestbed) -> None:
    for life_s, status in ((60, 200), (-60, 500)):
        answer = httpx.get(f"{slurm_testbed.url}{API}/jobs", headers=slurm_testbed.headers(life_s))
        assert answer.status_code == status


def test_a_drained_node_takes_nothing(slurm_testbed: SlurmTestbed) -> None:
    slurm_testbed.drain("gpu1")
    assert slurm_testbed.node_state("gpu1") == "drained"
    submit(slurm_testbed, "tb-waits", "true", partition="gpu", gres="gpu:ascend:1")
    assert "tb-waits" in slurm_testbed.queue()
    slurm_testbed.resume("gpu1")
    slurm_testbed.wait_idle()


def test_two_stretches_of_one_job_are_two_rows(slurm_testbed: SlurmTestbed) -> None:
    job_id = submit(slurm_testbed, "tb-again", "test -e again && exit 0; touch again; sleep 600")
    while not (slurm_testbed.work_dir / "again").exists():
        time.sleep(0.02)
    slurm_testbed.requeue(job_id)
    slurm_testbed.wait_idle()
    rows = slurm_testbed.sacct(["tb-again"])
    assert [row.job_id for row in rows] == [job_id, job_id]
    assert rows[-1].state == "COMPLETED"
