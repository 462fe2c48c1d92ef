"""Jobs and pools as JSON, with the names and units of the service.

Of a job ``create_time``, ``start_time`` and ``duration`` are milliseconds, the instants of
``running_records`` seconds; of a pool's workloads durations are seconds.
"""

from datetime import UTC, datetime

from tests.modelarts_center import model as m
from tests.modelarts_center.machine import Machine
from tests.modelarts_center.model import Job, Record
from tests.modelarts_center.settings import JOB_FLAVORS, CenterSettings, PoolSpec
from tests.modelarts_center.wire import Json

USER_NAME = "corridor"
CARDS_KEY = "huawei.com/ascend-1980"


def job_json(job: Job, machine: Machine) -> Json:
    """A whole job: what was asked for, with what the center adds."""
    settings = machine.settings
    body = job.body
    answer: Json = {
        "kind": body["kind"],
        "metadata": {
            **body["metadata"],
            "id": job.id,
            "create_time": job.create_ms,
            "user_name": USER_NAME,
            "workspace_id": job.workspace_id,
        },
        "status": _status(job, machine.now_ms(), settings),
        "algorithm": body["algorithm"],
        "spec": {**body["spec"], "resource": _resource(job, machine.pools[job.pool])},
    }
    if "endpoints" in body:
        answer["endpoints"] = body["endpoints"]
    if settings.unknown_fields:
        answer["status"]["hand_over_version"] = 3
        answer["metadata"]["x_reserved"] = {"of": "a later version"}
        answer["spec"]["resource"]["pool_info"] = {"accelerator_num": job.cards}
    return answer


def flavor_json(cards: int, pool: PoolSpec) -> Json:
    """Size of one node's share of a job."""
    return {
        "cpu": {"arch": "arm64", "core_num": pool.cores_per_node * cards // pool.cards_per_node},
        "npu": {"unit_num": str(cards), "product_name": "snt9b", "memory": "64GB"},
        "memory": {
            "size": pool.memory_gib_per_node * cards // pool.cards_per_node,
            "unit": "GB",
        },
    }


def workload_json(job: Job, machine: Machine, position: int) -> Json:
    """A job as its pool lists it; ``position`` is 1 for the next of the queue, 0 for no place."""
    now = machine.now_ms()
    record = job.records[-1] if job.records else None
    nodes = record.nodes if record is not None and record.end_ms is None else []
    waited_ms = (job.records[-1].start_ms if record else now) - job.create_ms
    if job.phase == m.PENDING:
        waited_ms = now - job.queued_ms
    needs = requirement(job.cards, machine.pools[job.pool])
    return {
        "apiVersion": "v1",
        "kind": "Workload",
        "type": "train",
        "namespace": "default",
        "name": f"modelarts-job-{job.id}",
        "jobName": job.name,
        "uid": job.id,
        "jobUUID": job.id,
        "flavor": job.body["spec"]["resource"].get("flavor_id", ""),
        "status": workload_status(job),
        "userName": USER_NAME,
        "resourceRequirement": requirement(job.cards * job.node_count, machine.pools[job.pool]),
        "priority": str(job.priority),
        "runningDuration": job.duration_ms(now) // 1000,
        "pendingDuration": max(0, waited_ms) // 1000,
        "pendingPosition": position,
        "createTime": job.create_ms,
        "gvk": "batch.volcano.sh/v1alpha1, Kind=Job",
        "hostIps": ",".join(host_ip(node) for node in nodes),
        "nodes": [{"hostIp": host_ip(node), "resourceRequirement": needs} for node in nodes],
    }


def workload_status(job: Job) -> str:
    """The status by which a pool counts a job."""
    return "Queue" if job.phase == m.PENDING else job.phase


def requirement(cards: int, pool: PoolSpec) -> Json:
    """Resources of so many cards with their share of the nodes, as strings."""
    return {
        "cpu": str(pool.cores_per_node * cards // pool.cards_per_node),
        "memory": f"{pool.memory_gib_per_node * cards // pool.cards_per_node}Gi",
        CARDS_KEY: str(cards),
    }


def host_ip(node: str) -> str:
    """The address of a node, made from its number."""
    number = int(node.rpartition("-")[2])
    return f"192.168.{number // 250}.{number % 250 + 1}"


def instant(ms: int) -> str:
    """Date and time of an event, without a zone."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _status(job: Job, now: int, settings: CenterSettings) -> Json:
    status: Json = {
        "phase": job.phase,
        "secondary_phase": job.secondary,
        "duration": job.duration_ms(now),
        "start_time": job.records[0].start_ms if job.records else 0,
        "node_count_metrics": None,
        "tasks": job.tasks,
    }
    if job.records:
        stamps = [record.start_ms for record in job.records]
        status["node_count_metrics"] = [[stamp, job.node_count] for stamp in stamps]
        status["running_records"] = [_record(record, settings) for record in job.records]
    if job.exits:
        status["task_statuses"] = [
            {"task": task, "exit_code": code, "message": "" if code == 0 else f"exit code {code}"}
            for task, code in sorted(job.exits.items())
        ]
    return status


def _record(record: Record, settings: CenterSettings) -> Json:
    told: Json = {
        "start_at": record.start_ms // 1000,
        "xpu_start_at": record.xpu_start_ms // 1000,
        "start_type": "init_or_rescheduled",
    }
    if record.end_ms is not None:
        told["end_at"] = record.end_ms // 1000
    elif settings.open_end_at == "zero":
        told["end_at"] = 0
    for key in ("end_reason", "end_related_task", "end_recover"):
        if getattr(record, key):
            told[key] = getattr(record, key)
    return told


def _resource(job: Job, pool: PoolSpec) -> Json:
    asked: Json = job.body["spec"]["resource"]
    return {
        **asked,
        "flavor_detail": {
            "flavor_type": "Ascend",
            "billing": {"code": "modelarts.vm.8u", "unit_num": 1},
            "flavor_info": flavor_json(JOB_FLAVORS[asked["flavor_id"]], pool),
        },
    }
