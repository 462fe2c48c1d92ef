"""Calls about one job's course: events, stages, tasks, logs, metrics."""

from pathlib import Path

from tests.modelarts_center.errors import NO_SUCH_JOB, ApiError, illegal
from tests.modelarts_center.model import Job, Record
from tests.modelarts_center.rendering import host_ip, instant
from tests.modelarts_center.service import Service, number, window
from tests.modelarts_center.wire import Json, Request, Response, json_response

PREVIEW_BYTES = 5 * 1024 * 1024
_LEVELS = ("Info", "Error", "Warning")


async def events(service: Service, request: Request, job_id: str) -> Response:
    """GET training-jobs/{id}/events, newest first unless asked otherwise."""
    job = service.job(job_id)
    offset = number(request, "offset", 0, 0, 2**31 - 1)
    limit = number(request, "limit", 50, 1, 100)
    order = request.parameter("order", "desc")
    level, pattern = request.parameter("level"), request.parameter("pattern")
    if level and level not in _LEVELS:
        raise illegal(f"level is one of {', '.join(_LEVELS)}")
    start, end = request.parameter("start_time"), request.parameter("end_time")
    if bool(start) != bool(end):
        raise illegal("start_time and end_time come together")
    found = [
        {"message": each.message, "level": each.level, "time": at, "source": "training"}
        for each in job.events
        if (not level or each.level == level)
        and pattern in each.message
        and ((at := instant(each.time_ms)) >= start and (not end or at <= end))
    ]
    if order == "desc":
        found.reverse()
    page = found[window(service.settings.offset_mode, offset, limit)]
    told: Json = {
        "total": len(found),
        "limit": limit,
        "offset": offset,
        "order": order,
        "events": page,
    }
    return json_response(told)


async def stages(service: Service, request: Request, job_id: str) -> Response:
    """GET training-jobs/{id}/stages, one record for each stretch."""
    job = service.job(job_id)
    records = [
        {"record_order": order, "stages": _stages(job, record)}
        for order, record in enumerate(job.records, 1)
    ]
    return json_response({"total_count": len(records), "running_records": records})


async def tasks(service: Service, request: Request, job_id: str) -> Response:
    """GET training-jobs/{id}/tasks: where the tasks of one stretch are, of the newest by itself."""
    job = service.job(job_id)
    if not job.records:
        return json_response([])
    last = len(job.records)
    count = number(request, "schedule_count", last, 1, last)
    nodes = job.records[count - 1].nodes
    return json_response(
        [
            {
                "task": task,
                "ip": f"10.0.{count}.{index + 1}",
                "host_ip": host_ip(nodes[index]),
                "schedule_count": count,
            }
            for index, task in enumerate(job.tasks)
        ]
    )


async def log_preview(service: Service, request: Request, job_id: str, task: str) -> Response:
    """GET tasks/{task}/logs/preview: the end of a log. Sizes are bytes."""
    data = _log(service, job_id, task)
    shown = data[-PREVIEW_BYTES:]
    return json_response(
        {
            "content": shown.decode("utf-8", "replace"),
            "current_size": len(shown),
            "full_size": len(data),
        }
    )


async def log_lines(service: Service, request: Request, job_id: str, task: str) -> Response:
    """GET logs/{task}: lines before or after a base line, which are numbered from 1.

    Without a base line the newest come with order desc, the oldest with asc.
    """
    lines = _log(service, job_id, task).decode("utf-8", "replace").splitlines(keepends=True)
    count = number(request, "lines", 50, 1, 500)
    order = request.parameter("order", "desc")
    if order not in ("asc", "desc"):
        raise illegal("order is asc or desc")
    base = number(request, "base_line", len(lines) + 1 if order == "desc" else 0, 0, 2**31 - 1)
    if order == "asc":
        first, last = base + 1, min(base + count, len(lines))
    else:
        first, last = max(1, base - count), min(base - 1, len(lines))
    shown = lines[first - 1 : last]
    return json_response(
        {
            "start_line": str(first),
            "end_line": str(last),
            "lines": len(shown),
            "content": "".join(shown if order == "asc" else reversed(shown)),
        }
    )


async def metrics(service: Service, request: Request, job_id: str, task: str) -> Response:
    """GET metrics/{task}: one average a minute. The values are made up, their number is true."""
    job = service.job(job_id)
    _check_task(job, task)
    minutes = job.duration_ms(service.machine.now_ms()) // 60_000 + 1 if job.records else 0
    made_up = {"cpuUsage": 12.5, "memUsage": 20.0, "npuUtil": 98.1, "npuMemUsage": 61.5}
    return json_response(
        {"metrics": [{"metric": key, "value": [each] * minutes} for key, each in made_up.items()]}
    )


def _stages(job: Job, record: Record) -> list[Json]:
    bounds = [
        ("scheduling", job.create_ms, record.start_ms),
        ("preparing", record.start_ms, record.xpu_start_ms),
        ("running", record.xpu_start_ms, record.end_ms),
    ]
    if record.end_ms is not None:
        bounds.append(("end", record.end_ms, record.end_ms))
    told = []
    for order, (name, start, end) in enumerate(bounds, 1):
        stage: Json = {"job_id": job.id, "name": name, "stage_order": order}
        stage["start_time"] = str((start or 0) // 1000)
        if end is not None:
            stage["end_time"] = str(end // 1000)
        told.append(stage)
    return told


def _check_task(job: Job, task: str) -> None:
    if task not in job.tasks:
        raise ApiError(404, NO_SUCH_JOB, f"The training job has no task {task}.")


def _log(service: Service, job_id: str, task: str) -> bytes:
    job = service.job(job_id)
    _check_task(job, task)
    file: Path = service.machine.log_file(job, task)
    return file.read_bytes() if file.exists() else b""
