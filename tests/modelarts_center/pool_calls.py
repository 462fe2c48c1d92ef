"""Calls about pools, their nodes and queues, and what jobs may ask for."""

import re
from collections import Counter

from tests.modelarts_center.model import Job
from tests.modelarts_center.rendering import (
    CARDS_KEY,
    flavor_json,
    host_ip,
    instant,
    requirement,
    workload_json,
    workload_status,
)
from tests.modelarts_center.service import Service, number
from tests.modelarts_center.settings import JOB_FLAVORS, PoolSpec
from tests.modelarts_center.wire import Json, Request, Response, json_response

_STATUSES = (
    *("Queue", "Pending", "Abnormal", "Terminating", "Creating", "Running"),
    *("Completed", "Terminated", "Failed"),
)
_CREATED = "2025-11-01T03:49:41Z"


async def pools(service: Service, request: Request) -> Response:
    """GET pools, all of one workspace if asked."""
    workspace = request.parameter("workspaceId")
    shown = [
        _pool(service, pool)
        for pool in service.settings.pools
        if not workspace or pool.workspace_id == workspace
    ]
    if request.parameter("status", "created") != "created":
        shown = []
    return json_response({"kind": "PoolList", "apiVersion": "v2", "items": shown})


async def pool(service: Service, request: Request, pool_name: str) -> Response:
    """GET pools/{name}."""
    return json_response(_pool(service, service.pool(pool_name)))


async def nodes(service: Service, request: Request, pool_name: str) -> Response:
    """GET pools/{name}/nodes, in pages that go on after the node of ``continue``."""
    spec = service.pool(pool_name)
    limit = number(request, "limit", 500, 1, 500)
    names = service.machine.nodes(pool_name)
    after = request.parameter("continue")
    start = names.index(after) + 1 if after in names else 0
    page = names[start : start + limit]
    rest = len(names) - start - len(page)
    metadata: Json = {"continue": page[-1] if rest else "", "remainingItemCount": rest}
    free = free_cards(service, pool_name)
    items = [_node(service, spec, name, free.get(name, 0)) for name in page]
    return json_response(
        {"kind": "NodeList", "apiVersion": "v2", "metadata": metadata, "items": items}
    )


async def workloads(service: Service, request: Request, pool_name: str) -> Response:
    """GET pools/{name}/workloads, newest first unless asked otherwise."""
    service.pool(pool_name)
    status, kind = request.parameter("status"), request.parameter("type", "train")
    offset = number(request, "offset", 0, 0, 2**31 - 1)
    limit = number(request, "limit", 500, 0, 500)
    found = [
        job
        for job in service.machine.jobs()
        if job.pool == pool_name
        and kind == "train"
        and (not status or workload_status(job) == status)
    ]
    if request.parameter("ascend", "false") != "true":
        found.reverse()
    positions = _positions(service, pool_name)
    items = [
        workload_json(job, service.machine, positions.get(job.id, 0))
        for job in found[offset : offset + limit]
    ]
    return json_response({"kind": "WorkloadList", "apiVersion": "v1", "items": items})


async def workload_statistics(service: Service, request: Request, pool_name: str) -> Response:
    """GET statistics/pools/{name}/workloads."""
    service.pool(pool_name)
    counts = Counter(
        workload_status(job) for job in service.machine.jobs() if job.pool == pool_name
    )
    total = counts.total()
    status = {name: counts.get(name, 0) for name in _STATUSES}
    items = [{"type": "train", "total": total, "status": status}]
    return json_response({"statistics": {"total": total, "items": items}})


async def pool_statistics(service: Service, request: Request) -> Response:
    """GET statistics/pools."""
    status = {"creating": 0, "created": len(service.settings.pools), "failed": 0, "pending": 0}
    at = instant(service.machine.now_ms())
    return json_response({"statistics": {"status": status}, "operationTime": at})


async def runtime_metrics(service: Service, request: Request) -> Response:
    """GET metrics/runtime/pools: cpu and memory that are allocated, there and free."""
    at = instant(service.machine.now_ms()) + "Z"
    items = []
    for spec in service.settings.pools:
        there = spec.cards_per_node * len(_in_service(service, spec.name))
        free = sum(free_cards(service, spec.name).values())
        stamp = {"timestamp": at, "window": "30s"}
        waiting = len(service.machine.queue(spec.name))
        running = len(service.machine.holdings(spec.name))
        table = {
            "allocated": {"value": _value(there - free, spec), **stamp},
            "capacity": {"value": _value(there, spec), **stamp},
            "available": {"value": _value(free, spec), **stamp},
            "workload": {
                "allocated": {"train": running, "sum": running},
                "queue": {"train": waiting, "sum": waiting},
                **stamp,
            },
        }
        items.append({"table": table, "metadata": {"name": spec.name, "labels": {}}})
    return json_response({"kind": "PoolMetricsList", "apiVersion": "v1", "items": items})


