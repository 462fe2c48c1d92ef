"""The API gateway: which calls there are, who may make them, how many, and what goes wrong."""

import json
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.modelarts_center import detail_calls as details
from tests.modelarts_center import iam, job_calls, pool_calls, signing, tag_calls
from tests.modelarts_center.errors import NO_SUCH_API, ApiError, error_response
from tests.modelarts_center.faults import Faults, apply, gateway_error
from tests.modelarts_center.service import Service
from tests.modelarts_center.wire import Request, Response

Call = Callable[..., Awaitable[Response]]
_log = logging.getLogger(__name__)

_JOBS = "/v2/{p}/training-jobs"
_POOLS = "/v2/{p}/pools"
_TAGS = "/v2/{p}/modelarts-training-job"
#: Name of the call, the switch that takes it away, method, path, what it does.
_CALLS: tuple[tuple[str, str, str, str, Call], ...] = (
    ("create", "", "POST", _JOBS, job_calls.create),
    ("search", "", "POST", "/v2/{p}/training-job-searches", job_calls.search),
    ("batch-delete", "batch-delete", "POST", f"{_JOBS}/batch-delete", job_calls.batch_delete),
    ("show", "", "GET", f"{_JOBS}/{{id}}", job_calls.show),
    ("delete", "", "DELETE", f"{_JOBS}/{{id}}", job_calls.delete),
    ("change", "", "PUT", f"{_JOBS}/{{id}}", job_calls.change),
    ("stop", "", "POST", f"{_JOBS}/{{id}}/actions", job_calls.act),
    ("names", "names", "GET", "/v2/{p}/training-job-names", job_calls.names),
    ("events", "", "GET", f"{_JOBS}/{{id}}/events", details.events),
    ("stages", "stages", "GET", f"{_JOBS}/{{id}}/stages", details.stages),
    ("tasks", "", "GET", f"{_JOBS}/{{id}}/tasks", details.tasks),
    ("log-preview", "", "GET", f"{_JOBS}/{{id}}/tasks/{{id}}/logs/preview", details.log_preview),
    ("log-lines", "log-lines", "GET", f"{_JOBS}/{{id}}/logs/{{id}}", details.log_lines),
    ("metrics", "metrics", "GET", f"{_JOBS}/{{id}}/metrics/{{id}}", details.metrics),
    ("flavors", "", "GET", "/v2/{p}/training-job-flavors", pool_calls.flavors),
    ("engines", "", "GET", "/v2/{p}/training-job-engines", pool_calls.engines),
    ("pool-flavors", "", "GET", "/v2/{p}/training-pool-flavors", pool_calls.pool_flavors),
    ("quotas", "quotas", "GET", "/v2/{p}/training-quotas", job_calls.quotas),
    ("change-quotas", "quotas", "PUT", "/v2/{p}/training-quotas", job_calls.change_quotas),
    ("pools", "", "GET", _POOLS, pool_calls.pools),
    ("pool", "", "GET", f"{_POOLS}/{{id}}", pool_calls.pool),
    ("nodes", "", "GET", f"{_POOLS}/{{id}}/nodes", pool_calls.nodes),
    ("workloads", "workloads", "GET", f"{_POOLS}/{{id}}/workloads", pool_calls.workloads),
    (
        *("workload-statistics", "workloads", "GET", "/v2/{p}/statistics/pools/{id}/workloads"),
        pool_calls.workload_statistics,
    ),
    ("pool-statistics", "", "GET", "/v2/{p}/statistics/pools", pool_calls.pool_statistics),
    ("runtime-metrics", "", "GET", "/v2/{p}/metrics/runtime/pools", pool_calls.runtime_metrics),
    ("all-tags", "tags", "GET", f"{_TAGS}/tags", tag_calls.all_tags),
    ("by-tags", "tags", "POST", f"{_TAGS}/resource-instances/filter", tag_calls.by_tags),
    ("count-by-tags", "tags", "POST", f"{_TAGS}/resource-instances/count", tag_calls.count_by_tags),
    ("tags", "tags", "GET", f"{_TAGS}/{{id}}/tags", tag_calls.show_tags),
    ("create-tags", "tags", "POST", f"{_TAGS}/{{id}}/tags/create", tag_calls.create_tags),
    ("delete-tags", "tags", "DELETE", f"{_TAGS}/{{id}}/tags/delete", tag_calls.delete_tags),
    ("workspaces", "", "GET", "/v1/{p}/workspaces", tag_calls.workspaces),
    ("workspace-quotas", "", "GET", "/v1/{p}/workspaces/{id}/quotas", tag_calls.workspace_quotas),
)
#: Names by which faults choose calls; "token" is the one of IAM.
CALL_NAMES = frozenset({call[0] for call in _CALLS} | {"token"})


