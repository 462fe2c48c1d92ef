"""What Slurm's answers and states mean: a table for each pure function."""

import json
from typing import Any

import pytest

from adapters.contract import FailureClass, Phase
from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
)
from adapters.slurm.failures import SlurmError, errors_of, refusal, unanswered
from adapters.slurm.states import exit_code, hopeless, outcome
from adapters.wire import NotSent
from tests.unit.adapters.slurm_samples import native, sample


def refused(name: str, changes: bool) -> AdapterError | None:
    status, body = sample(name)
    readable = isinstance(body, dict)
    return refusal(status, errors_of(body if readable else {}), {}, changes, readable)


@pytest.mark.parametrize(
    ("name", "changes", "kind", "reason"),
    [
        ("submit_ok", True, None, ""),
        ("ping", False, None, ""),
        ("submit_bad_partition", True, Rejected, "NO_PARTITION"),
        ("submit_bad_account", True, Rejected, "NO_ACCOUNT"),
        ("submit_no_env", True, Rejected, "NO_ENVIRONMENT"),
        ("submit_too_much_mem", True, Rejected, "CANNOT_BE_SATISFIED"),
        ("submit_wrong_ct", True, Rejected, "INVALID_REQUEST"),
        ("auth_submit_expired", True, OutcomeUnknown, ""),
        ("auth_header_none", True, Unauthorized, ""),
        ("cancel_other_user", False, Unauthorized, ""),
        ("down_submit", True, Unavailable, ""),
        ("down_jobs", False, Unavailable, ""),
        ("down_dbd_dbjobs", False, Unavailable, ""),
        ("job_missing", False, Unavailable, ""),
    ],
)
def test_recorded_answers_have_their_class(
    name: str, changes: bool, kind: type[AdapterError] | None, reason: str
) -> None:
    error = refused(name, changes)
    assert type(error) is (kind or type(None))
    assert getattr(error, "reason", "") == reason


def test_an_answer_that_never_reached_a_controller_is_known_as_such() -> None:
    down = refused("down_submit", True)
    assert down is not None
    assert isinstance(down.__cause__, NotSent)
    expired = refused("auth_submit_expired", True)
    assert expired is not None
    assert expired.__cause__ is None


@pytest.mark.parametrize(
    ("status", "readable", "changes", "kind"),
    [
        (502, False, True, OutcomeUnknown),
        (504, False, True, OutcomeUnknown),
        (500, False, False, Unavailable),
        (200, False, True, OutcomeUnknown),
        (200, False, False, Unavailable),
        (429, True, True, Throttled),
        (503, False, True, Throttled),
        (404, False, True, Unavailable),
        (400, False, True, Rejected),
        (500, True, True, OutcomeUnknown),
        (403, True, True, Unauthorized),
    ],
)
def test_answers_of_what_stands_between_have_their_class(
    status: int, readable: bool, changes: bool, kind: type[AdapterError]
) -> None:
    assert type(refusal(status, (), {}, changes, readable)) is kind


def test_a_full_slurm_throttles() -> None:
    body: dict[str, Any] = {"errors": [{"error_code": 11, "error": "Resource temporarily ..."}]}
    assert isinstance(refusal(500, errors_of(body), {}, True), Throttled)


@pytest.mark.parametrize(
    ("said", "seconds"), [("7", 7.0), ("", 2.0), ("soon", 2.0), ("99999", 300.0), ("0", 0.1)]
)
def test_retry_after_is_heeded_within_reason(said: str, seconds: float) -> None:
    error = refusal(429, (), {"retry-after": said}, True)
    assert isinstance(error, Throttled)
    assert error.retry_after_s == seconds


def test_only_what_was_sent_and_changes_something_is_unknown() -> None:
    assert type(unanswered("x", sent=True, changes=True)) is OutcomeUnknown
    assert type(unanswered("x", sent=False, changes=True)) is Unavailable
    assert type(unanswered("x", sent=True, changes=False)) is Unavailable


def test_errors_are_read_in_all_their_ways() -> None:
    ways = [
        {"error_code": 1, "error": "a"},
        {"error_number": 2, "error": "b", "description": "c", "source": "s"},
        {"errno": 3, "error": "d"},
        {"description": "only words"},
        "nonsense",
    ]
    found = errors_of(json.loads(json.dumps({"errors": ways})))
    assert [one.code for one in found] == [1, 2, 3, 0]
    assert [one.text for one in found] == ["a", "b: c", "d", "only words"]
    assert errors_of({}) == ()


USER, CENTER, NODE = FailureClass.USER_CODE, FailureClass.CENTER, FailureClass.NODE


