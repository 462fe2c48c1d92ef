"""kill -9 of the center: what it answered is kept, what runs goes on, what ended is known."""

import asyncio
import os
import select
from pathlib import Path

import pytest

from tests.centers.modelarts_center.conftest import StartRig
from tests.centers.modelarts_center.official_sdk import Rig
from tests.centers.modelarts_center.test_modelarts_center_machine import WAITS, go, log
from tests.modelarts_center.processes import Processes
from tests.modelarts_center.settings import PoolSpec

pytestmark = pytest.mark.centers


def die(rig: Rig) -> None:
    """Kill the center and start it again."""
    rig.center.kill()
    rig.center.start_again()


def test_running_jobs_are_adopted_and_end_with_their_own_status(rig: Rig) -> None:
    good = rig.create("good", f"echo begun; {WAITS}; echo done", nodes=2)
    bad = rig.create("bad", f"{WAITS}; exit 9")
    for name in ("good", "bad"):
        rig.control.until(name, "Running")
    die(rig)
    assert rig.show(good).status.phase == "Running"
    for job_id in (good, bad):
        go(rig, job_id)
    rig.control.until("good", "Completed")
    rig.control.until("bad", "Failed")
    assert log(rig, good, "worker-1") == "begun\ndone\n"
    assert rig.show(bad).status.task_statuses[0].exit_code == 9
    assert len(rig.show(good).status.running_records) == 1


def test_the_end_of_a_job_is_known_though_the_center_was_dead_meanwhile(
    rig: Rig, tmp_path: Path
) -> None:
    told = tmp_path / "wrapper"
    os.mkfifo(told)
    job_id = rig.create("job", f"echo $PPID >{told}; {WAITS}; echo done; exit 3")
    pidfd = os.pidfd_open(int(told.read_text()))
    rig.center.kill()
    go(rig, job_id)
    select.select([pidfd], [], [])
    os.close(pidfd)
    rig.center.start_again()
    rig.control.until("job", "Failed")
    assert rig.show(job_id).status.task_statuses[0].exit_code == 3
    assert log(rig, job_id) == "done\n"


def test_queues_nodes_names_and_quotas_survive(start: StartRig) -> None:
    rig = start(pools=(PoolSpec(nodes=2),))
    rig.control.set_node(1, broken=True)
    first = rig.create("first", WAITS)
    rig.control.until("first", "Running")
    rig.create("second", "echo here")
    rig.control.until("second", "Pending")
    die(rig)
    with pytest.raises(rig.sdk.exceptions.ClientRequestException) as taken:
        rig.create("second")
    assert taken.value.error_code == "ModelArts.2763"
    assert [job["phase"] for job in rig.control.jobs()] == ["Running", "Pending"]
    go(rig, first)
    rig.control.until("second", "Completed")


def test_a_stop_goes_on_after_the_death(start: StartRig) -> None:
    rig = start(stop_grace_s=3600.0)
    job_id = rig.create("job", "trap '' TERM; while :; do sleep 0.05; done")
    rig.control.until("job", "Running")
    rig.stop(job_id)
    die(rig)
    rig.control.until("job", "Terminated")
    assert rig.show(job_id).status.task_statuses[0].exit_code == 128 + 9


def test_a_create_that_was_committed_survives_its_center(rig: Rig) -> None:
    rig.control.fault("create", "drop")
    with pytest.raises(rig.sdk.exceptions.ConnectionException):
        rig.create("job", "echo once")
    die(rig)
    rig.control.until("job", "Completed")
    [job] = rig.control.jobs()
    assert log(rig, job["id"]) == "once\n"


async def test_a_task_is_started_once_whoever_prepared_it(tmp_path: Path) -> None:
    ended: dict[Path, int | None] = {}
    done = asyncio.Event()

    def on_exit(folder: Path, status: int | None) -> None:
        ended[folder] = status
        done.set()

    folder, log_file = tmp_path / "task", tmp_path / "log"
    script = "echo once; exit 4"
    # A center died when it had prepared the task and no wrapper had claimed it.
    folder.mkdir()
    (folder / "script").write_text("echo of the dead center")
    first = Processes(on_exit)
    first.start(folder, script, log_file, {})
    first.close(kill=False)
    second = Processes(on_exit)
    second.start(folder, script, log_file, {})
    # The first one's wrapper runs it, or is too late and the second one's does.
    await done.wait()
    assert ended == {folder: 4}
    assert log_file.read_text() == "once\n"
    # A wrapper of the dead center would find its claim taken.
    assert (folder / "claim.0").readlink() == Path("center")
    second.close(kill=True)
