"""Calls about training jobs: create, search, show, stop, delete, change, names, quota."""

from collections.abc import Callable

from tests.modelarts_center import model as m
from tests.modelarts_center import starting
from tests.modelarts_center.errors import IN_TARGET_STATE, OVER_LIMIT, ApiError, illegal
from tests.modelarts_center.model import Job
from tests.modelarts_center.rendering import job_json
from tests.modelarts_center.service import Service, body_of, window
from tests.modelarts_center.wire import Json, Request, Response, json_response

_QUOTA = "job-num"
_FIELDS: dict[str, Callable[[Job], str]] = {
    "id": lambda job: job.id,
    "name": lambda job: job.name,
    "phase": lambda job: job.phase,
    "secondary_phase": lambda job: job.secondary,
    "create_time": lambda job: str(job.create_ms),
}


async def create(service: Service, request: Request) -> Response:
    """POST training-jobs."""
    body = body_of(request)
    fields = starting.read_job(body, service.settings)
    if service.machine.named(fields["name"], fields["workspace_id"]) is not None:
        code = service.settings.duplicate_code
        raise ApiError(400, code, "The training job name already exists.")
    if _used(service) >= _quota(service):
        raise ApiError(400, OVER_LIMIT, "The number of training jobs is over its quota.")
    job = service.machine.create(body, fields)
    return json_response(job_json(job, service.machine), 201)


async def search(service: Service, request: Request) -> Response:
    """POST training-job-searches."""
    body = body_of(request)
    offset, limit = body.get("offset", 0), body.get("limit", 50)
    if not isinstance(limit, int) or not 1 <= limit <= 50:
        raise illegal("limit is a whole number of 1 to 50")
    if not isinstance(offset, int) or offset < 0:
        raise illegal("offset is a whole number from 0 on")
    order, sort_by = body.get("order", "desc"), body.get("sort_by", "create_time")
    if order not in ("asc", "desc") or sort_by != "create_time":
        raise illegal("searches are sorted by create_time, asc or desc")
    workspace = body.get("workspace_id", "0")
    mine = [job for job in service.machine.jobs() if job.workspace_id == workspace]
    tests = [_filter(each) for each in body.get("filters", [])]
    tests += [_tag_filter(each) for each in body.get("tags", [])]
    found = [
        job for job in mine if all(test(job) for test in tests) and service.found_by_searches(job)
    ]
    if order == "desc":
        found.reverse()
    page = found[window(service.settings.offset_mode, offset, limit)]
    return json_response(
        {
            "total": len(mine),
            "count": len(found),
            "limit": limit,
            "offset": offset,
            "sort_by": sort_by,
            "order": order,
            "group_by": "",
            "workspace_id": workspace,
            "ai_project": "default-ai-project",
            "items": [job_json(job, service.machine) for job in page],
        }
    )


async def show(service: Service, request: Request, job_id: str) -> Response:
    """GET training-jobs/{id}."""
    return json_response(job_json(service.job(job_id), service.machine))


async def act(service: Service, request: Request, job_id: str) -> Response:
    """POST training-jobs/{id}/actions; the one action is to terminate."""
    job = service.job(job_id)
    if body_of(request).get("action_type") != "terminate":
        raise illegal("action_type must be terminate")
    if job.final or job.phase == m.TERMINATING:
        raise ApiError(400, IN_TARGET_STATE, "already in target state")
    service.machine.stop(job)
    return json_response(job_json(job, service.machine), 202)


async def delete(service: Service, request: Request, job_id: str) -> Response:
    """DELETE training-jobs/{id}."""
    _delete(service, service.job(job_id))
    return Response(202)


async def batch_delete(service: Service, request: Request) -> Response:
    """POST training-jobs/batch-delete, of at most 100 jobs of one workspace."""
    given = body_of(request).get("jobs")
    if not isinstance(given, list) or not 1 <= len(given) <= 100:
        raise illegal("jobs is a list of 1 to 100")
    jobs = [service.job(each["metadata"]["id"]) for each in given]
    if len({job.workspace_id for job in jobs}) != 1:
        raise illegal("the jobs are of several workspaces")
    for job in jobs:
        _delete(service, job)
    return Response(202)


async def change(service: Service, request: Request, job_id: str) -> Response:
    """PUT training-jobs/{id}: the description, or the priority of a job that waits."""
    job, body = service.job(job_id), body_of(request)
    if "description" in body:
        job.body["metadata"]["description"] = str(body["description"])
    policy = body.get("spec", {}).get("schedule_policy", {})
    if "priority" in policy:
        if policy["priority"] not in (1, 2, 3):
            raise illegal("priority is a whole number of 1 to 3")
        job.priority = policy["priority"]
    service.machine.change(job)
    return Response(200)


async def names(service: Service, request: Request) -> Response:
    """GET training-job-names: whether a name is taken."""
    name = starting.check_name(request.parameter("job_name"))
    workspace = request.parameter("workspace_id", "0")
    return json_response({"is_duplicate": service.machine.named(name, workspace) is not None})


async def quotas(service: Service, request: Request) -> Response:
    """GET training-quotas."""
    if request.parameter("resource", _QUOTA) != _QUOTA:
        raise illegal(f"resource must be {_QUOTA}")
    return json_response(
        {"quotas": [{"resource": _QUOTA, "quota": _quota(service), "used": _used(service)}]}
    )


async def change_quotas(service: Service, request: Request) -> Response:
    """PUT training-quotas."""
    body = body_of(request)
    for item in body.get("quotas", []):
        if item.get("resource") != _QUOTA or not isinstance(item.get("quota"), int):
            raise illegal(f"a quota has the resource {_QUOTA} and a whole number")
        service.store.set_quota(_QUOTA, item["quota"])
    return json_response({"user_id": body.get("user_id", ""), "quotas": body.get("quotas", [])})


def _delete(service: Service, job: Job) -> None:
    if not job.final and job.phase != m.ABNORMAL:
        raise illegal("a job that has not ended cannot be deleted")
    service.machine.delete(job)


def _quota(service: Service) -> int:
    changed = service.store.quota(_QUOTA)
    return service.settings.job_quota if changed is None else changed


def _used(service: Service) -> int:
    return sum(1 for job in service.machine.jobs() if not job.final)


def _filter(given: Json) -> Callable[[Job], bool]:
    key, operator, value = given.get("key"), given.get("operator"), given.get("value")
    field = _FIELDS.get(str(key))
    if field is None:
        raise illegal(f"there is no filter by {key!r}")
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise illegal("the value of a filter is a list of strings")
    values: list[str] = value
    match operator:
        case "in":
            return lambda job: field(job) in values
        case "not":
            return lambda job: field(job) not in values
        case "like":
            return lambda job: any(each in field(job) for each in values)
        case "between" if key == "create_time" and len(values) == 2:
            least, most = int(values[0]), int(values[1])
            return lambda job: least <= job.create_ms <= most
    raise illegal("operator is in, not, like, or between two values of create_time")


def _tag_filter(given: Json) -> Callable[[Job], bool]:
    key, values = given["key"], [value for value in given.get("values", []) if value]
    return lambda job: key in job.tags and (not values or job.tags[key] in values)
