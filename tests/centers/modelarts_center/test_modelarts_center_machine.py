"""Pools drive jobs: gangs, queue, priority, preemption, faults of nodes, limits, lost jobs."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.centers.modelarts_center.conftest import StartRig
from tests.centers.modelarts_center.official_sdk import Rig
from tests.modelarts_center.settings import POOL, PoolSpec

pytestmark = pytest.mark.centers

#: Runs until the file GO is in the folder of the job's logs.
WAITS = "until [ -e ../go ]; do sleep 0.1; done"


def go(rig: Rig, job_id: str) -> None:
    """Let a job end that runs WAITS."""
    (rig.center.settings.directory / "jobs" / job_id / "go").touch()


def policy(rig: Rig, priority: int, *, preemptible: bool = False) -> Any:
    return rig.sdk.models.SchedulePolicy(priority=priority, preemptible=preemptible)


def positions(rig: Rig) -> dict[str, int]:
    """Places in the queue of the pool, by name."""
    works = rig.call("list_workloads", "ListWorkloadsRequest", pool_name=POOL, status="Queue")
    return {each.job_name: each.pending_position for each in works.items}


def events(rig: Rig, job_id: str) -> list[str]:
    told = rig.call(
        "list_training_job_events",
        "ListTrainingJobEventsRequest",
        training_job_id=job_id,
        order="asc",
    )
    return [event.message for event in told.events]


def log(rig: Rig, job_id: str, task: str = "worker-0") -> str:
    shown = rig.call(
        "show_training_job_logs_preview",
        "ShowTrainingJobLogsPreviewRequest",
        training_job_id=job_id,
        task_id=task,
    )
    return str(shown.content)


def test_a_gang_starts_on_all_its_nodes_or_waits_and_holds_up_who_is_behind(rig: Rig) -> None:
    first = rig.create("first", WAITS, nodes=3)
    rig.control.until("first", "Running")
    rig.create("gang", WAITS, nodes=2)
    rig.control.until("gang", "Pending")
    rig.create("small", WAITS)  # would fit into the free node
    rig.control.until("small", "Pending")
    assert positions(rig) == {"gang": 1, "small": 2}
    go(rig, first)
    rig.control.until("first", "Completed")
    rig.control.until("gang", "Running")
    rig.control.until("small", "Running")
    assert positions(rig) == {}


def test_tasks_of_a_gang_are_processes_of_their_own_places(rig: Rig) -> None:
    job_id = rig.create("gang", "echo $VC_TASK_INDEX of $VC_WORKER_NUM by $MA_NUM_GPUS", nodes=3)
    rig.control.until("gang", "Completed")
    logs = [log(rig, job_id, f"worker-{index}") for index in range(3)]
    assert logs == [f"{index} of 3 by 8\n" for index in range(3)]


def test_small_jobs_share_a_node(rig: Rig) -> None:
    for number, cards in enumerate(("4xlarge", "2xlarge", "2xlarge")):
        rig.create(f"part-{number}", WAITS, flavor=f"modelarts.pool.visual.{cards}")
        rig.control.until(f"part-{number}", "Running")
    works = rig.call("list_workloads", "ListWorkloadsRequest", pool_name=POOL)
    assert len({each.nodes[0].host_ip for each in works.items}) == 1


def test_one_failed_task_fails_the_gang(rig: Rig) -> None:
    job_id = rig.create("gang", "[ $VC_TASK_INDEX = 1 ] && exit 7; sleep 60", nodes=2)
    rig.control.until("gang", "Failed")
    status = rig.show(job_id).status
    assert {each.task: each.exit_code for each in status.task_statuses} == {
        "worker-0": 128 + 9,
        "worker-1": 7,
    }
    assert status.running_records[0].end_related_task == "worker-1"


def test_higher_priority_goes_first(start: StartRig) -> None:
    rig = start(pools=(PoolSpec(nodes=1),))
    first = rig.create("first", WAITS)
    rig.control.until("first", "Running")
    for name, priority in (("low", 1), ("high", 3), ("late-low", 1)):
        rig.create(name, WAITS, schedule_policy=policy(rig, priority))
        rig.control.until(name, "Pending")
    assert positions(rig) == {"high": 1, "low": 2, "late-low": 3}
    go(rig, first)
    rig.control.until("high", "Running")
    assert positions(rig) == {"low": 1, "late-low": 2}


def test_a_preemptible_job_makes_room(start: StartRig) -> None:
    rig = start(pools=(PoolSpec(nodes=2),))
    victim = rig.create("victim", WAITS, schedule_policy=policy(rig, 1, preemptible=True))
    rig.create("firm", WAITS, schedule_policy=policy(rig, 1))
    rig.control.until("firm", "Running")
    rig.create("urgent", WAITS, schedule_policy=policy(rig, 3))
    rig.control.until("urgent", "Running")
    rig.control.until("victim", "Terminated")
    assert "Training job is preempted by a job of higher priority." in events(rig, victim)
    assert rig.show(victim).status.running_records[0].end_reason == "preempted"


def test_a_preempted_job_may_go_back_to_the_queue(start: StartRig) -> None:
    rig = start(pools=(PoolSpec(nodes=1),), preempted_job="queued")
    victim = rig.create("victim", WAITS, schedule_policy=policy(rig, 1, preemptible=True))
    rig.control.until("victim", "Running")
    urgent = rig.create("urgent", WAITS, schedule_policy=policy(rig, 2))
    rig.control.until("urgent", "Running")
    rig.control.until("victim", "Pending")
    go(rig, urgent)
    rig.control.until("victim", "Running")
    assert len(rig.show(victim).status.running_records) == 2


def test_a_broken_node_reschedules_a_job_that_asked_for_it(rig: Rig) -> None:
    retry = {"fault-tolerance/job-retry-num": "1"}
    job_id = rig.create("job", f"echo started; {WAITS}", nodes=3, annotations=retry)
    rig.control.until("job", "Running")
    node = rig.control.set_node(0, broken=True)
    rig.control.until("job", "Running", stretches=2)
    rig.control.set_node(3, broken=True)
    rig.control.until("job", "Failed")
    records = rig.show(job_id).status.running_records
    assert [each.end_recover for each in records] == ["job_reschedule", None]
    assert [each.end_reason for each in records] == ["node fault", "node fault"]
    assert records[0].end_related_task == "worker-0"
    assert any(node in message for message in events(rig, job_id))


def test_a_job_without_retries_fails_with_its_node(rig: Rig) -> None:
    job_id = rig.create("job", WAITS)
    rig.control.until("job", "Running")
    rig.control.set_node(0, broken=True)
    rig.control.until("job", "Failed")
    assert rig.show(job_id).status.running_records[0].end_reason == "node fault"


def test_a_job_waits_while_too_few_nodes_are_in_service(rig: Rig) -> None:
    for number in range(3):
        rig.control.set_node(number, broken=True)
    rig.create("job", nodes=2)
    rig.control.until("job", "Pending")
    rig.control.set_node(1, broken=False)
    rig.control.until("job", "Completed")


def test_auto_stop_ends_a_job(start: StartRig) -> None:
    rig = start(hour_s=0.3)
    limit = rig.sdk.models.AutoStop(time_unit="HOURS", duration=2)
    job_id = rig.create("job", "sleep 60", auto_stop=limit)
    rig.control.until("job", "Terminated")
    assert rig.show(job_id).status.duration >= 600
    assert any("maximum running time" in message for message in events(rig, job_id))


def test_a_stop_gives_programs_time_to_save_and_no_more(start: StartRig, tmp_path: Path) -> None:
    rig = start(stop_grace_s=0.5)
    ids = []
    for name, does in (("good", "echo saved; exit 0"), ("bad", "")):
        ready = tmp_path / name
        os.mkfifo(ready)
        command = f"trap '{does}' TERM; echo ready >{ready}; while :; do sleep 0.05; done"
        ids.append(rig.create(name, command))
        assert ready.read_text() == "ready\n"
        rig.stop(ids[-1])
        rig.control.until(name, "Terminated")
    good, bad = ids
    assert log(rig, good).endswith("saved\n")  # bash says before that its sleep was killed
    assert rig.show(bad).status.task_statuses[0].exit_code == 128 + 9


def test_a_job_that_waits_can_be_stopped(start: StartRig) -> None:
    rig = start(pools=(PoolSpec(nodes=1),))
    rig.create("first", WAITS)
    rig.control.until("first", "Running")
    second = rig.create("second")
    rig.control.until("second", "Pending")
    rig.stop(second)
    rig.control.until("second", "Terminated")
    with pytest.raises(rig.sdk.exceptions.ClientRequestException) as again:
        rig.stop(second)
    assert again.value.error_code == "ModelArts.6357"
    status = rig.show(second).status
    assert (status.start_time, status.duration, status.running_records) == (0, 0, None)


def test_a_job_that_is_being_created_can_be_stopped(start: StartRig) -> None:
    rig = start(create_delay_s=3600.0)
    job_id = rig.create("job")
    assert rig.show(job_id).status.phase == "Creating"
    rig.stop(job_id)
    rig.control.until("job", "Terminated")


def test_an_image_that_is_missing(rig: Rig) -> None:
    job_id = rig.create("job", image="corridor/mindformers:missing")
    rig.control.until("job", "Failed")
    status = rig.show(job_id).status
    assert (status.secondary_phase, status.start_time) == ("CreateFailed", 0)


def test_a_lost_job_runs_on_and_may_be_found(rig: Rig) -> None:
    job_id = rig.create("job", f"{WAITS}; echo done")
    rig.control.until("job", "Running")
    rig.control.job("job", "lose")
    status = rig.show(job_id).status
    assert (status.phase, status.secondary_phase) == ("Abnormal", "Lost")
    go(rig, job_id)
    rig.control.job("job", "recover")
    rig.control.until("job", "Completed")
    assert log(rig, job_id) == "done\n"


def test_a_running_job_cannot_be_deleted(rig: Rig) -> None:
    job_id = rig.create("job", WAITS)
    rig.control.until("job", "Running")
    with pytest.raises(rig.sdk.exceptions.ClientRequestException) as refused:
        rig.call("delete_training_job", "DeleteTrainingJobRequest", training_job_id=job_id)
    assert refused.value.status_code == 400