async def flavors(service: Service, request: Request) -> Response:
    """GET training-job-flavors."""
    spec = max(service.settings.pools, key=lambda pool: pool.cards_per_node)
    wanted = request.parameter("flavor_type", "Ascend")
    told = [
        {
            "flavor_id": flavor,
            "flavor_name": f"Ascend: {cards}*ascend-snt9b",
            "flavor_type": "Ascend",
            "max_num": 16,
            "billing": {"code": flavor, "unit_num": 1},
            "flavor_info": {"max_num": 16, **flavor_json(cards, spec)},
            "attributes": {"is_free": "false"},
        }
        for flavor, cards in JOB_FLAVORS.items()
        if wanted == "Ascend" and cards <= spec.cards_per_node
    ]
    return json_response({"total_count": len(told), "flavors": told})


async def engines(service: Service, request: Request) -> Response:
    """GET training-job-engines."""
    items = [
        {
            "engine_id": f"mindspore_{version}-cann_8.0-py_3.10-euler_2.10-aarch64",
            "engine_name": "Ascend-Powered-Engine",
            "engine_version": f"mindspore_{version}",
            "v1_compatible": False,
            "run_user": "1102",
            "image_info": {
                "cpu_image_url": "",
                "gpu_image_url": "",
                "image_version": f"mindspore_{version}-snt9b",
            },
        }
        for version in ("2.3.0", "2.4.1")
    ]
    return json_response({"total": len(items), "items": items})


async def pool_flavors(service: Service, request: Request) -> Response:
    """GET training-pool-flavors: the most that one container could still get in a pool."""
    spec = service.pool(request.parameter("pool_id"))
    most = max(free_cards(service, spec.name).values(), default=0)
    return json_response(
        {
            "cpu_core_num": spec.cores_per_node * most // spec.cards_per_node,
            "mem_size": spec.memory_gib_per_node * most // spec.cards_per_node,
        }
    )


def free_cards(service: Service, pool_name: str) -> dict[str, int]:
    """Free cards of each node that is in service."""
    spec = service.machine.pools[pool_name]
    free = dict.fromkeys(_in_service(service, pool_name), spec.cards_per_node)
    for holding in service.machine.holdings(pool_name):
        for node in holding.nodes:
            if node in free:
                free[node] -= holding.cards
    return free


def _in_service(service: Service, pool_name: str) -> list[str]:
    machine = service.machine
    return [node for node in machine.nodes(pool_name) if not machine.broken(pool_name, node)]


def _positions(service: Service, pool_name: str) -> dict[str, int]:
    queue: list[Job] = service.machine.queue(pool_name)
    return {job.id: position for position, job in enumerate(queue, 1)}


def _pool(service: Service, spec: PoolSpec) -> Json:
    well = len(_in_service(service, spec.name))

    def count(nodes: int) -> object:
        told = {"flavor": spec.flavor, "count": nodes, "maxCount": nodes}
        return [told] if service.settings.available_shape == "list" else told

    resources = {"available": count(well)}
    if well < spec.nodes:
        resources["abnormal"] = count(spec.nodes - well)
    whole = {"flavor": spec.flavor, "count": spec.nodes, "maxCount": spec.nodes}
    return {
        "kind": "Pool",
        "apiVersion": "v2",
        "metadata": {
            "name": spec.name,
            "creationTimestamp": _CREATED,
            "labels": {
                "os.modelarts/name": spec.title,
                "os.modelarts/workspace.id": spec.workspace_id,
            },
        },
        "spec": {"type": "Dedicate", "scope": ["Train"], "resources": [whole]},
        "status": {
            "phase": "Running",
            "message": "",
            "resources": resources,
            "scope": [{"scopeType": "Train", "state": "Enabled"}],
        },
    }


def _node(service: Service, spec: PoolSpec, name: str, free: int) -> Json:
    broken = service.machine.broken(spec.name, name)
    return {
        "kind": "Node",
        "apiVersion": "v2",
        "metadata": {"name": name, "creationTimestamp": _CREATED, "labels": {}},
        "spec": {"flavor": spec.flavor},
        "status": {
            "phase": "Abnormal" if broken else "Available",
            "az": "cn-central-221a",
            "privateIp": host_ip(name),
            "resources": _node_resources(spec.cards_per_node, spec),
            "availableResources": _node_resources(free, spec),
        },
    }


def _node_resources(cards: int, spec: PoolSpec) -> Json:
    """Like the resources of a workload, but nodes name the chip."""
    told = requirement(cards, spec)
    told["huawei.com/ascend-snt9"] = told.pop(CARDS_KEY)
    return told


def _value(cards: int, spec: PoolSpec) -> Json:
    needs = requirement(cards, spec)
    return {"cpu": needs["cpu"], "memory": re.sub(r"\D", "", needs["memory"])}
