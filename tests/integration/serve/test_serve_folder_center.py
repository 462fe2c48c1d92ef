"""A center of another package in a whole service: the page's folder runs a real program."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.store import seed
from tests.integration.serve.conftest import Installed, Serve
from tests.integration.test_adapter_page import PAGES, files

FLAVOR = "wuhan-sc/kunpeng-920"
KIND = {
    "kind": "folder",
    "simulated": False,
    "settings": {"flavors": {FLAVOR: {"units": 64}}},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package of the page, and the folder of its center."""
    site, lab = tmp_path / "site", tmp_path / "lab"
    info = site / "corridor_folder-1.0.dist-info"
    info.mkdir(parents=True)
    lab.mkdir()
    (site / "folder_center.py").write_text(files(PAGES[0])["folder_center.py"], "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corridor-folder\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[corridor.adapters]\nfolder = folder_center:open_center\n", "utf-8"
    )
    monkeypatch.syspath_prepend(str(site))
    yield lab
    sys.modules.pop("folder_center", None)


def centers_file(path: Path, lab: Path) -> str:
    """The samples, with the folder for the Slurm center's cores."""
    document = yaml.safe_load((seed.DATA / "centers.yaml").read_text("utf-8"))
    center = document["centers"][1]
    center |= json.loads(json.dumps(KIND))
    center["settings"]["folder"] = str(lab)
    center["flavors"] = [center["flavors"][0] | {"capacity_units": 64}]
    path.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    return str(path)


def ended_with(lab: Path) -> list[str]:
    """How the runs in the folder ended."""
    return [path.read_text("utf-8").strip() for path in lab.glob("corridor-*/code")]


async def test_a_job_runs_as_a_process_and_is_charged(
    installed: Installed, serve: Serve, folder: Path, tmp_path: Path
) -> None:
    flags = {"centers.file": centers_file(tmp_path / "c.yaml", folder), "clock.speed": 1}
    spec = job_pb2.JobSpec(display_name="hello", script="#!/bin/sh\necho hello from $WHO\n")
    spec.environment["WHO"] = "a process"
    spec.options.add(flavor=FLAVOR, units_per_node=2)
    spec.wall_limit.seconds = 60
    async with serve(installed.with_flags(flags)) as (_, client):
        sent = await client.jobs.SubmitJobs(
            pb.SubmitJobsRequest(request_id="one", enterprise="sample-wuhan-1", jobs=[spec])
        )
        job_id = sent.results[0].job_id
        watch = pb.WatchJobsRequest(job_ids=[job_id], from_start=True, until_ended=True)
        async for _ in client.watch(watch):
            pass
        job = (await client.jobs.GetJob(pb.GetJobRequest(job_id=job_id))).job
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED
        log = await client.jobs.ReadJobLogs(
            pb.ReadJobLogsRequest(job_id=job_id, offset=0, limit_bytes=1000)
        )
        assert (log.data, log.end) == (b"hello from a process\n", True)
    assert ended_with(folder) == ["0"]
