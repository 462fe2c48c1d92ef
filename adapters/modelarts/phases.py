"""What a job's phase means for its run: one pure function, also for what was never seen before.

``secondary_phase`` is not to be relied upon, says the platform itself: it only tells a creation
that failed from a program that did. Unknown words keep a run as it is, and are counted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.contract import FailureClass, Phase
from adapters.modelarts.job import Job

#: What a sweep asks for. An abnormal job may go on: it is followed until it does or has ended.
ACTIVE: Final = ("Creating", "Pending", "Running", "Terminating", "Abnormal")
FINAL: Final = frozenset({"Completed", "Failed", "Terminated"})
_KNOWN: Final = FINAL.union(ACTIVE)
_NODE_FAULTS: Final = frozenset({"chip_fault", "node_fault", "job_subhealth"})
_PREEMPTED: Final = re.compile(r"preempt|抢占", re.IGNORECASE)
_IMAGE: Final = re.compile(r"pull(ing)? (the )?image|image ?pull|ErrImage|拉取镜像|镜像", re.I)
_MEMORY: Final = re.compile(r"\boom|out of memory|内存溢出", re.IGNORECASE)
_INPUT: Final = re.compile(r"obs.*(not exist|denied|forbidden)|(input|data).*not exist", re.I)
_NODE: Final = re.compile(r"node.{0,20}(fault|fail|lost|down)|chip fault|节点故障", re.IGNORECASE)
_OVERTIME: Final = re.compile(r"overtime|auto.?stop|maximum running (time|duration)|运行时长", re.I)
_KILLED_EXIT_CODE: Final = 137
_MESSAGE_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a job's state is to its scheduler; ``known`` is false for words never seen before."""

    phase: Phase
    failure: FailureClass | None = None
    exit_code: int | None = None
    message: str = ""
    known: bool = True


def is_final(job: Job) -> bool:
    """Whether a job has ended for good."""
    return job.phase in FINAL


def needs_events(job: Job) -> bool:
    """Whether only the events of an ended job tell why it ended."""
    return job.phase == "Terminated" or (job.phase == "Failed" and exit_code(job) is None)


def judge(job: Job, events: Sequence[str] = ()) -> Verdict:
    """Return what a job is to its scheduler; ``events`` are messages about it, newest first."""
    if job.phase not in FINAL:
        return _active(job)
    if job.phase == "Completed":
        return Verdict(Phase.SUCCEEDED, exit_code=0)
    told = [*_reasons(job), *events]  # by the platform; what tasks say may be a program's text
    words = [*(end.message for end in job.ends if end.message), *told]
    message = "; ".join(dict.fromkeys(words))[:_MESSAGE_MAX]
    if job.phase == "Terminated":
        return _terminated(job, "\n".join(told), message)
    return _failed(job, "\n".join(words), message)


def sequence(job: Job) -> int:
    """A number that grows as a job goes on, and is the same whoever computes it from one state."""
    if job.phase in FINAL:
        return 1 << 20
    if job.phase == "Running" or job.begin_ms:
        return 16 + len(job.records)
    return 1 if job.phase == "Creating" else 2


def exit_code(job: Job) -> int | None:
    """The first exit code of a task that is not 0; else 0 if any is known."""
    codes = [end.exit_code for end in job.ends if end.exit_code is not None]
    return next((code for code in codes if code), 0 if codes else None)


def cut_off(recovery: str, fault: str, reason: str) -> FailureClass | None:
    """Why a stretch was cut off before the job's end; None if its own program ended it."""
    if _PREEMPTED.search(reason):
        return FailureClass.PREEMPTED
    if _NODE.search(reason):
        return FailureClass.NODE
    if fault:
        return FailureClass.NODE if fault in _NODE_FAULTS else None
    moved = "reschedule" in recovery or recovery in ("npu_proc_restart", "gpu_proc_restart")
    return FailureClass.NODE if moved else None


def _active(job: Job) -> Verdict:
    """A job that was once on its nodes is RUNNING, also while it waits to be started again."""
    phase = Phase.RUNNING if job.phase == "Running" or job.begin_ms else Phase.WAITING
    if job.phase == "Abnormal":
        return Verdict(phase, message=f"the center calls it abnormal ({job.secondary or '?'})")
    if job.phase not in _KNOWN:
        return Verdict(phase, message=f"the center calls it {job.phase[:40]!r}", known=False)
    return Verdict(phase)


def _terminated(job: Job, evidence: str, message: str) -> Verdict:
    """Stopped: by its center for others, by its time, or by somebody's wish."""
    if _PREEMPTED.search(evidence):
        return Verdict(Phase.PREEMPTED, FailureClass.PREEMPTED, message=message or "preempted")
    limit_s = job.wall_limit_s or job.auto_stop_s
    ran_ms = max(job.ran_ms(job.finish_ms), job.duration_ms) if job.begin_ms else 0
    if (limit_s and ran_ms >= limit_s * 1000) or (job.begin_ms and _OVERTIME.search(evidence)):
        return Verdict(
            Phase.FAILED, FailureClass.TIME_LIMIT, exit_code(job) or None,
            f"stopped after {ran_ms // 1000} s of {limit_s} s",
        )  # fmt: skip
    return Verdict(Phase.CANCELLED, message=message)


def _failed(job: Job, evidence: str, message: str) -> Verdict:
    code = exit_code(job)
    last = job.records[-1] if job.records else None
    failure = FailureClass.CENTER  # nothing says that it was the program
    if job.secondary == "CreateFailed" or not job.begin_ms:
        if _IMAGE.search(evidence):
            failure = FailureClass.IMAGE
        elif _INPUT.search(evidence):
            failure = FailureClass.INPUT
    elif last is not None and cut_off(last.recovery, last.fault, last.reason) is not None:
        failure = cut_off(last.recovery, last.fault, last.reason) or failure
    elif code == _KILLED_EXIT_CODE or (code and _MEMORY.search(evidence)):
        failure = FailureClass.OUT_OF_MEMORY
    elif code:
        failure = FailureClass.USER_CODE
    elif _NODE.search(evidence):
        failure = FailureClass.NODE
    phase = Phase.PREEMPTED if failure is FailureClass.PREEMPTED else Phase.FAILED
    return Verdict(phase, failure, code or None, message or f"failed ({job.secondary or '?'})")


def _reasons(job: Job) -> list[str]:
    return [job.records[-1].reason] if job.records and job.records[-1].reason else []