@dataclass(frozen=True, slots=True)
class _Route:
    name: str
    method: str
    pattern: re.Pattern[str]
    call: Call


class Gateway:
    """Takes requests to the service. ``now_s`` is the gateway's clock, which may be wrong."""

    def __init__(self, service: Service, faults: Faults, now_s: Callable[[], float]) -> None:
        self._service = service
        self._faults = faults
        self._now_s = now_s
        self._tokens = float(service.settings.rate_per_s)
        self._filled_s = now_s()
        self._routes = [
            _Route(name, method, _pattern(path, service.settings.project_id), call)
            for name, switch, method, path, call in _CALLS
            if switch not in service.settings.absent
        ]
        #: How often each call was made, by its name; "?" for those that do not exist.
        self.calls: Counter[str] = Counter()

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        name, call, ids = self._find(request)
        self.calls[name] += 1
        jobs = _jobs_named(request, ids)
        fault = self._faults.take(name, "before", jobs)
        if fault is not None and fault.kind != "hold":
            return await apply(fault, gateway_error(504))
        if fault is not None:
            await fault.released.wait()
        response = await self._answer(request, call, ids)
        fault = self._faults.take(name, "after", jobs)
        return response if fault is None else await apply(fault, response)

    def _find(self, request: Request) -> tuple[str, Call | None, tuple[str, ...]]:
        if request.method == "POST" and request.path == iam.PATH:
            return "token", None, ()
        for route in self._routes:
            found = route.pattern.fullmatch(request.path.rstrip("/"))
            if found is not None and route.method == request.method:
                return route.name, route.call, found.groups()
        return "?", None, ()

    async def _answer(self, request: Request, call: Call | None, ids: tuple[str, ...]) -> Response:
        service = self._service
        if not self._admitted():
            return gateway_error(429, 1)
        if request.method == "POST" and request.path == iam.PATH:
            return iam.give_token(request, service.settings, service.store, self._now_s())
        if call is None:
            text = "The API does not exist or has not been published in the environment"
            return error_response(404, NO_SUCH_API, text)
        try:
            self._authenticate(request)
            return await call(service, request, *ids)
        except signing.Refused as refused:
            return error_response(401, refused.code, str(refused))
        except ApiError as error:
            return error_response(error.status, error.code, str(error))
        except (AttributeError, KeyError, TypeError, ValueError):
            _log.exception("the center failed in %s %s", request.method, request.path)
            return gateway_error(500)

    def _authenticate(self, request: Request) -> None:
        token = request.header("X-Auth-Token")
        if token:
            iam.check_token(token, self._service.store, self._now_s())
        elif request.header("Authorization"):
            signing.verify(request, self._service.settings.access_keys, self._now_s())
        else:
            text = "Incorrect IAM authentication information: x-auth-token not found"
            raise signing.Refused("APIGW.0301", text)

    def _admitted(self) -> bool:
        """A bucket of one second's calls."""
        rate = self._service.settings.rate_per_s
        if not rate:
            return True
        now = self._now_s()
        self._tokens = min(rate, self._tokens + max(0.0, now - self._filled_s) * rate)
        self._filled_s = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _pattern(path: str, project_id: str) -> re.Pattern[str]:
    parts = [re.escape(part) for part in path.split("{id}")]
    return re.compile("([^/]+)".join(parts).replace(re.escape("{p}"), re.escape(project_id)))


def _jobs_named(request: Request, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Names and ids of jobs by which a fault may choose a call."""
    try:
        name = json.loads(request.body)["metadata"]["name"]
    except (ValueError, KeyError, TypeError):
        return ids
    return (*ids, str(name))