@pytest.mark.parametrize(
    ("state", "reason", "status", "phase", "failure", "code"),
    [
        ("PENDING", "Resources", None, Phase.WAITING, None, None),
        ("REQUEUED", "None", None, Phase.WAITING, None, None),
        ("REQUEUE_HOLD", "None", None, Phase.WAITING, None, None),
        ("CONFIGURING", "None", None, Phase.RUNNING, None, None),
        ("COMPLETING", "None", None, Phase.RUNNING, None, None),
        ("SUSPENDED", "None", None, Phase.RUNNING, None, None),
        ("COMPLETED", "None", 0, Phase.SUCCEEDED, None, 0),
        ("COMPLETED", "None", None, Phase.SUCCEEDED, None, 0),
        ("FAILED", "NonZeroExitCode", 768, Phase.FAILED, USER, 3),
        ("FAILED", "NonZeroExitCode", None, Phase.FAILED, USER, None),
        ("FAILED", "RaisedSignal", 6, Phase.FAILED, USER, 134),
        ("FAILED", "JobLaunchFailure", 15, Phase.FAILED, USER, 143),
        ("FAILED", "JobLaunchFailure", 4021, Phase.FAILED, CENTER, 181),
        ("FAILED", "JobLaunchFailure", 53, Phase.FAILED, CENTER, 181),
        ("FAILED", "None", 53, Phase.FAILED, CENTER, 181),
        ("FAILED", "JobLaunchFailure", 0, Phase.FAILED, CENTER, 0),
        ("FAILED", "BadConstraints", 0, Phase.FAILED, FailureClass.REJECTED_BY_CENTER, 0),
        ("FAILED", "OutOfMemory", 9, Phase.FAILED, FailureClass.OUT_OF_MEMORY, 137),
        ("TIMEOUT", "TimeLimit", 15, Phase.FAILED, FailureClass.TIME_LIMIT, 143),
        ("OUT_OF_MEMORY", "OutOfMemory", 9, Phase.FAILED, FailureClass.OUT_OF_MEMORY, 137),
        ("NODE_FAIL", "NodeDown", 0, Phase.FAILED, NODE, 0),
        ("BOOT_FAIL", "None", 0, Phase.FAILED, NODE, 0),
        ("DEADLINE", "DeadLine", 0, Phase.FAILED, CENTER, 0),
        ("PREEMPTED", "None", 15, Phase.PREEMPTED, FailureClass.PREEMPTED, 143),
        ("CANCELLED", "None", 15, Phase.CANCELLED, None, 143),
        ("CANCELLED", "None", 0, Phase.CANCELLED, None, None),
    ],
)
def test_states_have_their_meaning(
    state: str,
    reason: str,
    status: int | None,
    phase: Phase,
    failure: FailureClass | None,
    code: int | None,
) -> None:
    found = outcome(native(state=state, reason=reason, exit_status=status))
    assert (found.phase, found.failure, found.exit_code) == (phase, failure, code)
    assert (found.failure is not None) == (phase in (Phase.FAILED, Phase.PREEMPTED))


def test_a_job_that_is_cleaned_up_after_has_not_ended() -> None:
    cleaning = native(state="COMPLETED", flags=frozenset({"COMPLETING"}), exit_status=0)
    assert outcome(cleaning).phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("status", "code"), [(None, None), (0, 0), (768, 3), (15, 143), (139, 139), (65280, 255)]
)
def test_wait_statuses_become_exit_codes(status: int | None, code: int | None) -> None:
    assert exit_code(status) == code


def test_only_jobs_that_wait_are_hopeless() -> None:
    reasons = {
        "DependencyNeverSatisfied": FailureClass.REJECTED_BY_CENTER,
        "launch failed requeued held": CENTER,
        "PartitionTimeLimit": FailureClass.REJECTED_BY_CENTER,
        "Resources": None,
        "JobHeldAdmin": None,
        "PartitionDown": None,
    }
    for reason, failure in reasons.items():
        assert hopeless(native(state="PENDING", reason=reason)) is failure
        assert hopeless(native(state="RUNNING", reason=reason)) is None


@pytest.mark.parametrize("number", [32, 104, 110, 111, 1999, 4021, 7777])
def test_a_broken_connection_to_the_controller_is_no_refusal(number: int) -> None:
    # "Connection reset by peer (104)" of a slurmrestd whose controller was killed.
    broken = (SlurmError(number, "Connection reset by peer"),)
    assert type(refusal(500, broken, {}, changes=True)) is OutcomeUnknown
    assert type(refusal(500, broken, {}, changes=False)) is Unavailable
