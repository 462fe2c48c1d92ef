"""What a job's phase and what else is told of it mean for its run."""

from typing import Any

import pytest

from adapters.contract import ACTIVE_PHASES, FailureClass, Phase
from adapters.modelarts.job import Job, read_job
from adapters.modelarts.phases import ACTIVE, FINAL, cut_off, judge, needs_events, sequence
from tests.unit.adapters.modelarts_fake import NOW_MS, job_json

F = FailureClass
START_S = NOW_MS // 1000


def job(phase: str, secondary: str = "", **status: Any) -> Job:
    raw = job_json("id-1", "corridor-j1_1", phase, **status)
    raw["status"]["secondary_phase"] = secondary or phase
    return read_job(raw)


def ran(**more: Any) -> dict[str, Any]:
    """A status of a job that was on its nodes for ten minutes."""
    record = {"start_at": START_S, "end_at": START_S + 600, **more}
    return {"start_time": NOW_MS, "duration": 600_000, "running_records": [record]}


def tasks(code: int | None, message: str = "") -> dict[str, Any]:
    return {"task_statuses": [{"task": "worker-0", "exit_code": code, "message": message}]}


@pytest.mark.parametrize(
    ("phase", "status", "expected"),
    [
        ("Creating", {}, Phase.WAITING),
        ("Pending", {}, Phase.WAITING),
        ("Pending", ran(), Phase.RUNNING),  # it waits to be started again
        ("Running", {}, Phase.RUNNING),
        ("Terminating", {}, Phase.WAITING),
        ("Terminating", ran(), Phase.RUNNING),
        ("Abnormal", {}, Phase.WAITING),
        ("Abnormal", ran(), Phase.RUNNING),
        ("Hibernating", {}, Phase.WAITING),
        ("Hibernating", ran(), Phase.RUNNING),
        ("", {}, Phase.WAITING),
    ],
)
def test_an_active_job_is_kept(phase: str, status: dict[str, Any], expected: Phase) -> None:
    verdict = judge(job(phase, **status))
    assert (verdict.phase, verdict.failure) == (expected, None)
    assert verdict.known is (phase in ACTIVE)


@pytest.mark.parametrize(
    ("secondary", "status", "events", "phase", "failure", "code"),
    [
        ("Failed", {**ran(), **tasks(3)}, (), Phase.FAILED, F.USER_CODE, 3),
        ("Failed", {**ran(), **tasks(137)}, (), Phase.FAILED, F.OUT_OF_MEMORY, 137),
        ("Failed", {**ran(), **tasks(1, "CUDA out of memory")}, (), Phase.FAILED,
         F.OUT_OF_MEMORY, 1),
        ("Failed", ran(), (), Phase.FAILED, F.CENTER, None),
        ("Failed", ran(), ("Node n-1 of the training job is faulty: node fault",), Phase.FAILED,
         F.NODE, None),
        ("Failed", {**ran(end_reason="node fault"), **tasks(137)}, (), Phase.FAILED, F.NODE, 137),
        ("Failed", {**ran(end_reason="preempted"), **tasks(137)}, (), Phase.PREEMPTED,
         F.PREEMPTED, 137),
        ("Failed", {**ran(recover_records=[{"fault_scenario": "chip_fault"}]), **tasks(1)}, (),
         Phase.FAILED, F.NODE, 1),
        ("Failed", {**ran(recover_records=[{"fault_scenario": "job_failed"}]), **tasks(1)}, (),
         Phase.FAILED, F.USER_CODE, 1),
        ("CreateFailed", {}, ("Failed to pull image a/b:1.",), Phase.FAILED, F.IMAGE, None),
        ("CreateFailed", {}, ("obs path does not exist",), Phase.FAILED, F.INPUT, None),
        ("CreateFailed", {}, (), Phase.FAILED, F.CENTER, None),
        ("Failed", {}, (), Phase.FAILED, F.CENTER, None),
    ],
)  # fmt: skip
def test_a_failure_is_told_apart(
    secondary: str,
    status: dict[str, Any],
    events: tuple[str, ...],
    phase: Phase,
    failure: FailureClass,
    code: int | None,
) -> None:
    verdict = judge(job("Failed", secondary, **status), events)
    assert (verdict.phase, verdict.failure, verdict.exit_code) == (phase, failure, code)
    assert verdict.message


