"""The interface v0.0.38 of Slurm 22.05 and 23.02."""

from collections.abc import Mapping
from typing import Any, Final

from adapters.slurm import records
from adapters.slurm.dialect import JobDescription, usable_nodes
from adapters.slurm.failures import errors_of
from adapters.slurm.records import (
    Diagnosis,
    Json,
    NativeJob,
    NodeState,
    PartitionState,
    SubmitAnswer,
    part,
    rows,
    text,
    tres,
    tres_list,
    whole,
)

_STARTED: Final = frozenset({"COMPLETING", "CONFIGURING", "RUNNING", "STAGE_OUT", "SUSPENDED"})


class Dialect38:
    """Plain numbers, one word for a state, wait statuses; see ``dialect.Dialect``."""

    version = "v0.0.38"

    def submission(self, job: JobDescription) -> Json:
        """``no_requeue`` is not in the OpenAPI document but heeded, unlike ``requeue: false``."""
        body: dict[str, Any] = {
            "name": job.name,
            "comment": job.comment,
            "account": job.account,
            "partition": job.partition,
            "environment": dict(job.environment),
            "current_working_directory": job.work_dir,
            "standard_output": job.output,
            "time_limit": job.time_limit_min,
            "nodes": [job.nodes, job.nodes],
            "tasks": job.nodes,
            "tasks_per_node": 1,
            "cpus_per_task": job.cpus_per_node,
        }
        optional = {
            "gres": job.gres,
            "memory_per_node": job.memory_mib_per_node,
            "constraints": job.constraint,
            "qos": job.qos,
            "reservation": job.reservation,
            "no_requeue": not job.requeue,
            "dependency": "singleton" if job.singleton else "",
        }
        body |= {key: value for key, value in optional.items() if value}
        return {"job": body, "script": job.script}

    def submit_answer(self, body: Json) -> SubmitAnswer:
        """See ``Dialect``."""
        job_id = whole(body, "job_id") if "job_id" in body else 0
        errors = errors_of(body)
        said = "; ".join(map(str, errors)) or text(body, "job_submit_user_msg")
        return SubmitAnswer(job_id, tuple(one.code for one in errors), said)

    def jobs(self, body: Json) -> list[NativeJob]:
        """See ``Dialect``."""
        return [self._job(one) for one in rows(body, "jobs")]

    def _job(self, record: Json) -> NativeJob:
        state = text(record, "job_state")
        ended = state in records.ENDED
        counts = tres(text(record, "tres_alloc_str"))
        # One that ended in the queue has a time of start too, and no node.
        started = bool(counts) if ended else state in _STARTED
        start_s = record.get("start_time") if started else None
        return NativeJob(
            job_id=whole(record, "job_id"),
            name=text(record, "name"),
            user=text(record, "user_name"),
            cluster=text(record, "cluster"),
            state=state,
            flags=frozenset(),
            reason=_reason(text(record, "state_reason"), text(record, "state_description")),
            submit_s=whole(record, "submit_time"),
            start_s=start_s or None,
            end_s=(whole(record, "end_time") or None) if ended else None,
            exit_status=whole(record, "exit_code") if ended else None,
            restarts=whole(record, "restart_cnt"),
            comment=text(record, "comment"),
            cpus=counts.get("cpu", 0),
            cards=records.cards(counts),
            nodes=counts.get("node", 0),
            partition=text(record, "partition"),
            account=text(record, "account"),
            output=text(record, "standard_output"),
        )

    def accounted(self, body: Json) -> list[tuple[NativeJob, Json]]:
        """See ``Dialect``; an exit code other than 0 is never told here."""
        return [(self._accounted(one), one) for one in rows(body, "jobs")]

    def _accounted(self, record: Json) -> NativeJob:
        state = part(record, "state")
        times = part(record, "time")
        current = text(state, "current")
        counts = tres_list(part(record, "tres").get("allocated", []))
        return NativeJob(
            job_id=whole(record, "job_id"),
            name=text(record, "name"),
            user=text(record, "user") or text(part(record, "association"), "user"),
            cluster=text(record, "cluster"),
            state=current,
            flags=frozenset(),
            reason=text(state, "reason"),
            submit_s=whole(times, "submission"),
            start_s=times.get("start") or None,
            end_s=times.get("end") or None,
            exit_status=_accounted_status(current, part(record, "exit_code")),
            restarts=None,
            comment=text(part(record, "comment"), "job"),
            cpus=counts.get("cpu", 0),
            cards=records.cards(counts),
            nodes=counts.get("node", 0),
            partition=text(record, "partition"),
            account=text(record, "account"),
            elapsed_s=times.get("elapsed"),
            eligible_s=times.get("eligible"),
        )

    def nodes(self, body: Json) -> list[NodeState]:
        """See ``Dialect``; what a node says of its partitions is wrong in this version."""
        return [
            NodeState(
                name=text(one, "name"),
                usable=usable_nodes(text(one, "state"), one.get("state_flags") or ()),
                cpus=whole(one, "cpus"),
                cpus_used=whole(one, "alloc_cpus"),
                cards=records.gres(text(one, "gres")),
                cards_used=records.gres(text(one, "gres_used")),
            )
            for one in rows(body, "nodes")
        ]

    def partitions(self, body: Json) -> list[PartitionState]:
        """See ``Dialect``."""
        return [
            PartitionState(
                name=text(one, "name"),
                up=text(one, "state") == "UP",
                nodes=text(one, "nodes"),
                wall_limit_s=_minutes(one.get("max_time_limit")),
            )
            for one in rows(body, "partitions")
        ]

    def diagnosis(self, body: Json) -> Diagnosis:
        """See ``Dialect``."""
        numbers = part(body, "statistics")
        return Diagnosis(
            at_s=whole(numbers, "req_time"),
            since_s=whole(numbers, "req_time_start"),
            submitted=whole(numbers, "jobs_submitted"),
            running=whole(numbers, "jobs_running"),
            pending=whole(numbers, "jobs_pending"),
            accounting_queue=whole(numbers, "dbd_agent_queue_size"),
        )

    def history(self, user: str) -> Mapping[str, str]:
        """See ``Dialect``; this version cannot be asked for a user."""
        return {"skip_steps": "true"}


def _reason(reason: str, description: str) -> str:
    """The description where the reason alone hides that a launch failed."""
    return description if description == "launch failed requeued held" else reason


def _minutes(value: object) -> int | None:
    return value * 60 if isinstance(value, int) and value > 0 else None


def _accounted_status(state: str, code: Json) -> int | None:
    if text(code, "status") == "SIGNALED":
        number = part(code, "signal").get("signal_id")
        return number if isinstance(number, int) else None
    return 0 if state == "COMPLETED" else None
