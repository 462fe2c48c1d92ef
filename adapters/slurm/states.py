"""What Slurm's states, reasons and exit statuses mean; pure."""

from dataclasses import dataclass
from typing import Final

from adapters.contract import FailureClass, Phase
from adapters.slurm.records import NativeJob

#: Base states, and flags that v0.0.38 writes in their place, in which nothing runs yet.
WAITING: Final = frozenset(
    {
        "PENDING",
        "REQUEUED",
        "REQUEUE_FED",
        "REQUEUE_HOLD",
        "RESV_DEL_HOLD",
        "SPECIAL_EXIT",
    }
)
#: Reasons for which a waiting job waits for ever, and what that is to us.
HOPELESS: Final = {
    "BadConstraints": FailureClass.REJECTED_BY_CENTER,
    "DependencyNeverSatisfied": FailureClass.REJECTED_BY_CENTER,
    "InvalidAccount": FailureClass.REJECTED_BY_CENTER,
    "InvalidQOS": FailureClass.REJECTED_BY_CENTER,
    "PartitionConfig": FailureClass.REJECTED_BY_CENTER,
    "PartitionTimeLimit": FailureClass.REJECTED_BY_CENTER,
    "launch failed requeued held": FailureClass.CENTER,
}
_BY_STATE: Final = {
    "BOOT_FAIL": FailureClass.NODE,
    "DEADLINE": FailureClass.CENTER,
    "NODE_FAIL": FailureClass.NODE,
    "OUT_OF_MEMORY": FailureClass.OUT_OF_MEMORY,
    "REVOKED": FailureClass.CENTER,
    "TIMEOUT": FailureClass.TIME_LIMIT,
}
_BY_REASON: Final = {
    "BadConstraints": FailureClass.REJECTED_BY_CENTER,
    "NodeDown": FailureClass.NODE,
    "OutOfMemory": FailureClass.OUT_OF_MEMORY,
    "SystemFailure": FailureClass.NODE,
    "TimeLimit": FailureClass.TIME_LIMIT,
}
#: slurmd could not open the output or enter the directory of the job: signal 53.
_NO_OUTPUT: Final = 53
#: What cut a stretch off that was to go on.
CUT_OFF: Final = frozenset({FailureClass.NODE, FailureClass.PREEMPTED, FailureClass.CENTER})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a record says in the contract's words; ``failure`` exactly for bad ends."""

    phase: Phase
    failure: FailureClass | None = None
    exit_code: int | None = None
    message: str = ""


def hopeless(job: NativeJob) -> FailureClass | None:
    """Why a job that waits will never run, None if it may."""
    return HOPELESS.get(job.reason) if job.state in WAITING else None


def outcome(job: NativeJob) -> Outcome:
    """What a record means."""
    if not job.ended:
        waits = job.state in WAITING
        return Outcome(Phase.WAITING if waits else Phase.RUNNING)
    code = exit_code(job.exit_status)
    match job.state:
        case "COMPLETED":
            return Outcome(Phase.SUCCEEDED, None, code or 0)
        case "CANCELLED":
            return Outcome(Phase.CANCELLED, None, code or None, "cancelled at the center")
        case "PREEMPTED":
            return Outcome(Phase.PREEMPTED, FailureClass.PREEMPTED, code, "preempted by Slurm")
    failure = _BY_STATE.get(job.state) or _failure(job)
    return Outcome(Phase.FAILED, failure, code, _message(job))


def exit_code(status: int | None) -> int | None:
    """The exit code of a wait status; 128 + the signal, as shells do, if one ended the program."""
    if status is None:
        return None
    return 128 + _signal(status) if _signal(status) else status >> 8


def _failure(job: NativeJob) -> FailureClass:
    """The class of a FAILED job."""
    if _signal(job.exit_status) == _NO_OUTPUT:
        return FailureClass.CENTER
    if job.reason == "JobLaunchFailure" and not _signal(job.exit_status):
        return FailureClass.CENTER
    return _BY_REASON.get(job.reason, FailureClass.USER_CODE)


def _message(job: NativeJob) -> str:
    said = f"Slurm: {job.state}"
    if job.reason not in ("", "None"):
        said += f", {job.reason}"
    signal, status = _signal(job.exit_status), job.exit_status
    if signal == _NO_OUTPUT:
        return f"{said}: the node could not open the run's output or enter its directory"
    if signal:
        return f"{said}, ended by signal {signal}"
    return f"{said}, exit code {status >> 8}" if status else said


def _signal(status: int | None) -> int:
    """The signal of a wait status, 0 if it has none; another bit tells of a core dump."""
    return (status or 0) & 0x7F
