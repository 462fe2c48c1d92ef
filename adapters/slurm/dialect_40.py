"""The interface v0.0.40 and later, of Slurm 23.11 and later: one set of fields up to v0.0.43."""

from collections.abc import Mapping
from typing import Any

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
    Unreadable,
    part,
    rows,
    text,
    tres,
    tres_list,
    whole,
)
from adapters.slurm.states import WAITING


class Dialect40:
    """Numbers as ``{set, infinite, number}``, lists of states; see ``dialect.Dialect``."""

    def __init__(self, version: str) -> None:
        self.version = version

    def submission(self, job: JobDescription) -> Json:
        """See ``Dialect``."""
        body: dict[str, Any] = {
            "name": job.name,
            "comment": job.comment,
            "account": job.account,
            "partition": job.partition,
            "environment": [f"{key}={value}" for key, value in job.environment.items()],
            "current_working_directory": job.work_dir,
            "standard_output": job.output,
            "time_limit": _number(job.time_limit_min),
            "minimum_nodes": job.nodes,
            "maximum_nodes": job.nodes,
            "tasks": job.nodes,
            "tasks_per_node": 1,
            "cpus_per_task": job.cpus_per_node,
            "requeue": job.requeue,
            "script": job.script,
        }
        optional = {
            "tres_per_node": f"gres/{job.gres}" if job.gres else "",
            "constraints": job.constraint,
            "qos": job.qos,
            "reservation": job.reservation,
            "dependency": "singleton" if job.singleton else "",
        }
        body |= {key: value for key, value in optional.items() if value}
        if job.memory_mib_per_node:
            body["memory_per_node"] = _number(job.memory_mib_per_node)
        return {"job": body}

    def submit_answer(self, body: Json) -> SubmitAnswer:
        """See ``Dialect``; a code may also stand in ``result``."""
        job_id = body.get("job_id") or part(body, "result").get("job_id") or 0
        if not isinstance(job_id, int):
            raise Unreadable("'job_id' is no whole number")
        errors = errors_of(body)
        codes = [one.code for one in errors]
        extra = part(body, "result").get("error_code")
        codes += [extra] if isinstance(extra, int) and extra and extra not in codes else []
        said = "; ".join(map(str, errors)) or text(body, "job_submit_user_msg")
        return SubmitAnswer(job_id, tuple(codes), said)

    def jobs(self, body: Json) -> list[NativeJob]:
        """See ``Dialect``."""
        return [self._job(one) for one in rows(body, "jobs")]

    def _job(self, record: Json) -> NativeJob:
        state, flags = _states(record.get("job_state"))
        ended = state in records.ENDED
        counts = tres(text(record, "tres_alloc_str"))
        # One that ended in the queue has a time of start too, and no node.
        started = bool(counts) if ended else state not in WAITING
        description = text(record, "state_description")
        launch_failed = description == "launch failed requeued held"
        return NativeJob(
            job_id=whole(record, "job_id"),
            name=text(record, "name"),
            user=text(record, "user_name"),
            cluster=text(record, "cluster"),
            state=state,
            flags=flags,
            reason=description if launch_failed else text(record, "state_reason"),
            submit_s=_value(record.get("submit_time")) or 0,
            start_s=(_value(record.get("start_time")) or None) if started else None,
            end_s=(_value(record.get("end_time")) or None) if ended else None,
            exit_status=_status(part(record, "exit_code")) if ended else None,
            restarts=whole(record, "restart_cnt"),
            comment=text(record, "comment"),
            cpus=counts.get("cpu", 0),
            cards=records.cards(counts),
            nodes=counts.get("node", 0),
            partition=text(record, "partition"),
            account=text(record, "account"),
            output=text(record, "stdout_expanded") or text(record, "standard_output"),
        )

    def accounted(self, body: Json) -> list[tuple[NativeJob, Json]]:
        """See ``Dialect``."""
        return [(self._accounted(one), one) for one in rows(body, "jobs")]

    def _accounted(self, record: Json) -> NativeJob:
        state, flags = _states(part(record, "state").get("current"))
        times = part(record, "time")
        counts = tres_list(part(record, "tres").get("allocated", []))
        ended = state in records.ENDED or "REQUEUED" in flags
        return NativeJob(
            job_id=whole(record, "job_id"),
            name=text(record, "name"),
            user=text(record, "user") or text(part(record, "association"), "user"),
            cluster=text(record, "cluster"),
            state=state,
            flags=flags,
            reason=text(part(record, "state"), "reason"),
            submit_s=_value(times.get("submission")) or 0,
            start_s=_value(times.get("start")) or None,
            end_s=_value(times.get("end")) or None,
            exit_status=_status(part(record, "exit_code")) if ended else None,
            restarts=None,
            comment=text(part(record, "comment"), "job"),
            cpus=counts.get("cpu", 0),
            cards=records.cards(counts),
            nodes=counts.get("node", 0),
            partition=text(record, "partition"),
            account=text(record, "account"),
            elapsed_s=_value(times.get("elapsed")),
            eligible_s=_value(times.get("eligible")),
        )

    def nodes(self, body: Json) -> list[NodeState]:
        """See ``Dialect``."""
        return [
            NodeState(
                name=text(one, "name"),
                usable=usable_nodes("", one.get("state") or ()),
                cpus=_value(one.get("effective_cpus")) or whole(one, "cpus"),
                cpus_used=whole(one, "alloc_cpus"),
                cards=records.gres(text(one, "gres")),
                cards_used=records.gres(text(one, "gres_used")),
            )
            for one in rows(body, "nodes")
        ]

    def partitions(self, body: Json) -> list[PartitionState]:
        """See ``Dialect``."""
        found = []
        for one in rows(body, "partitions"):
            limit_min = _value(part(one, "maximums").get("time"))
            found.append(
                PartitionState(
                    name=text(one, "name"),
                    up="UP" in (part(one, "partition").get("state") or ()),
                    nodes=text(part(one, "nodes"), "configured"),
                    wall_limit_s=limit_min * 60 if limit_min else None,
                )
            )
        return found

    def diagnosis(self, body: Json) -> Diagnosis:
        """See ``Dialect``."""
        numbers = part(body, "statistics")
        return Diagnosis(
            at_s=_value(numbers.get("req_time")) or 0,
            since_s=_value(numbers.get("req_time_start")) or 0,
            submitted=_value(numbers.get("jobs_submitted")) or 0,
            running=_value(numbers.get("jobs_running")) or 0,
            pending=_value(numbers.get("jobs_pending")) or 0,
            accounting_queue=_value(numbers.get("dbd_agent_queue_size")) or 0,
        )

    def history(self, user: str) -> Mapping[str, str]:
        """See ``Dialect``."""
        return {"users": user, "skip_steps": "true", "show_duplicates": "true"}


def _number(value: int) -> Json:
    return {"set": True, "infinite": False, "number": value}


def _value(value: object) -> int | None:
    """A plain number or one in its wrapping; None if it is not set or without limit."""
    if isinstance(value, Mapping):
        if not value.get("set") or value.get("infinite"):
            return None
        value = value.get("number")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _states(value: object) -> tuple[str, frozenset[str]]:
    """The base state, and the flags beside it."""
    if isinstance(value, str):
        return value, frozenset()
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise Unreadable("a state is no list of words")
    base = next((one for one in value if one in _BASE), value[0])
    return base, frozenset(value) - {base}


_BASE = records.ENDED | {"PENDING", "RUNNING", "SUSPENDED"}


def _status(code: Json) -> int | None:
    """A wait status; None if the process did not end."""
    number = _value(part(code, "signal").get("id"))
    if number:
        return number
    returned = _value(code.get("return_code"))
    return None if returned is None else returned << 8
