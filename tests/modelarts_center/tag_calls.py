"""Calls about tags of jobs, and about workspaces."""

from tests.modelarts_center.errors import ApiError, illegal
from tests.modelarts_center.model import Job
from tests.modelarts_center.service import Service, body_of, number
from tests.modelarts_center.wire import Json, Request, Response, json_response


async def create_tags(service: Service, request: Request, job_id: str) -> Response:
    """POST modelarts-training-job/{id}/tags/create."""
    job = service.job(job_id)
    for tag in _given(request):
        job.tags[tag["key"]] = tag.get("value", "")
    service.machine.change(job)
    return json_response({"tags": _tags(job)})


async def delete_tags(service: Service, request: Request, job_id: str) -> Response:
    """DELETE modelarts-training-job/{id}/tags/delete."""
    job = service.job(job_id)
    for tag in _given(request):
        job.tags.pop(tag["key"], None)
    service.machine.change(job)
    return Response(204)


async def show_tags(service: Service, request: Request, job_id: str) -> Response:
    """GET modelarts-training-job/{id}/tags."""
    return json_response({"tags": _tags(service.job(job_id))})


async def all_tags(service: Service, request: Request) -> Response:
    """GET modelarts-training-job/tags: every key with its values."""
    values: dict[str, set[str]] = {}
    for job in service.machine.jobs():
        for key, value in job.tags.items():
            values.setdefault(key, set()).add(value)
    return json_response({"tags": [{"key": key, "values": sorted(values[key])} for key in values]})


async def by_tags(service: Service, request: Request) -> Response:
    """POST modelarts-training-job/resource-instances/filter: AND over keys, OR over values."""
    found = _matching(service, body_of(request))
    offset = number(request, "offset", 0, 0, 2**31 - 1)
    limit = number(request, "limit", 1000, 1, 1000)
    resources = [
        {
            "resource_id": job.id,
            "resource_name": job.name,
            "resource_detail": {},
            "tags": _tags(job),
            "workspace_id": job.workspace_id,
        }
        for job in found[offset : offset + limit]
    ]
    return json_response({"resources": resources, "total_count": len(found)})


async def count_by_tags(service: Service, request: Request) -> Response:
    """POST modelarts-training-job/resource-instances/count."""
    return json_response({"total_count": len(_matching(service, body_of(request)))})


async def workspaces(service: Service, request: Request) -> Response:
    """GET /v1 workspaces."""
    told = [
        {
            "id": workspace,
            "name": "default" if workspace == "0" else f"workspace-{workspace}",
            "description": "",
            "owner": service.settings.domain,
            "auth_type": "PUBLIC",
            "enterprise_project_id": "0",
            "enterprise_project_name": "default",
            "status": "NORMAL",
            "status_info": "",
            "create_time": 1_730_433_000_000,
            "update_time": 1_730_433_000_000,
        }
        for workspace in service.settings.workspaces
    ]
    return json_response({"total_count": len(told), "count": len(told), "workspaces": told})


async def workspace_quotas(service: Service, request: Request, workspace: str) -> Response:
    """GET /v1 workspaces/{id}/quotas."""
    if workspace not in service.settings.workspaces:
        raise ApiError(404, "ModelArts.7005", f"The workspace {workspace} does not exist.")
    return json_response(
        {
            "quotas": [
                {
                    "resource": "training_job.num",
                    "name_en": "training jobs",
                    "name_cn": "训练作业",
                    "unit_en": "",
                    "unit_cn": "个",
                    "quota": -1,
                    "min_quota": -1,
                    "max_quota": -1,
                    "used_quota": sum(
                        1 for job in service.machine.jobs() if job.workspace_id == workspace
                    ),
                    "update_time": 1_730_433_000_000,
                }
            ]
        }
    )


def _given(request: Request) -> list[Json]:
    tags = body_of(request).get("tags")
    if not isinstance(tags, list) or not all(isinstance(tag.get("key"), str) for tag in tags):
        raise illegal("tags is a list of objects with a key")
    return tags


def _tags(job: Job) -> list[Json]:
    return [{"key": key, "value": value} for key, value in job.tags.items()]


def _matching(service: Service, body: Json) -> list[Job]:
    found = service.machine.jobs()
    for tag in body.get("tags", []):
        values = tag.get("values", [])
        found = [
            job
            for job in found
            if tag["key"] in job.tags and (not values or job.tags[tag["key"]] in values)
        ]
    for match in body.get("matches", []):
        if match.get("key") != "resource_name":
            raise illegal("matches are by resource_name")
        found = [job for job in found if match["value"] in job.name]
    if body.get("without_any_tag"):
        found = [job for job in found if not job.tags]
    return found