def test_a_success_is_one() -> None:
    verdict = judge(job("Completed", **ran()))
    assert (verdict.phase, verdict.failure, verdict.exit_code) == (Phase.SUCCEEDED, None, 0)


def with_limit(wall_limit_s: int, **status: Any) -> Job:
    raw = job_json("id-1", "corridor-j1_1", "Terminated", **status)
    raw["algorithm"]["environments"] = {"CORRIDOR_WALL_LIMIT_S": str(wall_limit_s)}
    raw["spec"]["auto_stop"] = {"time_unit": "HOURS", "duration": 1}
    return read_job(raw)


@pytest.mark.parametrize(
    ("stopped", "events", "phase", "failure"),
    [
        (with_limit(600, **ran()), (), Phase.FAILED, F.TIME_LIMIT),
        (with_limit(601, **ran()), (), Phase.CANCELLED, None),
        (with_limit(601, **ran()), ("maximum running time is reached",), Phase.FAILED,
         F.TIME_LIMIT),
        (with_limit(601, **ran()), ("preempted by a job of higher priority",), Phase.PREEMPTED,
         F.PREEMPTED),
        # What a program says of itself is no evidence against its center.
        (with_limit(601, **ran(), **tasks(1, "preempted")), (), Phase.CANCELLED, None),
        (with_limit(1), ("maximum running time is reached",), Phase.CANCELLED, None),
        (with_limit(0, start_time=NOW_MS, duration=3_600_000), (), Phase.FAILED, F.TIME_LIMIT),
        (with_limit(0, start_time=NOW_MS, duration=3_599_999), (), Phase.CANCELLED, None),
    ],
)  # fmt: skip
def test_a_stop_is_told_apart(
    stopped: Job, events: tuple[str, ...], phase: Phase, failure: FailureClass | None
) -> None:
    verdict = judge(stopped, events)
    assert (verdict.phase, verdict.failure) == (phase, failure)


def test_what_a_run_waits_in_between_is_not_of_its_wall_limit() -> None:
    records = [{"start_at": START_S, "end_at": START_S + 60}, {"start_at": START_S + 5_000}]
    made = job("Running", start_time=NOW_MS, running_records=records)
    assert made.ran_ms(NOW_MS + 5_010_000) == 70_000
    assert job("Running", start_time=NOW_MS).ran_ms(NOW_MS + 7_000) == 7_000
    assert job("Pending").ran_ms(NOW_MS) == 0


def test_every_phase_that_is_known_is_active_or_final() -> None:
    for phase in (*ACTIVE, *FINAL):
        verdict = judge(job(phase))
        assert verdict.known
        assert (verdict.phase in ACTIVE_PHASES) is (phase in ACTIVE)
        assert (verdict.failure is not None) is (verdict.phase in (Phase.FAILED, Phase.PREEMPTED))


def test_events_are_asked_for_only_where_they_tell_something() -> None:
    assert needs_events(job("Terminated"))
    assert needs_events(job("Failed"))
    assert not needs_events(job("Failed", **tasks(3)))
    assert not needs_events(job("Completed"))


def test_the_sequence_grows_as_a_job_goes_on() -> None:
    again = {**ran(), "running_records": [{"start_at": START_S}, {"start_at": START_S + 700}]}
    states = [
        job("Creating"), job("Pending"), job("Running"), job("Running", **ran()),
        job("Running", **again), job("Completed", **again),
    ]  # fmt: skip
    numbers = [sequence(one) for one in states]
    assert numbers == sorted(set(numbers))
    assert sequence(job("Pending", **ran())) == sequence(job("Running", **ran()))


@pytest.mark.parametrize(
    ("recovery", "fault", "reason", "failure"),
    [
        ("job_reschedule", "", "", F.NODE),
        ("npu_proc_restart", "", "", F.NODE),
        ("proc_restart", "", "", None),
        ("job_reschedule", "job_failed", "", None),
        ("job_reschedule", "node_fault", "", F.NODE),
        ("", "", "preempted", F.PREEMPTED),
        ("", "", "被抢占", F.PREEMPTED),
        ("", "", "task failed", None),
        ("", "", "", None),
    ],
)
def test_why_a_stretch_was_cut_off(
    recovery: str, fault: str, reason: str, failure: FailureClass | None
) -> None:
    assert cut_off(recovery, fault, reason) is failure
